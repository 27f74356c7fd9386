"""Locks that last as long as their process, in files that say whose they are.

The lock is the kernel's; what stands in the file is for people alone, and damage to it is overwritten. A
link, another user's file and somebody's real file are refused and left as they are.
"""

import errno
import fcntl
import os
import re
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

from .files import UnsafeFileError, open_own

LOOK_EVERY_S: Final = 0.05
TEXT_BYTES_MAX: Final = 400
_TEXT: Final = re.compile(rb"\d{1,10}(\n.*)?", re.DOTALL)


class InUseError(OSError):
    """Another process has the lock."""


class Holder(NamedTuple):
    """Who has a lock, as far as its file tells."""

    pid: int = 0
    command: str = ""


def take(path: Path, what: str, *, shared: bool = False, wait_s: float = 0.0) -> int:
    """Take the lock at `path` until the descriptor that is returned is closed, or this process ends.

    Raises InUseError when another process has it for longer than `wait_s`, UnsafeFileError for a file that
    is no lock of ours, and OSError.
    """
    descriptor = open_own(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if _is_real(descriptor):
            raise UnsafeFileError(f"{path} is no lock of minuted's: remove it")
        _wait(descriptor, what, shared=shared, wait_s=wait_s)
        if not shared:
            _sign(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def holder(path: Path) -> Holder:
    """Return who has the lock at `path` now; pid 0 where nobody has it or nobody can tell."""
    try:
        descriptor = open_own(path, os.O_RDONLY)
    except OSError:
        return Holder()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    finally:
        os.close(descriptor)
    return Holder()


def _is_real(descriptor: int) -> bool:
    """Whether a file is somebody's: longer than any lock, or strange and known by a second name."""
    status = os.fstat(descriptor)
    if status.st_size > TEXT_BYTES_MAX:
        return True
    return status.st_nlink > 1 and not _TEXT.fullmatch(os.pread(descriptor, TEXT_BYTES_MAX, 0) or b"0")


def _wait(descriptor: int, what: str, *, shared: bool, wait_s: float) -> None:
    until_s = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until_s:
                found = _read(descriptor)
                by = f" (process {found.pid})" if found.pid else ""
                raise InUseError(f"{what} is already in use by another minuted{by}") from None
        time.sleep(LOOK_EVERY_S)


def _sign(descriptor: int) -> None:
    """Note whose the lock is. It holds also where a full disk has no room for that."""
    text = f"{os.getpid()}\n{' '.join(sys.argv)}".encode(errors="replace")[:TEXT_BYTES_MAX]
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text, 0)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def _read(descriptor: int) -> Holder:
    text = os.pread(descriptor, TEXT_BYTES_MAX, 0)
    if not _TEXT.fullmatch(text):
        return Holder()
    pid, _, command = text.decode(errors="replace").partition("\n")
    return Holder(int(pid), "".join(each if each.isprintable() else "?" for each in command))
