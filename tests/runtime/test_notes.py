"""Notes that a power cut leaves whole or not there."""

import json
import os

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
