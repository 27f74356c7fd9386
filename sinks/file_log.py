"""Append every final turn, revision and gap to a file, one JSON object a line, each exactly once."""

import os
from pathlib import Path

from minuted import Gap, Sink, Turn


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
        file, is_ours = self._opened()
        try:
            end_bytes = os.fstat(file).st_size
            rest = line if is_ours else missing(line, _tail(file, end_bytes, len(line) + 1))
            try:
                if os.pwrite(file, rest, end_bytes) < len(rest):
                    raise OSError(f"no room for a whole line in {self.path}")
                os.fdatasync(file)
            except OSError:
                os.ftruncate(file, end_bytes)
                raise
            if not is_ours:
                _sync_folder(self.path.parent)
            inode = os.fstat(file).st_ino
        finally:
            os.close(file)
        self.checkpoint = {"path": str(self.path), "inode": inode, "bytes": end_bytes + len(rest)}

    def _opened(self) -> tuple[int, bool]:
        """Open the file, cut to what is committed, and say whether it is the file of the checkpoint."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._refuse_stranger_s_link()
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        status = os.fstat(file)
        committed_bytes = self.checkpoint.get("bytes", 0)
        is_ours = (
            self.checkpoint.get("path") == str(self.path)
            and self.checkpoint.get("inode") == status.st_ino
            and status.st_size >= committed_bytes
        )
        if is_ours and status.st_size > committed_bytes:
            os.ftruncate(file, committed_bytes)
        return file, is_ours

    def _refuse_stranger_s_link(self) -> None:
        # Path.is_symlink raises where a folder above is closed.
        if os.path.islink(self.path) and self.path.lstat().st_uid not in (0, os.geteuid()):  # noqa: PTH114
            raise PermissionError(f"{self.path} is another user's link: remove it")


def line_of(record: Turn | Gap) -> bytes:
    """Give the record's map, as it stands on the wire, as one line of JSON."""
    return f"{record.to_json()}\n".encode()


def missing(line: bytes, tail: bytes) -> bytes:
    """Give what a file of unknown history that ends in `tail` still needs to end in `line`.

    A kill before the first checkpoint may have left all of the line there, or its beginning.
    """
    if tail in (line, b"\n" + line):
        return b""
    unfinished = tail.rpartition(b"\n")[2]
    return line.removeprefix(unfinished) if line.startswith(unfinished) else b"\n" + line


def _tail(file: int, end_bytes: int, tail_bytes: int) -> bytes:
    begin_bytes = max(0, end_bytes - tail_bytes)
    return os.pread(file, end_bytes - begin_bytes, begin_bytes)


def _sync_folder(folder: Path) -> None:
    # A file's name outlives a power cut only when its folder is synced too.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
