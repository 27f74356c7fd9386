"""A record as the turn journal stores it: fit to be read back, and held to its checksum when it is. Pure.

What is stored is the record's map with one field more, `sum`: a CRC-32 of the packed map without it.
Versions that know nothing of sums pass it over, and records that they stored have none.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isfinite
from typing import Any, Final
from zlib import crc32

from minuted.messages import (
    MESSAGE_BYTES_MAX,
    MESSAGES,
    VERSION,
    Gap,
    MalformedMessageError,
    Record,
    Turn,
    encode,
    from_map,
    pack,
    unpack,
)

RECORD_BYTES_MAX: Final = MESSAGE_BYTES_MAX - 4096
"""What a record may take, so that it fits into a message with all that goes with it."""
PART_CHARACTERS_MAX: Final = RECORD_BYTES_MAX // 4 - 4096
"""Of a text that is too long for one record."""
DAMAGED: Final = "damaged"
"""The type of what stands in the place of a record that cannot be read."""
UNREADABLE: Final = "unreadable"
"""The reason of the gap that is stored for a record nobody could read."""
SUM: Final = "sum"
INTEGER_MAX: Final = (1 << 63) - 1
MOMENT_MS_MAX: Final = 253_402_300_000_000
"""The end of the year 9999, the last that a date can have."""
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def pack_record(record: Record) -> bytes:
    """Return a record as it is stored."""
    values = record.to_map()
    return pack({**values, SUM: crc32(pack(values))})


def unpack_record(seq: int, stored: Any) -> dict[str, Any]:
    """Return the stored record of a number as its map; where it cannot be read, what stands in its place."""
    try:
        values = unpack(stored if isinstance(stored, bytes) else b"")
        if values.get("seq") != seq or values.get("v") != VERSION or not isinstance(values.get("type"), str):
            raise MalformedMessageError("another record")
        if (known := values.pop(SUM, None)) is not None:
            if crc32(pack(values)) != known:
                raise MalformedMessageError("the checksum is another")
        elif values.get("type") in MESSAGES:
            from_map(values)
    except (MalformedMessageError, TypeError):
        return marker(seq)
    return values


def marker(seq: int) -> dict[str, Any]:
    """Return what stands in the place of a record that cannot be read."""
    return {"v": VERSION, "type": DAMAGED, "seq": seq}


def storable(record: Record) -> list[Record]:
    """Return what to store of a record so that it can be read back, delivered and shown: mostly itself.

    One that is too long loses its words' times, and its text is parted where that is still too long. One
    that cannot be read back is cleaned; where nothing helps a gap stands for it.
    """
    ways: tuple[Callable[[Record], list[Record]], ...] = (_itself, _cleaned, _parts)
    for way in ways:
        try:
            found = way(record)
            if all(map(_is_storable, found)):
                return found
        except (MalformedMessageError, ValueError, TypeError, OverflowError, RecursionError):
            continue
    return [_gap_for(record)]


def _is_storable(record: Record) -> bool:
    packed = encode(record)
    start_ms, end_ms = record.start_ms, record.end_ms
    in_time = record.meeting_started_at_ms + min(start_ms, end_ms) >= 0
    in_time = in_time and record.meeting_started_at_ms + max(start_ms, end_ms) <= MOMENT_MS_MAX
    return len(packed) <= RECORD_BYTES_MAX and in_time and from_map(unpack(packed)) == record


def _itself(record: Record) -> list[Record]:
    return [record]


def _cleaned(record: Record) -> list[Record]:
    """Bring every value into the bounds of what can be packed, and the times into those of dates."""
    values = _clean(record.to_map())
    if isinstance(values, dict):
        started_at_ms = min(max(0, int(values["meeting_started_at_ms"])), MOMENT_MS_MAX)
        values["meeting_started_at_ms"] = started_at_ms
        for name in ("start_ms", "end_ms"):
            values[name] = min(max(-started_at_ms, int(values[name])), MOMENT_MS_MAX - started_at_ms)
        cleaned = from_map(values)
        if isinstance(cleaned, Turn | Gap):
            return [cleaned]
    raise MalformedMessageError("no record")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return min(max(-INTEGER_MAX, value), INTEGER_MAX)
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    return {name: _clean(each) for name, each in value.items()} if isinstance(value, dict) else value


def _parts(record: Record) -> list[Record]:
    """Part a turn that is too long: without its words, in as many records as its text needs."""
    (record,) = _cleaned(record)
    if not isinstance(record, Turn):
        raise MalformedMessageError("a gap that is too long")
    texts = _cut(record.text)
    return [
        replace(record, id=record.id if not place else f"{record.id}+{place}", text=text, words=())
        for place, text in enumerate(texts)
    ]


def _cut(text: str) -> list[str]:
    """Cut a text between words, or inside one that is too long by itself; no letter is lost."""
    pieces = []
    while len(text) > PART_CHARACTERS_MAX:
        end = text.rfind(" ", 1, PART_CHARACTERS_MAX) + 1 or PART_CHARACTERS_MAX
        pieces.append(text[:end].rstrip(" ") or text[:end])
        text = text[end:]
    return [*pieces, text]


def _gap_for(record: Record) -> Gap:
    values: Mapping[str, Any] = {"room": "", "meeting_id": "", "meeting_started_at_ms": 0}
    plain = {name: _short(getattr(record, name, default), default) for name, default in values.items()}
    gap = Gap(seq=record.seq, start_ms=0, end_ms=0, reason=UNREADABLE, **plain)
    try:
        timed = replace(gap, start_ms=int(record.start_ms), end_ms=int(record.end_ms))
        return timed if _is_storable(timed) else gap
    except (ValueError, TypeError, OverflowError):
        return gap


def _short(value: Any, default: Any) -> Any:
    if isinstance(default, str):
        return _clean(value)[:1000] if isinstance(value, str) else default
    return value if isinstance(value, int) and 0 <= value <= MOMENT_MS_MAX else default
