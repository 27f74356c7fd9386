"""A room for each file of tests: its machine boots once."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from systemd.box import Box, reason_not_to
from systemd.room import ROOT, Room, seed_program, seed_world


@contextmanager
def made_box(base: Path = Path("/")) -> Iterator[Box]:
    """Make a box over a root that is not started yet, and end it whatever happens."""
    if reason := reason_not_to():
        pytest.skip(f"{reason}; run `sudo make test`, in a container with --privileged, to have this tested")
    assert Path("/lib/systemd/systemd").exists(), "the Debian package systemd is missing"
    folder = Path(tempfile.mkdtemp(prefix="m-box-", dir="/tmp"))
    box = Box(folder / "box", base)
    try:
        yield box
    finally:
        box.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def machine() -> Iterator[Room]:
    """A machine with minuted on it, not started."""
    with made_box() as box:
        seed_world(box)
        seed_program(box)
        box.start()
        room = Room(box)
        room.make_user()
        room.prepare()
        yield room


@pytest.fixture(scope="module")
def wheels() -> Iterator[Path]:
    """A folder with all that pip will be asked for; MINUTED_WHEELS names one that is there already."""
    if given := os.environ.get("MINUTED_WHEELS"):
        yield Path(given)
        return
    with tempfile.TemporaryDirectory(prefix="m-wheels-", dir="/tmp") as folder:
        download = ["pip", "download", "--quiet", "--require-hashes", "--dest", folder]
        requirements = ROOT / "deploy/requirements.txt"
        subprocess.run([sys.executable, "-m", *download, "--requirement", requirements], check=True)
        yield Path(folder)


@pytest.fixture
def bare_machine(wheels: Path) -> Iterator[Room]:
    """A machine that minuted never was on; /srv/source is the checkout, /srv/wheels has its packages."""
    with made_box() as box:
        seed_world(box)
        box.bind(wheels, "/srv/wheels")
        box.start()
        room = Room(box)
        room.prepare()
        # The box shows this machine's own folders, and a run by hand may have left something there.
        box.run("rm", "-rf", "/var/lib/minuted")
        yield room


@pytest.fixture
def room(machine: Room) -> Iterator[Room]:
    """The machine with nothing running and nothing written yet."""
    machine.end()
    yield machine
    machine.end()
