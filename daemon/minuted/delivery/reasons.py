"""An exception as one line that may be shown: no option's value, no turn's words. Pure."""

import json
import re
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

CHARACTERS_MAX: Final = 300
HIDDEN_CHARACTERS_MIN: Final = 4
"""Shorter values are no secrets, and occur in any text."""
TOKEN_CHARACTERS_MIN: Final = 8
"""A shorter piece of an address's path is a word."""


def one_line(
    error: BaseException, path: Path | None = None, hidden: Mapping[str, str] | None = None, words: str = ""
) -> str:
    """Give an exception as its class and message, and the line of `path` it came from.

    Each key of `hidden` is replaced by its value, and what is quoted of `words` by an ellipsis.
    """
    text = str(error).encode(errors="replace").decode()  # half a character can be stored and sent by nobody
    for secret, name in sorted((hidden or {}).items(), key=lambda pair: -len(pair[0])):
        text = text.replace(secret, f"<{name}>")
    text = " ".join(f"{type(error).__name__}: {_without(text, words)}".removesuffix(": ").split())
    if len(text) > CHARACTERS_MAX:
        text = f"{text[: CHARACTERS_MAX - 1]}…"
    return f"{text}{place_in(error, path)}" if path else text


def place_in(error: BaseException, path: Path) -> str:
    """Return the line of `path` that an exception came from, as ` (sink.py:3)`; "" for another file's."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    return f" ({path.name}:{lines[-1]})" if lines else ""


def secrets_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Give every text among an object's attributes, and the telling parts of addresses, with its name."""
    return {
        form: name.lstrip("_")
        for name, value in values.items()
        for text in _texts(value)
        for form in _forms(text)
        if len(form) >= HIDDEN_CHARACTERS_MIN
    }


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode(errors="replace")
    elif isinstance(value, Path):
        yield str(value)
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _texts(member)
    elif isinstance(value, list | tuple | set | frozenset):
        for member in value:
            yield from _texts(member)


def _forms(text: str) -> Iterator[str]:
    """Give the shapes in which a text turns up in errors: as it is, quoted, or in pieces of an address."""
    yield text
    yield quote(text, safe="", errors="replace")
    yield quote(text, errors="replace")
    yield repr(text)[1:-1]
    try:
        parts = urlsplit(text)
    except ValueError:
        return
    if parts.scheme and parts.netloc:
        yield from (parts.path, parts.query, parts.username or "", parts.password or "")
        yield from (piece for piece in parts.path.split("/") if len(piece) >= TOKEN_CHARACTERS_MIN)


def _without(text: str, words: str) -> str:
    """Put an ellipsis where `text` quotes `words`: all of them, or three and more in a row."""
    spoken = words.split()
    quotes = [" ".join(spoken[index : index + 3]) for index in range(len(spoken) - 2)]
    if len(words) >= HIDDEN_CHARACTERS_MIN:
        quotes += [words, json.dumps(words)[1:-1], repr(words)[1:-1]]
    is_quoted = bytearray(len(text))
    for quote_ in quotes:
        for match in re.finditer(re.escape(quote_), text):
            is_quoted[match.start() : match.end()] = b"\1" * len(quote_)
    kept = "".join("…" if quoted else letter for letter, quoted in zip(text, is_quoted, strict=True))
    return re.sub("……+", "…", kept)
