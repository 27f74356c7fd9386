"""What every test may use: short socket paths, settings, and an eye on processes left behind."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import structlog
import zmq
from hypothesis import settings as hypothesis_settings

from minuted.config import KEY_NAME, SERVICE_NAME, TOKEN_SECRET_NAME, Settings, parse

MARK = "MINUTED_TESTS"
"""In the environment of every process these tests start, however deep: this run's process id."""
GRACE_S = 3.0
"""What a killed child's own children may take to follow it."""

BEGIN_WITH = (
    "transcription/test_withheld_turns.py",
    "clocks/test_daemon.py",
    "kills/test_kill_points.py",
    "transcription/test_lanes.py",
    "kills/test_reload.py",
    "transcription/test_vigil.py",
    "kills/test_kills.py",
    "transcription/test_who_speaks.py",
    "pipeline/test_pause.py",
    "transcription/test_channels.py",
    "pipeline/test_recordings.py",
    "transcription/test_faults.py",
    "pipeline/test_recording.py",
    "transcription/test_cost.py",
)
"""The longest files, those that compute and those that wait by turns: none is left over for the end."""

# A busy machine is no failure, and the same examples are tried each time.
hypothesis_settings.register_profile("minuted", deadline=None, derandomize=True, database=None)
hypothesis_settings.load_profile("minuted")

OF_OTHERS = (
    # Whoever starts the tests may be a service, and have a key, a proxy or wishes of its own.
    *("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY"),
    *(
        KEY_NAME,
        TOKEN_SECRET_NAME,
        SERVICE_NAME,
        "MINUTED_ENGINE_KEY",
        "MINUTED_LOG",
        "MINUTED_SUPERVISOR_PID",
    ),
    *("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
    *("FORCE_COLOR", "NO_COLOR", "PYTHONIOENCODING", "PYTHONWARNINGS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"),
)


def begin_alike() -> None:
    """Begin every run of the tests alike, whoever starts it.

    nohup ignores SIGHUP, a shell's & SIGINT, and both are handed down to every process.
    """
    for name in OF_OTHERS:
        os.environ.pop(name, None)
    os.umask(0o022)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, signal.SIG_DFL):
        signal.signal(signal.SIGINT, signal.default_int_handler)


begin_alike()

SettingsFactory = Callable[..., Settings]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {Path(__file__).parent / name: place for place, name in enumerate(BEGIN_WITH)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if "NO_SKIPS" in os.environ and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def runtime_dir() -> Iterator[Path]:
    """A folder for sockets with a path short enough for them, gone after the test."""
    folder = Path(tempfile.mkdtemp(prefix="m-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make_settings(runtime_dir: Path) -> SettingsFactory:
    """Make settings from the text of a minuted.toml, in folders of their own."""

    def make(text: str = "") -> Settings:
        state_dir = runtime_dir / "state"
        state_dir.mkdir(exist_ok=True)
        folders = f'state_dir = "{state_dir}"\nruntime_dir = "{runtime_dir}"\nsink_dirs = []\n'
        return parse(folders + text)

    return make


@pytest.fixture
def endpoint(runtime_dir: Path) -> str:
    return f"ipc://{runtime_dir}/test.sock"


@pytest.fixture
def raw() -> Iterator[Callable[[int], "zmq.Socket[bytes]"]]:
    """Make bare sockets, as a foreign program has them."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made: list[zmq.Socket[bytes]] = []

    def make(kind: int) -> "zmq.Socket[bytes]":
        made.append(context.socket(kind))
        return made[-1]

    yield make
    for socket in made:
        socket.close(linger=0)
    context.term()


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The local time is UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nowhere to find a key: a clean environment and an empty working directory, which is given."""
    for name in (KEY_NAME, TOKEN_SECRET_NAME, SERVICE_NAME, "CREDENTIALS_DIRECTORY", "MINUTED_ENGINE_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module", autouse=True)
def logs_as_they_come() -> Iterator[None]:
    """Undo what a module's tests set up of the logs: the next one's may look for a line."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def no_process_left_behind() -> Iterator[None]:
    """Fail a test that leaves a process behind, and end that process."""
    os.environ[MARK] = str(os.getpid())
    before = _processes()
    yield
    until_s = time.monotonic() + GRACE_S
    while (left := _processes().keys() - before.keys()) and time.monotonic() < until_s:
        time.sleep(0.02)
    if left:
        commands = _processes()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        pytest.fail("left behind: " + "; ".join(f"{pid} {commands.get(pid, '')}" for pid in sorted(left)))


_strangers: set[int] = set()
"""Running processes that were looked at and are not ours: there are many, and this is done for every test."""


def _processes() -> dict[int, str]:
    """Give the running processes that this one or its descendants started, with their commands."""
    us, mark = os.getpid(), f"{MARK}={os.getpid()}".encode()
    running = {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208  # ten times as fast
    _strangers.intersection_update(running)
    found = {}
    for pid in running - _strangers - {us}:
        with suppress(OSError):
            folder = Path(f"/proc/{pid}")
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if parent in ("0", "2") and int(parent) != us:  # the kernel's
                _strangers.add(pid)
                continue
            environment = (folder / "environ").read_bytes()
            if int(parent) != us and mark not in environment.split(b"\0"):
                # Without an environment it may be one of ours in the middle of its exec.
                _strangers.update({pid} if environment else ())
            elif state not in "ZX":
                found[pid] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found
