"""Which meeting a stretch of sound belongs to. Pure: sound time comes in as an argument."""

import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from minuted.transcription.clock import Stretch

MEETINGS_MAX: Final = 20
"""Meetings remembered, the latest; sound is not kept for longer than they last."""
LEAD_IN_MS: Final = 2000
"""A meeting at the microphone begins this long before its first word, whose start may still be refined."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """What the people think they are in; every word's time counts from `sound_ms`."""

    id: str
    started_at_ms: int
    sound_ms: int
    source: str
    last_word_ms: int


@dataclass(frozen=True, slots=True)
class Unheard:
    """Sound that nobody has listened to yet, and that may have words in it."""

    start_ms: int
    end_ms: int


class Meetings:
    """The meetings of late, by the sound time they begin at."""

    def __init__(self, state: Iterable[dict[str, Any]] | None) -> None:
        """Go on from what `to_state` gave another process."""
        self.restore(state)

    def restore(self, state: Iterable[dict[str, Any]] | None) -> None:
        """Go back to what `to_state` gave."""
        self._meetings = [Meeting(**stored) for stored in state or ()]

    def to_state(self) -> list[dict[str, Any]]:
        return [asdict(meeting) for meeting in self._meetings]

    def before(self, sound_ms: int) -> Meeting | None:
        """Give the last meeting that began at or before `sound_ms`."""
        begun = [meeting for meeting in self._meetings if meeting.sound_ms <= sound_ms]
        return begun[-1] if begun else None

    def at(self, start_ms: int, stretch: Stretch, gap_ms: float, unheard: Iterable[Unheard] = ()) -> Meeting:
        """Give the meeting that a turn beginning at sound time `start_ms` belongs to.

        A recording is one meeting and begins with its first sample. At the microphone a meeting
        begins with the first words after `gap_ms` without any. What is `unheard` yet is no silence,
        and a meeting that follows on it begins with it: its words will have a place there.
        """
        unheard = list(unheard)
        before = self.before(start_ms)
        if before and before.source == stretch.source:
            if stretch.source != "microphone":
                if stretch.sound_ms == before.sound_ms:
                    return before
            elif (
                start_ms - before.last_word_ms - _overlap_ms(unheard, before.last_word_ms, start_ms) < gap_ms
            ):
                return before
        begun = _begin(start_ms, stretch, gap_ms, unheard)
        self._meetings = sorted([*self._meetings, begun], key=_sound_ms)[-MEETINGS_MAX:]
        return begun

    def heard_until(self, meeting_id: str, sound_ms: int) -> None:
        """A word of this meeting ended at `sound_ms`."""
        self._meetings = [
            replace(meeting, last_word_ms=max(meeting.last_word_ms, sound_ms))
            if meeting.id == meeting_id
            else meeting
            for meeting in self._meetings
        ]


def _begin(start_ms: int, stretch: Stretch, gap_ms: float, unheard: list[Unheard]) -> Meeting:
    begins_ms = stretch.sound_ms
    if stretch.source == "microphone":
        near = [part.start_ms for part in unheard if start_ms - gap_ms < part.end_ms <= start_ms]
        begins_ms = max(stretch.sound_ms, min(near, default=start_ms - LEAD_IN_MS))
    return Meeting(
        id=secrets.token_hex(8),
        started_at_ms=begins_ms + stretch.wall_offset_ms,
        sound_ms=begins_ms,
        source=stretch.source,
        last_word_ms=start_ms,
    )


def _overlap_ms(parts: list[Unheard], start_ms: int, end_ms: int) -> int:
    return sum(max(0, min(part.end_ms, end_ms) - max(part.start_ms, start_ms)) for part in parts)


def _sound_ms(meeting: Meeting) -> int:
    return meeting.sound_ms
