"""A folder whose names are to be on the disk."""

import os
from pathlib import Path

import pytest

from minuted.runtime.disk import sync_folder


def test_nothing_stays_open_however_often_it_is_done(tmp_path: Path) -> None:
    """A sink does it with every meeting, for months."""
    for _ in range(5):
        sync_folder(tmp_path)
    # Other descriptors come and go with what earlier tests have left to the garbage collector.
    opened = [os.path.realpath(descriptor) for descriptor in Path("/proc/self/fd").iterdir()]
    assert str(tmp_path) not in opened


def test_what_is_no_folder_is_an_error(tmp_path: Path) -> None:
    """To go on would be to say that something is safe that is not."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "none"):
        with pytest.raises(OSError, match=path.name):
            sync_folder(path)
