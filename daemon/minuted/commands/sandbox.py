"""`minuted check` in the place of the service: as its user, with its sandbox, credentials and environment.

A unit is made of the service's own lines, drop-ins included, with `minuted check` in the place of what the
service starts. So whatever a line of a unit takes away is missed here as the service would miss it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .finding import Finding
from .sink_check import UNIT_NAME

WHOLE: Final = "minuted.service"
SPLIT: Final = "minuted.target"
CONFIG: Final = Path("/etc/minuted/minuted.toml")
"""What a unit's command reads where it names no other."""
UNITS: Final = Path("/run/systemd/system")
LOOK_S_MAX: Final = 180
"""How long a look from inside may take."""
POLL_S: Final = 0.05
PART_NAME: Final = "MINUTED_CHECK_PART"
"""The environment's name for the stage whose sandbox this is; unset: the whole of minuted."""
_SHOWN: Final = (
    "LoadState,ActiveState,UnitFileState,User,NeedDaemonReload,ExecStart,Environment,Wants,RuntimeDirectory"
)
_PASSED_ON: Final = ("PYTHONPATH", "LD_LIBRARY_PATH")
"""How this program itself was found."""
_LEFT_OUT: Final = re.compile(
    r"(Exec\w+|Type|NotifyAccess|Restart\w*|Timeout\w+|Watchdog\w+|Standard\w+|SyslogIdentifier|KillMode|"
    r"RuntimeDirectoryPreserve|RemainAfterExit|GuessMainPID|PIDFile|BusName|Sockets|OOMPolicy|StartLimit\w+|"
    r"FileDescriptorStore\w+|RuntimeMaxSec|SuccessExitStatus)"
)
"""Lines of [Service] about what is started and watched, and how; all others say in what surroundings."""


@dataclass(frozen=True)
class Unit:
    """A service that reads the configuration in question."""

    name: str
    shown: Mapping[str, str]
    """What systemd says of it."""

    @property
    def is_active(self) -> bool:
        return self.shown.get("ActiveState") in ("active", "reloading", "activating", "deactivating")

    @property
    def stage(self) -> str:
        """The stage it runs ("capture", "delivery/webhook"); "" for the whole of minuted."""
        words = _words(self.shown)[1:]
        if "--config" in words:
            at = words.index("--config")
            del words[at : at + 2]
        return "" if words[:1] in (["run"], []) else "/".join(words)


def units_of(config: Path | None) -> list[Unit]:
    """Return the services of this machine that read a configuration: the whole, or its stages."""
    if config is None or not UNITS.is_dir() or not shutil.which("systemctl"):
        return []
    whole, split = _shown(WHOLE), _shown(SPLIT)
    names = [name for name in split.get("Wants", "").split() if name.startswith("minuted-")]
    is_split = split.get("ActiveState") == "active" or split.get("UnitFileState") == "enabled"
    found = [Unit(name, _shown(name)) for name in names] if is_split and names else [Unit(WHOLE, whole)]
    return [
        unit
        for unit in found
        if unit.shown.get("LoadState") == "loaded" and _config_of(unit.shown) == config.resolve()
    ]


def beside(name: str) -> Unit | None:
    """Return a service that is enabled and does not run, so that it would begin one day; else None."""
    unit = Unit(name, _shown(name)) if UNITS.is_dir() and shutil.which("systemctl") else Unit(name, {})
    is_enabled = unit.shown.get("UnitFileState") in ("enabled", "enabled-runtime")
    return unit if is_enabled and unit.shown.get("ActiveState") != "active" else None


def environment_of(unit: Unit) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in unit.shown.get("Environment", "").split())
    return {name: value for name, _, value in pairs}


def findings(unit: Unit, config: Path, words: list[str]) -> Iterator[Finding]:
    """Return what a check from inside a service's sandbox finds. Root alone can."""
    command = [sys.executable, "-P", "-m", "minuted", "--config", str(config.absolute()), "check", "--json"]
    name = f"minuted-check-{os.getpid()}.service"
    file = UNITS / name
    folder = Path(tempfile.mkdtemp(prefix="minuted-check-", dir="/run"))
    runtime = [Path("/run", each) for each in unit.shown.get("RuntimeDirectory", "").split()]
    made = [each for each in runtime if not each.exists()]
    try:
        out = folder / "out"
        text = unit_text(_cat(unit.name), [*command, *words], out, _environment(unit))
        file.touch(0o644)
        file.write_text(text, encoding="utf-8")
        said = False
        for finding in _told(name, out):
            said = True
            yield finding
        yield from _outcome(name, unit, said=said)
    finally:
        _systemctl("stop", name)
        file.unlink(missing_ok=True)
        _systemctl("reset-failed", name)
        shutil.rmtree(folder, ignore_errors=True)
        for each in made:
            with suppress(OSError):  # a service that has begun meanwhile has filled it
                each.rmdir()


