"""WAV and its relatives: where the samples are, whatever the header says."""

import struct
from pathlib import Path

import pytest

from minuted.capture.chunks import parts
from minuted.capture.view import Bytes, Part

FORM = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16)
SOUND = b"\x01\x80" * 16000


def wav(size: int = len(SOUND), sound: bytes = SOUND, name: bytes = b"RIFF") -> bytes:
    return (
        name
        + struct.pack("<I", 36 + size & 0xFFFF_FFFF)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + FORM
        + b"data"
        + struct.pack("<I", size)
        + sound
    )


@pytest.fixture
def found(tmp_path: Path):
    def look(data: bytes) -> list[Part]:
        path = tmp_path / "sound.wav"
        path.write_bytes(data)
        with path.open("rb") as file:
            return list(parts(Bytes(file, len(data))))

    return look


def test_a_right_header_is_left_as_it_is(found) -> None:
    assert found(wav()) == [Part(0, 32044, length_s=1.0)]


@pytest.mark.parametrize("size", [0, 320, 0x7FFF_FFFF, 0x7FFF_F000, 0xFFFF_FFFF, 0x8000_0000])
def test_a_wrong_size_gets_another_header(found, size) -> None:
    """A placeholder and a size too small: all that is there is sound."""
    (part,) = found(wav(size))
    assert (part.start, part.end, part.length_s, part.is_cut) == (44, 32044, 1.0, False)
    assert part.header == wav(sound=b"")


def test_a_size_that_is_too_large_is_a_cut(found) -> None:
    (part,) = found(wav(320_000))
    assert (part.length_s, part.claimed_s, part.is_cut) == (1.0, 10.0, True)


@pytest.mark.parametrize(
    "behind",
    [b"LIST" + struct.pack("<I", 200) + bytes(200), b"TAG" + bytes(125), b"ID3\x04" + bytes(900), bytes(9)],
)
def test_what_is_no_sound_behind_it_is_not_heard(found, behind) -> None:
    (part,) = found(wav() + behind)
    assert (part.start, part.length_s, part.is_cut) == (0, 1.0, False)


def test_joined_ones_are_two(found) -> None:
    """Also where the first one's size says nothing."""
    first, second = found(wav() + wav())
    assert (first.end, second.start, second.length_s) == (32044, 32044, 1.0)
    first, second = found(wav(0) + wav())
    assert (first.end, first.length_s, second.start) == (32044, 1.0, 32044)


def test_one_beyond_4_gib_is_read_to_its_end(tmp_path: Path) -> None:
    """Its size has gone round: such are long recordings of many channels."""
    path = tmp_path / "long.wav"
    size = 5 << 30
    path.write_bytes(wav(size & 0xFFFF_FFFF, b""))
    with path.open("r+b") as file:
        file.truncate(44 + size)
        (part,) = parts(Bytes(file, 44 + size))
    assert part.length_s == size / 32000
    assert part.header[:4] == b"RF64"
