"""SIGTERM and SIGINT become one event; a child does not outlive its parent."""

import ctypes
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1
PARENT: Final = "MINUTED_SUPERVISOR_PID"
"""The environment's name for the supervisor a child belongs to."""
LEAVE: Final = signal.SIGUSR1
"""Asks a process to end soon and in order, and to leave what it has not finished to its successor."""


def stop_event(on_stop: Callable[[], None] = lambda: None) -> threading.Event:
    """Give an event that SIGTERM and SIGINT set. `on_stop` is called in the handler: it only wakes."""
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        on_stop()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop


def on_leave(act: Callable[[], None]) -> None:
    """Have `act` called in the handler of LEAVE, by which a process is to make place for its successor."""
    signal.signal(LEAVE, lambda _number, _frame: act())


def die_with_parent() -> None:
    """Have the kernel kill this process when its supervisor dies; leave at once if it already has."""
    parent = os.environ.get(PARENT)
    if parent is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # What is told to all of a service's processes is for the supervisor to act on.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # It may have died between the fork and the call above.
    if os.getppid() != int(parent):
        os._exit(1)


@contextmanager
def waking(wake_fd: int, on_signal: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Have signals wake a loop by its descriptor, and those that ask for something come to `on_signal`.

    A SIGHUP that nohup has ignored stays so, but where systemd sends it.
    """
    handlers: dict[int, Any] = {signal.SIGTERM: on_signal, signal.SIGINT: on_signal}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN or "NOTIFY_SOCKET" in os.environ:
        handlers[signal.SIGHUP] = on_signal
    handlers[signal.SIGCHLD] = lambda _number, _frame: None
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    signal.set_wakeup_fd(wake_fd, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)


def has_terminal(environment: Mapping[str, str]) -> bool:
    """Whether a SIGHUP means that the terminal was closed; else it asks for the configuration to be read."""
    return "NOTIFY_SOCKET" not in environment and any(os.isatty(number) for number in (0, 1, 2))
