"""Append every final turn, revision and gap to a file, one JSON object a line, each exactly once."""

import os
from pathlib import Path
from typing import Final

from minuted import Gap, Sink, Turn

BEYOND_BYTES_MAX: Final = 1 << 20
"""Of what others appended since the last line, how much is searched for one that a kill left uncommitted."""


class FileLog(Sink):
    path: Path
    """The file; its folder is made where it is missing, and a file moved away is begun anew."""
    makes_folders = True

    def check(self) -> str:
        self._refuse_stranger_s_link()
        return super().check()

    def open(self) -> None:
        os.close(self._opened()[0])

    def write(self, turn: Turn) -> None:
        self._append(line_of(turn))

    def revise(self, turn: Turn) -> None:
        self._append(line_of(turn))

    def gap(self, gap: Gap) -> None:
        self._append(line_of(gap))

    def _append(self, line: bytes) -> None:
        file, committed_bytes = self._opened()
        try:
            status = os.fstat(file)
            if committed_bytes is None:
                rest = missing(line, _read(file, status.st_size - len(line) - 1, status.st_size))
            else:
                beyond = _read(file, committed_bytes, min(status.st_size, committed_bytes + BEYOND_BYTES_MAX))
                if there_bytes := whole_until(line, beyond):
                    os.fdatasync(file)
                    self._commit(status.st_ino, committed_bytes + there_bytes)
                    return
                tail = _read(file, max(committed_bytes, status.st_size - len(line) - 1), status.st_size)
                torn_bytes = torn(line, tail)
                if torn_bytes:
                    os.ftruncate(file, status.st_size - torn_bytes)
                rest = missing(line, tail[: len(tail) - torn_bytes])
            self._commit(status.st_ino, self._written(file, rest))
            if committed_bytes is None:
                _sync_folder(self.path.parent)
        finally:
            os.close(file)

    def _commit(self, inode: int, until_bytes: int) -> None:
        self.checkpoint = {"path": str(self.path), "inode": inode, "bytes": until_bytes}

    def _written(self, file: int, rest: bytes) -> int:
        """Append what is left of a line, on the disk; return where it ends. Of a failure nothing is left."""
        written_bytes = os.write(file, rest)
        # It goes behind what somebody else appended meanwhile.
        until_bytes = os.lseek(file, 0, os.SEEK_CUR) if rest else os.fstat(file).st_size
        from_bytes = until_bytes - written_bytes
        try:
            if written_bytes < len(rest):
                raise OSError(f"no room for a whole line in {self.path}")
            os.fdatasync(file)
        except OSError:
            if os.fstat(file).st_size == until_bytes:
                os.ftruncate(file, from_bytes)
            raise
        return until_bytes

    def _opened(self) -> tuple[int, int | None]:
        """Open the file; return with it how much of it is committed, None where it is another file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._refuse_stranger_s_link()
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        status = os.fstat(file)
        committed_bytes = int(self.checkpoint.get("bytes", 0))
        is_ours = (
            self.checkpoint.get("path") == str(self.path)
            and self.checkpoint.get("inode") == status.st_ino
            and status.st_size >= committed_bytes
        )
        return file, committed_bytes if is_ours else None

    def _refuse_stranger_s_link(self) -> None:
        # Path.is_symlink raises where a folder above is closed.
        if os.path.islink(self.path) and self.path.lstat().st_uid not in (0, os.geteuid()):  # noqa: PTH114
            raise PermissionError(f"{self.path} is another user's link: remove it")


def line_of(record: Turn | Gap) -> bytes:
    """Give the record's map, as it stands on the wire, as one line of JSON."""
    return f"{record.to_json()}\n".encode()


def missing(line: bytes, tail: bytes) -> bytes:
    """Return what a file that ends in `tail` still needs to end in `line`.

    A kill before the first checkpoint may have left all of the line there, or its beginning.
    """
    if tail in (line, b"\n" + line):
        return b""
    unfinished = tail.rpartition(b"\n")[2]
    return line.removeprefix(unfinished) if line.startswith(unfinished) else b"\n" + line


def whole_until(line: bytes, beyond: bytes) -> int:
    """Return up to where the line stands whole in what lies beyond the committed end; 0 where it does not.

    A kill after the write leaves it there, and whatever somebody else appended may stand around it.
    """
    at = (b"\n" + beyond).find(b"\n" + line)
    return at + len(line) if at >= 0 else 0


def torn(line: bytes, tail: bytes) -> int:
    """Return how many bytes at the end are the beginning of the line, and so of a write that was cut short.

    A power cut may leave zeros in the place of what was written.
    """
    unfinished = tail.rpartition(b"\n")[2]
    return len(unfinished) if line.startswith(unfinished.rstrip(b"\0")) else 0


def _read(file: int, from_bytes: int, until_bytes: int) -> bytes:
    from_bytes = max(0, from_bytes)
    return os.pread(file, until_bytes - from_bytes, from_bytes)


def _sync_folder(folder: Path) -> None:
    # A file's name outlives a power cut only when its folder is synced too.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
