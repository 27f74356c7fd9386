"""Who is called what: labels that hold for a meeting, though the service's hold for a session only. Pure.

The first session of a meeting whose labels appear keeps them as they are, "A" and "B"; of each later one
they carry its number, "A2", "B3": nobody knows whether A2 is A. The journal has a turn's labels beside
its record, which shows the names that people have given them.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from minuted.messages import Turn
from minuted.runtime.shapes import fitted

MEETINGS_MAX: Final = 20
"""Meetings remembered, the latest; as many as the meetings themselves."""
SESSIONS_MAX: Final = 200
"""Sessions of a meeting remembered, the latest; the numbers go on. None lasts for longer than so many."""
LABELS_MAX: Final = 500
"""Labels of a meeting that are counted and may be named; later ones are shown all the same."""
NAME_CHARACTERS_MAX: Final = 60
_LIKE_A_LABEL: Final = re.compile(r"[A-Z]{1,2}\d*|UNKNOWN|PENDING")
_PLAIN: Final = re.compile(r"[A-Za-z]+")


class Labels(NamedTuple):
    """Who says a turn, and who each of its words."""

    turn: str | None
    words: tuple[str | None, ...]

    def to_text(self) -> str:
        return json.dumps(self, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> "Labels":
        """Raises ValueError for what is none."""
        turn, words = fitted(tuple[str | None, list[str | None]], json.loads(text), "labels")
        return cls(turn, tuple(words))


@dataclass(frozen=True, slots=True)
class Meeting:
    """What is known of the speakers of one meeting. The tally gives each label's turns and milliseconds."""

    id: str
    started_at_ms: int
    sessions: tuple[str, ...] = ()
    forgotten: int = 0
    """Sessions before those."""
    names: Mapping[str, str] = field(default_factory=dict)
    tally: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def to_state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Meeting":
        tally = {label: (turns, ms) for label, (turns, ms) in state["tally"].items()}
        return cls(**{**state, "sessions": tuple(state["sessions"]), "tally": tally})

    def with_session(self, session_id: str) -> "Meeting":
        if session_id in self.sessions:
            return self
        forgotten = self.forgotten + (len(self.sessions) >= SESSIONS_MAX)
        return replace(self, sessions=(*self.sessions, session_id)[-SESSIONS_MAX:], forgotten=forgotten)

    def labels(self, session_id: str, said: Labels) -> Labels:
        """Give the service's labels as they hold in this meeting."""
        known = session_id in self.sessions
        number = self.forgotten + (self.sessions.index(session_id) if known else len(self.sessions)) + 1
        return Labels(label_of(said.turn, number), tuple(label_of(word, number) for word in said.words))

    def shown(self, turn: Turn, labels: Labels) -> Turn:
        """Give a turn with its speakers as people are to see them."""
        words = turn.words
        if len(labels.words) == len(words):
            words = tuple(
                replace(word, speaker=self._name(label))
                for word, label in zip(words, labels.words, strict=True)
            )
        return replace(turn, speaker=self._name(labels.turn), words=words)

    def counted(self, turn: Turn, labels: Labels, times: int = 1) -> "Meeting":
        """Count what a turn's speakers have said; `times` is -1 to take it back."""
        tally = dict(self.tally)
        for label, (turns, ms) in _said(turn, labels).items():
            if label in tally or len(tally) < LABELS_MAX:
                before_turns, before_ms = tally.get(label, (0, 0))
                tally[label] = (before_turns + times * turns, before_ms + times * ms)
        return replace(self, tally=tally)

    def _name(self, label: str | None) -> str | None:
        return self.names.get(label, label) if label else None


SpeakersState = list[Meeting]
"""What `Speakers.to_state` gives."""


