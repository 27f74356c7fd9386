"""Would it work here? `minuted check` looks at everything a run needs, and changes nothing."""

import importlib.metadata
import importlib.util
import os
import platform
import socket
import sqlite3
import stat
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from minuted import __version__, bus, claims, keys, models
from minuted.addresses import host_and_port, shown_url
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
from minuted.options import path_of
from minuted.runtime import guard, service, texts
from minuted.runtime.durations import brief
from minuted.session_notes import Note, notes

from . import certificates, machine, network, printing, sink_check
from .finding import Finding, judged, line, looked

ENGINE_LIBRARY: Final = "moonshine_voice"
SAID: Final = {
    "costs": "costs more",
    "switches off": "also means",
    "no effect": "has no effect",
    "refused": "is refused",
}


def run(settings: Callable[[], Settings], *, online: bool = False, as_json: bool = False) -> int:
    """Look from here, print a line for everything, and return 78 when something does not work."""
    return report(findings(settings, online=online), as_json=as_json)


def report(found: Iterable[Finding], *, as_json: bool = False) -> int:
    """Print a line for everything; 78 when something does not work. Warnings are none of that."""
    ok = True
    for finding in found:
        ok = ok and finding.ok
        if as_json:
            printing.say_json(finding.to_map())
        else:
            printing.say(line(finding, printing.encoding()), flush=True)
    return 0 if ok else 78


def findings(
    load_settings: Callable[[], Settings],
    *,
    online: bool = False,
    part: str = "",
    config: Path | None = None,
) -> Iterator[Finding]:
    """Look at one thing after the other; without a configuration there is nothing more to look at.

    `part` is the one stage that is to run here, "" all of them; `config` is where the settings come from.
    """
    if part in ("", "transcription"):
        yield Finding("versions", ok="missing" not in versions(), text=versions())
    try:
        settings = load_settings()
    except ConfigError as error:
        text = f"{error}{_opening([config] if config else [])}"
        yield Finding("configuration", ok=False, text=text)
        return
    yield Finding("configuration", ok=True, text=str(settings.path or "no file found, so the defaults hold"))
    settings, key = _decided(settings)
    running = status_of(settings, "supervisor", timeout_s=0.5) if may_run(settings) else None
    stage, _, name = part.partition("/")
    if stage in ("", "transcription"):
        yield from _core(settings, running, key, online=online)
    elif stage == "engine":
        yield looked("service", lambda: _service(settings, running=True))
    if stage in ("", "capture"):
        yield from _sound(settings, name)
    if stage in ("", "delivery"):
        yield from _sinks(settings, [name] if name else list(settings.sinks))
    if stage in ("", "transcription"):
        yield from _secrets_seen(settings)


def _decided(settings: Settings) -> tuple[Settings, str]:
    """Return the settings with a service that is known, and why its key cannot be used if it cannot."""
    try:
        return replace(settings, engine=replace(settings.engine, service=settings.service)), ""
    except ConfigError as error:
        engine = replace(settings.engine, service="assemblyai")
        return replace(settings, engine=engine), str(error)


def _opening(files: Iterable[Path]) -> str:
    """Return the lines that let this user's group read files that are there and closed to it."""
    group = machine.group_name(os.getegid())
    closed = [file.absolute() for file in files if os.path.lexists(file) and not os.access(file, os.R_OK)]
    lines = [f"chgrp {group} {file} && chmod 640 {file}" for file in closed]
    return f"; run: {'; '.join(lines)}" if lines else ""


def _core(
    settings: Settings, running: Mapping[str, Any] | None, key: str, *, online: bool
) -> Iterator[Finding]:
    if running:
        yield running_finding(running)
    if moved := _moved(settings):
        yield Finding("paths", ok=True, text=moved, warns=True)
    for folder in ("state_dir", "runtime_dir"):
        yield judged(folder, lambda folder=folder: _owned_folder(folder, settings))  # type: ignore[misc]
    yield judged("file system", lambda: _file_system(settings))
    if not running and settings.state_dir.is_dir() and os.access(settings.state_dir, os.W_OK | os.X_OK):
        yield looked("locks", lambda: machine.locking(settings.state_dir))
        yield looked("journal", lambda: _journal(settings))
    yield judged("disk", lambda: machine.disk(settings))
    yield judged("clock", machine.clock)
    yield looked("sockets", lambda: _sockets(settings, running=running is not None))
    yield looked("turn socket", lambda: _turn_socket(settings, bind=running is None))
    service = Finding("service", ok=False, text=key)
    if not key:
        service = looked("service", lambda: _service(settings, running=running is not None))
    yield service if service.ok else replace(service, text=f"{service.text}{_opening(settings.key_files)}")
    yield looked("network", lambda: network.way(settings))
    if settings.token_server.certificate and settings.token_server.private_key:
        pair = settings.token_server.certificate, settings.token_server.private_key
        yield judged("token server", lambda: certificates.look(*pair))
    yield from _model(settings)
    yield from session_findings(settings, settings.service)
    if online and not key:
        yield judged("online", lambda: _online(settings))
    if settings.profiles or settings.session.keyterms_file:
        yield looked("key terms", lambda: _keyterms(settings))
        yield judged("profiles", lambda: _profiles(settings))


def session_findings(settings: Settings, service: str) -> Iterator[Finding]:
    for note in notes(settings.session, local=service == "local"):
        text = f"session.{note.key} {SAID[note.kind]}: {note.text}"
        yield Finding("session", ok=note.kind != "refused", text=text, warns=True)


