"""Would it work here? `minuted check` looks at everything a run needs, and changes nothing."""

import importlib.metadata
import importlib.util
import os
import platform
import socket
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from minuted import __version__, bus, claims, keys, models
from minuted.addresses import shown_url
from minuted.config import (
    LOOPBACK,
    ConfigError,
    Settings,
    SoundSource,
    require_credentials,
    require_keyterms,
)
from minuted.control import status_of
from minuted.live_settings import LOCAL, read_terms, refusal
from minuted.runtime import guard, service
from minuted.runtime.durations import brief
from minuted.session_notes import Note, notes

from . import machine, printing

ENGINE_LIBRARY: Final = "moonshine_voice"
SAID: Final = {
    "costs": "costs more",
    "switches off": "also means",
    "no effect": "has no effect",
    "refused": "is refused",
}


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it will do, and what is there or is to be done."""

    what: str
    ok: bool
    text: str
    warns: bool = False
    """It works, and will some day not, or not as it should."""


def run(settings: Callable[[], Settings], *, online: bool = False) -> int:
    """Print a line for everything; 78 when something does not work. Warnings are none of that."""
    found = []
    for finding in findings(settings, online=online):
        found.append(finding)
        printing.say(line(finding, printing.encoding()), flush=True)
    return 0 if all(finding.ok for finding in found) else 78


def line(finding: Finding, encoding: str = "utf-8") -> str:
    level = 2 if not finding.ok else 1 if finding.warns else 0
    mark = "✓!✗"[level]
    try:
        "✓✗".encode(encoding)
    except UnicodeEncodeError:
        mark = ("ok ", "(!)", "NO ")[level]
    return f"{mark} {finding.what:<16} {finding.text}"


def findings(load_settings: Callable[[], Settings], *, online: bool = False) -> Iterator[Finding]:
    """Look at one thing after the other; without a configuration there is nothing more to look at."""
    yield Finding("versions", ok="missing" not in versions(), text=versions())
    try:
        settings = load_settings()
    except ConfigError as error:
        yield Finding("configuration", ok=False, text=str(error))
        return
    yield Finding("configuration", ok=True, text=str(settings.path or "no file found, so the defaults hold"))
    running = status_of(settings, "supervisor", timeout_s=0.5) if _may_run(settings) else None
    if running:
        yield _running(running)
    for key in ("state_dir", "runtime_dir"):
        yield _judged(key, lambda key=key: _owned_folder(key, settings))  # type: ignore[misc]
    yield _judged("file system", lambda: _file_system(settings))
    yield _judged("disk", lambda: machine.disk(settings))
    yield _judged("clock", machine.clock)
    yield _looked("sockets", lambda: _sockets(settings, running=running is not None))
    yield _looked("turn socket", lambda: _turn_socket(settings))
    yield _looked("service", lambda: _service(settings, running=running is not None))
    yield from _model(settings)
    for note in _notes(settings):
        text = f"session.{note.key} {SAID[note.kind]}: {note.text}"
        yield Finding("session", ok=note.kind != "refused", text=text, warns=True)
    if online:
        yield _judged("online", lambda: _online(settings))
    if settings.profiles or settings.session.keyterms_file:
        yield _looked("key terms", lambda: _keyterms(settings))
        yield _judged("profiles", lambda: _profiles(settings))
    if not settings.sources[0].is_recording:
        yield _judged("sound devices", machine.sound_devices)
    for source in settings.sources:
        what = f"source {source.name}".rstrip()
        yield _looked(what, lambda source=source: _source(source))  # type: ignore[misc]
    if (many := len(settings.sources)) > 1 and settings.service != "local":
        text = f"{many} sources are {many} sessions at once, and cost {many} times as much as one"
        yield Finding("price", ok=True, text=text, warns=True)
    yield from _sinks(settings)
    for file, whose in _secrets(settings):
        if guard.readable(file):
            text = f"{file} can be read by every user of this machine, and {whose}; run: chmod o-r {file}"
            yield Finding("secrets", ok=True, text=text, warns=True)


def prepare(settings: Settings) -> None:
    """Make the folders, and find what would fail in a process later. Raises ConfigError.

    Quick, and without what only a process of its own may load.
    """
    make_folders(settings)
    _turn_socket(settings)
    _service(settings, running=True)
    require_keyterms(settings)
    for note in _notes(settings):
        if note.kind == "refused":
            raise ConfigError(f"session.{note.key}: {note.text}")
    for path in [Path(source.source).expanduser() for source in settings.sources if source.is_recording]:
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            raise ConfigError(f"the recording {path} cannot be read: {error.strerror}") from None


def make_folders(settings: Settings) -> None:
    """Make the state and runtime folders where they are missing. Raises ConfigError."""
    for key in ("state_dir", "runtime_dir"):
        folder: Path = getattr(settings, key)
        claims.refuse_foreign(key, folder)
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(key, folder, error.strerror) from None
        _folder(key, settings)


def versions() -> str:
    try:
        sdk = importlib.metadata.version("assemblyai")
    except importlib.metadata.PackageNotFoundError:
        sdk = "missing"
    return (
        f"minuted {__version__}, Python {platform.python_version()}, ZeroMQ {bus.version()}, "
        f"SQLite {sqlite3.sqlite_version}, assemblyai {sdk}"
    )


def _model(settings: Settings) -> Iterator[Finding]:
    """Say what is known of the model that is asked for."""
    name = settings.session.speech_model
    if settings.service == "assemblyai" and (note := models.note(name)):
        yield Finding("model", ok=True, text=f"{name}: {note}", warns=bool(models.warning(name)))


def _looked(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, ok=True, text=look())
    except ConfigError as error:
        return Finding(what, ok=False, text=str(error))


def _judged(what: str, judge: Callable[[], tuple[bool, str]]) -> Finding:
    """Look at something that is a warning at worst."""
    try:
        well, text = judge()
    except ConfigError as error:
        return Finding(what, ok=False, text=str(error))
    except OSError as error:
        well, text = False, f"cannot be looked at: {error.strerror}"
    return Finding(what, ok=True, text=text, warns=not well)


def _notes(settings: Settings) -> list[Note]:
    return notes(settings.session, local=settings.service == "local")


def _running(status: Mapping[str, Any]) -> Finding:
    unwell = [
        f"{name} is {row['state']}"
        for name, row in status.get("stages", {}).items()
        if row["state"] != "ready"
    ]
    text = ", ".join([f"{status['state']} as process {status['pid']}", *unwell])
    return Finding("running", ok=True, text=text, warns=bool(unwell))


def _file_system(settings: Settings) -> tuple[bool, str]:
    kind = machine.place_of(settings.state_dir)
    if machine.REMOTE.fullmatch(kind):
        raise ConfigError(f"state_dir is on {kind}: journals need a disk of this machine")
    if kind in machine.FLEETING:
        return False, f"state_dir is on {kind}: what is there is gone with the next restart of the machine"
    return True, f"state_dir is on {kind or 'a file system without a name'}"


def _sockets(settings: Settings, *, running: bool) -> str:
    """Look at what other processes have left where sockets are to be."""
    left = [] if running else sorted(settings.runtime_dir.glob("*.sock*"))
    for key in ("runtime_dir", "state_dir"):
        folder: Path = getattr(settings, key)
        for file in [] if running else sorted(folder.glob("*.lock")):
            if file.name in _lock_names(settings) or file.name.endswith(".sock.lock"):
                _check_lock(key, file, folder)
    longest = max(
        len(os.fsencode(settings.control_endpoint(f"delivery/{name}"))) for name in (*settings.sinks, "")
    )
    paths = f"paths of {longest - len('ipc://')} bytes at most"
    stale = sum(file.suffix == ".sock" for file in left)
    return f"{paths}; {stale} left by a run that was killed, which the next one replaces" if stale else paths


def _lock_names(settings: Settings) -> set[str]:
    """Return the names of the locks that minuted takes, besides those of its sockets."""
    from minuted.capture import playing  # noqa: PLC0415  # it loads the journal
    from minuted.journal import sound_clock  # noqa: PLC0415

    sinks = (f"delivery/{name}" for name in settings.sinks)
    stages = ("transcription", "engine", *sinks, *(source.stage for source in settings.sources))
    return {claims.NAME, sound_clock.LOCK, playing.LOCK, *map(claims.lock_of, stages)}


def _check_lock(key: str, file: Path, folder: Path) -> None:
    """Raise ConfigError for what is no lock of ours, or nobody's to take."""
    if file.is_symlink() or not file.is_file():
        raise ConfigError(f"{key}: {file} is {'a link' if file.is_symlink() else 'no file'}; remove it")
    if not os.access(file, os.R_OK | os.W_OK) or guard.owner(file) not in (0, guard.owner(folder.resolve())):
        raise ConfigError(f"{key}: {file} belongs to someone else; remove it")


