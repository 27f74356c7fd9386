"""Meetings made of records: revisions in their turns' places, all in the order of their true times. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from minuted.messages import Gap, Record, Turn


@dataclass(frozen=True)
class Minutes:
    """One meeting."""

    id: str
    room: str
    title: str | None
    started_at_ms: int
    records: tuple[Record, ...]
    """Turns as they were last revised, and gaps."""
    is_recording: bool = False
    """All of it was heard: where there are no words, that is worth saying."""
    broke_off: str = ""
    """What could not be heard of a recording."""

    @property
    def length_ms(self) -> int:
        return max((record.end_ms for record in self.records), default=0)

    @property
    def turns(self) -> int:
        return sum(isinstance(record, Turn) for record in self.records)

    @property
    def started(self) -> datetime:
        return datetime.fromtimestamp(self.started_at_ms / 1000).astimezone()

    def cut(self, from_ms: int | None, to_ms: int | None) -> "Minutes":
        """Keep what lies between two times (epoch milliseconds), whole turns of it."""
        kept = (
            record
            for record in self.records
            if (from_ms is None or self.started_at_ms + record.end_ms > from_ms)
            and (to_ms is None or self.started_at_ms + record.start_ms < to_ms)
        )
        return replace(self, records=tuple(kept))


def meetings_of(records: Iterable[Record]) -> list[Minutes]:
    """Put records, in whatever order, together to meetings; the earliest meeting first.

    A gap before any meeting belongs to none.
    """
    by_meeting: dict[str, list[Record]] = {}
    for record in records:
        if record.meeting_id:
            by_meeting.setdefault(record.meeting_id, []).append(record)
    meetings = [_meeting(own) for own in by_meeting.values()]
    return sorted(meetings, key=lambda meeting: (meeting.started_at_ms, meeting.id))


def joined(meetings: Sequence[Minutes]) -> Minutes | None:
    """Make one of meetings that follow on each other, all by the first one's clock; None of none."""
    if not meetings:
        return None
    first = meetings[0]
    records = [
        _shifted(record, meeting.started_at_ms - first.started_at_ms)
        for meeting in meetings
        for record in meeting.records
    ]
    return replace(first, records=tuple(records))


def _shifted(record: Record, by_ms: int) -> Record:
    """Give a record with its times counted from an earlier moment."""
    if not by_ms:
        return record
    started_at_ms = record.meeting_started_at_ms - by_ms
    start_ms, end_ms = record.start_ms + by_ms, record.end_ms + by_ms
    moved = replace(record, start_ms=start_ms, end_ms=end_ms, meeting_started_at_ms=started_at_ms)
    if isinstance(moved, Gap):
        return moved
    words = (
        replace(word, start_ms=word.start_ms + by_ms, end_ms=word.end_ms + by_ms) for word in moved.words
    )
    return replace(moved, words=tuple(words))


def _meeting(records: list[Record]) -> Minutes:
    records = sorted(records, key=lambda record: record.seq or 0)
    titles = [record.meeting_title for record in records if isinstance(record, Turn) and record.meeting_title]
    # A gap that an older version has declared does not know.
    started_at_ms = max(record.meeting_started_at_ms for record in records)
    settled = sorted(_settled(records), key=lambda record: (record.start_ms, record.seq or 0))
    first = records[0]
    return Minutes(
        id=first.meeting_id,
        room=first.room,
        title=titles[-1] if titles else None,
        started_at_ms=started_at_ms,
        records=tuple(settled),
    )


def _settled(records: list[Record]) -> list[Record]:
    """Let each revision take the place of what it revises, and its number."""
    gaps: list[Record] = [record for record in records if isinstance(record, Gap)]
    turns: dict[str, Turn] = {}
    for record in records:
        if isinstance(record, Turn):
            earlier = turns.get(record.id)
            seq = earlier.seq if earlier else record.seq
            turns[record.id] = replace(record, type="turn", seq=seq)
    return [*gaps, *turns.values()]
