"""Styled texts on a terminal: clean, and never taken for markup."""

from typing import IO

from rich.console import Console
from rich.text import Text

from minuted.runtime.texts import clean


def console(file: IO[str] | None = None, *, soft_wrap: bool = False) -> Console:
    """Return a console that takes no text for markup, emoji codes or highlights."""
    return Console(file=file, highlight=False, markup=False, emoji=False, soft_wrap=soft_wrap)


def styled(*parts: str | tuple[str, str], style: str = "") -> Text:
    """Return parts, each a text or a text with its style, as one clean line."""
    pairs = ((part, "") if isinstance(part, str) else part for part in parts)
    return Text.assemble(*((clean(text), own) for text, own in pairs), style=style)
