"""How often: so many a minute for each name, none saved up for later. Pure: time comes in as an argument."""

from collections import OrderedDict
from typing import Final

NAMES_MAX: Final = 2000
"""Names remembered; whoever was here the longest ago is forgotten first, and begins afresh."""
WITHIN_S: Final = 60.0


class Limits:
    """A bucket per name that holds a minute's worth and fills steadily."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, now_s: float) -> float:
        """Take one; give 0, or how many seconds to wait where there is none."""
        left, at_s = self._buckets.pop(name, (float(self._per_minute), now_s))
        rate = self._per_minute / WITHIN_S
        left = min(float(self._per_minute), left + max(0.0, now_s - at_s) * rate)
        is_there = left >= 1
        self._buckets[name] = (left - 1 if is_there else left, now_s)
        if len(self._buckets) > NAMES_MAX:
            self._buckets.popitem(last=False)
        return 0.0 if is_there else (1 - left) / rate
