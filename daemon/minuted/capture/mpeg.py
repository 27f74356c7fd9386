"""The frames of an MPEG audio stream (MP3, MP2): each has a header of its own, and only they tell its length.

A file's first header states a length where the encoder could go back to write it, and never that of files
which were joined. Source: ISO/IEC 11172-3 and 13818-3; the Xing and Info tags as LAME writes them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

from minuted.capture.view import Bytes, Part

_V1, _V2, _V25 = 3, 2, 0
_LAYER3, _LAYER2, _LAYER1 = 1, 2, 3
_RATES_HZ: Final = {_V1: (44100, 48000, 32000), _V2: (22050, 24000, 16000), _V25: (11025, 12000, 8000)}
_KBITS: Final = {
    # By version and layer, from the index 1 on.
    (_V1, _LAYER1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (_V1, _LAYER2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (_V1, _LAYER3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (_V2, _LAYER1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (_V2, _LAYER2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (_V2, _LAYER3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
FRAMES_MIN: Final = 3
"""Fewer in a row, where nothing is known yet, are chance."""
SEARCH_BYTES_MAX: Final = 1 << 17
"""How far into a file the first frame may be."""
FRAMES_OFF_MAX: Final = 2
"""By how many frames a tag may count otherwise than we do."""


class Kind(NamedTuple):
    """What may not change within a stream."""

    version: int
    layer: int
    rate_hz: int
    channels: int

    @property
    def samples(self) -> int:
        """In a frame."""
        if self.layer == _LAYER1:
            return 384
        return 576 if self.layer == _LAYER3 and self.version != _V1 else 1152


class Frame(NamedTuple):
    kind: Kind
    bytes: int


@dataclass
class _Stretch:
    """Frames of one kind, one after the other."""

    kind: Kind
    start: int
    tag_end: int
    """Where the tag's frame ends, which has no sound in it."""
    claimed: int | None
    frames: int = 0
    end: int = 0

    def part(self, *, is_cut: bool) -> Part:
        frame_s = self.kind.samples / self.kind.rate_hz
        is_right = self.claimed is not None and abs(self.claimed - self.frames) <= FRAMES_OFF_MAX
        return Part(
            # A tag that is right tells how much silence the encoder has put before the sound.
            start=self.start if is_right else self.tag_end,
            end=self.end,
            length_s=self.frames * frame_s,
            claimed_s=self.claimed * frame_s if self.claimed and self.claimed > self.frames else None,
            is_cut=is_cut or (self.claimed or 0) > self.frames + FRAMES_OFF_MAX,
            is_endless=not is_right,
        )


def parts(data: Bytes, start: int = 0) -> Iterator[Part]:
    """Return the streams that are joined in a file; none where it is no MPEG audio. Raises OSError."""
    at = _first(data, start)
    stretch: _Stretch | None = None
    while 0 <= at < data.size:
        frame = frame_of(data.at(at, 4))
        if frame is None or (stretch and frame.kind != stretch.kind and not _goes_on(data, at, frame)):
            at = _next(data, at)
            continue
        end = at + frame.bytes
        if end > data.size:
            if stretch:
                yield stretch.part(is_cut=True)
            return
        tag, claimed = _tag(data.at(at, min(frame.bytes, 200)), frame.kind)
        if stretch and stretch.frames and (tag or frame.kind != stretch.kind):
            yield stretch.part(is_cut=False)
            stretch = None
        stretch = stretch or _Stretch(frame.kind, at, end if tag else at, claimed)
        stretch.frames += not tag
        at = stretch.end = end
    if stretch and stretch.frames:
        yield stretch.part(is_cut=False)


def tag_bytes(data: Bytes, at: int) -> int:
    """Return how long the ID3 tag at a place is; 0 where there is none."""
    head = data.at(at, 10)
    if head[:3] != b"ID3" or len(head) < 10 or max(head[6:]) > 0x7F:
        return 0
    size = (head[6] << 21) | (head[7] << 14) | (head[8] << 7) | head[9]
    return 10 + size + (10 if head[5] & 0x10 else 0)


@cache
def frame_of(head: bytes) -> Frame | None:
    """Return what a frame's first four bytes say; None where they are no frame's."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bits, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or not layer or bits in (0, 15) or rate == 3:
        return None
    rate_hz = _RATES_HZ[version][rate]
    kind = Kind(version, layer, rate_hz, 1 if head[3] >> 6 == 3 else 2)
    bits_per_s = 1000 * _KBITS[_V1 if version == _V1 else _V2, layer][bits - 1]
    if layer == _LAYER1:
        return Frame(kind, (12 * bits_per_s // rate_hz + padding) * 4)
    return Frame(kind, kind.samples // 8 * bits_per_s // rate_hz + padding)


def _first(data: Bytes, at: int) -> int:
    """Return where the first frames stand that follow on each other; -1: nowhere near the beginning."""
    at += tag_bytes(data, at)
    until = at + SEARCH_BYTES_MAX
    while 0 <= at < until:
        frame = frame_of(data.at(at, 4))
        if frame and _goes_on(data, at, frame, FRAMES_MIN):
            return at
        at = data.find(b"\xff", at + 1)
    return -1


def _next(data: Bytes, at: int) -> int:
    """Return where the stream may go on behind what is no frame."""
    if size := tag_bytes(data, at):
        return at + size
    while (at := data.find(b"\xff", at + 1)) >= 0:
        frame = frame_of(data.at(at, 4))
        if frame and _goes_on(data, at, frame):
            return at
    return -1


def _goes_on(data: Bytes, at: int, frame: Frame, frames: int = 2) -> bool:
    """Whether a frame is followed by others of its kind, so many in all, or by the end."""
    kind = frame.kind
    for count in range(1, frames):
        at += frame.bytes
        if at == data.size:
            return count > 1 or frames == 2
        following = frame_of(data.at(at, 4))
        if following is None or following.kind != kind:
            return False
        frame = following
    return True


def _tag(frame: bytes, kind: Kind) -> tuple[bool, int | None]:
    """Return whether a frame is a tag, and how many frames it says there are."""
    if kind.layer != _LAYER3:
        return False, None
    side = ((17, 32) if kind.version == _V1 else (9, 17))[kind.channels - 1]
    for at in (4 + side, 6 + side):
        if frame[at : at + 4] in (b"Xing", b"Info"):
            has_count = len(frame) >= at + 12 and frame[at + 7] & 1
            return True, int.from_bytes(frame[at + 8 : at + 12], "big") or None if has_count else None
    if frame[36:40] == b"VBRI":
        return True, int.from_bytes(frame[50:54], "big") or None
    return False, None
