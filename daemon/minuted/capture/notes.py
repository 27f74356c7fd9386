"""Small files in the state folder that are whole and on the disk, or not there."""

import json
import os
from pathlib import Path
from typing import Any


def store(note: Path, values: dict[str, Any]) -> None:
    """Write a note whole, or not at all, and see it on the disk. Raises OSError."""
    new = note.with_suffix(".new")
    with new.open("w", encoding="utf-8") as file:
        json.dump(values, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(note)
    _sync_names(note.parent)


def remove(note: Path) -> None:
    """Take a note away for good; none is no error. Raises OSError."""
    note.unlink(missing_ok=True)
    _sync_names(note.parent)


def _sync_names(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
