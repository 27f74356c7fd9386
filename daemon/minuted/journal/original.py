"""A mark beside a file that tells whether its folder is the original, or was put back from a copy.

The mark holds the date of its writing. The kernel dates each change of a file, and nobody can set that date
(`st_ctime`): a mark that was changed later is a copy, made anew or written over, where its birth or its time
of modification is another as well. A new owner or mode changes neither. What does not show: a snapshot of
the whole disk, and `cp -a` onto the files that are there.
"""

import ctypes
import os
import struct
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from minuted.runtime import files
from minuted.runtime.disk import sync_folder
from minuted.runtime.sealed import opened, sealed

MODE: Final = 0o640
BYTES_MAX: Final = 4096
COPIED_S: Final = 10.0
"""A mark that was changed so long after it was written was not changed by us."""
_DATED_S: Final = 2.0
"""How coarse the dates of a file system may be."""
_AT_FDCWD, _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, _BTIME_OFFSET = -100, 0x100, 0x800, 0x50
"""Source: linux/fcntl.h, linux/stat.h."""


def is_copied(mark: Path) -> bool:
    """Return whether a mark that was left is a copy, or gone. One that cannot be read proves nothing."""
    try:
        status = mark.lstat()
        written_ns = int(opened(files.read_small(mark, BYTES_MAX).decode()))
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    if status.st_ctime_ns - written_ns <= COPIED_S * 1e9:
        return False
    born_ns = _born_ns(mark)
    is_written_over = abs(status.st_mtime_ns - written_ns) > _DATED_S * 1e9
    return born_ns is None or born_ns - written_ns > COPIED_S * 1e9 or is_written_over


def _born_ns(path: Path) -> int | None:
    """Return when a file was made; None where the file system does not know. Source: statx(2)."""
    buffer = ctypes.create_string_buffer(256)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.statx(_AT_FDCWD, os.fsencode(path), _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, buffer):
        return None
    (mask,) = struct.unpack_from("=I", buffer, 0)
    s, ns = struct.unpack_from("=qI", buffer, _BTIME_OFFSET)
    return int(s * 10**9 + ns) if mask & _STATX_BTIME else None


def leave(mark: Path) -> bool:
    """Write the mark, on the disk; return whether that was possible."""
    with suppress(OSError):
        with closing(os.fdopen(files.open_own(mark, os.O_WRONLY | os.O_CREAT, MODE), "wb")) as file:
            # Dated by the clock that dates files, whatever this process takes for the time.
            os.utime(file.fileno())
            written_ns = os.fstat(file.fileno()).st_mtime_ns
            file.write(sealed(f"{written_ns:020}").encode())
            file.flush()
            os.utime(file.fileno(), ns=(written_ns, written_ns))
            os.fsync(file.fileno())
        sync_folder(mark.parent)
        return True
    return False
