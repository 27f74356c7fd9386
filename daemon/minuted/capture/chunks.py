"""WAV and its relatives (RF64, Wave64, AIFF, AU, CAF): a header with sizes in it, then samples.

The sizes are written first and put right in the end, if the program gets there: a recorder that was switched
off, a pipe and a file beyond 4 GiB leave any number in them.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from minuted.capture import mpeg
from minuted.capture.view import SEARCHED_BYTES_MAX, Bytes, Part

PLAIN_TAGS: Final = (1, 3, 6, 7, 0xFFFE)
"""Whole numbers, floats, A-law, mu-law, and the first two with more said of them."""
MP3_TAG: Final = 0x55
"""MP3 frames in a WAV file."""
PLACEHOLDERS: Final = (range(1), range(0x7F00_0000, 0x8000_0400), range(0xFFFF_0000, 0x1_0000_0000))
"""Sizes that mean "not known", as programs write them who cannot go back."""
LITTLE_BYTES: Final = 64
"""Less than this behind the samples is no sound."""
HEADER_BYTES_MAX: Final = 1 << 20
TAGS: Final = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
"""What taggers put behind a file whatever it is."""
_W64: Final = {
    "riff": b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00",
    "fmt ": b"fmt \xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a",
    "data": b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a",
}
_AU_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}
"""How wide a sample is in AU's encodings."""


@dataclass(frozen=True, slots=True)
class _Samples:
    """The samples of a file, and what its header says of them."""

    start: int
    claimed: int | None
    """Bytes; None: the header says that it does not know."""
    bytes_per_s: float


def parts(data: Bytes) -> Iterator[Part]:
    """Return the recordings that are joined in a file. Raises OSError."""
    start: int | None = 0
    while start is not None:
        found, start = _part(data, start)
        yield from found


def _part(data: Bytes, start: int) -> tuple[list[Part], int | None]:
    """Return the recording that begins there, and where the next one does."""
    kind = data.at(start, 4)
    if kind in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return _riff(data, start, kind)
    whole = Part(start, data.size)
    if kind == b"riff" and data.at(start, 16) == _W64["riff"]:
        return [_wave64(data, start) or whole], None
    if kind == b"FORM":
        return [_aiff(data, start) or whole], None
    if kind == b".snd":
        return [_au(data, start) or whole], None
    return [_caf(data, start) or whole], None


def _riff(data: Bytes, start: int, kind: bytes) -> tuple[list[Part], int | None]:
    order = ">" if kind == b"RIFX" else "<"
    found = dict[bytes, tuple[int, int]]()
    for name, at, size in _walk(data, start + 12, order):
        found.setdefault(name, (at, size))
        if name == b"data":
            break
    if b"data" not in found or b"fmt " not in found:
        return [Part(start, data.size)], None
    form = data.at(found[b"fmt "][0], min(found[b"fmt "][1], 4096))
    begin, size = found[b"data"]
    if kind in (b"RF64", b"BW64") and size == 0xFFFF_FFFF and b"ds64" in found:
        size = struct.unpack("<Q", data.at(found[b"ds64"][0] + 8, 8).ljust(8, b"\0"))[0]
    bytes_per_s = _bytes_per_s(form, order)
    claimed = None if _is_placeholder(size) else size
    end, following = _end(data, begin, size, order)
    cut = claimed is not None and begin + claimed > data.size
    if len(form) >= 2 and struct.unpack(f"{order}H", form[:2])[0] == MP3_TAG:
        inner = list(mpeg.parts(Bytes(data.file, end), begin))
        if inner:
            return [replace(part, is_cut=part.is_cut or cut) for part in inner], following
    length_s = (end - begin) / bytes_per_s if bytes_per_s else None
    claimed_s = claimed / bytes_per_s if claimed and bytes_per_s and cut else None
    if claimed == end - begin:
        return [Part(start, following or data.size, length_s=length_s)], following
    header = _riff_header(form, end - begin, order)
    return [Part(begin, end, header, length_s, claimed_s, is_cut=cut)], following


