"""Knowing again, at the beginning of a session, the words that are committed already. Pure.

A session begins at its mark, which lies in the earliest pause where the last committed turn may have
ended (`pauses.py`). So it may hear the end of that turn a second time. Such a word is known by its
text, or by its start: within a turn the service's times are exact, only a turn's first word may be
put up to 1 s too early and its last may end up to 1.3 s too late.
"""

from collections.abc import Sequence
from typing import Final

from minuted.transcription.marks import Heard

EARLY_MS_MAX: Final = 1000
"""How much too early the service puts a turn's first word at the most."""
TOLERANCE_MS: Final = 300
"""How much later than its reported end a word's repetition may be put."""
SAME_START_MS: Final = 100
"""Two words that start so close to each other are one."""


def may_come_again(committed: Sequence[Heard], mark_ms: int) -> tuple[Heard, ...]:
    """Give the last committed words whose sound may lie behind the mark."""
    kept = len(committed)
    while kept and committed[kept - 1].start_ms >= mark_ms - (
        EARLY_MS_MAX if committed[kept - 1].first else 0
    ):
        kept -= 1
    return tuple(committed[kept:])


def words_known(heard: Sequence[Heard], tail: Sequence[Heard]) -> int:
    """Say how many of a turn's first words are in `tail`, the committed words that may come again.

    A word that ends before the last of them starts has been heard for certain. After that it is the
    longest run that ends the tail and begins what is heard, as far as it begins before the tail ends.
    """
    if not tail:
        return 0
    certain = 0
    while certain < len(heard) and heard[certain].end_ms <= tail[-1].start_ms:
        certain += 1
    until_ms = tail[-1].end_ms + TOLERANCE_MS
    for last in range(min(len(heard), certain + len(tail)), certain, -1):
        again = list(zip(reversed(heard[:last]), reversed(tail), strict=False))[: last - certain]
        if heard[last - 1].start_ms < until_ms and all(_same(word, known) for word, known in again):
            return last
    return certain


def _same(word: Heard, known: Heard) -> bool:
    same_start = not word.first and not known.first and abs(word.start_ms - known.start_ms) <= SAME_START_MS
    return same_start or _plain(word.text) == _plain(known.text)


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))
