"""Which sound still has to be heard. Pure.

Every stretch that is not yet safe is a range of frame numbers. The live range has no end; what an
outage left behind is a range with one. A range's start is its mark: the first frame whose words are
not safe. It moves with a committed final turn, with confirmed silence, and with the end of a session.
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Self, TypedDict

TAIL_WORDS_MAX: Final = 12
"""Words before a mark that are remembered, to know them again."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A committed word in sound time."""

    text: str
    start_ms: int
    end_ms: int
    first: bool = False
    """The first of its turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A stretch of sound to be heard from `start` up to `end`, or without end: the live one."""

    id: int
    start: int
    end: int | None = None
    tail: tuple[Heard, ...] = ()
    """The last words that were committed before `start`."""

    @property
    def is_live(self) -> bool:
        return self.end is None


class MarksState(TypedDict):
    """What `Marks.to_state` gives."""

    next_id: int
    ranges: list[Range]


@dataclass(slots=True)
class Marks:
    """All ranges, oldest sound first; the live one, if there is one, is the last."""

    ranges: list[Range] = field(default_factory=list)
    _next_id: int = 1

    @property
    def live(self) -> Range | None:
        return self.ranges[-1] if self.ranges and self.ranges[-1].is_live else None

    @property
    def behind(self) -> list[Range]:
        """What outages left behind, the oldest first."""
        return [unheard for unheard in self.ranges if not unheard.is_live]

    @property
    def safe_before(self) -> int | None:
        """The first frame that is still needed; None when nobody has said where to begin."""
        return self.ranges[0].start if self.ranges else None

    def get(self, range_id: int) -> Range | None:
        return next((unheard for unheard in self.ranges if unheard.id == range_id), None)

    def begin(self, number: int) -> Range:
        """Begin the live range; everything from `number` on has to be heard."""
        assert self.live is None
        return self._add(Range(id=self._next_id, start=number))

    def move(self, range_id: int, number: int, tail: tuple[Heard, ...] | None = None) -> None:
        """Move a mark on to `number`, never back and never past the range's end."""
        for index, unheard in enumerate(self.ranges):
            if unheard.id != range_id:
                continue
            start = max(unheard.start, number if unheard.end is None else min(number, unheard.end))
            kept = unheard.tail if tail is None else tail[-TAIL_WORDS_MAX:]
            self.ranges[index] = replace(unheard, start=start, tail=kept)

    def split(self, number: int) -> tuple[Range, Range]:
        """End the live range at `number` and begin another there: the old one and the new one."""
        live = self.live
        assert live is not None
        assert number >= live.start
        ended = replace(live, end=number)
        self.ranges[-1] = ended
        # What was committed last may lie behind the cut too.
        return ended, self._add(Range(id=self._next_id, start=number, tail=live.tail))

    def carve(self, range_id: int, start: int, end: int) -> Range | None:
        """Take frames `start` to `end - 1` out of a range, for another session; the range goes on at `end`.

        Return the new range, or None where the range does not reach so far.
        """
        index = next((place for place, each in enumerate(self.ranges) if each.id == range_id), None)
        if index is None:
            return None
        unheard = self.ranges[index]
        start = max(start, unheard.start)
        end = end if unheard.end is None else min(end, unheard.end)
        if start >= end:
            return None
        part = Range(id=self._next_id, start=start, end=end, tail=unheard.tail)
        self._next_id += 1
        self.ranges[index : index + 1] = [part, replace(unheard, start=end)]
        return part

    def finish(self, range_id: int) -> None:
        """All of a range has been heard."""
        self.ranges = [unheard for unheard in self.ranges if unheard.id != range_id]

    def drop_before(self, number: int) -> None:
        """Sound before `number` is gone: what was not heard of it never will be."""
        self.ranges = [unheard for unheard in self.ranges if unheard.end is None or unheard.end > number]
        for unheard in list(self.ranges):
            self.move(unheard.id, number)

    def skip(self, from_number: int, to_number: int) -> None:
        """There is no sound between these two: a mark that stands there goes on to where there is."""
        for unheard in list(self.ranges):
            if from_number <= unheard.start < to_number:
                self.move(unheard.id, to_number)

    def cut_after(self, number: int) -> None:
        """No sound from `number` on is there: it was lost with the power, and its numbers come again."""
        cut = [
            replace(
                unheard,
                start=min(unheard.start, number),
                end=None if unheard.end is None else min(unheard.end, number),
                tail=unheard.tail if unheard.start <= number else (),
            )
            for unheard in self.ranges
        ]
        self.ranges = [unheard for unheard in cut if unheard.end is None or unheard.start < unheard.end]

    def to_state(self) -> dict[str, Any]:
        return {"next_id": self._next_id, "ranges": [asdict(unheard) for unheard in self.ranges]}

    @classmethod
    def from_state(cls, state: dict[str, Any] | None) -> Self:
        if not state:
            return cls()
        ranges = [
            Range(**{**stored, "tail": tuple(Heard(**word) for word in stored["tail"])})
            for stored in state["ranges"]
        ]
        return cls(ranges, state["next_id"])

    def _add(self, begun: Range) -> Range:
        self._next_id += 1
        self.ranges.append(begun)
        return begun
