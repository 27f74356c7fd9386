"""A disk that loses power: what was not synced is gone, or there in part.

The files are real ones. Beside them the disk keeps what of them is durable, in blocks of 512 bytes,
and every version of a block, a size or a name written since. A power cut leaves any mixture of these.
"""

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from minuted.journal.folder import Folder

BLOCK_BYTES = 512
NOTHING = bytes(BLOCK_BYTES)

T = TypeVar("T")


class Pick(Protocol):
    """Chooses among the versions of something, the durable one first, the newest last."""

    def __call__(self, versions: Sequence[T], /) -> T: ...


class Killed(BaseException):
    """The process was killed in the middle of a write."""


class DiskFile:
    """A file's sizes and blocks: of each the durable version, and those written since."""

    def __init__(self, content: bytes = b"") -> None:
        self.sizes = [len(content)]
        starts = range(0, len(content), BLOCK_BYTES)
        self.blocks = {start: [content[start : start + BLOCK_BYTES]] for start in starts}

    def changed(self, descriptor: int, start: int, end: int) -> None:
        self.sizes.append(os.fstat(descriptor).st_size)
        for block in range(start - start % BLOCK_BYTES, end, BLOCK_BYTES):
            version = os.pread(descriptor, BLOCK_BYTES, block)
            self.blocks.setdefault(block, [NOTHING]).append(version)

    def synced(self) -> None:
        self.write_back(lambda versions: versions[-1])

    def survive(self, pick: Pick) -> bytes:
        """Give what a power cut leaves."""
        size = pick(self.sizes)
        starts = range(0, size, BLOCK_BYTES)
        blocks = [pick(self.blocks.get(start, [NOTHING])).ljust(BLOCK_BYTES, b"\0") for start in starts]
        return b"".join(blocks)[:size]

    def write_back(self, pick: Pick) -> None:
        """Make some of what was written durable, as the kernel does when it likes."""
        for versions in (self.sizes, *self.blocks.values()):
            if pick([False, True]):
                del versions[:-1]


class Disk:
    """Real files in one folder, of which it is known what would survive a power cut."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.room: int | None = None
        """Bytes that can still be written; None: any number."""
        self.dies_after: int | None = None
        """The next write is cut off after this many bytes, and its process killed."""
        self.fails_to_sync = False
        self.fails_to_write = False
        self.during_sync: Callable[[], None] = lambda: None
        """Called in the middle of every sync, before anything is durable."""
        self.syncs = 0
        self.now: dict[str, DiskFile] = {}
        self.durable: dict[str, DiskFile] = {}
        self.open: dict[int, DiskFile] = {}

    def cut_power(self, pick: Pick) -> None:
        """Leave on the disk what survives. Every process must be gone."""
        survivors = {}
        for name in sorted(self.now.keys() | self.durable.keys()):
            file = pick([self.durable.get(name), self.now.get(name)])
            if file is not None:
                survivors[name] = file.survive(pick)
        for name in self.now:
            (self.path / name).unlink()
        for name, content in survivors.items():
            (self.path / name).write_bytes(content)
        self.now = {name: DiskFile(content) for name, content in survivors.items()}
        self.durable = dict(self.now)
        self.open = {}

    def write_back(self, pick: Pick) -> None:
        for name in sorted(self.now):
            self.now[name].write_back(pick)
            if pick([False, True]):
                self.durable[name] = self.now[name]

    def flip(self, name: str, offset: int, bit: int) -> None:
        """Turn one bit round."""
        with (self.path / name).open("r+b", buffering=0) as file:
            flipped = os.pread(file.fileno(), 1, offset)[0] ^ 1 << bit
            os.pwrite(file.fileno(), bytes([flipped]), offset)
            self.now[name].changed(file.fileno(), offset, offset + 1)


class FailingFolder(Folder):
    """A process's view of the disk."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk.path)
        self._disk = disk
        self._opened: set[int] = set()

    def die(self) -> None:
        """Close everything, as the kernel does for a killed process."""
        for descriptor in tuple(self._opened):
            self.close_file(descriptor)
        self.close()

    def create(self, name: str) -> int:
        if self._disk.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        descriptor = super().create(name)
        self._disk.now[name] = DiskFile()
        return self._note(descriptor, name)

    def open(self, name: str, *, writing: bool = False) -> int:
        return self._note(super().open(name, writing=writing), name)

    def write(self, descriptor: int, data: bytes, offset: int) -> int:
        disk = self._disk
        if disk.fails_to_write:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if disk.dies_after is not None:
            part, disk.dies_after = data[: disk.dies_after], None
            self._write(descriptor, part, offset)
            raise Killed
        if disk.room is None:
            return self._write(descriptor, data, offset)
        part = data[: disk.room]
        disk.room -= len(part)
        if not part:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(descriptor, part, offset)

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        before = os.fstat(descriptor).st_size
        super().truncate(descriptor, size_bytes)
        self._disk.open[descriptor].changed(descriptor, min(before, size_bytes), size_bytes)

    def sync(self, descriptor: int) -> None:
        self._disk.during_sync()
        self._disk.syncs += 1
        if self._disk.fails_to_sync:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._disk.open[descriptor].synced()

    def sync_names(self) -> None:
        self._disk.during_sync()
        self._disk.durable = dict(self._disk.now)

    def unlink(self, name: str) -> None:
        super().unlink(name)
        self._disk.now.pop(name, None)

    def close_file(self, descriptor: int) -> None:
        super().close_file(descriptor)
        self._opened.discard(descriptor)
        self._disk.open.pop(descriptor, None)

    def _note(self, descriptor: int, name: str) -> int:
        self._opened.add(descriptor)
        self._disk.open[descriptor] = self._disk.now[name]
        return descriptor

    def _write(self, descriptor: int, data: bytes, offset: int) -> int:
        written = super().write(descriptor, data, offset)
        self._disk.open[descriptor].changed(descriptor, offset, offset + written)
        return written
