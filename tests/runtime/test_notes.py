"""Notes that a power cut leaves whole or not there."""

import json
import os
import threading
from pathlib import Path
from typing import TypedDict

import pytest

from minuted.runtime import notes


def test_a_note_is_stored_whole_and_taken_away(tmp_path):
    note = tmp_path / "note.json"
    notes.store(note, {"a": 1})
    notes.store(note, {"a": 2})
    assert json.loads(note.read_text()) == {"a": 2}
    assert os.listdir(tmp_path) == ["note.json"]  # noqa: PTH208
    notes.remove(note)
    notes.remove(note)
    assert not note.exists()


def test_a_note_that_cannot_be_written_leaves_the_one_before(tmp_path):
    """A pause that cannot be noted must not end the one that is."""
    note = tmp_path / "note.json"
    notes.store(note, {"a": 1})
    with pytest.raises(TypeError):
        notes.store(note, {"a": object()})
    assert json.loads(note.read_text()) == {"a": 1}


def test_a_folder_in_the_place_of_a_note_is_moved_aside(tmp_path: Path) -> None:
    """A recording was not played, at each start."""
    note = tmp_path / "note.json"
    note.mkdir()
    (note / "kept").touch()
    notes.store(note, {"a": 1})
    assert json.loads(note.read_text()) == {"a": 1}
    (aside,) = tmp_path.glob("note.json.damaged-*")
    assert (aside / "kept").exists()


class Shape(TypedDict):
    number: int


def test_a_note_that_was_stored_is_read(tmp_path: Path) -> None:
    note = tmp_path / "a.json"
    with pytest.raises(FileNotFoundError):
        notes.read(note, Shape)
    notes.store(note, {"number": 5})
    assert notes.read(note, Shape) == {"number": 5}
    assert json.loads(note.read_text()) == {"number": 5}, "older versions read it too"
    note.write_text('{"number": 6, "later": 1}')
    assert notes.read(note, Shape)["number"] == 6


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"\xff",
        b'{"number": "x"}',
        b'{"number": 1e999}',
        b"[" * 100_000,
        None,
        "digit",
    ],
)
def test_a_note_that_is_damaged_says_so(tmp_path: Path, data: bytes | str | None) -> None:
    note = tmp_path / "a.json"
    if data is None:
        note.mkdir()
    elif isinstance(data, str):
        notes.store(note, {"number": 5})
        note.write_text(note.read_text().replace("5", "6"))
    else:
        note.write_bytes(data)
    with pytest.raises(ValueError, match=r"note|JSON|seal|Expecting|decode|a\.json|changed"):
        notes.read(note, Shape)


def test_a_lock_that_somebody_keeps_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that held `clock.lock` stopped transcription without a word."""
    monkeypatch.setattr(notes, "LOCK_WAIT_S_MAX", 0.1)
    lock = tmp_path / "a.lock"
    told = r"a\.lock is locked by another process"
    with notes.locked(lock), pytest.raises(TimeoutError, match=told), notes.locked(lock):
        pass
    with notes.locked(lock):
        pass


def test_a_lock_that_is_let_go_of_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "LOCK_WAIT_S_MAX", 60.0)
    lock, taken = tmp_path / "a.lock", threading.Event()

    def take() -> None:
        with notes.locked(lock):
            taken.set()

    with notes.locked(lock):
        thread = threading.Thread(target=take)
        thread.start()
        assert not taken.is_set()
    thread.join(60.0)
    assert taken.is_set()
