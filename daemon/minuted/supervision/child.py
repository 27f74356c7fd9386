"""One process of ours: how it is started, what it says of itself, how it ends."""

import os
import secrets
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

from minuted.config import ACCEPTED_NAME, HANDED_DOWN, RUN_NAME, SERVICE_NAME
from minuted.runtime import clock
from minuted.runtime.signals import LEAVE, PARENT

from .restarts import History, Kind, wait_s
from .sink_credentials import without_ours

State = Literal["waiting", "starting", "ready", "backoff", "failed to load", "failed", "stopping", "stopped"]
"""Waiting: not its turn yet. Backoff, failed to load: started again soon. Failed: not started again."""

FAILED_TO_LOAD: Final = "failed to load"
STATUS_CHARACTERS_MAX: Final = 500
_CREDENTIALS: Final = struct.Struct("3i")
_NOTICE_BYTES_MAX: Final = 4096


class Child:
    """A process that is to be kept up, between its starts too."""

    def __init__(self, name: str, kind: Kind, command: Sequence[str]) -> None:
        self.name = name
        self.kind = kind
        self.command = tuple(command)
        self.state: State = "waiting"
        self.status = ""
        """What it last said of itself, in one line."""
        self.trouble = ""
        """Why its last life ended, until it is ready again."""
        self.starts = 0
        self.exit_status: int | None = None
        """How it last ended; minus a signal's number where one killed it."""
        self.history = History()
        self.was_ready = False
        """In any of its lives."""
        self.is_at_work = False
        """It has been ready in this life."""
        self.changed_s = time.monotonic()
        """When its state changed, on the monotonic clock."""
        self.next_start_s = 0.0
        self.retiring: Literal["", "restart", "remove"] = ""
        """What follows the end that it was asked for while all others go on."""
        self.retire_by_s = 0.0
        self._killed_for = ""
        self._since = clock.read()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def restarts(self) -> int:
        return max(0, self.starts - 1)

    @property
    def is_up(self) -> bool:
        return self._process is not None

    def become(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self.changed_s = time.monotonic()
            self._since = clock.read()

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it, from the main thread: it dies with the thread that forks. Raises OSError."""
        self.starts += 1
        self.status = ""
        self.is_at_work = False
        self._killed_for = ""
        ours = dict(environment)
        # A process's environment stays to be read for as long as it runs.
        given = [(fd_name, key) for name, fd_name in HANDED_DOWN.items() if (key := ours.pop(name, ""))]
        fds = {fd_name: _sealed(key) for fd_name, key in given}
        ours |= {fd_name: str(fd) for fd_name, fd in fds.items()}
        try:
            self._process = self._popen(ours, tuple(fds.values()))
        finally:
            for fd in fds.values():
                os.close(fd)
        self.become("starting")

    def _popen(self, environment: Mapping[str, str], fds: Sequence[int]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self.command,
            env=environment,
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            # What a sink prints belongs to the log, not to the captions.
            stdout=2,
            # Ctrl-C reaches the supervisor alone.
            start_new_session=True,
        )

    def take(self, notice: Mapping[str, str]) -> None:
        """Take what it says of itself."""
        self.status = notice.get("STATUS", self.status)[:STATUS_CHARACTERS_MAX]
        if notice.get("READY") == "1" and self.state == "starting":
            self.is_at_work = self.was_ready = True
            self.trouble = ""
            self.become("ready")

    def poll(self) -> int | None:
        """Give the exit status when it has ended; `end` has yet to be called."""
        return self._process.poll() if self._process else None

    def end(self, exit_status: int) -> None:
        """Take note of its end, once its last words have been taken."""
        self._process = None
        self.exit_status = exit_status
        if exit_status <= 0 or not self.status:
            self.status = self._killed_for or describe_end(exit_status)

    def rest(self, now_s: float, chance: float, wait_s_max: float) -> None:
        """Wait, before another start, as long as its history asks for."""
        self.trouble = self.status
        self.next_start_s = now_s + wait_s(self.history.failures, chance, wait_s_max)
        self.become("failed to load" if self.status.startswith(FAILED_TO_LOAD) else "backoff")

    def retire(self, then: Literal["restart", "remove"], by_s: float) -> None:
        """Ask it to finish in order while the others go on; what is between two starts is over at once."""
        self.retiring, self.retire_by_s = then, by_s
        if self._process is None:
            self.succeed()
            return
        self.become("stopping")
        with suppress(ProcessLookupError):
            self._process.send_signal(LEAVE if self.name == "transcription" else signal.SIGTERM)

    def succeed(self) -> None:
        """Begin anew, without a past, after it has retired."""
        self.retiring = "" if self.retiring == "restart" else self.retiring
        self.history, self.trouble = History(), ""
        self.become("stopped" if self.retiring else "waiting")

    def stop(self) -> None:
        """Ask it to finish; what is between two starts is stopped at once."""
        if self._process is None:
            if self.state != "failed":
                self.become("stopped")
            return
        self.become("stopping")
        with suppress(ProcessLookupError):
            self._process.terminate()

    @property
    def has_told_why(self) -> bool:
        """Whether it ended by itself with a word of why: it is no use waiting for its first time ready."""
        return (
            self.state == "backoff" and (self.exit_status or 0) > 0 and not self.trouble.startswith("exit ")
        )

    @property
    def is_done(self) -> bool:
        """Whether its recording is over, and others may still be played."""
        return self.state == "stopped" and not self.retiring

    @property
    def is_killed(self) -> bool:
        return bool(self._killed_for)

    def kill(self, why: str = "") -> None:
        """End it and all it started; `why` is told of it then."""
        self._killed_for = self._killed_for or why
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def to_map(self) -> dict[str, Any]:
        fails = self.state == "starting" and self.status.startswith(FAILED_TO_LOAD)
        return {
            "pid": self.pid,
            "state": FAILED_TO_LOAD if fails else self.state,
            "restarts": self.restarts,
            "since_ms": self._since.wall_ms,
            "for_s": round((clock.boot_ms() - self._since.boot_ms) / 1000, 1),
            "status": self.status,
            "trouble": self.trouble,
            "exit_status": self.exit_status,
        }


class Notices:
    """The socket our processes tell us their readiness on, as services tell it to systemd.

    Its name is abstract, so anyone on the machine may send to it; the kernel says who did.
    """

    def __init__(self) -> None:
        self.address = f"@minuted-{os.getpid()}-{secrets.token_hex(8)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind("\0" + self.address[1:])

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def receive(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Give the notices that have arrived, each with its sender's pid."""
        while True:
            try:
                data, controls, _, _ = self._socket.recvmsg(
                    _NOTICE_BYTES_MAX, socket.CMSG_SPACE(_CREDENTIALS.size)
                )
            except BlockingIOError:
                return
            for level, kind, value in controls:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    yield _CREDENTIALS.unpack(value)[0], parse_notice(data)


def describe_end(exit_status: int) -> str:
    """Say in words how a process ended."""
    if exit_status >= 0:
        return f"exit status {exit_status}"
    try:
        return f"killed by {signal.Signals(-exit_status).name}"
    except ValueError:
        return f"killed by signal {-exit_status}"


def parse_notice(data: bytes) -> dict[str, str]:
    """Read a notice's `KEY=value` lines; others are ignored."""
    lines = data.decode(errors="replace").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def environment(
    base: Mapping[str, str],
    stage: str,
    *,
    supervisor_pid: int,
    notices: str,
    service: str,
    engine_key: str,
    run: str,
    accepted: Path,
    credentials: str = "",
) -> dict[str, str]:
    """Give a process its environment: nobody gets a key that is not theirs.

    `accepted` is the configuration it reads, whatever has become of the file itself; `credentials` the
    folder with those of systemd's that a sink may have.
    """
    ours = dict(base) if stage == "transcription" else without_ours(dict(base), credentials)
    foreign = ("WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "MINUTED_ENGINE_KEY")
    for name in (*foreign, *HANDED_DOWN.values()):
        ours.pop(name, None)
    if stage != "transcription":
        for name in HANDED_DOWN:
            ours.pop(name, None)
    if stage in ("transcription", "engine"):
        ours["MINUTED_ENGINE_KEY"] = engine_key
    # Without the key, a process could not tell which service was meant.
    ours[SERVICE_NAME] = service
    ours[RUN_NAME] = run
    ours[ACCEPTED_NAME] = str(accepted)
    ours[PARENT] = str(supervisor_pid)
    ours["NOTIFY_SOCKET"] = notices
    return ours


def _sealed(key: str) -> int:
    """Give a descriptor that reads as `key`, and is in no folder."""
    descriptor = os.memfd_create("key", os.MFD_CLOEXEC)
    os.pwrite(descriptor, key.encode(), 0)
    return descriptor
