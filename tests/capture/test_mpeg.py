"""The frames of MPEG audio, counted."""

from io import BytesIO
from pathlib import Path

import pytest

from minuted.capture.mpeg import frame_of, parts, tag_bytes
from minuted.capture.view import Bytes

FRAME = bytes.fromhex("fffb94c4") + bytes(380)  # MPEG 1, layer III, 128 kbit/s, 48 kHz, mono


@pytest.fixture
def counted(tmp_path: Path):
    def count(data: bytes):
        path = tmp_path / "sound"
        path.write_bytes(data)
        with path.open("rb") as file:
            return list(parts(Bytes(file, len(data))))

    return count


@pytest.mark.parametrize(
    ("head", "bytes_", "rate_hz", "channels", "samples"),
    [
        ("fffb94c4", 384, 48000, 1, 1152),
        ("fffb9204", 418, 44100, 2, 1152),  # padded
        ("fff384c4", 192, 24000, 1, 576),
        ("fffd8404", 384, 48000, 2, 1152),
        ("ffe318c4", 72, 8000, 1, 576),
    ],
)
def test_a_header_says_how_long_a_frame_is(head, bytes_, rate_hz, channels, samples) -> None:
    frame = frame_of(bytes.fromhex(head))
    assert frame
    assert (frame.bytes, frame.kind.rate_hz, frame.kind.channels) == (bytes_, rate_hz, channels)
    assert frame.kind.samples == samples


@pytest.mark.parametrize(
    "head", ["", "fffb", "00000000", "fffbf4c4", "fffb04c4", "fffb9cc4", "ffeb94c4", "fff994c4"]
)
def test_what_is_no_header_is_none(head) -> None:
    assert frame_of(bytes.fromhex(head)) is None


def test_frames_are_counted_whatever_stands_between_them(counted) -> None:
    (part,) = counted(bytes(70) + FRAME * 10 + b"TAG" + bytes(125) + FRAME * 10)
    assert (part.start, part.length_s, part.is_cut) == (70, pytest.approx(20 * 0.024), False)


def test_a_last_frame_that_is_not_whole_is_a_cut(counted) -> None:
    (part,) = counted(FRAME * 10 + FRAME[:50])
    assert part.is_cut
    assert part.length_s == pytest.approx(0.24)


def test_a_tag_is_no_sound_and_begins_another_part(counted) -> None:
    """One that counts right stays: it tells of the silence that the encoder has added."""
    right = bytearray(FRAME)
    right[21:33] = b"Info\0\0\0\x01\0\0\0\x0a"
    wrong = bytearray(right)
    wrong[32] = 3
    first, second = counted(bytes(right) + FRAME * 10 + bytes(wrong) + FRAME * 10)
    assert (first.start, first.end, first.is_endless) == (0, 11 * 384, False)
    assert (second.start, second.end, second.is_endless) == (12 * 384, 22 * 384, True)
    assert not first.is_cut
    assert not second.is_cut


def test_a_tag_that_counts_more_tells_of_a_cut(counted) -> None:
    tag = bytearray(FRAME)
    tag[21:33] = b"Xing\0\0\0\x01\0\0\0\x64"
    (part,) = counted(bytes(tag) + FRAME * 10)
    assert part.is_cut
    assert part.claimed_s == pytest.approx(2.4)


def test_noise_and_text_are_no_mpeg(counted) -> None:
    assert counted(b"\xff\xfb\x94\xc4 and so on" * 500) == []
    assert counted(b"notes " * 500) == []


def test_an_id3_tag_says_how_long_it_is() -> None:
    assert tag_bytes(_of(b"ID3\x04\0\0\0\0\x02\x01" + bytes(300)), 0) == 10 + 257
    assert tag_bytes(_of(b"ID3\x04\0\0\xff\0\x02\x01"), 0) == 0
    assert tag_bytes(_of(b"RIFF"), 0) == 0


class _of(Bytes):  # noqa: N801
    """Bytes without a file."""

    def __init__(self, data: bytes) -> None:
        super().__init__(BytesIO(data), len(data))
        self._block = data
