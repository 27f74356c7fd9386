"""Where timed words stand in a text that may be written otherwise, and when each part of it is said. Pure."""

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple, Protocol

SKIPPED_WORDS_MAX: Final = 12
"""Words in a row that may not be in the text, before the search goes on word by word."""
PROBE_LETTERS: Final = 6
"""Letters that must agree where text and words meet again: fewer are found anywhere."""
LOOK_AHEAD_LETTERS: Final = 120
"""How far ahead in the text they may meet again."""
BEHIND_LETTERS_MAX: Final = 300
"""How far the search may fall behind the words."""

WORD_LETTERS_MAX: Final = 30
"""Beyond so many letters without a blank words are not parted by blanks."""

Span = tuple[int, int]
"""From which to which letter of a text, the last one excluded."""


class Timed(Protocol):
    """A word and when it was said."""

    @property
    def text(self) -> str: ...
    @property
    def start_ms(self) -> int: ...
    @property
    def end_ms(self) -> int: ...


class Stretch(NamedTuple):
    """A part of a text whose letters share a time evenly."""

    begin: int
    end: int
    start_ms: int
    end_ms: int

    def at_ms(self, letter: int) -> int:
        """Return when it has come to a letter."""
        length_ms = self.end_ms - self.start_ms
        return self.start_ms + length_ms * (letter - self.begin) // (self.end - self.begin)


class Unplaced(NamedTuple):
    """A timed word that is not in the text, or is written otherwise there."""

    letters: int
    start_ms: int
    end_ms: int


def spans_of(text: str, words: Sequence[str]) -> list[Span | None]:
    """Return where in a text each word stands, in order; None where it is not written so.

    Case, punctuation and blanks do not count.
    """
    return _exact_spans(text, words) or _similar_spans(text, words)


def text_from(text: str, words: Sequence[str], first: int) -> str:
    """Return the part of a text that begins with a word, by its number among the words.

    Where that word is written otherwise, the text is parted by how many letters were said before it, and
    what is told of in one sign with words before it, as numbers are, is in the part.
    """
    if first <= 0:
        return text.strip()
    spans = spans_of(text, words)
    found = [number for number, span in enumerate(spans) if span]
    earlier = max((number for number in found if number < first), default=-1)
    later = min((number for number in found if number >= first), default=len(words))
    before = _end(spans, earlier)
    if later == first and first < len(words):
        return text[_opening(text, before, _begin(spans, first, text)) :].strip()
    until = _begin(spans, later, text)
    said, every = (sum(map(_weight, words[earlier + 1 : end])) for end in (first, later))
    place = before + (until - before) * said // max(1, every)
    return text[_beginning(text, _start_of_word(text, place, before)) :].strip()


def stretches_of(text: str, words: Sequence[Timed], start_ms: int, end_ms: int) -> list[Stretch]:
    """Return when each part of a text is said, in order of both, from its timed words.

    A word has its own time; what is written otherwise shares the time of the words in its place, or the
    time between the words beside it.
    """
    found: list[Stretch] = []
    left: list[Unplaced] = []
    begin, until_ms = 0, start_ms
    spans = spans_of(text, [word.text for word in words])
    for word, span in zip(words, spans, strict=True):
        first_ms = min(max(word.start_ms, until_ms), end_ms)
        last_ms = min(max(word.end_ms, first_ms), end_ms)
        if span is None:
            left.append(Unplaced(_weight(word.text), first_ms, last_ms))
        else:
            found += _between(text, (begin, span[0]), left, (until_ms if found else first_ms, first_ms))
            found.append(Stretch(*span, first_ms, last_ms))
            begin, left = span[1], []
        until_ms = last_ms
    last_ms = until_ms if words else end_ms
    found += _between(text, (begin, len(text)), left, (until_ms, last_ms))
    # Signs alone are shown as long as the turn is.
    return found or [Stretch(0, max(1, len(text)), start_ms, end_ms)]


def times_of(spans: Sequence[Span], stretches: Sequence[Stretch], start_ms: int) -> list[Span]:
    """Return the start and end of parts of a text; one without a letter comes right after what is before."""
    begins = [stretch.begin for stretch in stretches]
    ends = [stretch.end for stretch in stretches]
    times: list[Span] = []
    for begin, end in spans:
        first = bisect_right(ends, begin)
        last = bisect_right(begins, end - 1) - 1
        before_ms = times[-1][1] if times else start_ms
        if first > last:
            beside = stretches[first].start_ms if first < len(stretches) and not times else before_ms
            times.append((max(before_ms, beside), max(before_ms, beside)))
            continue
        from_ms = stretches[first].at_ms(max(begin, stretches[first].begin))
        to_ms = stretches[last].at_ms(min(end, stretches[last].end))
        from_ms = max(from_ms, times[-1][0] if times else start_ms)
        times.append((from_ms, max(from_ms, to_ms)))
    return times


