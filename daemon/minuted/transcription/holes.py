"""Sound of which there will be no words. Pure: time comes in as an argument."""

from dataclasses import dataclass
from typing import Final

LOST_FRAMES_MAX: Final = 1200
"""A loss that goes on is declared each minute."""
LOST_QUIET_S: Final = 2.0
"""A loss is over when nothing more has been lost for so long."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Frames `from_number` to `to_number - 1` will never be heard, and why; "" where nobody would."""

    from_number: int
    to_number: int
    reason: str


class Losses:
    """Gathers the frames that a bound throws away one by one."""

    def __init__(self) -> None:
        self.frames = 0
        """How many in all."""
        self._lost: Hole | None = None
        self._lost_at_s = 0.0

    def lose(self, hole: Hole, now_s: float) -> None:
        """Note frames that were thrown away unheard."""
        self.frames += hole.to_number - hole.from_number
        begun = self._lost or hole
        self._lost, self._lost_at_s = Hole(begun.from_number, hole.to_number, begun.reason), now_s

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
