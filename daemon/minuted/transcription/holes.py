"""Finding the sound of which there will be no words. Pure: time comes in as an argument."""

from dataclasses import dataclass
from typing import Final

from minuted.messages import AudioFrame

LOST_FRAMES_MAX: Final = 1200
"""A loss that goes on is declared each minute."""
LOST_QUIET_S: Final = 2.0
"""A loss is over when nothing more has been lost for so long."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Frames `from_number` to `to_number - 1` will never be heard, and why."""

    from_number: int
    to_number: int
    reason: str


class Holes:
    """Notices jumps in the frames' numbers, and gathers frames that were thrown away."""

    def __init__(self) -> None:
        self._next_number: int | None = None
        self._lost: Hole | None = None
        self._lost_at_s = 0.0

    def come(self, number: int) -> Hole | None:
        """Take the next frame's number; give the hole before it."""
        expected, self._next_number = self._next_number, number + 1
        return Hole(expected, number, "not-captured") if expected is not None and number > expected else None

    def end(self) -> None:
        """Capture has ended in order: what it does not hear from now on is not missing."""
        self._next_number = None

    def lose(self, frame: AudioFrame, now_s: float) -> None:
        """Note a frame that was thrown away unheard."""
        begins = self._lost.from_number if self._lost else frame.number
        self._lost, self._lost_at_s = Hole(begins, frame.number + 1, "overflow"), now_s

    def take(self, now_s: float) -> Hole | None:
        """Give the loss there was, once it is over or has become long."""
        lost = self._lost
        if lost is None:
            return None
        is_long = lost.to_number - lost.from_number >= LOST_FRAMES_MAX
        if not is_long and now_s - self._lost_at_s < LOST_QUIET_S:
            return None
        self._lost = None
        return lost
