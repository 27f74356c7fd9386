"""SIGTERM and SIGINT become one event; a child does not outlive its parent."""

import ctypes
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
PARENT: Final = "MINUTED_SUPERVISOR_PID"
"""The environment's name for the supervisor a child belongs to."""


def stop_event(on_stop: Callable[[], None] = lambda: None) -> threading.Event:
    """Give an event that SIGTERM and SIGINT set. `on_stop` is called in the handler: it only wakes."""
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        on_stop()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop


def die_with_parent() -> None:
    """Have the kernel kill this process when its supervisor dies; leave at once if it already has."""
    parent = os.environ.get(PARENT)
    if parent is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # It may have died between the fork and the call above.
    if os.getppid() != int(parent):
        os._exit(1)
