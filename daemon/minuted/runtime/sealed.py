"""Texts that show whether a bit of them has changed since they were stored. Pure.

A seal is a CRC-32 in white space behind the text. JSON readers pass over white space, so versions that
know nothing of seals read a sealed text as ever; and what they wrote without a seal is taken as it is.
"""

from typing import Final
from zlib import crc32

_SEAL_CHARACTERS: Final = 32
_SPACES: Final = str.maketrans("01", " \t")
_BITS: Final = str.maketrans(" \t", "01")


class BrokenSealError(ValueError):
    """The text is not what was stored."""


def sealed(text: str, of: str = "") -> str:
    """Return the text with its seal, which covers `of` too: what is stored beside it."""
    return text + f"{_sum(text, of):0{_SEAL_CHARACTERS}b}".translate(_SPACES)


def opened(text: str, of: str = "") -> str:
    """Return a text without its seal; one that has none as it is. Raises BrokenSealError."""
    bare, seal = text[:-_SEAL_CHARACTERS], text[-_SEAL_CHARACTERS:]
    if not is_sealed(text):
        if seal[-1:] in ("\t", " "):
            raise BrokenSealError("a piece of a seal")
        return text
    if int(seal.translate(_BITS), 2) != _sum(bare, of):
        raise BrokenSealError("the text has changed since it was stored")
    return bare


def is_sealed(text: str) -> bool:
    """Whether a text ends in a seal, be it its own or not."""
    seal = text[-_SEAL_CHARACTERS:]
    return len(seal) == _SEAL_CHARACTERS and not seal.strip(" \t")


def _sum(text: str, of: str) -> int:
    return crc32(f"{of}\n{text}".encode(errors="surrogatepass"))