def _end(data: Bytes, begin: int, size: int, order: str) -> tuple[int, int | None]:
    """Return where the samples end, and where the next recording begins, if one is joined."""
    end = begin + size
    if end > data.size or (size and _is_placeholder(size)):
        return _joined(data, begin)
    for at in {end + size % 2: None, end: None}:
        if _begins_riff(data, at):
            return end, at
    at = end + size % 2
    if _only_chunks(data, at, order):
        places = (place - 8 for _, place, _ in _walk(data, at, order))
        return end, next((place for place in places if _begins_riff(data, place)), None)
    # There is sound behind what the header says.
    return _joined(data, begin)


def _is_placeholder(size: int) -> bool:
    return any(size in each for each in PLACEHOLDERS)


def _joined(data: Bytes, begin: int) -> tuple[int, int | None]:
    """Return where samples of unknown length end: with the file, or where another one begins."""
    at = begin
    while data.size <= SEARCHED_BYTES_MAX and (at := data.find(b"RIFF", at + 1)) >= 0:
        if _begins_riff(data, at):
            return at, at
    return data.size, None


def _begins_riff(data: Bytes, at: int) -> bool:
    head = data.at(at, 16)
    return head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE" and head[12:].isascii()


def _only_chunks(data: Bytes, at: int, order: str) -> bool:
    """Whether what follows is chunks to the end, or a tag, and no sound."""
    if data.size - at < LITTLE_BYTES or data.at(at, 16).startswith(TAGS):
        return True
    end = at
    for name, begin, size in _walk(data, at, order):
        if not all(0x20 <= letter < 0x7F for letter in name):
            return end > at and data.at(end, 16).startswith((*TAGS, bytes(16)))
        if name in (b"RIFF", b"RF64", b"RIFX"):
            return True
        end = begin + size + size % 2
    return data.size - LITTLE_BYTES < end <= data.size + LITTLE_BYTES


