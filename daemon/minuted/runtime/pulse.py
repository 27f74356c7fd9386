"""The last turn of a process's main loop, for those who watch it: its supervisor, and systemd's watchdog.

A control socket answers on a thread of its own, so that it answers says nothing of the loop.
"""

import os
import time
from collections.abc import Mapping
from typing import Final

from . import notify

_SHARE: Final = 4
"""systemd is told this many times within the time it allows."""


class Pulse:
    """One loop's beat. `beat` is for the loop alone, `age_s` for any thread."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        allowed_s = notify.watchdog_s(environment)
        self._every_s = allowed_s / _SHARE if allowed_s else None
        self._beaten_s: float | None = None
        self._told_s = float("-inf")

    def beat(self, now_s: float) -> None:
        """Say that the loop has come round, to systemd too where it wants to know."""
        self._beaten_s = now_s
        if self._every_s is not None and now_s - self._told_s >= self._every_s:
            self._told_s = now_s
            notify.alive()

    def age_s(self, now_s: float) -> float | None:
        """Give how long ago that was; None before the first."""
        beaten_s = self._beaten_s
        return None if beaten_s is None else max(0.0, now_s - beaten_s)


_own = Pulse(os.environ)


def beat() -> None:
    """To be called at every turn of this process's main loop, at least once a second."""
    _own.beat(time.monotonic())


def age_s() -> float | None:
    """How long ago this process's main loop last came round; None where it has not begun."""
    return _own.age_s(time.monotonic())
