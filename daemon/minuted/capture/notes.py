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


def store(note: Path, values: dict[str, Any]) -> None:
    """Write a note whole, or not at all, and see it on the disk. Raises OSError."""
    files.replace(note, json.dumps(values).encode(), 0o640)


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
