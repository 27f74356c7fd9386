"""What a file turns out to be, and the recordings in it. How each is heard: test_odd_recordings.py."""

from pathlib import Path

import pytest

from minuted.capture.parts import Found, look


@pytest.fixture
def looked(tmp_path: Path):
    def look_at(data: bytes) -> Found:
        path = tmp_path / "sound"
        path.write_bytes(data)
        with path.open("rb") as file:
            return look(file, len(data))

    return look_at


def page(flags: int, serial: int = 1, body: bytes = b"x" * 100) -> bytes:
    return (
        b"OggS\0"
        + bytes([flags])
        + bytes(8)
        + serial.to_bytes(4, "little")
        + bytes(8)
        + bytes([1, len(body)])
        + body
    )


def box(kind: bytes, body: bytes = b"....") -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + kind + body


def spans(found: Found) -> list[tuple[int, int]]:
    return [(part.start, part.end) for part in found.parts]


def test_a_chain_has_its_links(looked) -> None:
    link = page(2) + page(0) + page(4)
    assert spans(looked(link + link)) == [(0, len(link)), (len(link), 2 * len(link))]


def test_streams_beside_each_other_are_no_chain(looked) -> None:
    """A film begins with a first page of each."""
    film = page(2, 1) + page(2, 2) + page(0, 1) + page(0, 2)
    assert spans(looked(film)) == [(0, len(film))]


def test_a_page_that_is_not_whole_is_a_cut(looked) -> None:
    whole = page(2) + page(0)
    (part,) = looked(whole + page(0)[:50]).parts
    assert (part.end, part.is_cut) == (len(whole), True)
    (part,) = looked(whole + b"junk" * 9 + page(4)).parts
    assert not part.is_cut


def test_an_mp4_file_without_its_index_has_no_sound(looked) -> None:
    found = looked(box(b"ftyp") + box(b"mdat"))
    assert (found.parts, found.is_media) == ((), True)
    assert "was cut off, or is still being written" in found.trouble
    whole = box(b"ftyp") + box(b"moov") + box(b"mdat")
    assert spans(looked(whole + whole)) == [(0, 36), (36, 72)]
    (part,) = looked(whole + box(b"ftyp") + box(b"mdat")).parts
    assert (part.end, part.is_cut) == (36, True)


def test_flac_is_never_told_how_long_it_is(looked) -> None:
    """But what it claims is known: with less it was cut off."""
    head = b"fLaC\0\0\0\x22" + bytes(10) + (48000 << 44 | 15 << 36 | 96000).to_bytes(8, "big")
    first, second = looked(head + bytes(500) + head + bytes(200)).parts
    assert (first.start, first.end, first.claimed_s) == (26, 526, 2.0)
    assert (second.start, second.end) == (552, 752)
    assert first.header[:21] == head[:21]
    assert not any(first.header[22:])


def test_what_is_none_of_these_is_one_part(looked) -> None:
    assert spans(looked(b"notes " * 100)) == [(0, 600)]
    assert looked(b"ID3\4\0\0\0\0\1\0" + bytes(200)).trouble == "no sound is found in it"
