"""One order for the finals of several channels: by when they began, as far as a short wait can have it. Pure.

A final that is held has moved no mark: the process killed, its sound is heard again.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

HOLD_S_MAX: Final = 2.0
"""How long a final waits for what another channel began to say before it; then it goes first."""
HOLD_UNPACED_S_MAX: Final = 10.0
"""The same where a recording is played fast: nobody waits for its words, and its channels differ in pace."""
HELD_MAX: Final = 200
"""Finals that wait, of all channels; beyond that the earliest goes at once."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Held(Generic[T]):
    """A final that waits, until when at the latest."""

    channel: str
    begins_ms: int
    until_s: float
    item: T


class Order(Generic[T]):
    """Finals of several channels on their way into the journal. Those of one channel never change places."""

    def __init__(self) -> None:
        self._held: dict[str, deque[Held[T]]] = {}

    def hold(self, channel: str, begins_ms: int, until_s: float, item: T) -> None:
        """Add a channel's next final, which began at sound time `begins_ms`."""
        self._held.setdefault(channel, deque()).append(Held(channel, begins_ms, until_s, item))

    def holds(self, channel: str) -> bool:
        return bool(self._held.get(channel))

    def take(self, now_s: float, pending_ms: Mapping[str, int]) -> list[T]:
        """Give what is to go now, in its order.

        `pending_ms` says of a channel from when on words of it may be about to come.
        """
        line = self._line()
        overdue = [place for place, held in enumerate(line) if now_s >= held.until_s]
        going = max(len(line) - HELD_MAX, overdue[-1] + 1 if overdue else 0)
        while going < len(line) and not _waits(line[going], pending_ms):
            going += 1
        return self._let_go(line[:going])

    def settle(self, channel: str) -> list[T]:
        """Give all that a channel holds, and what goes before it."""
        line = self._line()
        places = [place for place, held in enumerate(line) if held.channel == channel]
        return self._let_go(line[: places[-1] + 1] if places else [])

    def drop(self, channel: str) -> None:
        """Forget what a channel holds: it will be heard again."""
        self._held.pop(channel, None)

    def _line(self) -> list[Held[T]]:
        """Give all in the order they would go in: by their begin, each channel's own as they came."""
        queues = [deque(held) for held in self._held.values() if held]
        line = []
        while queues:
            first = min(queues, key=lambda queue: queue[0].begins_ms)
            line.append(first.popleft())
            queues = [queue for queue in queues if queue]
        return line

    def _let_go(self, going: list[Held[T]]) -> list[T]:
        for held in going:
            self._held[held.channel].popleft()
        return [held.item for held in going]


def _waits(held: Held[T], pending_ms: Mapping[str, int]) -> bool:
    return any(
        channel != held.channel and from_ms < held.begins_ms for channel, from_ms in pending_ms.items()
    )
