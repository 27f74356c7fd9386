"""A room for each file of tests: its machine boots once."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from systemd.box import Box, reason_not_to
from systemd.room import Room, seed


@pytest.fixture(scope="module")
def machine() -> Iterator[Room]:
    if reason := reason_not_to():
        pytest.skip(reason)
    assert Path("/lib/systemd/systemd").exists(), "the Debian package systemd is missing"
    folder = Path(tempfile.mkdtemp(prefix="m-box-", dir="/tmp"))
    try:
        box = Box(folder / "box")
        seed(box)
        with box:
            room = Room(box)
            room.prepare()
            yield room
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def room(machine: Room) -> Iterator[Room]:
    """The machine with nothing running and nothing written yet."""
    machine.end()
    yield machine
    machine.end()
