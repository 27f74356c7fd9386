"""A first minuted.toml: what it says, where it belongs and what comes after it."""

import grp
import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from minuted.capture import microphone
from minuted.capture.microphone import Device
from minuted.config import KEY_CREDENTIAL, KEY_NAME, ConfigError, Settings
from minuted.credentials import find
from minuted.runtime import files

SYSTEM: Final = Path("/etc/minuted/minuted.toml")
"""Where root's configuration goes, and the service looks."""
SYSTEM_STATE: Final = Path("/var/lib/minuted")
GROUP: Final = "minuted"
CREDENTIALS: Final = Path("/etc/credstore")
UNIT_FOLDERS: Final = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")
_OPTIONS: Final = {"file_log": "path", "txt": "directory", "srt": "directory", "webhook": "url"}
_USUAL: Final = {"file_log": "turns.jsonl", "txt": "minutes", "srt": "subtitles"}


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a first configuration says; what is empty is left out of it."""

    room: str
    device: str
    service: str
    sink: str
    place: str


def compose(answers: Answers, path: Path) -> str:
    """Return the text of a configuration."""
    state_dir, runtime_dir = folders(path)
    tables: dict[str, dict[str, str | Path | None]] = {
        "": {"room": answers.room, "state_dir": state_dir, "runtime_dir": runtime_dir},
        "capture": {"device": answers.device},
        "engine": {"service": answers.service},
        f"sinks.{answers.sink}": {_OPTIONS[answers.sink]: answers.place},
    }
    lines = ["# Written by `minuted init`. README's Configuration explains it, `minuted check` looks at it."]
    for name, values in tables.items():
        told = [f"{key} = {_toml(str(value))}" for key, value in values.items() if value]
        if told:
            lines += ["", f"[{name}]", *told] if name else told
    return "\n".join([*lines, ""])


def _toml(text: str) -> str:
    # As JSON has it, but for the one letter that TOML wants escaped besides.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def folders(path: Path) -> tuple[Path | None, Path | None]:
    """Return state_dir and runtime_dir for a configuration; None where the service's own are meant."""
    if path == SYSTEM:
        return None, None
    home = Path(os.environ.get("HOME") or path.parent)
    state_dir = Path(os.environ.get("XDG_STATE_HOME") or home / ".local/state", "minuted")
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent")
    # After su and sudo it is another user's.
    is_own = runtime.is_dir() and runtime.stat().st_uid == os.geteuid()
    return state_dir, runtime / "minuted" if is_own else home / ".cache/minuted"


def usual_place(sink: str, path: Path) -> str:
    """Return where a sink writes unless told otherwise; "" where only a person knows."""
    folder = SYSTEM_STATE if path == SYSTEM else path.parent
    return str(folder / _USUAL[sink]) if sink in _USUAL else ""


def lasting_name(device: Device, found: Sequence[Device]) -> str:
    """Return a device's name without its card's number, which another start of the machine changes."""
    if device.name == "default":
        return ""
    short = re.sub(r" \(hw:\d+,\d+\)$", "", device.name)
    return short if microphone.choose(found, short) == device else device.name


def obstacle(path: Path, *, force: bool) -> str:
    """Return why nothing can be written there; "" when it can."""
    if path.exists() and not force:
        return f"{path} is there already; --force replaces it, --config FILE writes another one"
    folder = next(place for place in path.parents if place.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return (
            f"{path} cannot be written: {folder} is no folder of yours; go to one, or name a file by --config"
        )
    return ""


def write(path: Path, text: str, key: str, *, force: bool) -> None:
    """Write a configuration, and a key beside it. Raises ConfigError."""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with files.acting_for(path.parent):
            if key:
                files.create(env_file(path), f"{KEY_NAME}={key}\n".encode())
            put = files.replace if force else files.create
            put(path, text.encode(), 0o640 if path == SYSTEM else 0o644)
        if path == SYSTEM:
            with suppress(KeyError):
                os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None


def next_steps(path: Path, service: str, *, is_well: bool) -> list[str]:
    """Return what to do now."""
    config = "" if path in (Path("minuted.toml").absolute(), SYSTEM) else f" --config {path}"
    steps = []
    if service == "assemblyai" and not key_place(path):
        steps.append(f"The key never goes into {path.name}: {key_advice(path)}.")
    if not is_well:
        steps.append(f"What does not work yet is marked above; when it is mended: minuted check{config}")
    if is_service(path):
        return [*steps, "Next: systemctl enable minuted && systemctl restart minuted && minuted status"]
    return [
        *steps,
        f"Next: minuted run --watch{config}",
        f"  or, without a microphone: minuted run --watch --input RECORDING{config}",
    ]


def key_advice(path: Path) -> str:
    """Return where a key belongs, for the service or for a run by hand."""
    if is_service(path):
        return f"put it alone into {CREDENTIALS / KEY_CREDENTIAL}, a file of root's with mode 0600"
    return f"put {KEY_NAME}=… into {env_file(path)}, a file with mode 0600"


def key_place(path: Path) -> str:
    """Return where a run with this configuration would find a key; "" where there is none."""
    if is_service(path):
        kept = [Path(f"{CREDENTIALS}{ending}", KEY_CREDENTIAL) for ending in ("", ".encrypted")]
        return next((str(file) for file in kept if file.exists()), "")
    if os.environ.get(KEY_NAME, "").strip():
        return f"the environment ({KEY_NAME})"
    with suppress(ConfigError):
        for file in Settings(path=path).key_files:
            if find(KEY_CREDENTIAL, KEY_NAME, [file], path):
                return str(file.absolute())
    return ""


def env_file(path: Path) -> Path:
    return path.parent / ".env"


def is_service(path: Path) -> bool:
    """Return whether a configuration is that of an installed service."""
    return path == SYSTEM and any(Path(folder, "minuted.service").exists() for folder in UNIT_FOLDERS)
