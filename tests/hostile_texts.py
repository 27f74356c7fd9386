"""Texts that somebody might say, send or configure to drive a terminal, and a look for what is left."""

import unicodedata

MARKER = "HOSTILE"
PIECES = (
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[31m",
    "\x9b31m",
    "\x9d0;title\x9c",
    "\x1bP1$r\x1b\\",
    "\nforged line",
    "\rforged\u2028line\u2029\x85\x0b\x0c",
    "\x08\x08\x7f\x00",
    "\u202ereversed\u2066\u2069\u200b\ufeff\u00ad",
    "[red]markup[/red] :bomb: [link=http://example.org]",
)
HOSTILE = MARKER + "".join(PIECES)
TORN = "\ud83d"
"""Half a letter: what JSON can hold and UTF-8 cannot."""
JOINERS = "\u200c\u200d"


def controls(text, allowed="\n"):
    """Return the characters of a text that a terminal obeys or that nobody sees."""
    return sorted(
        {
            letter
            for letter in text
            if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")
            and letter not in JOINERS
            and letter not in allowed
        }
    )
