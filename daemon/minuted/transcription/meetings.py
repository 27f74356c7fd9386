"""Which meeting a stretch of sound belongs to. Pure: sound time comes in as an argument."""

import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from minuted.runtime.texts import title_of
from minuted.transcription.clock import Stretch

MEETINGS_MAX: Final = 20
"""Meetings remembered, the latest; sound is not kept for longer than they last."""
CUTS_MAX: Final = 20
"""Moments remembered at which somebody began or ended one."""
EARLY_MS_MAX: Final = 1000
"""How much too early the service was seen to put a turn's beginning."""
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
    title: str | None = None
    by_hand: bool = False
    """Somebody has begun it: it waits for its first word however long that takes."""

    @property
    def is_awaited(self) -> bool:
        return self.by_hand and self.last_word_ms == self.sound_ms


MeetingsState = list[Meeting]
CutsState = list[int]
"""What `Meetings.to_state` and `cuts_ms` give."""


@dataclass(frozen=True, slots=True)
class Unheard:
    """Sound that nobody has listened to yet, and that may have words in it."""

    start_ms: int
    end_ms: int


class Meetings:
    """The meetings of late, by the sound time they begin at, and where people have cut between them."""

    def __init__(self, state: Iterable[dict[str, Any]] | None, cuts_ms: Iterable[int] | None = None) -> None:
        """Go on from what `to_state` and `cuts_ms` gave another process."""
        self.cuts_ms: list[int] = []
        """Sound times at which somebody began or ended a meeting: none goes on beyond one."""
        self.restore(state, cuts_ms)

    def restore(self, state: Iterable[dict[str, Any]] | None, cuts_ms: Iterable[int] | None = None) -> None:
        """Go back to what `to_state` and `cuts_ms` gave."""
        self._meetings = [Meeting(**stored) for stored in state or ()]
        self.cuts_ms = sorted(cuts_ms or ())

    def to_state(self) -> list[dict[str, Any]]:
        return [asdict(meeting) for meeting in self._meetings]

    def before(self, sound_ms: int) -> Meeting | None:
        """Give the last meeting that began at or before `sound_ms`, unless it was ended in between."""
        begun = [meeting for meeting in self._meetings if meeting.sound_ms <= sound_ms]
        return begun[-1] if begun and begun[-1].sound_ms >= self._cut_before(sound_ms) else None

    def now(self, sound_ms: int, gap_ms: float) -> Meeting | None:
        """Give the meeting that a word said now would belong to, were it not the first of one."""
        before = self.before(sound_ms)
        lasts = before and (
            before.is_awaited or before.source != "microphone" or sound_ms - before.last_word_ms < gap_ms
        )
        return before if lasts else None

    def cut(self, sound_ms: int, stretch: Stretch, title: str | None, *, begins: bool) -> Meeting | None:
        """End the meeting that is going on, and with `begins` begin another one there; give that."""
        self.cuts_ms = sorted({*self.cuts_ms, sound_ms})[-CUTS_MAX:]
        if not begins:
            # One that was begun at this very moment would still be awaited.
            self._meetings = [
                each for each in self._meetings if not (each.is_awaited and each.sound_ms == sound_ms)
            ]
            return None
        begun = Meeting(
            id=secrets.token_hex(8),
            started_at_ms=sound_ms + stretch.wall_offset_ms,
            sound_ms=sound_ms,
            source=stretch.source,
            last_word_ms=sound_ms,
            title=title or _title_of(stretch),
            by_hand=True,
        )
        self._add(begun)
        return begun

    def is_cut_after(self, start_ms: int) -> bool:
        """Whether a turn that is said to begin there may in truth have begun after a cut."""
        return any(start_ms < cut_ms <= start_ms + EARLY_MS_MAX for cut_ms in self.cuts_ms)

    def at(self, start_ms: int, stretch: Stretch, gap_ms: float, unheard: Iterable[Unheard] = ()) -> Meeting:
        """Give the meeting that a turn beginning at sound time `start_ms` belongs to.

        A recording is one meeting and begins with its first sample. At the microphone a meeting
        begins with the first words after `gap_ms` without any. What is `unheard` yet is no silence,
        and a meeting that follows on it begins with it: its words will have a place there.
        """
        unheard = list(unheard)
        before = self.before(start_ms)
        if before and before.source == stretch.source:
            if before.is_awaited:
                return before
            if stretch.source != "microphone":
                if stretch.sound_ms <= before.sound_ms:
                    return before
            elif (
                start_ms - before.last_word_ms - _overlap_ms(unheard, before.last_word_ms, start_ms) < gap_ms
            ):
                return before
        begun = _begin(start_ms, stretch, gap_ms, unheard, self._cut_before(start_ms))
        self._add(begun)
        return begun

    def heard_until(self, meeting_id: str, sound_ms: int) -> None:
        """A word of this meeting ended at `sound_ms`."""
        self._meetings = [
            replace(meeting, last_word_ms=max(meeting.last_word_ms, sound_ms))
            if meeting.id == meeting_id
            else meeting
            for meeting in self._meetings
        ]

    def _add(self, begun: Meeting) -> None:
        self._meetings = sorted([*self._meetings, begun], key=_sound_ms)[-MEETINGS_MAX:]

    def _cut_before(self, sound_ms: int) -> int:
        return max((cut_ms for cut_ms in self.cuts_ms if cut_ms <= sound_ms), default=0)


def _begin(
    start_ms: int, stretch: Stretch, gap_ms: float, unheard: list[Unheard], not_before_ms: int
) -> Meeting:
    begins_ms = max(stretch.sound_ms, not_before_ms)
    if stretch.source == "microphone":
        near = [part.start_ms for part in unheard if start_ms - gap_ms < part.end_ms <= start_ms]
        begins_ms = max(begins_ms, min(near, default=start_ms - LEAD_IN_MS))
    return Meeting(
        id=secrets.token_hex(8),
        started_at_ms=begins_ms + stretch.wall_offset_ms,
        sound_ms=begins_ms,
        source=stretch.source,
        last_word_ms=start_ms,
        title=_title_of(stretch),
    )


def _title_of(stretch: Stretch) -> str | None:
    """Return what a meeting is called that nobody has named: a recording has a name."""
    return None if stretch.source == "microphone" else title_of(stretch.source) or None


def _overlap_ms(parts: list[Unheard], start_ms: int, end_ms: int) -> int:
    return sum(max(0, min(part.end_ms, end_ms) - max(part.start_ms, start_ms)) for part in parts)


def _sound_ms(meeting: Meeting) -> int:
    return meeting.sound_ms