def unit_text(service: str, command: list[str], out: Path, environment: Mapping[str, str]) -> str:
    """Return a unit that runs `command` in the surroundings of a service, whose files' text `service` is."""
    own = [
        "[Unit]",
        "Description=minuted check, in the place of the service",
        "[Service]",
        *surroundings(service),
        "Type=oneshot",
        f"ExecStart={' '.join(_quoted(word).replace('$', '$$') for word in command)}",
        f"TimeoutStartSec={LOOK_S_MAX}",
        f"StandardOutput=file:{out}",
        "StandardError=journal",
        # The folder is the service's, which may be running.
        "RuntimeDirectoryPreserve=yes",
        *(f"Environment={_quoted(f'{key}={value}')}" for key, value in environment.items()),
    ]
    return "\n".join([*own, ""])


def surroundings(service: str) -> list[str]:
    """Return the lines of [Service] that say in what surroundings it runs, in their order. Pure."""
    section, kept = "", []
    lines = re.sub(r"\\\n(?:[ \t]*[#;].*\n)*", " ", service).splitlines()
    for each in map(str.strip, lines):
        if each.startswith("[") and each.endswith("]"):
            section = each
        elif section == "[Service]" and each and each[0] not in "#;":
            key = each.partition("=")[0].strip()
            if not _LEFT_OUT.fullmatch(key):
                kept.append(each)
    return kept


def _environment(unit: Unit) -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed, UNIT_NAME: unit.name, PART_NAME: unit.stage, "PYTHONUNBUFFERED": "1"}


def _told(name: str, out: Path) -> Iterator[Finding]:
    """Start the unit, and return its findings as they come."""
    with subprocess.Popen(
        ["systemctl", "start", name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        at = 0
        while True:
            is_over = process.poll() is not None
            text = out.read_bytes()[at:] if out.exists() else b""
            whole = text.rpartition(b"\n")[0]
            for each in whole.splitlines():
                with suppress(ValueError, KeyError, TypeError):
                    yield Finding.from_map(json.loads(each))
            at += len(whole) + 1 if whole else 0
            if is_over:
                return
            time.sleep(POLL_S)


def _outcome(name: str, unit: Unit, *, said: bool) -> Iterator[Finding]:
    """Yield what kept the check from its end, where anything did."""
    shown = _shown(name, "Result,ExecMainCode,ExecMainStatus")
    status, result = shown.get("ExecMainStatus", ""), shown.get("Result", "")
    if result == "success" or (result == "exit-code" and status == "78" and said):
        return
    log = subprocess.run(
        ["journalctl", "--unit", name, "--output=cat", "--no-pager", "--quiet", "--lines=20"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    yield Finding("sandbox", ok=False, text=why_not(unit.name, result, status, log))


def why_not(unit: str, result: str, status: str, log: str) -> str:
    """Return why nothing could be looked at from inside, by what systemd has logged. Pure."""
    told = [each for each in log.splitlines() if re.match(r"Failed|.*: Failed (to|at) ", each)]
    reason = re.sub(r"^\S+\.service: ", "", told[0]) if told else ""
    if not reason and result in ("signal", "core-dump"):
        reason = f"it was ended by signal {status}, as where a line of the unit takes too much away"
    elif not reason and result == "oom-kill":
        reason = "there is not enough memory for it (MemoryMax=)"
    own = [each for each in log.splitlines() if each.startswith("minuted: ") or "Error: " in each]
    reason = reason or f"{result or 'failed'}, status {status}{f' ({own[-1]})' if own else ''}"
    name = unit.removesuffix(".service")
    return f"{unit} cannot start: {reason}; its lines: systemctl cat {name}, and systemctl edit {name}"


def _shown(name: str, properties: str = _SHOWN) -> dict[str, str]:
    told = _systemctl("show", f"--property={properties}", name)
    return dict(each.partition("=")[::2] for each in told.splitlines())


def _cat(name: str) -> str:
    return _systemctl("cat", "--no-pager", name)


def _systemctl(*words: str) -> str:
    done = subprocess.run(
        ["systemctl", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return done.stdout


def _words(shown: Mapping[str, str]) -> list[str]:
    """Return the command that a service starts."""
    found = re.search(r"argv\[\]=(.*?) ;", shown.get("ExecStart", ""))
    return found[1].split() if found else []


def _config_of(shown: Mapping[str, str]) -> Path:
    words = _words(shown)
    named = words[words.index("--config") + 1 :][:1] if "--config" in words else []
    return Path(named[0] if named else CONFIG).resolve()


def _quoted(word: str) -> str:
    """Return a word as a unit's line has it, none of its signs taken for a specifier."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
