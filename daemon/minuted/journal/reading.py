"""The turn journal of a daemon that does not run, read without a trace: nothing is locked or made beside it.

SQLite cannot open a write-ahead log read-only without making files of its own, which would belong to
whoever reads and might keep the daemon out. So a journal that was closed is opened as one that never
changes, and of one that a kill has left with its log, a copy of both is read. A writer that starts in
the meantime is noticed by what it changes.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

from minuted.journal.paging import page

_ENDS: Final = "SELECT (SELECT min(seq) FROM records), (SELECT max(seq) FROM records)"
T = TypeVar("T")


class JournalChangedError(OSError):
    """Somebody writes to the journal: what was read of it may not belong together."""


class TurnReader:
    """A turn journal's records by their numbers."""

    def __init__(self, database: sqlite3.Connection, path: Path, found: object) -> None:
        self._database = database
        self._path = path
        self._found = found
        first, last = self._tried(lambda: database.execute(_ENDS).fetchone())
        self.first_seq: int = first or 0
        self.last_seq: int = last or 0

    def page(self, from_seq: int, limit: int) -> list[dict[str, Any]]:
        """Return up to `limit` records from `from_seq` on, as maps, in order; see `TurnJournal.page`."""
        first = max(from_seq, self.first_seq)
        last = min(first + max(1, limit) - 1, self.last_seq)
        return self._tried(lambda: page(self._database, first, last))

    def _tried(self, read: Callable[[], T]) -> T:
        try:
            found = read()
        except sqlite3.Error as error:
            raise _changed(self._path, self._found) or OSError(
                f"{self._path} cannot be read: {error}"
            ) from None
        if changed := _changed(self._path, self._found):
            raise changed
        return found


@contextmanager
def reading(path: Path) -> Iterator[TurnReader]:
    """Open a turn journal for reading.

    Raises OSError where it is not there, not to be read, or (JournalChangedError) being written to.
    """
    with ExitStack() as stack:
        if path.exists() and not path.is_file():
            raise OSError(f"{path} is no file")
        with path.open("rb"):
            pass
        found = _look(path)
        log = _log_of(path)
        opened, way = path, "mode=ro&immutable=1"
        if log.exists() and log.stat().st_size:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="minuted-")))
            opened, way = folder / path.name, "mode=rw"
            shutil.copyfile(path, opened)
            shutil.copyfile(log, _log_of(opened))
            if changed := _changed(path, found):
                raise changed
        address = f"file:{quote(str(opened.absolute()))}?{way}"
        database = stack.enter_context(closing(sqlite3.connect(address, uri=True)))
        yield TurnReader(database, path, found)


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _look(path: Path) -> object:
    """Give what no writer leaves as it is."""
    states = [file.stat() if file.exists() else None for file in (path, _log_of(path))]
    return [state and (state.st_ino, state.st_size, state.st_mtime_ns) for state in states]


def _changed(path: Path, found: object) -> JournalChangedError | None:
    if _look(path) == found:
        return None
    return JournalChangedError(f"{path} is being written to: minuted has just started; ask again")
