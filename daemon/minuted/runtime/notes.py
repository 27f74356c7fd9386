"""Small files in the state folder that are whole and on the disk, or not there."""

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from minuted.runtime import files
from minuted.runtime.disk import sync_folder
from minuted.runtime.sealed import opened, sealed
from minuted.runtime.shapes import fitted

LOCK_WAIT_S_MAX: Final = 1.0
"""Sound is waiting meanwhile."""
LOOK_EVERY_S: Final = 0.01


def read(note: Path, shape: Any) -> dict[str, Any]:
    """Return a note in plain values of its shape.

    Raises FileNotFoundError where there is none, ValueError for one that is damaged.
    """
    try:
        return dict(fitted(shape, json.loads(opened(note.read_text(encoding="utf-8"))), note.name))
    except (IsADirectoryError, RecursionError) as error:
        raise ValueError(f"{note.name}: {type(error).__name__}") from None


def store(note: Path, values: dict[str, Any]) -> None:
    """Write a note whole, or not at all, and see it on the disk. Raises OSError.

    A folder in its place is moved aside: nobody could ever write the note.
    """
    data = sealed(json.dumps(values)).encode()
    try:
        files.replace(note, data, 0o640)
    except IsADirectoryError:
        note.rename(note.with_name(f"{note.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}"))
        files.replace(note, data, 0o640)


def remove(note: Path) -> None:
    """Take a note away for good; none is no error. Raises OSError."""
    note.unlink(missing_ok=True)
    sync_folder(note.parent)


@contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Keep others from reading a note and writing it meanwhile; a moment is all it may take.

    Raises TimeoutError where somebody keeps it for longer than LOCK_WAIT_S_MAX, and other OSErrors.
    """
    descriptor = files.open_own(lock, os.O_RDONLY | os.O_CREAT, 0o600)
    try:
        _wait(descriptor, lock)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, lock: Path) -> None:
    until_s = time.monotonic() + LOCK_WAIT_S_MAX
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until_s:
                text = f"{lock} is locked by another process: end that one"
                raise TimeoutError(errno.ETIMEDOUT, text) from None
        time.sleep(LOOK_EVERY_S)
