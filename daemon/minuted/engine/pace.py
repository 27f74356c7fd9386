"""When the recogniser looks again at what it has heard. Pure: the time comes in as an argument.

A look runs the detector over the new sound and transcribes the whole open line again, which costs
some 0.1 s and more the longer the line. Without an open line it costs next to nothing. So: often while
nobody speaks, at the partials' interval while somebody does, and at once when it has become quiet for
as long as the detector needs to end a line, so that finals need not wait for the interval.
"""

from typing import Final

SHARE_MAX: Final = 0.5
"""Of the time that may go into partials: a line whose look takes long is looked at less often."""
IDLE_STEP_MS: Final = 100
UNHEARD_MS_MAX: Final = 3_000
"""Sound that may wait for a look; a client that sends faster than real time reaches it."""
QUIET_LOOKS_MS: Final = (350, 450)
"""Quiet after which a line should have ended: silence lasts in the detector's mean for 0.34 to 0.43 s."""
QUIET_SHARE: Final = 0.1
"""Of the speech's level: what lies below it is quiet."""
_LEVEL_KEPT: Final = 0.98
"""Of the speech's level after each piece of 50 ms: it halves in 1.7 s."""


class Pace:
    """Decides when to look, for one stream of pieces of about 50 ms."""

    def __init__(self, interval_s: float, now_s: float) -> None:
        self._interval_s = interval_s
        self._next_s = now_s
        self._unheard_ms = 0.0
        self._quiet_ms = 0.0
        self._looks = 0
        self._level = 0.0

    def add(self, duration_ms: float, level: float) -> None:
        """Count a piece of sound; `level` is its root mean square."""
        self._unheard_ms += duration_ms
        self._level = max(level, self._level * _LEVEL_KEPT)
        if level >= self._level * QUIET_SHARE:
            self._quiet_ms, self._looks = 0.0, 0
        else:
            self._quiet_ms += duration_ms

    def is_due(self, now_s: float, *, line_is_open: bool) -> bool:
        if not line_is_open:
            return self._unheard_ms >= IDLE_STEP_MS
        return self._is_quiet() or now_s >= self._next_s or self._unheard_ms >= UNHEARD_MS_MAX

    def looked(self, now_s: float, took_s: float) -> None:
        """Note a look that ended now and took so long, waiting included."""
        while self._is_quiet():
            self._looks += 1
        self._unheard_ms = 0.0
        self._next_s = now_s - took_s + max(self._interval_s, took_s / SHARE_MAX)

    def _is_quiet(self) -> bool:
        return self._looks < len(QUIET_LOOKS_MS) and self._quiet_ms >= QUIET_LOOKS_MS[self._looks]
