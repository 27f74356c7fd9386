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
_DAMAGED_CODES: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)
_DOUBTFUL_CODES: Final = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
"""What damage may come to, but also a lack of rights, of descriptors or of inodes."""
_SUSPECTED: Final = "suspected"
"""In the note of damage: the next process checks the file before it is moved aside."""
_HEADER_BYTES: Final = 100

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
    if rebuilt.is_file():
        _put_in_place(path, "the process that began it anew was ended before it was done")
    noted = _noted_as(path)
    if noted in (None, _SUSPECTED):
        try:
            database = _connected(path, schema, columns, pragmas, options)
            if noted:
                _check(database)
                _noted(path).unlink(missing_ok=True)
            return database
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
            _note_damage(path, "", os.O_TRUNC)
        elif _code(error) == sqlite3.SQLITE_CONSTRAINT:
            # A tree out of order comes to this, and so does a mistake of ours.
            log.error("database_suspected", path=str(path), reason=str(error))
            _note_damage(path, _SUSPECTED, os.O_EXCL)
        raise


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says that the file is not what it was."""
    return isinstance(error, sqlite3.Error) and _code(error) in _DAMAGED_CODES


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
        if is_damage(error) or _is_strange(path, columns, error):
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
        if is_damage(error) or _is_strange(path, columns, error):
            raise DatabaseDamagedError(str(error)) from None
        raise
    except DatabaseDamagedError:
        database.close()
        raise
    return database


def _check(database: sqlite3.Connection) -> None:
    """Raise DatabaseDamagedError, and close the database, where its trees are not in order."""
    try:
        found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        database.close()
        if is_damage(error):
            raise DatabaseDamagedError(str(error)) from None
        raise
    if found != "ok":
        database.close()
        raise DatabaseDamagedError(found)


def _is_strange(path: Path, columns: Columns, error: sqlite3.Error) -> bool:
    """Whether a failure that may have other causes comes of what is in the file, as a look at it shows."""
    if _code(error) not in _DOUBTFUL_CODES or not path.is_file():
        return False
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK):
        return False
    try:
        if not _is_header(files.read_small(path, _HEADER_BYTES)):
            return True
    except OSError:
        return False
    beside = (Path(f"{path}{suffix}") for suffix in ("-wal", "-shm"))
    if any(each.exists() and not each.is_file() for each in beside):
        return True
    return _code(error) == sqlite3.SQLITE_ERROR and _has_other_content(path, columns)


def _is_header(data: bytes) -> bool:
    """Whether a file begins as a database does that this SQLite can write; an empty one is new. Pure."""
    if not data:
        return True
    versions, schema_format, encoding = data[18:20], data[44:48], data[56:60]
    return (
        len(data) == _HEADER_BYTES
        and data.startswith(b"SQLite format 3\0")
        and all(version in (1, 2) for version in versions)
        and int.from_bytes(schema_format, "big") <= 4
        and int.from_bytes(encoding, "big") <= 3
    )


def _has_other_content(path: Path, columns: Columns) -> bool:
    """Whether the tables are others, or their trees not in order."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as database:
            for table, wanted in columns.items():
                found = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
                if found and found != list(wanted):
                    return True
            return bool(database.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
    except sqlite3.Error as error:
        return is_damage(error)


def _begin_anew(path: Path, schema: str, columns: Columns, reason: str) -> None:
    new, rebuilt = _beside(path, "new"), _beside(path, "rebuilt")
    _remove(new)
    with closing(_connected(new, schema, columns, (), {})) as database:
        copied = _copy(path, columns, database)
        # Closing would pass over a failure to do it.
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    # From here on it is complete, and whoever finds it puts it in place.
    new.replace(rebuilt)
    sync_folder(path.parent)
    _put_in_place(path, reason, copied)


def _put_in_place(path: Path, reason: str, copied: Mapping[str, int] | None = None) -> None:
    """Move the damaged database aside and the rebuilt one in its place; each step may be the last.

    As long as the rebuilt one is there, all of it is done once more.
    """
    aside = _aside(path)
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").replace(f"{aside}{suffix}")
    with suppress(FileNotFoundError, IsADirectoryError):
        _noted(path).unlink()
    # An old log beside the new database would be played into it.
    sync_folder(path.parent)
    _beside(path, "rebuilt").replace(path)
    sync_folder(path.parent)
    for old in sorted(path.parent.glob(f"{path.name}.{DAMAGED}*[0-9]"))[:-KEPT_MAX]:
        _remove(old)
    log.error("database_begun_anew", path=str(path), reason=reason, kept_as=str(aside), copied=copied)


def _aside(path: Path) -> Path:
    """Return the name for a damaged database: the one its log was moved to already, else a new one."""
    for wal in path.parent.glob(f"{path.name}.{DAMAGED}*-wal"):
        if not (aside := Path(str(wal).removesuffix("-wal"))).exists():
            return aside
    return _beside(path, f"{DAMAGED}{time.strftime('%Y%m%dT%H%M%S')}")


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


def _code(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def _noted(path: Path) -> Path:
    return _beside(path, "is-damaged")


def _noted_as(path: Path) -> str | None:
    """Return what is noted of damage; None: nothing that can be read."""
    try:
        return read_note(_noted(path))
    except OSError:
        return None
    except ValueError:
        return ""


def _note_damage(path: Path, text: str, flags: int) -> None:
    """Note damage; where that cannot be, the next process meets it again."""
    with suppress(OSError):
        descriptor = files.open_own(_noted(path), os.O_WRONLY | os.O_CREAT | flags, FILE_MODE)
        with closing(os.fdopen(descriptor, "w", encoding="ascii")) as file:
            file.write(text)


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f"{path.name}.{what}")


def _remove(path: Path) -> None:
    # The database last: a log without one is taken for one that is just being moved.
    for suffix in ("-wal", "-shm", "-journal", ""):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