def _online(settings: Settings) -> tuple[bool, str]:
    if settings.service == "local":
        return True, "the engine is on this machine: nothing to ask"
    require_credentials(settings)
    from minuted.transcription import trial  # noqa: PLC0415  # it loads the SDK

    try:
        model, differences = trial.try_out(settings)
    except ConnectionError as error:
        raise ConfigError(f"{shown_url(settings.service_url)} opens no session: {error}") from None
    return not differences, "; ".join([f"the service opened a session, and ended it ({model})", *differences])


def _secrets(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Name the files with secrets in them, and what for."""
    yield from ((file, "may hold the key") for file in settings.key_files)
    if settings.engine.token_secret_file:
        yield settings.engine.token_secret_file, "holds the secret for engine.token_url"
    for name, table in settings.sinks.items():
        for key, value in table.options.items():
            if key == "secret" and settings.path:
                yield settings.path, f"holds the secret of [sinks.{name}]"
            elif "secret" in key and isinstance(value, str):
                yield Path(value).expanduser(), f"holds the secret of [sinks.{name}]"


def _may_run(settings: Settings) -> bool:
    return Path(settings.control_endpoint("supervisor").removeprefix("ipc://")).exists()


def _folder(key: str, settings: Settings) -> str:
    folder: Path = getattr(settings, key)
    if not folder.exists():
        there = next(parent for parent in folder.absolute().parents if parent.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise _unusable(key, folder, f"it is not there, and cannot be made in {there}")
        return f"{folder} (will be made)"
    if not folder.is_dir():
        raise _unusable(key, folder, "not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable(key, folder, "no permission to write there")
    return str(folder)


def _owned_folder(key: str, settings: Settings) -> tuple[bool, str]:
    """Look at a folder and whose it is; for root, a service's folders are in order where both are its own."""
    folder: Path = getattr(settings, key)
    text = _folder(key, settings)
    service = guard.owner(settings.state_dir.resolve())
    if os.geteuid() != 0 or guard.owner(folder.resolve()) != service or service in (None, 0):
        claims.refuse_foreign(key, folder)
        if folder.is_dir() and folder.stat().st_mode & stat.S_IWOTH:
            return False, f"{text}: every user of this machine can put files there; run: chmod o-w {folder}"
        return True, text
    name = guard.user(service or 0)
    return (
        False,
        f"{text} belongs to {name}: minuted runs there as that user alone (sudo -u {name} minuted …)",
    )


def _unusable(key: str, folder: Path, reason: str | None) -> ConfigError:
    state = Path.home() / ".local/state/minuted"
    sockets = Path(os.environ.get("XDG_RUNTIME_DIR") or Path.home() / ".cache", "minuted")
    own = {"state_dir": state, "runtime_dir": sockets}[key]
    if folder == Path("/run/minuted") and (unit := service.unit()):
        return ConfigError(
            f"{key}: {folder} is made by the service, whose user and folders these are: "
            f"`{service.command('start', unit)}` runs it; for a run of your own set state_dir and "
            f'runtime_dir to folders of your own; {key} = "{own}" would do'
        )
    return ConfigError(
        f"{key}: {folder} cannot be used ({reason}): set state_dir and runtime_dir in minuted.toml to "
        f'folders of your own; {key} = "{own}" would do'
    )


def _turn_socket(settings: Settings) -> str:
    doors, path = keys.doors(settings), Path(settings.turns_endpoint.removeprefix("ipc://"))
    if path.parent != settings.runtime_dir and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise ConfigError(f"publish.turns: {path.parent} is not a folder that can be written to")
    if doors[0] is None:
        return settings.turns_endpoint
    many = len(keys.listed(settings))
    clients = "1 client" if many == 1 else f"{many} clients"
    return f"{settings.turns_endpoint}, and {doors[0].endpoint} for {clients} with a key"


def _service(settings: Settings, *, running: bool) -> str:
    """Look at the key, or at what the local engine needs."""
    require_credentials(settings)
    if settings.service == "assemblyai":
        return f"{shown_url(settings.service_url)}, {_access(settings)}"
    if importlib.util.find_spec(ENGINE_LIBRARY) is None:
        raise ConfigError(
            "the local engine is not installed: pip install 'minuted[local]', or give an AssemblyAI key"
        )
    model_dir = settings.engine.model_dir
    if model_dir is not None and not model_dir.is_dir():
        raise ConfigError(f"engine.model_dir: {model_dir} is not a folder")
    url = urlsplit(settings.engine.url)
    if settings.engine.url and (url.scheme != "ws" or url.hostname not in LOOPBACK):
        raise ConfigError(
            f"engine.url: {shown_url(settings.engine.url)} is a service's address: set "
            '[engine] service = "assemblyai" and give its key'
        )
    port = url.port
    if port and not running:
        _check_port(port)
    model = str(model_dir) if model_dir else "the bundled English one"
    return f"local engine on {f'port {port}' if port else 'a free port'}, model {model}"


def _access(settings: Settings) -> str:
    """Say by what sessions are opened."""
    if settings.engine.token_command:
        return f"tokens from {Path(settings.engine.token_command[0]).name}"
    if settings.engine.token_url:
        return f"tokens from {shown_url(settings.engine.token_url)}, secret found"
    return "key found"


def _keyterms(settings: Settings) -> str:
    require_keyterms(settings)
    file = settings.session.keyterms_file
    return f"{len(read_terms(file))} in {file}" if file else "no file of them"


def _profiles(settings: Settings) -> tuple[bool, str]:
    """Look for profiles that could not be switched to, as the model takes no such change."""
    model = LOCAL if settings.service == "local" else settings.session.speech_model
    wrong = [
        f"{name}: {reason}"
        for name, profile in settings.profiles.items()
        for key in profile
        if (reason := refusal(key, model))
    ]
    return not wrong, "; ".join(wrong) or ", ".join(settings.profiles) or "none"


def _check_port(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(f"engine.url: port {port} cannot be used: {error.strerror}") from None


def _source(wanted: SoundSource) -> str:
    if not wanted.is_recording:
        from minuted.capture import microphone  # noqa: PLC0415  # it starts PortAudio

        device = microphone.choose(microphone.devices(), wanted.device)
        microphone.openings(device, wanted.channel)
        return f'microphone "{device.name}" ({device.host_api}, {device.default_rate_hz} Hz)'
    from minuted.capture.recording import Recording  # noqa: PLC0415  # it loads the sound file library

    recording = Recording(Path(wanted.source).expanduser(), wanted.channel)
    recording.close()
    return f"{wanted.source}, {brief(recording.duration_s)} at {recording.rate_hz} Hz"


def _sinks(settings: Settings) -> Iterator[Finding]:
    from minuted.delivery import discovery  # noqa: PLC0415  # it runs the sinks' files

    if not settings.sinks:
        yield Finding("sinks", ok=True, text="none configured: turns go to the turn socket alone")
    for row in discovery.survey(settings, load_modules=True):
        if row.name in settings.sinks:
            ok = row.state in ("enabled", "off")
            text = row.reason if row.reason and not ok else f"{row.state}, {row.path}"
            yield Finding(f"sink {row.name}", ok=ok, text=text if ok else f"{row.state}: {text}")
