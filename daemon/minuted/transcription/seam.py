"""Knowing again, at the beginning of a session, the words that are committed already. Pure.

A session begins at its mark, which lies in the earliest pause where the last committed turn may have
ended (`pauses.py`). So it may hear the end of that turn a second time. Within a turn the service's
times are exact; only a turn's first word may be put up to 1 s too early, and its last may end up to
1.3 s too late, but not in the next speech. Where the committed words end is known from the sound, so
a word that ends before is known by its time, and only the last needs its text as well.
"""

from collections.abc import Sequence
from typing import Final

from minuted.transcription.marks import Heard
from minuted.transcription.pauses import END_LATE_MS_MAX

EARLY_MS_MAX: Final = 1000
"""How much too early the service puts a turn's first word at the most."""
SAME_MS: Final = 100
"""Two exact times of one word lie no further apart."""


def may_come_again(committed: Sequence[Heard], mark_ms: int) -> tuple[Heard, ...]:
    """Give the last committed words whose sound may lie behind the mark.

    The last word of a turn ends where the sound says so (`pauses.sound_end_ms`).
    """
    kept = len(committed)
    while kept and _may_lie_behind(committed[kept - 1], mark_ms):
        kept -= 1
    return tuple(committed[kept:])


def words_known(heard: Sequence[Heard], tail: Sequence[Heard]) -> int:
    """Say how many of a turn's first words are in `tail`, the committed words that may come again."""
    if not tail:
        return 0
    last = tail[-1]
    known = 0
    while known < len(heard) and heard[known].end_ms <= last.end_ms:
        known += 1
    if known == len(heard):
        return known
    word = heard[known]
    # Only the end of a turn's last word is put late: then it may still be the tail's last.
    late_ms = END_LATE_MS_MAX if known == len(heard) - 1 else SAME_MS
    may_be = word.start_ms < last.end_ms and word.end_ms <= last.end_ms + late_ms
    return known + (may_be and _same(word, last))


def _may_lie_behind(word: Heard, mark_ms: int) -> bool:
    return word.end_ms > mark_ms and word.start_ms >= mark_ms - (EARLY_MS_MAX if word.first else 0)


def _same(word: Heard, known: Heard) -> bool:
    if word.first or known.first:
        return _plain(word.text) == _plain(known.text)
    apart_ms = abs(word.start_ms - known.start_ms)
    return apart_ms <= SAME_MS or (apart_ms <= 3 * SAME_MS and _plain(word.text) == _plain(known.text))


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))
