"""Texts from outside, made safe to be seen: none drives a terminal, breaks a line or hides a letter. Pure.

Sources: ECMA-48 (C0 and C1 controls), UAX 9 (bidirectional controls), UAX 14 (what ends a line).
"""

import codecs
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

REPLACEMENT: Final = "\ufffd"

_CONTROLS: Final = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_INVISIBLE: Final = (
    # Zero width and direction; U+200C and U+200D stay, which Persian, Hindi and emoji are written with.
    r"\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
)
TITLE_CHARACTERS_MAX: Final = 200
_ENDING: Final = re.compile(r"(?<=.)\.(?=\w*[a-z])\w{2,5}$", re.IGNORECASE | re.ASCII)
_SURROGATES: Final = r"\ud800-\udfff"
_UNSAFE: Final = re.compile(f"[{_CONTROLS}{_INVISIBLE}{_SURROGATES}]")
_REPLACED: Final = ((re.compile(f"[{_CONTROLS}]"), " "), (re.compile(f"[{_INVISIBLE}]"), ""))
_TORN: Final = re.compile(f"[{_SURROGATES}]")


def text_of(data: bytes) -> str:
    """Return the text of a file that any editor may have written: UTF-8, with line feeds.

    Raises ValueError with the reason where it is none.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("UTF-16 text: save it as UTF-8")
    if b"\0" in data:
        raise ValueError("there are zero bytes in it: save it as UTF-8 text")
    try:
        text = data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def is_clean(text: str) -> bool:
    """Return whether `clean` would leave this text as it is."""
    return _UNSAFE.search(text) is None


def clean(text: str) -> str:
    """Return a text as one line that shows all there is: controls are blanks, torn letters U+FFFD."""
    if is_clean(text):
        return text
    for unsafe, instead in _REPLACED:
        text = unsafe.sub(instead, text)
    return _TORN.sub(REPLACEMENT, text)


def shortened(text: str, bytes_max: int) -> str:
    """Return the beginning of a text, with an ellipsis, where its UTF-8 is longer than `bytes_max`."""
    data = text.encode(errors="replace")
    if len(data) <= bytes_max:
        return text
    return data[: bytes_max - len("…".encode())].decode(errors="ignore") + "…"


def title_of(file_name: str) -> str:
    """Return what is in a recording by its file's name: without the ending, no longer than a title may be."""
    return clean(_ENDING.sub("", file_name)).strip()[:TITLE_CHARACTERS_MAX]


def json_line(value: Any, *, compact: bool = False, ascii_only: bool = False) -> str:
    """Return a value as one line of valid JSON, with whatever `clean` takes out escaped in it."""
    separators = (",", ":") if compact else None
    try:
        text = json.dumps(value, ensure_ascii=ascii_only, separators=separators, allow_nan=False, default=str)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=ascii_only, separators=separators, default=str)
    # Outside strings JSON has none of these, so that a replacement stands in a string.
    return _UNSAFE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True))


def _finite(value: Any) -> Any:
    """Return a value with None for each number that JSON has no word for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(member) for member in value]
    return value
