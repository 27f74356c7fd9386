"""What the processes of a run leave behind when they end: found, and ended with the run.

A process whose parent ends comes to the nearest ancestor that has asked for it; so nothing that a sink has
started gets away, however it has detached itself.
"""

import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog

LOOK_EVERY_S: Final = 10.0
"""How often those that have ended are taken note of: until then they hold a process id."""
END_S_MAX: Final = 2.0
"""How long the kernel may take to end what is killed, generation by generation."""
LOOK_AGAIN_S: Final = 0.02
_PR_SET_CHILD_SUBREAPER: Final = 36

log = structlog.get_logger(__name__)

_waited_for: set[int] = set()
"""Processes of this one that another thread waits for."""
_waited_for_lock = threading.Lock()


@contextmanager
def waited_for(start: Callable[[], "subprocess.Popen[bytes]"]) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a process whose exit status is its caller's alone, who waits for it. Raises OSError."""
    with _waited_for_lock:
        process = start()
        _waited_for.add(process.pid)
    try:
        with process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
    finally:
        _waited_for.discard(process.pid)


class Orphans:
    """The children this process has besides those it has started itself."""

    def __init__(self) -> None:
        """Become the parent of whatever is orphaned from now on; what is there already is none of it."""
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._before = set(_children())
        self._looked_s = time.monotonic()

    def reap(self, now_s: float, known: Collection[int]) -> None:
        """Let those go that have ended; `known` are the processes that are waited for elsewhere."""
        if now_s < self._looked_s + LOOK_EVERY_S:
            return
        self._looked_s = now_s
        with _waited_for_lock:
            for pid in self._found({*known, *_waited_for}):
                _reap(pid)

    def end(self, known: Collection[int] = ()) -> int:
        """Kill all of them, and those they leave in turn; return how many there were.

        The known ones have been killed already: what they leave comes with their end.
        """
        until_s, ended = time.monotonic() + END_S_MAX, set()
        while time.monotonic() < until_s:
            runs = any(not _has_ended(pid) for pid in known)
            if not (found := self._found(known)) and not runs:
                break
            for pid in found:
                if not _reap(pid):
                    ended.add(pid)
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(LOOK_AGAIN_S)
        if ended:
            log.warning("left_behind_ended", processes=len(ended))
        return len(ended)

    def _found(self, known: Collection[int]) -> list[int]:
        return [pid for pid in _children() if pid not in self._before and pid not in known]


def _children() -> Iterator[int]:
    """Return this process's children, whichever of its threads is their parent."""
    own = str(os.getpid())
    for name in os.listdir("/proc"):  # noqa: PTH208  # many times as fast
        if name.isdigit():
            with suppress(OSError):
                fields = Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()
                if fields[1].decode() == own:
                    yield int(name)


def _has_ended(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _reap(pid: int) -> bool:
    """Whether a child has ended, and is gone with that."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
