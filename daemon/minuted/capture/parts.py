"""Which stretches of a file are recordings of their own, and what each header claims of its length.

Files are joined by `cat`, chained by radio stations, written to pipes, cut off by full disks. So no size that
stands in a file is believed: a stretch ends where the next one begins, or with the file, and where its header
says otherwise another header is put before it. Decoding is left to the decoders.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from minuted.capture import chunks, mpeg
from minuted.capture.view import SEARCHED_BYTES_MAX, Bytes, Part

BLOCK_BYTES: Final = 1 << 20
OGG_PAGE_BYTES: Final = 27
OGG_FIRST: Final = 2
"""The flag of a page that begins a stream."""
_FLAC: Final = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_EBML: Final = re.compile(rb"\x1a\x45\xdf\xa3[\x00-\xff]{1,60}?\x42\x82[\x80-\xff](?:webm|matroska)")
_FLAC_HEAD_BYTES: Final = 26
_MARK_BYTES_MAX: Final = 80


@dataclass(frozen=True, slots=True)
class Found:
    """What a file turns out to be, and its stretches."""

    parts: tuple[Part, ...]
    is_media: bool = False
    """It is of the kind that only ffmpeg's libraries read."""
    trouble: str = ""
    """Why there is no sound to be had."""


def look(file: BinaryIO, size: int) -> Found:
    """Look at a file from its beginning to `size`. Raises OSError."""
    data = Bytes(file, size)
    head = data.at(mpeg.tag_bytes(data, 0), 16)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") or head[:4] in (b"riff", b"FORM", b".snd", b"caff"):
        return Found(tuple(chunks.parts(data)))
    if head[:4] == b"fLaC":
        return Found(tuple(_flac(data)))
    if head[:4] == b"OggS":
        return Found(tuple(_ogg(data)))
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):
        return _boxes(data)
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return Found(tuple(_between(data, list(_marks(data, _EBML)))), is_media=True)
    if found := tuple(mpeg.parts(data)):
        return Found(found)
    if mpeg.tag_bytes(data, 0):
        return Found((), trouble="no sound is found in it")
    return Found((Part(0, size),))


def _between(data: Bytes, starts: list[int]) -> Iterator[Part]:
    """Return the stretches that begin at these places."""
    for start, end in zip(starts or [0], [*starts[1:], data.size], strict=True):
        yield Part(start, end)


def _marks(data: Bytes, mark: "re.Pattern[bytes]") -> Iterator[int]:
    """Return the places at which a mark stands."""
    if data.size > SEARCHED_BYTES_MAX:
        yield 0
        return
    last = -1
    for at in range(0, data.size, BLOCK_BYTES):
        for found in mark.finditer(data.at(at, BLOCK_BYTES + _MARK_BYTES_MAX)):
            if at + found.start() > last:
                last = at + found.start()
                yield last


def _flac(data: Bytes) -> Iterator[Part]:
    for part in _between(data, list(_marks(data, _FLAC))):
        head = bytearray(data.at(part.start, _FLAC_HEAD_BYTES))
        if len(head) < _FLAC_HEAD_BYTES:
            continue
        rate_hz = int.from_bytes(head[18:21], "big") >> 4
        samples = int.from_bytes(head[21:26], "big") & 0xF_FFFF_FFFF
        # Whatever it says, the decoder is to go on to the end.
        head[21:26] = bytes([head[21] & 0xF0, 0, 0, 0, 0])
        claimed_s = samples / rate_hz if rate_hz and samples else None
        yield Part(
            part.start + _FLAC_HEAD_BYTES, part.end, bytes(head), claimed_s=claimed_s, length_s=claimed_s
        )


def _ogg(data: Bytes) -> Iterator[Part]:
    """Return the links of a chain: each begins with the first pages of its streams."""
    at, start, end, begins, is_cut = 0, 0, 0, True, False
    while at < data.size:
        head = data.at(at, OGG_PAGE_BYTES)
        if head[:4] != b"OggS":
            if (at := data.find(b"OggS", at + 1)) < 0:
                break
            continue
        if len(head) < OGG_PAGE_BYTES:
            is_cut = True
            break
        sizes = data.at(at + OGG_PAGE_BYTES, head[26])
        page_end = at + OGG_PAGE_BYTES + head[26] + sum(sizes)
        if len(sizes) < head[26] or page_end > data.size:
            is_cut = True
            # A page in the middle that is not one has nothing behind it either, unless another follows.
            if (at := data.find(b"OggS", at + 1)) < 0:
                break
            continue
        is_cut = False
        is_first = bool(head[5] & OGG_FIRST)
        if is_first and not begins:
            yield Part(start, end)
            start = at
        begins, at, end = is_first, page_end, page_end
    yield Part(start, end or data.size, is_cut=is_cut)


def _boxes(data: Bytes) -> Found:
    """Return the MP4 files that are joined in one."""
    starts, has_index, at = [0], False, 0
    while at + 8 <= data.size:
        size, kind = struct.unpack(">I4s", data.at(at, 8))
        if size == 1:
            size = int.from_bytes(data.at(at + 8, 8), "big")
        if kind == b"ftyp" and has_index:
            starts.append(at)
            has_index = False
        has_index = has_index or kind in (b"moov", b"moof")
        if size < 8:
            break
        at += size
    if not has_index:
        if len(starts) == 1:
            return Found((), True, "its index is missing: it was cut off, or is still being written")
        # What comes last was cut off; the others are good.
        last = starts.pop()
        *others, part = _between(data, starts)
        return Found((*others, Part(part.start, last, is_cut=True)), is_media=True)
    return Found(tuple(_between(data, starts)), is_media=True)
