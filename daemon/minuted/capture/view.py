"""A stretch of a file as a file of its own, with another header where its own says what is not so."""

import io
import os
from dataclasses import dataclass
from typing import BinaryIO, Final

BLOCK_BYTES: Final = 1 << 18
SEARCHED_BYTES_MAX: Final = 2 << 30
"""In a longer file nobody looks for others that are joined: it would take a minute."""
ENDLESS_BYTES: Final = 1 << 40
"""What an endless view says of its size: more than any decoder's estimate needs."""

_TAIL_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a file that is a recording of its own."""

    start: int
    end: int
    header: bytes = b""
    """What stands before it."""
    length_s: float | None = None
    """How long it is; None: the decoder knows, or nobody."""
    claimed_s: float | None = None
    """How long it says it is: with less it has been cut off."""
    is_cut: bool = False
    """It is known to have been cut off."""
    is_endless: bool = False
    """Its decoder guesses the length by the size, and stops there: it is told of one beyond all bounds."""


class Bytes:
    """A file's bytes up to `size`, wherever they are asked for; to read on is cheap."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file = file
        self.size = size
        self._at = 0
        self._block = b""

    def at(self, at: int, count: int) -> bytes:
        """Return bytes, fewer at the end. Raises OSError."""
        count = max(0, min(count, self.size - at))
        if at < self._at or at + count > self._at + len(self._block):
            self._at = at
            self._block = _read(self.file, at, max(count, min(BLOCK_BYTES, self.size - at)))
        begin = at - self._at
        return self._block[begin : begin + count]

    def find(self, mark: bytes, at: int) -> int:
        """Return where these bytes stand next; -1 where they don't. Raises OSError."""
        while at < self.size:
            block = self.at(at, BLOCK_BYTES)
            if (found := block.find(mark)) >= 0:
                return at + found
            at += max(1, len(block) - len(mark) + 1)
        return -1


class View(io.RawIOBase):
    """A part as a file. What cannot be read ends it, and stands in `error`: decoders take no exceptions."""

    def __init__(self, file: BinaryIO, part: Part) -> None:
        super().__init__()
        self.error: OSError | None = None
        self._file = file
        self._part = part
        self._size = len(part.header) + part.end - part.start
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def length(self) -> int:
        """Return how long it is said to be, in bytes."""
        return ENDLESS_BYTES if self._part.is_endless else self._size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.length()}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        size = self._size - self._at if size < 0 else size
        if self._part.is_endless and self._at >= ENDLESS_BYTES - _TAIL_BYTES:
            # Decoders look for a tag in the end.
            size = max(0, min(size, ENDLESS_BYTES - self._at))
            self._at += size
            return bytes(size)
        head = self._part.header[self._at : self._at + size]
        begin = self._part.start + max(0, self._at - len(self._part.header))
        try:
            body = _read(self._file, begin, min(size - len(head), self._part.end - begin))
        except OSError as error:
            self.error, body = error, b""
        self._at += len(head) + len(body)
        return head + body

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    """Return bytes from a place, fewer where the file has become shorter. Raises OSError."""
    found: list[bytes] = []
    while count > 0 and (piece := os.pread(file.fileno(), count, at)):
        found.append(piece)
        at, count = at + len(piece), count - len(piece)
    return b"".join(found)
