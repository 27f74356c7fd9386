"""What it takes for a file's name to outlive a power cut."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """See the names in a folder on the disk: a file that is safe under no name is lost. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
