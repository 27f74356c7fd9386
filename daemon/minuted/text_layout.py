"""Where a line of text may end and how wide it is, in every script. Pure.

Sources: UAX 14 (line breaks) and UAX 29 (graphemes), by ICU, which has dictionaries for the scripts that
part no words by blanks; UAX 11 (East Asian width), by wcwidth.
"""

import re
from itertools import accumulate
from typing import Final

from icu4py.breakers import CharacterBreaker, LineBreaker
from wcwidth import wcswidth

PHRASES: Final = "ja@lb=strict;lw=phrase"
"""Break Japanese at phrases, Chinese and Thai at words, Korean at blanks, the rest as UAX 14 has it."""
ANYWHERE: Final = "en@lb=strict"
"""Break wherever UAX 14 allows it, between ideographs too, but before no small kana."""
_BLANKS: Final = re.compile(r"[\t-\r\x1c-\x20\x85\u2028\u2029]+")
"""Blanks that part words: no-break blanks do not, and the ideographic one is a sign of its own."""
_ENDS_LINE: Final = " \u3000\u200b"
"""Signs after which a line may end in any script."""
_STRETCH: Final = re.compile(
    r".{1,1000}\Z|.{1,1000}(?<=\w[ 、。，！？；：])(?=\w)|.{1,1000}(?<=\w)(?=\w)|.{1,1000}",  # noqa: RUF001
    re.DOTALL,
)
"""A text in parts, best ended between words: ICU's work on ideographs grows with their square."""
_UNSPACED: Final = re.compile(
    # Thai and Lao, Tibetan, Burmese, Khmer, Tai Le to Khmer symbols, Tai Tham, Myanmar Extended, Tai Viet.
    r"[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf]"
    # Radicals to CJK, Yi, compatibility forms, and the planes of emoji and rare ideographs.
    r"|[\u2600-\u27bf\u2b00-\u2bff\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef]"
    r"|[\U0001f000-\U0003ffff]"
)
"""Signs beside which a word of another piece may stand without a blank."""


_HONORIFIC: Final = re.compile(r"(?<=[おご御])(?=[\u4e00-\u9fff])")
"""Behind it ICU's phrases end, though it belongs to the word that follows."""
_POLITE: Final = re.compile(r"(?<=[\u3041-\u309f\u4e00-\u9fff])(?=いただ|くださ|ござい)")
"""Before a verb that says politely what stands before it no line ends."""


def one_line(text: str) -> str:
    """Return a text with each run of blanks and line ends as one blank, and none at its ends."""
    return _BLANKS.sub(" ", text).strip(_ENDS_LINE)


def width(text: str, ambiguous: int = 1) -> int:
    """Return how many columns a text takes; in Chinese, Japanese and Korean ambiguous signs take two."""
    return len(text) if text.isascii() else max(0, wcswidth(text, ambiguous_width=ambiguous))


def graphemes(text: str) -> list[str]:
    """Cut a text into what people take for one letter."""
    return list(text) if text.isascii() else list(CharacterBreaker(text, ""))


def shortened(text: str, columns: int) -> str:
    """Return as much of a text's beginning as fits, cut between letters."""
    if width(text) <= columns:
        return text
    letters = graphemes(text)
    widths = accumulate(width(letter) for letter in letters)
    return "".join(letter for letter, until in zip(letters, widths, strict=True) if until <= columns).rstrip()


def pieces(text: str, columns: int, ambiguous: int = 1) -> list[str]:
    """Cut a text into the pieces between which a line may end; together they are the text.

    A word stays whole where it fits into `columns`; a longer one is cut where UAX 14 allows it, at the
    worst between letters. A piece keeps the blank after it, which does not count.
    """
    found = []
    for piece in _breaks(text):
        if _fits(piece, columns, ambiguous):
            found.append(piece)
        else:
            found += _narrowed(piece, columns, ambiguous)
    return found


def rows(text: str, columns: int) -> list[str]:
    """Cut a text into rows no wider than `columns`, each as full as may be; together they are the text."""
    found: list[str] = []
    room = -1
    for piece in pieces(text, columns):
        bare = width(piece.rstrip(_ENDS_LINE))
        if bare <= room:
            found[-1] += piece
        else:
            found.append(piece)
            room = columns
        room -= width(piece)
    return found


def _fits(piece: str, columns: int, ambiguous: int) -> bool:
    # No sign is wider than two columns: most pieces need no measuring.
    return 2 * len(piece) <= columns or width(piece.rstrip(_ENDS_LINE), ambiguous) <= columns


def _breaks(text: str) -> tuple[str, ...]:
    # UAX 14 lets a line end before a mark that stands alone; UAX 29 has it in the letter before.
    allowed = None if text.isascii() else set(accumulate(map(len, graphemes(text))))
    found, begin, end = [], 0, 0
    # The library's segments() count UTF-16: its texts are counted here.
    parts = (part for stretch in _STRETCH.findall(text) for part in LineBreaker(stretch, PHRASES))
    for part in parts:
        end += len(part)
        is_place = text[end - 1] in _ENDS_LINE or _is_unspaced(text[end - 1 : end + 1])
        if is_place and _HONORIFIC.match(text, end):
            if end - 1 > begin:
                found.append(text[begin : end - 1])
                begin = end - 1
            continue
        is_place = is_place and _POLITE.match(text, end) is None
        if end == len(text) or (is_place and (allowed is None or end in allowed)):
            found.append(text[begin:end])
            begin = end
    return tuple(found)


def _is_unspaced(beside: str) -> bool:
    """Return whether words meet here without a blank: a hyphen or a slash within a word is no such place."""
    return not beside.isascii() and _UNSPACED.search(beside) is not None


def _narrowed(piece: str, columns: int, ambiguous: int) -> list[str]:
    """Cut a piece that is too wide, into as few as may be."""
    allowed = set(accumulate(map(len, graphemes(piece))))
    parts, begin, end = [], 0, 0
    for part in LineBreaker(piece, ANYWHERE):
        end += len(part)
        if end in allowed:
            parts.append(piece[begin:end])
            begin = end
    found = [""]
    for part in parts:
        for each in [part] if _fits(part, columns, ambiguous) else graphemes(part):
            if found[-1] and not _fits(found[-1] + each, columns, ambiguous):
                found.append("")
            found[-1] += each
    return found
