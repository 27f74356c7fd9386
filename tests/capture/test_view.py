"""A stretch of a file as a file of its own."""

import io
import os
from pathlib import Path

import pytest

from minuted.capture.view import BLOCK_BYTES, ENDLESS_BYTES, Bytes, Part, View


@pytest.fixture
def letters(tmp_path: Path):
    path = tmp_path / "letters"
    path.write_bytes(b"abcdefghij")
    with path.open("rb") as file:
        yield file


def test_a_view_is_another_header_and_a_stretch(letters) -> None:
    view = View(letters, Part(2, 6, b"XY"))
    assert view.read() == b"XYcdef"
    assert view.read(5) == b""
    assert [view.seek(1), view.read(3), view.tell()] == [1, b"Ycd", 4]
    assert view.seek(0, os.SEEK_END) == 6
    assert io.BufferedReader(view).read() == b""


def test_an_endless_view_has_its_bytes_and_no_end(letters) -> None:
    """Decoders that guess a length by the size have no reason to stop; the tag they look for is not there."""
    view = View(letters, Part(0, 10, is_endless=True))
    assert view.seek(0, os.SEEK_END) == ENDLESS_BYTES
    assert view.seek(-128, os.SEEK_END) == ENDLESS_BYTES - 128
    assert view.read(128) == bytes(128)
    view.seek(8)
    assert view.read(10) == b"ij"


def test_a_file_that_has_become_shorter_ends_there(letters) -> None:
    assert View(letters, Part(8, 100)).read(50) == b"ij"


def test_what_cannot_be_read_ends_it_and_is_kept(letters, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder written in C takes no exceptions."""

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    view = View(letters, Part(0, 10))
    monkeypatch.setattr(os, "pread", fail)
    assert view.read(4) == b""
    assert view.error
    assert view.error.strerror == "Input/output error"


def test_bytes_are_found_wherever_they_stand(tmp_path: Path) -> None:
    """Also across the blocks in which the file is read."""
    path = tmp_path / "long"
    path.write_bytes(bytes(BLOCK_BYTES - 2) + b"mark" + bytes(BLOCK_BYTES) + b"mark")
    with path.open("rb") as file:
        data = Bytes(file, path.stat().st_size)
        first = data.find(b"mark", 0)
        assert first == BLOCK_BYTES - 2
        assert data.find(b"mark", first + 1) == 2 * BLOCK_BYTES + 2
        assert data.find(b"mark", 2 * BLOCK_BYTES + 3) == -1
        assert data.at(data.size - 4, 100) == b"mark"
        assert data.at(data.size + 4, 100) == b""
