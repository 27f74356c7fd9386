"""The audio journal on the disk: records in segments.

A segment is a file named after the first frame number it may hold; all its records lie before the
name of the next segment. A record is a header and one message exactly as it stands on the wire. The
header, little-endian: a magic of 4 bytes, the payload's length (u32), a CRC-32 over all that follows
(u32), and the number the next frame has at least (u64), so that a reader finds its way without
unpacking messages.
"""

import struct
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple
from zlib import crc32

from minuted.journal.folder import Folder
from minuted.messages import AudioEnd, AudioFrame, AudioGap, MalformedMessageError, decode, encode

PAYLOAD_BYTES_MAX: Final = 8192
"""A longer message is refused; a longer length in a header is damage."""
CHUNK_BYTES: Final = 1 << 18
"""How much is read at once, 7.7 s of sound."""

_MAGIC: Final = b"\xc5\x1emA"
_START: Final = struct.Struct("<4sII")
_NUMBER: Final = struct.Struct("<Q")
_HEADER_BYTES: Final = _START.size + _NUMBER.size
_RECORD_BYTES_MAX: Final = _HEADER_BYTES + PAYLOAD_BYTES_MAX
_SUFFIX: Final = ".audio"
_DIGITS: Final = 20
_NUMBER_MAX: Final = 1 << 63

AudioRecord = AudioFrame | AudioGap | AudioEnd
"""What the journal holds."""


class Stored(NamedTuple):
    """A whole record among some bytes, from `start` up to `end`."""

    start: int
    end: int
    next_number: int
    """The number the next frame has at least."""
    payload: bytes
    follows_damage: bool = False
    """Something stands before it that is no record."""


def span(record: AudioRecord) -> tuple[int, int]:
    """Give the first number a record speaks of, and the number the next frame has at least."""
    if isinstance(record, AudioFrame):
        return record.number, record.number + 1
    if isinstance(record, AudioGap):
        return record.from_number, record.to_number
    return record.next_number, record.next_number


def pack(record: AudioRecord) -> bytes:
    """Give a record as it is stored. Raises ValueError when it is too long."""
    payload = encode(record)
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise ValueError(f"{len(payload)} bytes are more than the {PAYLOAD_BYTES_MAX} of a record")
    number = _NUMBER.pack(span(record)[1])
    return _START.pack(_MAGIC, len(payload), crc32(payload, crc32(number))) + number + payload


def message(stored: Stored) -> AudioRecord | None:
    """Give a stored record's message, or None when it is none that this version knows."""
    try:
        found = decode(stored.payload)
    except MalformedMessageError:
        return None
    return found if isinstance(found, AudioRecord) else None


def find(data: bytes) -> Iterator[Stored]:
    """Give every whole record, in order, wherever it begins. What lies between is damage."""
    start = data.find(_MAGIC)
    while start >= 0:
        stored = _stored_at(data, start)
        if stored is not None:
            yield stored
        start = data.find(_MAGIC, stored.end if stored else start + 1)


def name_of(number: int) -> str:
    """Give the file name of the segment that begins with a number."""
    return f"{number:0{_DIGITS}}{_SUFFIX}"


def segment_numbers(folder: Folder) -> tuple[int, ...]:
    """Give the numbers the folder's segments begin with, in order."""
    return _numbers(folder.names())


@lru_cache(maxsize=8)
def _numbers(names: tuple[str, ...]) -> tuple[int, ...]:
    digits = [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)]
    numbers = [int(text) for text in digits if len(text) == _DIGITS and text.isascii() and text.isdigit()]
    return tuple(sorted(number for number in numbers if number < _NUMBER_MAX))


class Segment:
    """Reads a segment from its beginning, also while it is being written. Close it."""

    def __init__(self, folder: Folder, number: int) -> None:
        self.number = number
        self.end = 0
        """Where the last whole record found ends, in bytes."""
        self.corrupt = 0
        """Damaged stretches met."""
        self._folder = folder
        self._descriptor = folder.open(name_of(number))
        self._offset = 0

    def read(self) -> list[Stored]:
        """Give the next records, none when there are no more yet.

        Bytes that are no record are damage once a record stands behind them; until then they may be
        one that is half written, and are looked at again the next time.
        """
        while True:
            data, found, holes = self._look()
            if holes:
                # A record cut back and written anew may be seen half old, half new: once.
                data, found, holes = self._look()
            if found:
                self.corrupt += holes
                ends = self.end - self._offset
                self._offset += found[-1].end
                self.end = self._offset
                return _marked(found, ends) if holes else found
            if len(data) < CHUNK_BYTES:
                return []
            self._offset += CHUNK_BYTES - _RECORD_BYTES_MAX

    @property
    def has_rest(self) -> bool:
        """Whether bytes stand behind the last whole record: damage, once nobody writes here any more."""
        return bool(self._folder.read(self._descriptor, 1, self.end))

    def close(self) -> None:
        self._folder.close_file(self._descriptor)

    def _look(self) -> tuple[bytes, list[Stored], int]:
        data = self._folder.read(self._descriptor, CHUNK_BYTES, self._offset)
        found = list(find(data))
        holes = sum(before.end != after.start for before, after in pairwise(found))
        return data, found, holes + bool(found and self._offset + found[0].start != self.end)


def _marked(found: list[Stored], ends: int) -> list[Stored]:
    """Mark what does not begin where the record before it ends; the one before the first ended at `ends`."""
    before = [ends, *(stored.end for stored in found)]
    return [
        stored._replace(follows_damage=stored.start != end)
        for stored, end in zip(found, before, strict=False)
    ]


def _stored_at(data: bytes, start: int) -> Stored | None:
    if start + _HEADER_BYTES > len(data):
        return None
    _, length, checksum = _START.unpack_from(data, start)
    end = start + _HEADER_BYTES + length
    if length > PAYLOAD_BYTES_MAX or end > len(data):
        return None
    # The number and the payload lie one behind the other.
    if crc32(memoryview(data)[start + _START.size : end]) != checksum:
        return None
    (next_number,) = _NUMBER.unpack_from(data, start + _START.size)
    return Stored(start, end, next_number, data[start + _HEADER_BYTES : end])
