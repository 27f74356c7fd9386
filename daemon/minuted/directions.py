"""Which way a text is written, and the marks that make a line show so wherever it stands. Pure.

Sources: UAX 9 (bidirectional text); W3C, "How to use Unicode controls for bidi text".
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

LEFT_MARK: Final = "\u200e"
RIGHT_MARK: Final = "\u200f"
_LEFT_ISOLATE: Final = "\u2066"
_RIGHT_ISOLATE: Final = "\u2067"
_END_OF_ISOLATE: Final = "\u2069"
_RIGHT_EMBEDDING: Final = "\u202b"
_END_OF_EMBEDDING: Final = "\u202c"
_CONTROLS: Final = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
_RIGHT_TO_LEFT: Final = re.compile(
    # Hebrew to Arabic Extended-A, their presentation forms, and the ancient and African scripts beyond.
    r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_RIGHT: Final = ("R", "AL")
_QUOTED: Final = re.compile(
    r"""(?<!\w)[“"«„][^“”"«»„\u0590-\u08ff]*[A-Za-z][^“”"«»„\u0590-\u08ff]*[”"»](?!\w)"""
)
"""A quotation in Latin letters: quotes are no brackets, and each stands where its own side is written."""
LANGUAGES: Final = frozenset(("ar", "ckb", "dv", "fa", "he", "iw", "ks", "ps", "sd", "syr", "ug", "ur", "yi"))
"""Those written from right to left, where they are written in such letters."""


def without_controls(text: str) -> str:
    """Return a text without what would turn round the text beside it."""
    return _CONTROLS.sub("", text)


def may_turn(text: str) -> bool:
    """Return whether a text has letters that are written from right to left."""
    return not text.isascii() and _RIGHT_TO_LEFT.search(text) is not None


def is_right_to_left(text: str, language: str | None = None) -> bool:
    """Return whether a text is written from right to left: by its language, else as most of its letters are.

    Not the first letter decides: sentences begin with names that are written the other way.
    """
    if not may_turn(text):
        return False
    if language and re.split("[-_]", language.lower())[0] in LANGUAGES:
        return True
    classes = [unicodedata.bidirectional(letter) for letter in text]
    return sum(each in _RIGHT for each in classes) >= classes.count("L")


def isolated(text: str, language: str | None = None) -> str:
    """Return a text that shows as it is written and turns nothing round in the line it stands in."""
    if not may_turn(text):
        return text
    if not is_right_to_left(text, language):
        return f"{_LEFT_ISOLATE}{text}{_END_OF_ISOLATE}"
    return f"{_RIGHT_ISOLATE}{_with_quotations(text)}{_END_OF_ISOLATE}"


def marked(line: str, *, right_to_left: bool) -> str:
    """Return a line for readers that give it the direction of its first letter, as browsers do."""
    first = _first_strong(line)
    if not first or (first in _RIGHT) == right_to_left:
        return line
    return f"{RIGHT_MARK if right_to_left else LEFT_MARK}{line}"


def embedded(line: str, *, right_to_left: bool) -> str:
    """Return a line for readers that give it the direction of its first letter, or left to right always."""
    if not right_to_left:
        return marked(line, right_to_left=False)
    return f"{_RIGHT_EMBEDDING}{_with_quotations(line)}{_END_OF_EMBEDDING}"


def _with_quotations(text: str) -> str:
    """Return a text from right to left whose quotations in Latin letters keep both of their quotes."""
    return _QUOTED.sub(rf"{_LEFT_ISOLATE}\g<0>{_END_OF_ISOLATE}", text)


def label_end(label: str, *, right_to_left: bool) -> str:
    """Return the mark that parts a label in letters of the other direction from the text after it."""
    strong = set(_strong(label))
    is_other = "L" in strong if right_to_left else bool(strong & {"R", "AL"})
    return (RIGHT_MARK if right_to_left else LEFT_MARK) if is_other else ""


def _strong(text: str) -> Iterable[str]:
    return (each for each in map(unicodedata.bidirectional, text) if each in ("L", "R", "AL"))


def _first_strong(text: str) -> str:
    return next(iter(_strong(text)), "")