def _between(text: str, span: Span, words: Sequence[Unplaced], beside: Span) -> list[Stretch]:
    """Return the stretches of a text between two words of it that were found."""
    letters = [place for place in range(*span) if _is_letter(text[place])]
    if not letters:
        return []
    begin, end = letters[0], letters[-1] + 1
    if not words:
        return [Stretch(begin, end, *beside)]
    weights = [0, *accumulate(word.letters for word in words)]
    places = [begin + (end - begin) * weight // weights[-1] for weight in weights]
    parts = zip(places, places[1:], words, strict=False)
    return [Stretch(from_, to, word.start_ms, word.end_ms) for from_, to, word in parts if to > from_]


def _exact_spans(text: str, words: Sequence[str]) -> list[Span | None] | None:
    """Return where the words stand in a text that is just these; None for any other."""
    spans: list[Span | None] = []
    at = 0
    for word in words:
        while at < len(text) and text[at].isspace():
            at += 1
        if not word or not text.startswith(word, at):
            return None
        spans.append((at, at + len(word)))
        at += len(word)
    return spans if not text[at:].strip() else None


def _similar_spans(text: str, words: Sequence[str]) -> list[Span | None]:
    keys = [_key(word) for word in words]
    letters, places = _letters_of(text)
    spans: list[Span | None] = [None] * len(words)
    at = number = behind = 0
    while number < len(keys):
        key = keys[number]
        if key and not letters.startswith(key, at):
            met = _met_again(letters, at, keys, number, behind)
            if met is None:
                number, behind = number + 1, behind + len(key)
                at, behind = at + max(0, behind - BEHIND_LETTERS_MAX), min(behind, BEHIND_LETTERS_MAX)
                continue
            number, at = met
            key = keys[number]
        if key:
            end = places[at + len(key) - 1] + 1
            while end < len(text) and _is_mark(text[end]):
                end += 1
            spans[number] = places[at], end
        at, number, behind = at + len(key), number + 1, 0
    return spans


def _met_again(
    letters: str, at: int, keys: Sequence[str], number: int, behind: int
) -> tuple[int, int] | None:
    """Return the next word that is in the text, and where; the nearest, in words and letters together."""
    best: tuple[int, int, int] | None = None
    until = at + behind + LOOK_AHEAD_LETTERS
    for first in range(number, min(number + SKIPPED_WORDS_MAX, len(keys))):
        if not keys[first] or (best and (first - number) * PROBE_LETTERS >= best[0]):
            continue
        place = letters.find(_probe(keys, first), at, until)
        if place >= 0:
            cost = (first - number) * PROBE_LETTERS + place - at
            best = min(best or (cost, first, place), (cost, first, place))
    return best and best[1:]


def _probe(keys: Sequence[str], first: int) -> str:
    probe = ""
    for key in keys[first : first + PROBE_LETTERS]:
        probe += key
        if len(probe) >= PROBE_LETTERS:
            break
    return probe


def _letters_of(text: str) -> tuple[str, list[int]]:
    """Return a text's letters without case, and where in it each of them stands."""
    letters, places = [], []
    for place, letter in enumerate(text):
        if _is_letter(letter):
            folded = letter.casefold()
            letters.append(folded)
            places += [place] * len(folded)
    return "".join(letters), places


def _key(word: str) -> str:
    return "".join(letter.casefold() for letter in word if _is_letter(letter))


def _weight(word: str) -> int:
    return max(1, len(_key(word)))


def _is_letter(letter: str) -> bool:
    return letter.isalnum() or (letter > "\u2190" and unicodedata.category(letter) == "So")


def _opening(text: str, before: int, begin: int) -> int:
    """Return where a word begins with the signs that belong to it, a bracket or a currency."""
    while begin > before and _opens(text, begin - 1):
        begin -= 1
    return begin


def _beginning(text: str, place: int) -> int:
    """Return where the next word begins."""
    while place < len(text) and not (_is_letter(text[place]) or _opens(text, place)):
        place += 1
    return place


def _opens(text: str, place: int) -> bool:
    if unicodedata.category(text[place]) in ("Ps", "Pi", "Sc") or text[place] in "¿¡#@":
        return True
    is_apart = (place == 0 or text[place - 1].isspace()) and not text[place + 1 : place + 2].isspace()
    return is_apart and text[place] in "\"'+-−"  # noqa: RUF001  # the minus of mathematics


def _start_of_word(text: str, place: int, before: int) -> int:
    """Return where the word begins that stands at a place, or its letter where no blank is near."""
    for at in range(place, max(before, place - WORD_LETTERS_MAX), -1):
        if text[at - 1].isspace():
            return at
    while place < len(text) and _is_mark(text[place]):
        place += 1
    return place


def _begin(spans: Sequence[Span | None], number: int, text: str) -> int:
    span = spans[number] if number < len(spans) else None
    return span[0] if span else len(text)


def _end(spans: Sequence[Span | None], number: int) -> int:
    span = spans[number] if number >= 0 else None
    return span[1] if span else 0


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter)[0] == "M"
