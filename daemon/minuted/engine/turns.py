"""From the recogniser's lines to turns. Pure: audio time comes in as an argument, in milliseconds.

A line is what the detector found between two pauses. A turn is one line or several: it ends when the
pause after it has lasted for the silence that applies, and a line that begins before then goes on
with the turn. After a finished sentence (. ? !) that is min_turn_silence, else max_turn_silence.
The detector itself ends a line only after about 0.35 s of quiet, so a shorter silence has no effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

TURN_MS_MAX: Final = 60_000
"""A turn that has become so long ends with its line, whatever the pause."""
SILENCE_STEP_MS: Final = 1_000
SEAM_WORDS_MAX: Final = 4
"""How many words two lines may both have of the half second they share where the detector cut speech."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What the recogniser makes of one stretch of speech so far, on the session's clock.

    `after_cut` says that the detector cut the line before in the middle of speech: this one begins
    with about half a second of the same sound.
    """

    number: int
    text: str
    start_ms: int
    end_ms: int
    is_complete: bool
    after_cut: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class TurnState:
    """A whole turn as it now stands. There is exactly one final state for a turn that was ever shown."""

    order: int
    words: tuple[Word, ...]
    start_ms: int
    is_final: bool
    is_first: bool


class Turns:
    """Makes one session's turns of its lines."""

    def __init__(self, min_silence_ms: int, max_silence_ms: int) -> None:
        self.set_silences(min_silence_ms, max_silence_ms)
        self._order = 0
        self._words: list[Word] = []
        self._end_ms = 0
        self._open: Line | None = None
        self._start_ms: int | None = None
        self._shown: tuple[str, ...] = ()
        self._quiet_from_ms = 0

    def set_silences(self, min_silence_ms: int, max_silence_ms: int) -> None:
        self._min_silence_ms = min_silence_ms
        self._max_silence_ms = max_silence_ms

    @property
    def is_open(self) -> bool:
        """Whether a turn has begun that has no final yet."""
        return bool(self._words) or self._open is not None or self._start_ms is not None

    def hear(self, lines: Sequence[Line], heard_ms: int) -> list[TurnState]:
        """Take the lines that changed, in order, and how far the audio has been heard."""
        states: list[TurnState] = []
        for line in lines:
            is_new = self._open is None or self._open.number != line.number
            if is_new and self._words and self._is_over(line.start_ms):
                states.append(self._end())
            self._take(line)
        if self._open is None and self.is_open and self._is_over(heard_ms):
            return [*states, self._end()]
        return states + self._show()

    def end(self) -> list[TurnState]:
        """End the open turn now, if there is one; its lines must be complete."""
        return [self._end()] if self.is_open else []

    def silence(self, safe_ms: int) -> tuple[int, int] | None:
        """Give a stretch without words to acknowledge, about one a second, or None.

        `safe_ms` is how far the audio can hold no more words. Never while a turn is open, because
        whoever is told may delete the audio.
        """
        if self.is_open or safe_ms - self._quiet_from_ms < SILENCE_STEP_MS:
            return None
        stretch = self._quiet_from_ms, safe_ms
        self._quiet_from_ms = safe_ms
        return stretch

    def _is_over(self, now_ms: int) -> bool:
        finished = not self._words or self._words[-1].text.endswith((".", "?", "!"))
        silence_ms = self._min_silence_ms if finished else self._max_silence_ms
        start_ms = self._words[0].start_ms if self._words else now_ms
        return now_ms - self._end_ms >= silence_ms or self._end_ms - start_ms >= TURN_MS_MAX

    def _take(self, line: Line) -> None:
        self._open = None if line.is_complete else line
        # A noise without words does not make the pause before it any shorter.
        if line.is_complete and (words := self._new_words(line)):
            self._words += words
            self._end_ms = line.end_ms

    def _new_words(self, line: Line) -> list[Word]:
        texts = line.text.split() if any(character.isalnum() for character in line.text) else []
        start_ms = max(line.start_ms, self._words[-1].end_ms if self._words else 0)
        if line.after_cut:
            texts = texts[repeated(tuple(word.text for word in self._words), texts) :]
        return spread(texts, start_ms, max(start_ms, line.end_ms))

    def _show(self) -> list[TurnState]:
        words = tuple(self._words + (self._new_words(self._open) if self._open else []))
        texts = tuple(word.text for word in words)
        if texts == self._shown:
            return []
        self._shown = texts
        is_first = self._start_ms is None
        if is_first:
            self._start_ms = words[0].start_ms
        return [TurnState(self._order, words, self._start_ms or 0, is_final=False, is_first=is_first)]

    def _end(self) -> TurnState:
        words = tuple(self._words)
        is_first = self._start_ms is None
        start_ms = words[0].start_ms if self._start_ms is None else self._start_ms
        state = TurnState(self._order, words, start_ms, is_final=True, is_first=is_first)
        self._order += 1
        self._quiet_from_ms = max(self._quiet_from_ms, words[-1].end_ms if words else 0)
        self._words, self._shown, self._start_ms, self._open = [], (), None, None
        return state


def spread(texts: Sequence[str], start_ms: int, end_ms: int) -> list[Word]:
    """Spread words over a span in proportion to their length in characters.

    The model gives no word times: these are right for the span as a whole and a guess within it.
    """
    total = sum(len(text) for text in texts)
    ends = [start_ms + (end_ms - start_ms) * done // total for done in accumulate(map(len, texts))]
    spans = pairwise([start_ms, *ends])
    return [Word(text, begin, end) for text, (begin, end) in zip(texts, spans, strict=True)]


def repeated(before: Sequence[str], after: Sequence[str]) -> int:
    """Count the words that `after` begins with and `before` ends with, whatever their case and marks."""
    left, right = ([_plain(text) for text in texts] for texts in (before, after))
    for count in range(min(SEAM_WORDS_MAX, len(left), len(right)), 0, -1):
        if left[-count:] == right[:count]:
            return count
    return 0


def _plain(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
