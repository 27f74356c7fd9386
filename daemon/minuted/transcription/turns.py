"""Vendor events in, our Turns out: times on the meeting's clock, one final a turn. Pure.

Source of the semantics: every Turn message re-transcribes the whole turn; `end_of_turn` alone says
that it is final; words' times count the session's audio (AssemblyAI streaming v3, U3 family).
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from assemblyai.streaming.v3 import SpeakerRevisionItem, TurnEvent
from assemblyai.streaming.v3 import Word as SaidWord

from minuted.messages import Turn, Word
from minuted.transcription.clock import SessionClock
from minuted.transcription.marks import Heard
from minuted.transcription.meetings import Meeting
from minuted.transcription.seam import words_known

NO_SPEAKER: Final = ("UNKNOWN", "PENDING")
"""What the service calls a speaker it cannot tell, by age of the model."""
FINALS_MAX: Final = 300
"""Finals of a session kept for revisions; an older one is not revised."""


class FindMeeting(Protocol):
    """Gives the meeting that a turn beginning at a sound time belongs to."""

    def __call__(self, start_ms: int) -> Meeting: ...


@dataclass(frozen=True, slots=True)
class Taken:
    """A turn of ours, and its words in sound time."""

    turn: Turn
    words: tuple[Heard, ...]
    end_ms: int


class Turns:
    """Makes one session's Turn events into ours.

    `tail` are the words committed before the sound this session begins with: they are left out
    where they are heard again.
    """

    def __init__(
        self,
        room: str,
        session_id: str,
        clock: SessionClock,
        find_meeting: FindMeeting,
        tail: Sequence[Heard] = (),
        channel: str | None = None,
    ) -> None:
        self.repeated = 0
        """Second finals for a turn that was already final."""
        self.known = 0
        """Words left out because they were committed before."""
        self._room = room
        self._session_id = session_id
        self._clock = clock
        self._find_meeting = find_meeting
        self._tail = tuple(tail)
        self._channel = channel
        self._finals: OrderedDict[int, Turn | None] = OrderedDict()

    def take(self, event: TurnEvent) -> Taken | None:
        """Give the turn an event tells of.

        None for an empty one, for one that was final before, and for one whose words are all known.
        """
        if not event.transcript.strip():
            return None
        if event.turn_order in self._finals:
            self.repeated += event.end_of_turn
            return None
        heard = [self._heard(word, first=not place) for place, word in enumerate(event.words)]
        known = words_known(heard, self._tail)
        if event.end_of_turn:
            self.known += known
            self._remember(event.turn_order, None)
        if known and known == len(heard):
            return None
        text = event.transcript.strip() if not known else " ".join(word.text for word in heard[known:])
        return self._taken(event, heard[known:], event.words[known:], text)

    def remember(self, tail: Sequence[Heard]) -> None:
        """Begin after other words than at first thought."""
        self._tail = tuple(tail)

    def _heard(self, word: SaidWord, *, first: bool) -> Heard:
        start_ms = self._clock.start_ms(word.start)
        return Heard(word.text, start_ms, max(start_ms, self._clock.end_ms(word.end)), first)

    def _taken(self, event: TurnEvent, heard: list[Heard], said: list[SaidWord], text: str) -> Taken:
        sent_ms = self._clock.end_ms(self._clock.sent_ms)
        start_ms = heard[0].start_ms if heard else sent_ms
        end_ms = heard[-1].end_ms if heard else sent_ms
        meeting = self._find_meeting(start_ms)
        turn = Turn(
            id=f"{self._session_id}:{event.turn_order}",
            room=self._room,
            meeting_id=meeting.id,
            meeting_started_at_ms=meeting.started_at_ms,
            meeting_title=meeting.title,
            session_id=self._session_id,
            turn_order=event.turn_order,
            final=event.end_of_turn,
            start_ms=max(0, start_ms - meeting.sound_ms),
            end_ms=max(0, end_ms - meeting.sound_ms),
            text=text,
            words=tuple(
                Word(
                    text=word.text,
                    start_ms=max(0, place.start_ms - meeting.sound_ms),
                    end_ms=max(0, place.end_ms - meeting.sound_ms),
                    confidence=word.confidence,
                    speaker=speaker_of(word.speaker),
                )
                for word, place in zip(said, heard, strict=True)
            ),
            speaker=speaker_of(event.speaker_label),
            language=event.language_code,
            confidence=_mean([word.confidence for word in said]),
            channel=self._channel,
        )
        return Taken(turn, tuple(heard), end_ms)

    def committed(self, turn: Turn) -> None:
        """Remember a final or revision as it was published."""
        self._remember(turn.turn_order, turn)

    def _remember(self, order: int, turn: Turn | None) -> None:
        self._finals[order] = turn
        if len(self._finals) > FINALS_MAX:
            self._finals.popitem(last=False)

    def revise(self, item: SpeakerRevisionItem) -> Turn | None:
        """Give a turn with its speakers named anew; None when nothing changed, or it is not kept."""
        before = self._finals.get(item.turn_order)
        if before is None:
            return None
        labels = [speaker_of(word.speaker) for word in item.words]
        words = before.words
        if len(labels) == len(words):
            words = tuple(replace(word, speaker=label) for word, label in zip(words, labels, strict=True))
        after = replace(before, speaker=speaker_of(item.speaker_label), words=words)
        if after == before:
            return None
        return replace(after, type="revision", seq=None, revision=before.revision + 1)


def speaker_of(label: str | None) -> str | None:
    """Give a speaker's label, or None where the service could not tell."""
    return None if not label or label in NO_SPEAKER else label


def _mean(values: list[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None
