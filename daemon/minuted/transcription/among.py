"""A channel's place among several: its finals in one order with theirs, its meetings theirs too."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from minuted.config import MICROPHONE
from minuted.transcription.clock import Stretch
from minuted.transcription.meetings import Unheard
from minuted.transcription.order import HOLD_S_MAX, HOLD_UNPACED_S_MAX, Order
from minuted.transcription.turns import Taken

TOGETHER: Final = "recordings"
"""The source of a meeting of recordings that are played together."""


@dataclass(slots=True)
class Among:
    """What a channel shares with others. Used from the loop's thread."""

    name: str
    order: Order[Callable[[], None]]
    unheard: Callable[[], list[Unheard]]
    """What the others have not heard yet."""
    offered_ms: int = 0
    """The sound time up to which the finals reach that were committed, or wait for it."""

    @property
    def holds(self) -> bool:
        """Whether finals wait for their place: what was heard after them is not safe before them."""
        return self.order.holds(self.name)

    def hold(self, taken: Taken, commit: Callable[[], None], *, is_paced: bool) -> None:
        """Have a final that has words committed in its place."""
        self.offered_ms = taken.end_ms
        until_s = time.monotonic() + (HOLD_S_MAX if is_paced else HOLD_UNPACED_S_MAX)
        self.order.hold(self.name, taken.words[0].start_ms, until_s, commit)

    def settle(self) -> None:
        """Commit what waits for its place."""
        for commit in self.order.settle(self.name):
            commit()

    def drop(self) -> None:
        """Forget what waits for its place: it will be heard again."""
        self.order.drop(self.name)
        self.offered_ms = 0

    def unheard_before(self, sound_ms: int) -> list[Unheard]:
        """Give where the others may still have words before `sound_ms`."""
        return [Unheard(part.start_ms, min(part.end_ms, sound_ms)) for part in self.unheard()]


def together(stretch: Stretch) -> Stretch:
    """Have recordings that are played together be one meeting."""
    return stretch if stretch.source == MICROPHONE else replace(stretch, source=TOGETHER)
