"""When a turn begins, shows and ends (reference 4.5, 4.6 and 7): steps of sound in, turns out.

Everything here runs on the clock of the sound received; how long the service takes is not its matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from .ear import Heard, Step

START_PAD_MS_MAX: Final = 990
END_PAD_MS: Final = (240, 1300)
_SURE: Final = 0.9
_UNSURE: Final = 0.1


@dataclass(slots=True, kw_only=True)
class Rules:
    """What decides about turns; an UpdateConfiguration may change it at any time."""

    min_silence_ms: int = 100
    max_silence_ms: int = 1000
    turn_ms_max: int = 60_000
    partials: bool = True
    first_partial_ms: int = 756
    next_partial_ms: int = 1000
    confidence_threshold: float = 0.4
    edge_padding: bool = False
    second_formatted_final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A turn as one message shows it."""

    order: int
    words: tuple[Heard, ...]
    final: bool
    text: str
    unfinal_words: int = 0
    """How many of the last words may still change."""
    utterance: str = ""
    confidence: float = 0.0
    formatted: bool = True


@dataclass(slots=True)
class Turns:
    """The U3 family: each message has the whole turn so far, and exactly one is final."""

    rules: Rules
    order: int = 0
    words: list[Heard] = field(default_factory=list)
    quiet_ms: int = 0
    now_ms: int = 0
    _segment_ms: int = 0
    """Where the sound of this turn begins: behind the one before."""
    _shown_in_pause: bool = False
    _next_partial_ms: int = 0

    @property
    def is_open(self) -> bool:
        return bool(self.words)

    def hear(self, step: Step) -> list[Turn]:
        self.now_ms = step.end_ms
        self.quiet_ms = 0 if step.loud else self.quiet_ms + step.end_ms - step.start_ms
        if step.loud:
            self._shown_in_pause = False
        cut = []
        for word in step.words:
            if self.words and word.end_ms - self.words[0].start_ms > self.rules.turn_ms_max:
                cut += self._end(paused=False)
            self._take(word)
        return cut + (self._hear_on(step) if self.is_open else [])

    def force(self) -> list[Turn]:
        """End the open turn, if there is one."""
        return self._end(paused=False) if self.is_open else []

    def _take(self, word: Heard) -> None:
        if not self.words:
            self._next_partial_ms = word.start_ms + self.rules.first_partial_ms
        self.words.append(word)

    def _hear_on(self, step: Step) -> list[Turn]:
        rules = self.rules
        if self.quiet_ms >= rules.max_silence_ms:
            return self._end(paused=True)
        if self.quiet_ms >= rules.min_silence_ms and not self._shown_in_pause:
            self._shown_in_pause = True
            return self._end(paused=True) if _is_finished(self.words) else self._partial()
        if step.loud and step.end_ms >= self._next_partial_ms:
            return self._partial()
        return []

    def _partial(self) -> list[Turn]:
        self._next_partial_ms = self.now_ms + self.rules.next_partial_ms
        if not self.rules.partials:
            return []
        last = self.words[-1]
        # An em dash says that the sentence is not finished.
        dashed = replace(last, text=last.text.rstrip(".?!") + "—")
        words = self._padded((*self.words[:-1], dashed), paused=False)
        return [Turn(order=self.order, words=words, final=False, unfinal_words=len(words), text=_text(words))]

    def _end(self, *, paused: bool) -> list[Turn]:
        words = self._padded(tuple(self.words), paused=paused)
        text = _text(words)
        turn = Turn(order=self.order, words=words, final=True, text=text, utterance=text, confidence=1.0)
        self.order += 1
        self.words = []
        self._segment_ms = self.now_ms
        return [turn]

    def _padded(self, words: tuple[Heard, ...], *, paused: bool) -> tuple[Heard, ...]:
        """Widen a turn into the silence around it, as the real service does."""
        if not self.rules.edge_padding:
            return words
        start_ms = max(words[0].start_ms - START_PAD_MS_MAX, min(self._segment_ms, words[0].start_ms), 0)
        words = (replace(words[0], start_ms=start_ms), *words[1:])
        end_ms = words[-1].end_ms
        if paused:
            end_ms = min(max(end_ms + END_PAD_MS[0], self.now_ms), end_ms + END_PAD_MS[1])
        return (*words[:-1], replace(words[-1], end_ms=end_ms))


@dataclass(slots=True)
class WordByWord(Turns):
    """Universal-Streaming: a word is final as soon as the next is heard, and never changes."""

    _uttered: int = 0
    """How many words earlier utterances of this turn had."""

    def hear(self, step: Step) -> list[Turn]:
        self.now_ms = step.end_ms
        self.quiet_ms = 0 if step.loud else self.quiet_ms + step.end_ms - step.start_ms
        if step.loud:
            self._shown_in_pause = False
        shown = []
        for word in step.words:
            if self.words and word.end_ms - self.words[0].start_ms > self.rules.turn_ms_max:
                shown += self._end(paused=False)
            self.words.append(word)
            shown += self._show(unfinal_words=1)
        if self.is_open and not self._shown_in_pause and self.quiet_ms >= self.rules.min_silence_ms:
            self._shown_in_pause = True
            if self._confidence() > self.rules.confidence_threshold:
                return shown + self._end(paused=True)
            shown += self._show(unfinal_words=0)
        if self.is_open and self.quiet_ms >= self.rules.max_silence_ms:
            shown += self._end(paused=True)
        return shown

    def _confidence(self) -> float:
        return _SURE if _is_finished(self.words) else _UNSURE

    def _show(self, unfinal_words: int) -> list[Turn]:
        utterance = ""
        words = list(self.words)
        if unfinal_words:
            # As in the vendor's sample, where a word has no length until it is final.
            words[-1] = replace(words[-1], end_ms=words[-1].start_ms)
        else:
            utterance = _text(words[self._uttered :])
            self._uttered = len(words)
        if not self.rules.partials:
            return []
        turn = Turn(
            order=self.order,
            words=tuple(words),
            final=False,
            unfinal_words=unfinal_words,
            text=_text(words[: len(words) - unfinal_words]),
            utterance=utterance,
            confidence=_UNSURE,
        )
        return [turn]

    def _end(self, *, paused: bool) -> list[Turn]:
        confidence = self._confidence()
        turn = replace(Turns._end(self, paused=paused)[0], confidence=confidence)
        self._uttered = 0
        if not self.rules.second_formatted_final:
            return [turn]
        plain = tuple(replace(word, text=word.text.rstrip(".?!")) for word in turn.words)
        return [replace(turn, words=plain, text=_text(plain), utterance=_text(plain), formatted=False), turn]


def _text(words: Sequence[Heard]) -> str:
    return " ".join(word.text for word in words)


def _is_finished(words: list[Heard]) -> bool:
    return words[-1].text.endswith((".", "?", "!"))


@dataclass(slots=True)
class Silences:
    """Confirms about once a second the sound in which nothing is said (reference 4.10)."""

    every_ms: int = 1024
    overlap_ms: int = 0
    in_open_turn: bool = False
    _from_ms: int | None = 0

    def hear(self, step: Step, *, turn_is_open: bool, said: bool) -> tuple[int, int] | None:
        """Take a step; give the stretch to confirm, if it is time."""
        if said or step.loud or (turn_is_open and not self.in_open_turn):
            self._from_ms = None
            return None
        if self._from_ms is None:
            self._from_ms = step.start_ms
        if step.end_ms - self._from_ms < self.every_ms:
            return None
        stretch = (max(0, self._from_ms - self.overlap_ms), step.end_ms)
        self._from_ms = step.end_ms
        return stretch
