"""Small files in the state folder that are whole and on the disk, or not there."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minuted.runtime import files
from minuted.runtime.disk import sync_folder
from minuted.runtime.sealed import opened, sealed
from minuted.runtime.shapes import fitted


def read(note: Path, shape: Any) -> dict[str, Any]:
    """Return a note in plain values of its shape.

    Raises FileNotFoundError where there is none, ValueError for one that is damaged.
    """
    try:
        return dict(fitted(shape, json.loads(opened(note.read_text(encoding="utf-8"))), note.name))
    except (IsADirectoryError, RecursionError) as error:
        raise ValueError(f"{note.name}: {type(error).__name__}") from None


def store(note: Path, values: dict[str, Any]) -> None:
    """Write a note whole, or not at all, and see it on the disk. Raises OSError."""
    files.replace(note, sealed(json.dumps(values)).encode(), 0o640)


def remove(note: Path) -> None:
    """Take a note away for good; none is no error. Raises OSError."""
    note.unlink(missing_ok=True)
    sync_folder(note.parent)


@contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Have nobody else read a note and write it meanwhile; a moment is all it may take. Raises OSError."""
    descriptor = files.open_own(lock, os.O_RDONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
