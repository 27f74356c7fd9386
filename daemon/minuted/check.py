"""Would it work here? `minuted check` looks at everything a run needs, and changes nothing."""

import importlib.metadata
import importlib.util
import os
import platform
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from . import __version__, bus
from .config import LOOPBACK, ConfigError, Settings, require_credentials
from .control import status_of

ENGINE_LIBRARY: Final = "moonshine_voice"


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it will do, and what is there or is to be done."""

    what: str
    ok: bool
    text: str


def run(settings: Callable[[], Settings]) -> int:
    """Print a line for everything; 78 when something is to be done."""
    found = []
    for finding in findings(settings):
        found.append(finding)
        print(line(finding, sys.stdout.encoding), flush=True)
    return 0 if all(finding.ok for finding in found) else 78


def line(finding: Finding, encoding: str = "utf-8") -> str:
    mark = "✓" if finding.ok else "✗"
    try:
        mark.encode(encoding)
    except UnicodeEncodeError:
        mark = "ok " if finding.ok else "NO "
    return f"{mark} {finding.what:<16} {finding.text}"


def findings(load_settings: Callable[[], Settings]) -> Iterator[Finding]:
    """Look at one thing after the other; without a configuration there is nothing more to look at."""
    yield Finding("versions", ok=True, text=versions())
    try:
        settings = load_settings()
    except ConfigError as error:
        yield Finding("configuration", ok=False, text=str(error))
        return
    yield Finding("configuration", ok=True, text=str(settings.path or "no file found, so the defaults hold"))
    running = status_of(settings, "supervisor", timeout_s=0.5) if _may_run(settings) else None
    if running:
        yield Finding("running", ok=True, text=f"{running['state']} as process {running['pid']}")
    for key in ("state_dir", "runtime_dir"):
        yield _looked(key, lambda key=key: _folder(key, settings))  # type: ignore[misc]
    yield _looked("turn socket", lambda: _turn_socket(settings))
    yield _looked("service", lambda: _service(settings, running=running is not None))
    yield _looked("source", lambda: _source(settings))
    yield from _sinks(settings)


def prepare(settings: Settings) -> None:
    """Make the folders, and find what would fail in a process later. Raises ConfigError.

    Quick, and without what only a process of its own may load.
    """
    make_folders(settings)
    _turn_socket(settings)
    _service(settings, running=True)
    if settings.capture.source != "microphone":
        path = Path(settings.capture.source).expanduser()
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            raise ConfigError(f"the recording {path} cannot be read: {error.strerror}") from None


def make_folders(settings: Settings) -> None:
    """Make the state and runtime folders where they are missing. Raises ConfigError."""
    for key in ("state_dir", "runtime_dir"):
        folder: Path = getattr(settings, key)
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


def _looked(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, ok=True, text=look())
    except ConfigError as error:
        return Finding(what, ok=False, text=str(error))


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


def _unusable(key: str, folder: Path, reason: str | None) -> ConfigError:
    state = Path.home() / ".local/state/minuted"
    sockets = Path(os.environ.get("XDG_RUNTIME_DIR") or Path.home() / ".cache", "minuted")
    own = {"state_dir": state, "runtime_dir": sockets}[key]
    return ConfigError(
        f"{key}: {folder} cannot be used ({reason}): set state_dir and runtime_dir in minuted.toml to "
        f'folders of your own; {key} = "{own}" would do'
    )


def _turn_socket(settings: Settings) -> str:
    path = Path(settings.turns_endpoint.removeprefix("ipc://"))
    if path.parent != settings.runtime_dir and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise ConfigError(f"publish.turns: {path.parent} is not a folder that can be written to")
    return settings.turns_endpoint


def _service(settings: Settings, *, running: bool) -> str:
    """Look at the key, or at what the local engine needs."""
    require_credentials(settings)
    if settings.service == "assemblyai":
        return f"{settings.service_url}, key found"
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
            f'engine.url: {settings.engine.url} is a service\'s address: set [engine] service = "assemblyai" '
            "and give its key"
        )
    port = url.port
    if port and not running:
        _check_port(port)
    model = str(model_dir) if model_dir else "the bundled English one"
    return f"local engine on {f'port {port}' if port else 'a free port'}, model {model}"


def _check_port(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(f"engine.url: port {port} cannot be used: {error.strerror}") from None


def _source(settings: Settings) -> str:
    wanted = settings.capture
    if wanted.source == "microphone":
        from .capture import microphone  # noqa: PLC0415  # it starts PortAudio

        device = microphone.choose(microphone.devices(), wanted.device)
        microphone.openings(device, wanted.channel)
        return f'microphone "{device.name}" ({device.host_api}, {device.default_rate_hz} Hz)'
    from .capture.recording import Recording  # noqa: PLC0415  # it loads the sound file library

    recording = Recording(Path(wanted.source).expanduser(), wanted.channel)
    recording.close()
    return f"{wanted.source}, {recording.duration_s:.1f} s at {recording.rate_hz} Hz"


def _sinks(settings: Settings) -> Iterator[Finding]:
    from .delivery import discovery  # noqa: PLC0415  # it runs the sinks' files

    if not settings.sinks:
        yield Finding("sinks", ok=True, text="none configured: turns go to the turn socket alone")
    for row in discovery.survey(settings, load_modules=True):
        if row.name in settings.sinks:
            ok = row.state in ("enabled", "off")
            text = row.reason if row.reason and not ok else f"{row.state}, {row.path}"
            yield Finding(f"sink {row.name}", ok=ok, text=text if ok else f"{row.state}: {text}")