def _walk(data: Bytes, at: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Return each chunk's name, place and size."""
    while at + 8 <= data.size:
        name, size = struct.unpack(f"{order}4sI", data.at(at, 8))
        yield name, at + 8, size
        at += 8 + size + size % 2


def _bytes_per_s(form: bytes, order: str) -> float:
    """Return how much a second of plain samples takes; 0 where they are coded."""
    if len(form) < 16:
        return 0.0
    tag, _, rate_hz, _, width = struct.unpack(f"{order}HHIIH", form[:14])
    return float(rate_hz * width) if tag in PLAIN_TAGS else 0.0


def _riff_header(form: bytes, size: int, order: str) -> bytes:
    """Return a WAV header for so many bytes of samples."""
    chunk = b"fmt " + struct.pack(f"{order}I", len(form)) + form + bytes(len(form) % 2)
    if size + len(chunk) + 20 < 0xFFFF_FFFF:
        name = b"RIFF" if order == "<" else b"RIFX"
        sizes = struct.pack(f"{order}I", size + len(chunk) + 12), struct.pack(f"{order}I", size)
        return name + sizes[0] + b"WAVE" + chunk + b"data" + sizes[1]
    sizes64 = struct.pack("<4sIQQQI", b"ds64", 28, size + len(chunk) + 48, size, 0, 0)
    return b"RF64" + b"\xff" * 4 + b"WAVE" + sizes64 + chunk + b"data" + b"\xff" * 4


def _wave64(data: Bytes, start: int) -> Part | None:
    at, form = start + 40, b""
    while at + 24 <= data.size:
        name, size = data.at(at, 16), struct.unpack("<Q", data.at(at + 16, 8))[0]
        if name == _W64["fmt "]:
            form = data.at(at + 24, min(size - 24, 4096)) if size > 24 else b""
        if name == _W64["data"] and form:
            known = 24 < size < 1 << 62
            samples = _Samples(at + 24, size - 24 if known else None, _bytes_per_s(form, "<"))
            # Chunks may follow; that they are none cannot be told as surely as in a WAV file.
            end = min(data.size, at + size) if known else data.size
            return _with_header(data, samples, _riff_header(form, end - at - 24, "<"), start, end)
        if size < 24:
            break
        at += size + -size % 8
    return None


def _aiff(data: Bytes, start: int) -> Part | None:
    common, patches = b"", []
    for name, at, size in _walk(data, start + 12, ">"):
        if name == b"COMM":
            common = data.at(at, min(size, 4096))
            patches.append(at + 2)
        if name == b"SSND" and len(common) >= 18 and at < start + HEADER_BYTES_MAX:
            channels, frames, bits = struct.unpack(">HIH", common[:8])
            # An 80-bit float; a rate needs no more than the first 32 bits of it.
            rate_hz = int.from_bytes(common[10:14], "big") >> max(
                0, 0x401E - int.from_bytes(common[8:10], "big")
            )
            width = channels * ((bits + 7) // 8)
            begin = at + 8
            known = size > 8 and not _is_placeholder(size)
            end = begin + size - 8 if known else data.size
            if end < data.size and not _only_chunks(data, end + size % 2, ">"):
                end = data.size
            samples = _Samples(begin, size - 8 if known else None, float(width * rate_hz))
            available = min(end, data.size) - begin
            header = bytearray(data.at(start, begin - start))
            header[4:8] = struct.pack(">I", min(begin - start - 8 + available, 0xFFFF_FFFF))
            is_plain = common[18:22] in (b"", b"NONE", b"sowt", b"twos", b"fl32", b"FL32", b"fl64", b"FL64")
            if width and is_plain:
                header[patches[0] - start : patches[0] - start + 4] = struct.pack(
                    ">I", min(available // width, 0xFFFF_FFFF)
                )
            header[begin - start - 12 : begin - start - 8] = struct.pack(
                ">I", min(available + 8, 0xFFFF_FFFF)
            )
            is_right = known and (frames * width == size - 8 or not is_plain)
            return _with_header(data, samples, bytes(header), start, end, is_right=is_right)
    return None


def _au(data: Bytes, start: int) -> Part | None:
    head = data.at(start, 24)
    if len(head) < 24:
        return None
    _, offset, size, encoding, rate_hz, channels = struct.unpack(">4s5I", head)
    width = _AU_BYTES.get(encoding, 0) * channels
    if not 24 <= offset <= HEADER_BYTES_MAX:
        return None
    known = not _is_placeholder(size)
    samples = _Samples(start + offset, size if known else None, float(width * rate_hz))
    header = head[:4] + struct.pack(">I", 24) + b"\xff" * 4 + head[12:]
    end = start + offset + size
    # Nothing but sound follows.
    end = data.size if not known or data.size - end > LITTLE_BYTES else end
    return _with_header(data, samples, header, start, end)


def _caf(data: Bytes, start: int) -> Part | None:
    at, bytes_per_s = start + 8, 0.0
    while at + 12 <= data.size:
        name, size = struct.unpack(">4sq", data.at(at, 12))
        if name == b"desc" and size >= 32:
            rate_hz, _, _, packet_bytes, packet_frames = struct.unpack(">d4sIII", data.at(at + 12, 24))
            bytes_per_s = packet_bytes * rate_hz / packet_frames if packet_frames else 0.0
        if name == b"data" and at < start + HEADER_BYTES_MAX:
            begin = at + 12
            end = min(begin + size, data.size) if size >= 4 else data.size
            header = data.at(start, begin - start)[:-8] + struct.pack(">q", end - begin)
            samples = _Samples(begin, size if size >= 4 else None, bytes_per_s)
            return _with_header(data, samples, header, start, begin + size if size >= 4 else end)
        if size < 0:
            break
        at += 12 + size
    return None


def _with_header(
    data: Bytes, samples: _Samples, header: bytes, start: int, end: int, *, is_right: bool = True
) -> Part:
    """Return a part with its own header where that is right, else with another one."""
    begin, claimed, bytes_per_s = samples.start, samples.claimed, samples.bytes_per_s
    cut = claimed is not None and begin + claimed > data.size
    available = min(end, data.size) - begin
    length_s = available / bytes_per_s if bytes_per_s else None
    if claimed == available and is_right:
        return Part(start, data.size, length_s=length_s)
    claimed_s = claimed / bytes_per_s if claimed and bytes_per_s and cut else None
    return Part(begin, begin + available, header, length_s, claimed_s, is_cut=cut)
