"""A folder of files as a journal needs it: the one place where it touches the disk.

A test puts a folder of its own here to pull the plug on everything that was not yet synced.
"""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

FOLDER_MODE: Final = 0o750
FILE_MODE: Final = 0o640
SETTLED_NS: Final = 3_000_000_000
"""No file system tells times more coarsely than this."""


class FolderInUseError(OSError):
    """Another process already writes into this folder."""


class Folder:
    """A folder, made where it is missing. Nobody but its owner and group can read what is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._claim: int | None = None
        self._listed: tuple[int, tuple[str, ...]] = (-1, ())
        if not path.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(FOLDER_MODE)  # whatever the umask
            _sync_folder(path.parent)

    def claim(self) -> None:
        """Be the only writer, until `close` or the process's end. Raises FolderInUseError."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise FolderInUseError(f"{self.path} is in use by another process") from None
        self._claim = descriptor

    def close(self) -> None:
        """Let go of the claim."""
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    def names(self) -> tuple[str, ...]:
        """Give the files that are there: the very same tuple, and at once, while none comes or goes."""
        changed_ns = self.path.stat().st_mtime_ns
        known_ns, names = self._listed
        if changed_ns != known_ns:
            now_ns = time.time_ns()
            with os.scandir(self.path) as entries:
                names = tuple(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
            # The next change may bear the time of the last one while that is still recent.
            self._listed = (changed_ns if now_ns - changed_ns > SETTLED_NS else -1, names)
        return names

    def size(self, name: str) -> int:
        """Give a file's size in bytes, 0 when there is no such file."""
        with suppress(FileNotFoundError):
            return (self.path / name).stat().st_size
        return 0

    def create(self, name: str) -> int:
        """Make a new file and open it for writing. Raises FileExistsError."""
        descriptor = self._open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        os.fchmod(descriptor, FILE_MODE)  # whatever the umask
        return descriptor

    def open(self, name: str, *, writing: bool = False) -> int:
        """Open a file that is there. Raises FileNotFoundError."""
        return self._open(name, os.O_RDWR if writing else os.O_RDONLY)

    def read(self, descriptor: int, bytes_max: int, offset: int) -> bytes:
        return os.pread(descriptor, bytes_max, offset)

    def write(self, descriptor: int, data: bytes, offset: int) -> int:
        """Write in one call and give how much was written: less than all of it where the room ends."""
        return os.pwrite(descriptor, data, offset)

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        os.ftruncate(descriptor, size_bytes)

    def sync(self, descriptor: int) -> None:
        """Bring a file's content to the disk."""
        os.fdatasync(descriptor)

    def sync_names(self) -> None:
        """Bring it to the disk which files there are: a new file's content alone could not be found."""
        _sync_folder(self.path)

    def unlink(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def close_file(self, descriptor: int) -> None:
        os.close(descriptor)

    def _open(self, name: str, flags: int) -> int:
        return os.open(f"{self.path}/{name}", flags | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
