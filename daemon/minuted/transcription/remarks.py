"""What the service remarks on, and its Begin shows: told once, however many sessions say it. Pure."""

from collections import OrderedDict
from typing import Final

TOLD_MAX: Final = 100
"""Remarks known to have been told; of more, the oldest may be told again."""
SHOWN_MAX: Final = 5
"""Remarks on the session that is live, as the status shows them; there are never so many."""


class Remarks:
    """Used from the loop's thread; `shown` may be read from any."""

    def __init__(self) -> None:
        self._told: OrderedDict[str, None] = OrderedDict()
        self._current: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """What holds for the live session, or the last one."""
        return "; ".join(self._current)

    def begin(self) -> None:
        """Another session is live: what was said of the last one need not hold."""
        self._current = ()

    def hear(self, text: str) -> bool:
        """Take a remark; True when nobody has been told yet."""
        if text not in self._current:
            self._current = (*self._current, text)[-SHOWN_MAX:]
        is_new = text not in self._told
        self._told[text] = None
        self._told.move_to_end(text)
        if len(self._told) > TOLD_MAX:
            self._told.popitem(last=False)
        return is_new
