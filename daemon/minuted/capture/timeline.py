"""Keeps the count of samples in step with the clock. Pure: times come in as arguments.

Frames are timed by how many samples came before them. That goes wrong in three ways, and each is put right
by leaving out numbers, never by going back and never by throwing sound away:

- Samples were lost. PortAudio says that some were ("overflow") but not how many; or says nothing (the
  machine slept, a sound server was busy). The clock tells: the count falls behind at once and stays there.
  The numbers skip ahead, and the hole is declared.
- The microphone's clock is slow: at 50 ppm the count falls behind by 4 s a day. Each 0.2 s of it the numbers
  skip ahead. Nothing was lost, so no hole is declared, and words stay within 0.2 s of the clock for months.
- The microphone's clock is fast: the count runs ahead. Numbers are left alone, since they may not go back:
  the next pause, restart or lost device takes it up. The time of day is put right when it is a second off,
  as it is when the machine's clock is set.
"""

from dataclasses import dataclass
from typing import Final

from minuted.messages import FRAME_MS

LOST_MS_MIN: Final = 100.0
"""A lag that has grown by so much at once is sound that was lost; less is how blocks arrive."""
DRIFT_MS_MAX: Final = 200.0
"""How far the count may be behind the clock."""
CLOCK_SET_MS: Final = 1000.0
"""How far the time of day may be off."""
LOOK_S: Final = 10.0
"""Over how long the least lag is taken: a block is often late and never early."""
LOOK_OVERFLOWED_S: Final = 0.5
"""… after an overflow, so that little sound gets the wrong time."""
BURST_S: Final = 0.5
"""After no block for so long, those that come late come at once: the look begins anew."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What to do to the frames that follow."""

    skip_frames: int = 0
    reason: str = ""
    ahead_ms: int = 0
    """How much later the time of day is than the frames say."""


class Timeline:
    """Is told of every block; says what to put right."""

    def __init__(self, at_s: float, wall_s: float) -> None:
        """The first block was heard `at_s`, on a clock that goes on while the machine sleeps."""
        self.lag_ms = 0
        """How far the count was behind the clock at the last block."""
        self._first_s, self._first_wall_s = at_s, wall_s
        self._skipped_ms = 0.0
        self._ahead_ms = 0.0
        self._last_s = self._look_s = at_s
        self._low_ms: float | None = None
        self._settled_ms: float | None = None
        self._overflowed = False

    def heard(self, at_s: float, wall_s: float, sound_s: float, *, overflowed: bool = False) -> Correction:
        """Take a block that was heard `at_s`, with `sound_s` of sound between the first and it."""
        lag_ms = 1000 * (at_s - self._first_s - sound_s) - self._skipped_ms
        self.lag_ms = round(lag_ms)
        if at_s - self._last_s > BURST_S or (overflowed and not self._overflowed):
            self._look_s, self._low_ms = at_s, None
        self._last_s = at_s
        self._overflowed = self._overflowed or overflowed
        self._low_ms = lag_ms if self._low_ms is None else min(lag_ms, self._low_ms)
        if at_s - self._look_s < (LOOK_OVERFLOWED_S if self._overflowed else LOOK_S):
            return Correction()
        return self._correct(self._low_ms, 1000 * (wall_s - self._first_wall_s - (at_s - self._first_s)))

    def _correct(self, low_ms: float, set_ms: float) -> Correction:
        grown_ms = low_ms - (self._settled_ms or 0.0)
        reason = ""
        if low_ms >= LOST_MS_MIN and grown_ms >= LOST_MS_MIN and self._overflowed:
            reason = "overflow"
        elif low_ms >= LOST_MS_MIN and grown_ms >= LOST_MS_MIN and self._settled_ms is not None:
            reason = "not-captured"
        elif low_ms >= DRIFT_MS_MAX:
            reason = "drift"
        skip_frames = int(low_ms // FRAME_MS) if reason else 0
        self._skipped_ms += skip_frames * FRAME_MS
        self._settled_ms = low_ms - skip_frames * FRAME_MS
        self._look_s, self._low_ms, self._overflowed = self._last_s, None, False
        ahead_ms = set_ms + min(0.0, self._settled_ms) - self._ahead_ms
        if abs(ahead_ms) < CLOCK_SET_MS:
            return Correction(skip_frames, reason)
        self._ahead_ms += round(ahead_ms)
        return Correction(skip_frames, reason, round(ahead_ms))
