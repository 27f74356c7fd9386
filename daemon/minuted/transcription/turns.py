"""Vendor events in, our Turns out: times on the meeting's clock, one final a turn. Pure.

Source of the semantics: every Turn message re-transcribes the whole turn; `end_of_turn` alone says
that it is final; words' times count the session's audio (AssemblyAI streaming v3, U3 family).
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from assemblyai.streaming.v3 import SpeakerRevisionItem, TurnEvent
from assemblyai.streaming.v3 import Word as SaidWord

from minuted.alignment import text_from
from minuted.messages import Turn, Word
from minuted.transcription.clock import SessionClock
from minuted.transcription.marks import Heard
from minuted.transcription.meetings import Meeting
from minuted.transcription.seam import SAME_MS, words_known
from minuted.transcription.speakers import Labels, main_speaker

NO_SPEAKER: Final = ("UNKNOWN", "PENDING")
"""What the service calls a speaker it cannot tell, by age of the model."""
FINALS_MAX: Final = 20_000
"""Finals of a session known, more than three hours have; an older one is not revised."""
SAME_ORDER_MAX: Final = 4
"""Finals known that had the same number, the latest."""


class FindMeeting(Protocol):
    """Gives the meeting that a turn beginning at a sound time belongs to."""

    def __call__(self, start_ms: int) -> Meeting: ...


@dataclass(frozen=True, slots=True)
class Taken:
    """A turn of ours, and its words in sound time."""

    turn: Turn
    words: tuple[Heard, ...]
    end_ms: int


@dataclass(frozen=True, slots=True)
class _Final:
    """A turn that was final, as the service told of it."""

    id: str
    left_out: int
    """Words of it that were committed before."""
    count: int
    begins_ms: int
    ends_ms: int
    texts: frozenset[str]
    """Its words, without case and punctuation."""


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
        self._finals: OrderedDict[int, deque[_Final]] = OrderedDict()
        """By the service's number, which ought to be another for each."""
        self._again = 0
        """Finals that had the number of an earlier one."""

    def take(self, event: TurnEvent) -> Taken | None:
        """Give the turn an event tells of.

        None for an empty one, for one that was final before, and for one whose words are all known.
        """
        if not event.transcript.strip():
            return None
        heard = [self._heard(word, first=not place) for place, word in enumerate(event.words)]
        finals = self._finals.get(event.turn_order, ())
        if is_repeated(heard, event.transcript, finals):
            self.repeated += event.end_of_turn
            return None
        known = max(words_told(heard, finals), words_known(heard, self._tail))
        turn_id = self._id(event.turn_order, again=bool(finals))
        if event.end_of_turn:
            self.known += known
            self._remember(event, turn_id, heard, known)
        if known and known == len(heard):
            return None
        text = text_from(event.transcript, [word.text for word in heard], known)
        return self._taken(event, turn_id, heard[known:], event.words[known:], text)

    def remember(self, tail: Sequence[Heard]) -> None:
        """Begin after other words than at first thought."""
        self._tail = tuple(tail)

    def _heard(self, word: SaidWord, *, first: bool) -> Heard:
        start_ms = self._clock.start_ms(word.start)
        return Heard(word.text, start_ms, max(start_ms, self._clock.end_ms(word.end)), first)

    def _taken(
        self, event: TurnEvent, turn_id: str, heard: list[Heard], said: list[SaidWord], text: str
    ) -> Taken:
        sent_ms = self._clock.end_ms(self._clock.sent_ms)
        start_ms = heard[0].start_ms if heard else sent_ms
        end_ms = heard[-1].end_ms if heard else sent_ms
        meeting = self._find_meeting(start_ms)
        labels = labels_of(event.speaker_label, event.words, len(event.words) - len(said))
        turn = Turn(
            id=turn_id,
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

    def _id(self, order: int, *, again: bool = False) -> str:
        turn_id = f"{self._session_id}:{order}"
        return f"{turn_id}-{self._again + 1}" if again else turn_id

    def _remember(self, event: TurnEvent, turn_id: str, heard: list[Heard], left_out: int) -> None:
        finals = self._finals.setdefault(event.turn_order, deque(maxlen=SAME_ORDER_MAX))
        self._again += bool(finals)
        begins_ms, ends_ms = (heard[0].start_ms, heard[-1].end_ms) if heard else (0, 0)
        texts = frozenset(map(_plain, event.transcript.split()))
        finals.append(_Final(turn_id, left_out, len(heard), begins_ms, ends_ms, texts))
        if len(self._finals) > FINALS_MAX:
            self._finals.popitem(last=False)

    def relabelled(self, item: SpeakerRevisionItem) -> tuple[str, Labels] | None:
        """Give the id of a turn and the service's new labels; None for one that was not final here."""
        finals = self._finals.get(item.turn_order)
        if not finals:
            return None
        like = [final for final in finals if final.count == len(item.words)] or finals
        return like[-1].id, labels_of(item.speaker_label, item.words, like[-1].left_out)


def is_repeated(heard: Sequence[Heard], text: str, finals: Sequence[_Final]) -> bool:
    """Return whether a turn was final before, under the same number.

    A second final for a turn lies where the first one did, however it is written; a turn that only has the
    number of another lies elsewhere. Without times, one word in common makes it the same.
    """
    if heard and any(final.count for final in finals):
        return words_told(heard, finals) == len(heard)
    texts = frozenset(map(_plain, text.split()))
    return any(final.texts & texts for final in finals)


def words_told(heard: Sequence[Heard], finals: Sequence[_Final]) -> int:
    """Return how many of a turn's first words lie in finals that had its number."""
    told = 0
    while told < len(heard) and any(_lies_in(heard[told], final) for final in finals):
        told += 1
    return told


def _lies_in(word: Heard, final: _Final) -> bool:
    begins, ends = final.begins_ms - SAME_MS <= word.start_ms, word.end_ms <= final.ends_ms + SAME_MS
    return final.count > 0 and begins and ends


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))


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
