"""A mark beside a file that tells whether its folder is the original, or was put back from a copy.

The kernel dates each change of a file, and nobody can set that date (`st_ctime`). The mark holds the date
of its own writing: of a copy, whichever program made it, the two are apart. What changes the mark's owner
or mode looks the same; a snapshot of the whole disk does not show.
"""

import os
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


def is_copied(mark: Path) -> bool:
    """Tell whether a mark that was left is a copy, or gone. One that cannot be read tells nothing."""
    try:
        changed_ns = mark.lstat().st_ctime_ns
        written_ns = int(opened(files.read_small(mark, BYTES_MAX).decode()))
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return changed_ns - written_ns > COPIED_S * 1e9


def leave(mark: Path) -> bool:
    """Write the mark, on the disk; return whether that was possible."""
    with suppress(OSError):
        with closing(os.fdopen(files.open_own(mark, os.O_WRONLY | os.O_CREAT, MODE), "wb")) as file:
            # Dated by the clock that dates files, whatever this process takes for the time.
            os.utime(file.fileno())
            file.write(sealed(f"{os.fstat(file.fileno()).st_mtime_ns:020}").encode())
            file.flush()
            os.fsync(file.fileno())
        sync_folder(mark.parent)
        return True
    return False
