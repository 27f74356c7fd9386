"""Vendor events in, our Turns out: times on the meeting's clock, one final a turn. Pure.

Source of the semantics: every Turn message re-transcribes the whole turn; `end_of_turn` alone says
that it is final; words' times count the session's audio (AssemblyAI streaming v3, U3 family).
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from assemblyai.streaming.v3 import SpeakerRevisionItem, TurnEvent
from assemblyai.streaming.v3 import Word as SaidWord

from minuted.messages import Turn, Word
from minuted.transcription.clock import SessionClock
from minuted.transcription.marks import Heard
from minuted.transcription.meetings import Meeting
from minuted.transcription.seam import words_known
from minuted.transcription.speakers import Labels, main_speaker

NO_SPEAKER: Final = ("UNKNOWN", "PENDING")
"""What the service calls a speaker it cannot tell, by age of the model."""
FINALS_MAX: Final = 20_000
"""Finals of a session known, more than three hours have; an older one is not revised."""


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
        self._finals: OrderedDict[int, int] = OrderedDict()
        """How many words of each final were left out."""

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
            self._remember(event.turn_order, known)
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
        labels = labels_of(event.speaker_label, event.words, len(event.words) - len(said))
        turn = Turn(
            id=self._id(event.turn_order),
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
                    speaker=label,
                )
                for word, place, label in zip(said, heard, labels.words, strict=True)
            ),
            speaker=labels.turn,
            language=event.language_code,
            confidence=_mean([word.confidence for word in said]),
            channel=self._channel,
        )
        return Taken(turn, tuple(heard), end_ms)

    def _id(self, order: int) -> str:
        return f"{self._session_id}:{order}"

    def _remember(self, order: int, left_out: int) -> None:
        self._finals[order] = left_out
        if len(self._finals) > FINALS_MAX:
            self._finals.popitem(last=False)

    def relabelled(self, item: SpeakerRevisionItem) -> tuple[str, Labels] | None:
        """Give the id of a turn and the service's new labels; None for one that was not final here."""
        left_out = self._finals.get(item.turn_order)
        if left_out is None:
            return None
        return self._id(item.turn_order), labels_of(item.speaker_label, item.words, left_out)


def labels_of(label: str | None, words: Sequence[SaidWord], left_out: int = 0) -> Labels:
    """Give who says a turn and the words of it that are left.

    Where some are left out, or the service names nobody for the whole, it is who says most of the rest.
    """
    of_words = tuple(speaker_of(word.speaker) for word in words[left_out:])
    said = None if label is None or left_out else speaker_of(label)
    if said is None and (label is None or left_out):
        said = main_speaker(of_words) or speaker_of(label)
    return Labels(said, of_words)


def speaker_of(label: str | None) -> str | None:
    """Give a speaker's label, or None where the service could not tell."""
    return None if not label or label in NO_SPEAKER else label


def _mean(values: list[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None
