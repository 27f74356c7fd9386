"""One SQLite file of one process, made with a mode of its own; a damaged one is moved aside and begun anew.

Damage that SQLite meets while it works cannot be mended under its hands: it is noted in a file beside the
database, the process ends, and the next one moves the database aside, copies what can be read of it into
a new one, and says so. The damaged one is kept.
"""

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import structlog

from minuted.journal.exclusive import open_exclusive
from minuted.runtime import files
from minuted.runtime.disk import sync_folder

FILE_MODE: Final = 0o640
KEPT_MAX: Final = 3
"""Damaged databases that are kept; the oldest goes."""
DAMAGED: Final = "damaged-"
"""Behind the name of one that was moved aside, and before the time of it."""
LOOKED_AT: Final = 100
NOTE_BYTES_MAX: Final = 4096
NEAR: Final = 64
"""Rows that are tried one by one behind what cannot be read; then the steps double."""
_DAMAGED_CODES: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT)

log = structlog.get_logger(__name__)

Columns = Mapping[str, Sequence[str]]
"""The tables, each with its columns."""


class DatabaseDamagedError(OSError):
    """The file is no database, or not the one it was."""


def opened(
    path: Path, schema: str, columns: Columns, pragmas: Sequence[str] = (), **options: Any
) -> sqlite3.Connection:
    """Open a database, made where it is not there and begun anew where it is damaged.

    `options` are those of `open_exclusive`: `wait_s`, `on_wait` and SQLite's own. Raises as that does,
    and sqlite3.OperationalError where it cannot be written or there is no room.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rebuilt = _beside(path, "rebuilt")
    if rebuilt.exists():
        # The process that moved the damaged one aside was ended before it was done.
        if not path.exists():
            rebuilt.replace(path)
        rebuilt.unlink(missing_ok=True)
    if not _noted(path).exists():
        try:
            return _connected(path, schema, columns, pragmas, options)
        except DatabaseDamagedError as error:
            reason = str(error)
    else:
        reason = "it was damaged when it was last used"
    _begin_anew(path, schema, columns, reason)
    return _connected(path, schema, columns, pragmas, options)


@contextmanager
def noticing_damage(path: Path) -> Iterator[None]:
    """Note for the next process that a database is damaged, when that shows."""
    try:
        yield
    except sqlite3.Error as error:
        if is_damage(error):
            log.error("database_damaged", path=str(path), reason=str(error))
            with suppress(OSError):
                _noted(path).touch()
        raise


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says that the file is not what it was."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.Error) and code is not None and code & 0xFF in _DAMAGED_CODES


def open_note(note: Path) -> int:
    """Open the note beside a database to be written over; -1 where that cannot be.

    It serves the day of damage alone, so that the daemon goes on without it.
    """
    try:
        return files.open_own(note, os.O_WRONLY | os.O_CREAT, FILE_MODE)
    except OSError as error:
        log.warning("note_not_written", path=str(note), reason=str(error))
        return -1


def read_note(note: Path) -> str:
    """Return what stands in the note beside a database. Raises OSError, and ValueError for no text."""
    return files.read_small(note, NOTE_BYTES_MAX).decode()


def _connected(
    path: Path, schema: str, columns: Columns, pragmas: Sequence[str], options: Mapping[str, Any]
) -> sqlite3.Connection:
    try:
        database = open_exclusive(path, **{"wait_s": 0.0, **options})
    except sqlite3.Error as error:
        if is_damage(error) or _is_strange(path, error):
            raise DatabaseDamagedError(str(error)) from None
        raise
    # A text that is damaged is no reason to fail before anybody has looked at it.
    database.text_factory = _text
    try:
        for pragma in (*pragmas, "cell_size_check=ON"):
            database.execute(f"PRAGMA {pragma}")
        database.execute("BEGIN IMMEDIATE")
        for statement in filter(str.strip, schema.split(";")):
            database.execute(statement)
        database.execute("COMMIT")
        for table, wanted in columns.items():
            found = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            if found != list(wanted):
                raise DatabaseDamagedError(f"the table {table} is another")
            # A table of some rows is read whole; of one of many, what is damaged shows when it is read.
            database.execute(f"SELECT * FROM {table} LIMIT {LOOKED_AT}").fetchall()  # noqa: S608
    except sqlite3.Error as error:
        database.close()
        if is_damage(error) or _is_strange(path, error):
            raise DatabaseDamagedError(str(error)) from None
        raise
    except DatabaseDamagedError:
        database.close()
        raise
    return database


def _is_strange(path: Path, error: sqlite3.Error) -> bool:
    """Whether a failure can only come of what is in the file: its rights are in order."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    strange = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FORMAT)
    return (
        code in strange
        and path.is_file()
        and os.access(path, os.R_OK | os.W_OK)
        and os.access(path.parent, os.W_OK)
    )


def _begin_anew(path: Path, schema: str, columns: Columns, reason: str) -> None:
    new, rebuilt = _beside(path, "new"), _beside(path, "rebuilt")
    _remove(new)
    with closing(_connected(new, schema, columns, (), {})) as database:
        copied = _copy(path, columns, database)
    new.replace(rebuilt)
    aside = _beside(path, f"{DAMAGED}{time.strftime('%Y%m%dT%H%M%S')}")
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").replace(f"{aside}{suffix}")
    with suppress(FileNotFoundError):
        path.replace(aside)
    rebuilt.replace(path)
    _noted(path).unlink(missing_ok=True)
    sync_folder(path.parent)
    for old in sorted(path.parent.glob(f"{path.name}.{DAMAGED}*[0-9]"))[:-KEPT_MAX]:
        _remove(old)
    log.error("database_begun_anew", path=str(path), reason=reason, kept_as=str(aside), copied=copied)


def _copy(path: Path, columns: Columns, into: sqlite3.Connection) -> dict[str, int]:
    """Copy what can be read; return how many rows of each table."""
    copied = dict.fromkeys(columns, 0)
    try:
        source = sqlite3.connect(path, isolation_level=None, timeout=0)
    except sqlite3.Error:
        return copied
    source.text_factory = _text
    into.execute("BEGIN")
    with closing(source):
        for table, names in columns.items():
            places = ", ".join("?" * len(names))
            for row in _rows(source, table, names):
                with suppress(sqlite3.Error):
                    into.execute(f"INSERT INTO {table} VALUES ({places})", row)  # noqa: S608
                    copied[table] += 1
    into.execute("COMMIT")
    return copied


def _rows(source: sqlite3.Connection, table: str, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Return the rows that can be read, by their row numbers; of a table without those, as far as it goes."""
    wanted = ", ".join(names)
    try:
        source.execute(f"SELECT rowid FROM {table} LIMIT 1")  # noqa: S608
    except sqlite3.Error:
        with suppress(sqlite3.Error):
            yield from source.execute(f"SELECT {wanted} FROM {table}")  # noqa: S608
        return
    after, failures = -1, 0
    while failures < NEAR + 40:
        try:
            query = f"SELECT rowid, {wanted} FROM {table} WHERE rowid > ? ORDER BY rowid"  # noqa: S608
            for row in source.execute(query, (after,)):
                after, failures = row[0], 0
                yield row[1:]
            return
        except sqlite3.Error:
            failures += 1
            after += 1 << max(0, failures - NEAR)


def _noted(path: Path) -> Path:
    return _beside(path, "is-damaged")


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f"{path.name}.{what}")


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