def _sound(settings: Settings, name: str) -> Iterator[Finding]:
    if not settings.sources[0].is_recording:
        yield judged("sound devices", machine.sound_devices)
    for source in settings.sources:
        if not name or source.name == name:
            what = f"source {source.name}".rstrip()
            yield looked(what, lambda source=source: _source(source))  # type: ignore[misc]
    if (many := len(settings.sources)) > 1 and settings.service != "local" and not name:
        text = f"{many} sources are {many} sessions at once, and cost {many} times as much as one"
        yield Finding("price", ok=True, text=text, warns=True)


def _secrets_seen(settings: Settings) -> Iterator[Finding]:
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


def _notes(settings: Settings) -> list[Note]:
    return notes(settings.session, local=settings.service == "local")


def running_finding(status: Mapping[str, Any]) -> Finding:
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
                yield path_of(value, table.folder), f"holds the secret of [sinks.{name}]"


def may_run(settings: Settings) -> bool:
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
        claims.refuse_foreign_files(key, folder)
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


def _journal(settings: Settings) -> str:
    """Look at the turn journal of a minuted that does not run. Raises ConfigError for another version's."""
    path = settings.state_dir / "turns.db"
    if not path.exists():
        return "none yet"
    from minuted.journal import turns  # noqa: PLC0415  # it loads the clock and more

    uri = f"file:{quote(str(path.absolute()))}?immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as database:
            for table, wanted in turns.COLUMNS.items():
                found = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
                if found and found != list(wanted):
                    has = ", ".join(found)
                    raise ConfigError(
                        f"{path} is another version's ({table} has {has}) and would be put aside: go back to "
                        "that version of minuted, or move the file away"
                    )
    except sqlite3.Error as error:
        raise ConfigError(
            f"{path} cannot be read ({error}): what can be is copied into a new one at the next start"
        ) from None
    return f"{path}"


def _moved(settings: Settings) -> str:
    """Return which relative paths mean another place than to versions that began at the working folder."""
    if settings.path is None:
        return ""
    try:
        table = tomllib.loads(texts.text_of(settings.path.read_bytes()))
    except (OSError, ValueError):
        return ""
    sinks = table.get("sinks", {}).values()
    named = [table.get("state_dir"), *(sink.get(key) for sink in sinks for key in ("path", "directory"))]
    begin, here = settings.path.absolute().parent, Path.cwd()
    moved = [
        f"{here / path} is not {begin / path}, where it is kept now"
        for path in named
        if isinstance(path, str)
        and not Path(path).expanduser().is_absolute()
        and here != begin
        and (here / path).exists()
        and not (begin / path).exists()
    ]
    if not moved:
        return ""
    return f"relative paths begin at {settings.path}'s folder, not at the working one: {'; '.join(moved)}"


def _turn_socket(settings: Settings, *, bind: bool = False) -> str:
    doors, path = keys.doors(settings), Path(settings.turns_endpoint.removeprefix("ipc://"))
    if path.parent != settings.runtime_dir and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise ConfigError(f"publish.turns: {path.parent} is not a folder that can be written to")
    if doors[0] is None:
        return settings.turns_endpoint
    for door in doors if bind else ():
        _try_door(door.endpoint if door else "")
    many = len(keys.listed(settings))
    clients = "1 client" if many == 1 else f"{many} clients"
    return f"{settings.turns_endpoint}, and {doors[0].endpoint} for {clients} with a key"


def _try_door(endpoint: str) -> None:
    """Raise ConfigError where ZeroMQ could not listen there."""
    try:
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()
    except OSError as error:
        raise ConfigError(
            f"publish.turns: ZeroMQ needs AF_NETLINK sockets for tcp:// ({error.strerror}): give them with "
            "RestrictAddressFamilies=AF_NETLINK (systemctl edit minuted)"
        ) from None
    host, port = host_and_port(endpoint.removeprefix("tcp://"))
    try:
        network.bind(host, int(port))
    except ConfigError as error:
        raise ConfigError(f"publish.turns: {error}") from None


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
    if model_dir is not None:
        if closed := _closed(model_dir):
            us = guard.user(os.geteuid())
            raise ConfigError(f"engine.model_dir: {us} may not read {closed}; run: chmod o+rx {closed}")
        if not model_dir.is_dir():
            raise ConfigError(f"engine.model_dir: {model_dir} is not a folder")
    url = urlsplit(settings.engine.url)
    if settings.engine.url and (url.scheme != "ws" or url.hostname not in LOOPBACK):
        raise ConfigError(
            f"engine.url: {shown_url(settings.engine.url)} is a service's address: set "
            '[engine] service = "assemblyai" and give its key'
        )
    port = url.port
    if port and not running:
        try:
            network.bind("127.0.0.1", port)
        except ConfigError as error:
            raise ConfigError(f"engine.url: {error}") from None
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


def _sinks(settings: Settings, names: list[str]) -> Iterator[Finding]:
    if not settings.sinks:
        yield Finding("sinks", ok=True, text="none configured: turns go to the turn socket alone")
    for folder in settings.sink_dirs:
        if closed := _closed(folder):
            text = f"sink_dirs: {guard.user(os.geteuid())} may not read {closed}; run: chmod o+rx {closed}"
            yield Finding("sinks", ok=False, text=text)
    yield from sink_check.findings(settings, [name for name in names if name in settings.sinks])


def _closed(folder: Path) -> Path | None:
    """Return what keeps this user from a folder's files: it, or one above it; None where nothing does."""
    way = [place for place in guard.way(folder) if os.path.isdir(place)]  # noqa: PTH112  # Path's raises
    last = way[-1] if way and way[-1] == folder.resolve() else None
    return next(
        (place for place in way if not os.access(place, os.X_OK | (os.R_OK if place == last else 0))), None
    )
