"""A SQLite file opened for one process alone, and waited for while another program has it open."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from minuted.runtime import files

LOOK_EVERY_S: Final = 0.1
_BUSY: Final = (5, 6)
"""SQLITE_BUSY and SQLITE_LOCKED."""


class DatabaseInUseError(OSError):
    """Another program has the file open; the text says which, as far as the kernel tells."""


def open_exclusive(
    path: Path, wait_s: float, on_wait: Callable[[str], None] = lambda _text: None, **options: Any
) -> sqlite3.Connection:
    """Open a database in WAL mode with synchronous=FULL, locked for this connection alone.

    While another program has it open, that is told to `on_wait`, once, and after `wait_s` raised as
    DatabaseInUseError. Raises UnsafeFileError where a link or another user's file is in its place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    files.make_private(path)
    until_s, has_told = time.monotonic() + wait_s, False
    while True:
        database: sqlite3.Connection = sqlite3.connect(path, isolation_level=None, timeout=0, **options)
        try:
            for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
                database.execute(f"PRAGMA {pragma}")
            # The lock is taken with the first look, and held from then on.
            database.execute("BEGIN IMMEDIATE")
            database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            database.close()
            if error.sqlite_errorcode & 0xFF not in _BUSY:
                raise
        except BaseException:
            database.close()
            raise
        else:
            return database
        text = f"{path} is in use by another process{_who(path)}, which has it locked: close it there"
        if time.monotonic() >= until_s:
            raise DatabaseInUseError(text)
        if not has_told:
            on_wait(text)
            has_told = True
        time.sleep(LOOK_EVERY_S)


def _who(path: Path) -> str:
    """Name the processes with a lock on a file, as /proc/locks tells them; "" where it does not."""
    found: dict[int, str] = {}
    with suppress(OSError, ValueError):
        inodes = {str(each.stat().st_ino) for each in path.parent.glob(f"{path.name}*")}
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            fields = line.split()
            # 1: POSIX ADVISORY READ 4711 08:01:131090 1073741826 1073742335
            if len(fields) == 8 and fields[5].rpartition(":")[2] in inodes and int(fields[4]) > 0:
                found[int(fields[4])] = "another program"
    for pid in found:
        with suppress(OSError):
            found[pid] = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    return f" ({', '.join(f'{pid}, {name}' for pid, name in sorted(found.items()))})" if found else ""