@dataclass(frozen=True, slots=True)
class Speakers:
    """The speakers of the latest meetings; each change gives another one."""

    meetings: tuple[Meeting, ...] = ()
    """By their beginning."""

    def to_state(self) -> list[dict[str, Any]]:
        return [meeting.to_state() for meeting in self.meetings]

    @classmethod
    def from_state(cls, state: Iterable[Mapping[str, Any]] | None) -> "Speakers":
        """Go on from what `to_state` gave another process."""
        return cls(tuple(Meeting.from_state(each) for each in state or ()))

    def get(self, meeting_id: str) -> Meeting | None:
        return next((meeting for meeting in self.meetings if meeting.id == meeting_id), None)

    def hear(self, turn: Turn) -> tuple["Speakers", Turn, Labels]:
        """Take a final with the service's own labels; give it as it is shown, and its labels here."""
        meeting = self.get(turn.meeting_id) or Meeting(turn.meeting_id, turn.meeting_started_at_ms)
        said = Labels(turn.speaker, tuple(word.speaker for word in turn.words))
        if said.turn or any(said.words):
            meeting = meeting.with_session(turn.session_id)
        labels = meeting.labels(turn.session_id, said)
        if any((labels.turn, *labels.words)):
            meeting = meeting.counted(turn, labels)
        return self._with(meeting), meeting.shown(turn, labels), labels

    def glance(self, turn: Turn) -> Turn:
        """Give a partial as it is shown: nothing is remembered of it."""
        return self.hear(turn)[1] if turn.speaker or any(word.speaker for word in turn.words) else turn

    def relabel(self, turn: Turn, before: Labels, said: Labels) -> tuple["Speakers", Turn, Labels]:
        """Take the service's second thoughts about a turn that was recorded.

        Where it tells of other words than the turn has, only the turn's speaker is taken.
        """
        meeting = self.get(turn.meeting_id)
        if meeting is None:  # too long ago
            return self, turn, before
        if said.turn or any(said.words):
            meeting = meeting.with_session(turn.session_id)
        labels = meeting.labels(turn.session_id, said)
        if len(labels.words) != len(turn.words):
            labels = labels._replace(words=before.words)
        if labels != before:
            meeting = meeting.counted(turn, before, -1).counted(turn, labels)
        return self._with(meeting), meeting.shown(turn, labels), labels

    def named(self, meeting_id: str, names: Mapping[str, str]) -> "Speakers":
        """Give labels names, or take them away with an empty one."""
        meeting = self.get(meeting_id)
        if meeting is None:
            return self
        kept = {label: name for label, name in {**meeting.names, **names}.items() if name}
        return self._with(replace(meeting, names=kept))

    def find(self, meeting_id: str) -> Meeting:
        """Give a meeting by how its id begins; the latest for "". Raises ValueError."""
        if not self.meetings:
            raise ValueError("there has been no meeting yet")
        if not meeting_id:
            return self.meetings[-1]
        found = [meeting for meeting in self.meetings if meeting.id.startswith(meeting_id)]
        if len(found) != 1:
            known = ", ".join(each.id for each in (found or self.meetings)[-3:])
            why = "several meetings begin with" if found else "no meeting is known any more as"
            raise ValueError(f"{why} {meeting_id}; there are: {known}")
        return found[0]

    def _with(self, meeting: Meeting) -> "Speakers":
        if meeting in self.meetings:
            return self
        others = [each for each in self.meetings if each.id != meeting.id]
        return Speakers(tuple(sorted([*others, meeting], key=_started_at_ms)[-MEETINGS_MAX:]))


def label_of(label: str | None, number: int) -> str | None:
    """Give a label with its session's number; none that is written otherwise can come out the same."""
    if not label:
        return None
    if not _PLAIN.fullmatch(label):
        return f"{label}-{number}"
    return label if number == 1 else f"{label}{number}"


def checked_names(meeting: Meeting, names: Mapping[str, Any]) -> dict[str, str]:
    """Give names that may be given to labels. Raises ValueError."""
    checked = {}
    for label, given in names.items():
        if label not in meeting.tally and label not in meeting.names:
            heard = ", ".join(meeting.tally) or "nobody"
            raise ValueError(f"no speaker {label} has been heard in this meeting, but {heard}")
        if not isinstance(given, str):
            raise ValueError(f"{label}: a name is a text")  # noqa: TRY004  # refused like any other
        name = " ".join(given.split())
        if len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
            raise ValueError(f"{label}: a name has up to {NAME_CHARACTERS_MAX} printable characters")
        if _LIKE_A_LABEL.fullmatch(name):
            raise ValueError(f"{label}: {name} could be taken for a speaker's label")
        checked[label] = name
    return checked


def main_speaker(words: Iterable[str | None]) -> str | None:
    """Give who says most of these words; the first of several."""
    counted = Counter(word for word in words if word)
    return counted.most_common(1)[0][0] if counted else None


def _said(turn: Turn, labels: Labels) -> dict[str, tuple[int, int]]:
    """Give the turns and milliseconds of each label; a turn without labelled words is all its speaker's."""
    said: dict[str, tuple[int, int]] = {labels.turn: (1, 0)} if labels.turn else {}
    if not any(labels.words):
        return {labels.turn: (1, turn.end_ms - turn.start_ms)} if labels.turn else {}
    for word, label in zip(turn.words, labels.words, strict=False):
        if label:
            turns, ms = said.get(label, (0, 0))
            said[label] = (turns, ms + word.end_ms - word.start_ms)
    return said


def _started_at_ms(meeting: Meeting) -> int:
    return meeting.started_at_ms
