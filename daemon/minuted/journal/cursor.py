"""How far a sink has got, what it left for itself, and what it could not deliver: one SQLite file a sink.

WAL with synchronous=FULL: a cursor that was moved stays moved after a power cut. The file belongs to
one process with one connection, which keeps clear of SQLite's WAL-reset bug as well. Whatever stores
raises CursorFullError where there is no room; any other I/O error is raised as it comes, and must end
the process: nobody can know what reached the disk.

A file that is damaged is begun anew with what can be read of it; where the place is lost, it is the one that
is noted in a small file beside it, after each move. Where that is lost, too, the sink begins with the oldest
record there is: it may have some twice, but lacks none.
"""

import errno
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from minuted.journal import database
from minuted.journal.exclusive import DatabaseInUseError
from minuted.journal.turns import is_full
from minuted.messages import Record
from minuted.runtime.sealed import BrokenSealError, opened, sealed
from minuted.runtime.shapes import fitted

OPEN_WAIT_S: Final = 1.0
"""How long a predecessor may take to let go of the file."""
READ_WAIT_S: Final = 0.1
"""How long a look into the file of a sink that does not run may take."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS cursor (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    epoch TEXT NOT NULL, seq INTEGER NOT NULL, checkpoint TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS dead_letters (
    id INTEGER PRIMARY KEY, epoch TEXT NOT NULL, seq INTEGER NOT NULL, record TEXT NOT NULL,
    reason TEXT NOT NULL, at_ms INTEGER NOT NULL, wanted INTEGER NOT NULL DEFAULT 0, UNIQUE (epoch, seq)
);
CREATE TABLE IF NOT EXISTS prepared (
    epoch TEXT NOT NULL, seq INTEGER NOT NULL, value TEXT NOT NULL, PRIMARY KEY (epoch, seq)
);
CREATE TABLE IF NOT EXISTS cut_off (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    call TEXT NOT NULL, times INTEGER NOT NULL, reason TEXT NOT NULL
);
"""


_COLUMNS: Final = {
    "cursor": ("only", "epoch", "seq", "checkpoint"),
    "dead_letters": ("id", "epoch", "seq", "record", "reason", "at_ms", "wanted"),
    "prepared": ("epoch", "seq", "value"),
    "cut_off": ("only", "call", "times", "reason"),
}
_UNKNOWN: Final = "?"
"""In the place of an epoch: the place was lost, and the sink has not begun again."""

log = structlog.get_logger(__name__)


class CursorInUseError(OSError):
    """Another process delivers to this sink already."""


class CursorFullError(OSError):
    """There is no room: nothing was stored, and the same can be tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A record that a sink refused for good, and why."""

    id: int
    epoch: str
    seq: int
    record: dict[str, Any]
    """The record's map."""
    reason: str
    at_ms: int
    wanted: bool
    """Whether it is to be offered once more."""


@dataclass(frozen=True, slots=True)
class CutOff:
    """A call of the sink's that took too long, how often in a row, and what to tell a person of it."""

    call: str
    times: int
    reason: str


class Cursor:
    """A sink's place in the turn journal. May be used from several threads.

    `epoch` names the journal, "" before the first was met; `seq` is the last record delivered or put
    aside; `checkpoint` what the sink left with it.
    """

    def __init__(self, path: Path) -> None:
        """Open it, and begin it where it is not there. Raises CursorInUseError."""
        self._lock = threading.Lock()
        self._path = path
        before = _inode(path)
        try:
            self._database = database.opened(
                path, _SCHEMA, _COLUMNS, wait_s=OPEN_WAIT_S, check_same_thread=False
            )
        except DatabaseInUseError as error:
            raise CursorInUseError(str(error)) from None
        except (sqlite3.Error, OSError) as error:
            if is_full(error) or getattr(error, "errno", 0) == errno.ENOSPC:
                raise CursorFullError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from None
            raise
        with database.noticing_damage(path):
            row = self._database.execute("SELECT epoch, seq, checkpoint FROM cursor").fetchone()
        self.epoch: str = ""
        self.seq: int = 0
        self._checkpoint: str = "{}"
        self.is_damaged = False
        """Nobody can tell how far the sink was: it begins with the oldest record there is."""
        if row is not None or before is not None or _note_of(path).exists():
            self._take_up(row, is_anew=before not in (None, _inode(path)))
        self._note = database.open_note(_note_of(path))
        self._note_place()

    def _take_up(self, row: tuple[Any, ...] | None, *, is_anew: bool) -> None:
        """Go on where the file says, or where the note beside it does."""
        noted = _noted(self._path)
        try:
            self.epoch, self.seq, self._checkpoint = _place_of(row)
        except ValueError:
            if row is None and noted is None and not is_anew:
                # It was made, and its process ended before there was a place to keep.
                return
            if noted is not None and noted[0] != _UNKNOWN:
                self.epoch, self.seq = noted
            self.is_damaged = not self.epoch
            log.error("place_damaged", path=str(self._path), after_seq=self.seq, epoch=self.epoch)

    @property
    def checkpoint(self) -> dict[str, Any]:
        """A copy of what the sink left with the last record delivered."""
        return dict(json.loads(self._checkpoint))

    def _note_place(self) -> None:
        epoch = self.epoch or (_UNKNOWN if self.is_damaged else "")
        text = sealed(f"{self.seq:020} {epoch}").encode()
        with suppress(OSError):  # it is for the day the file is damaged
            os.pwrite(self._note, text, 0)
            os.ftruncate(self._note, len(text))

    def place(self, epoch: str, seq: int) -> None:
        """Go on after `seq` of the journal `epoch`; the checkpoint and the dead letters stay.

        The place holds in this process also where there was no room for it: the next move stores it.
        """
        self.epoch, self.seq = epoch, seq
        with self._transaction():
            # Numbers beyond it may come to be other records'.
            self._database.execute("DELETE FROM prepared WHERE epoch = ? AND seq > ?", (epoch, seq))
            self._forget_prepared()
            self._move(epoch, seq, self._checkpoint)
        self._note_place()

    def prepare(self, epoch: str, seq: int, value: str) -> None:
        """Store what every try to deliver a record has in common, before the first."""
        with self._transaction():
            values = (epoch, seq, sealed(value, f"{epoch} {seq}"))
            self._database.execute("INSERT OR REPLACE INTO prepared VALUES (?, ?, ?)", values)

    def prepared(self, epoch: str, seq: int) -> str | None:
        """Return what was stored for the tries of a record, None before the first or where it is damaged."""
        with self._lock, database.noticing_damage(self._path):
            row = self._database.execute(
                "SELECT value FROM prepared WHERE epoch = ? AND seq = ?", (epoch, seq)
            ).fetchone()
        try:
            return opened(str(row[0]), f"{epoch} {seq}") if row else None
        except BrokenSealError:
            log.error("prepared_damaged", path=str(self._path), seq=seq)
            return None

    def advance(self, seq: int, checkpoint: str = "", count: int = 1) -> None:
        """Note that `count` records up to `seq` were delivered, and the sink's checkpoint with them.

        It is given as `encoded`; "" = unchanged.
        """
        first = seq - count + 1
        self._check_order(first)
        with self._transaction():
            self._database.execute(
                "DELETE FROM prepared WHERE epoch = ? AND seq BETWEEN ? AND ?", (self.epoch, first, seq)
            )
            self._move(self.epoch, seq, checkpoint or self._checkpoint)
        self.seq, self._checkpoint = seq, checkpoint or self._checkpoint
        self._note_place()

    def reject(self, record: Record, reason: str, checkpoint: str = "") -> None:
        """Put a record aside as a dead letter and go on after it: both or neither."""
        assert record.seq is not None
        self._check_order(record.seq)
        with self._transaction():
            self._database.execute(
                "INSERT OR REPLACE INTO dead_letters (epoch, seq, record, reason, at_ms)"
                " VALUES (?, ?, ?, ?, ?)",
                (self.epoch, record.seq, json.dumps(record.to_map()), reason, time.time_ns() // 1_000_000),
            )
            self._move(self.epoch, record.seq, checkpoint or self._checkpoint)
        self.seq, self._checkpoint = record.seq, checkpoint or self._checkpoint
        self._note_place()

    def dead_letters(self, *, wanted: bool = False, limit: int = 1000) -> list[DeadLetter]:
        """Give the dead letters, the oldest first; with `wanted` only those to be offered again."""
        with self._lock, database.noticing_damage(self._path):
            rows = self._database.execute(
                "SELECT id, epoch, seq, record, reason, at_ms, wanted FROM dead_letters"
                " WHERE wanted >= ? ORDER BY id LIMIT ?",
                (int(wanted), limit),
            ).fetchall()
        return [_letter_of(row) for row in rows]

    def count_dead_letters(self) -> int:
        with self._lock, database.noticing_damage(self._path):
            return int(self._database.execute("SELECT count(*) FROM dead_letters").fetchone()[0])

    def want(self, seqs: Sequence[int] | None = None) -> list[int]:
        """Mark dead letters (None: all) to be offered once more; give the numbers that were found."""
        return self._each(seqs, "UPDATE dead_letters SET wanted = 1 WHERE seq = ?")

    def drop(self, seqs: Sequence[int] | None = None) -> list[int]:
        """Throw dead letters away (None: all); give the numbers that were found."""
        return self._each(
            seqs,
            "DELETE FROM prepared WHERE seq = ? AND (epoch, seq) IN (SELECT epoch, seq FROM dead_letters)",
            "DELETE FROM dead_letters WHERE seq = ?",
        )

    def settle(self, letter: DeadLetter, checkpoint: str = "") -> None:
        """Note that a dead letter was delivered after all."""
        with self._transaction():
            self._database.execute("DELETE FROM dead_letters WHERE id = ?", (letter.id,))
            self._forget_prepared()
            self._move(self.epoch, self.seq, checkpoint or self._checkpoint)
        self._checkpoint = checkpoint or self._checkpoint

    def keep(self, letter: DeadLetter, reason: str) -> None:
        """Note that a dead letter was offered again and could not be delivered: it stays."""
        with self._transaction():
            self._database.execute(
                "UPDATE dead_letters SET wanted = 0, reason = ? WHERE id = ?", (reason, letter.id)
            )

    def cut_off(self) -> CutOff | None:
        """Return the call that ended the process before this one, as long as none like it has succeeded."""
        with self._lock, database.noticing_damage(self._path):
            row = self._database.execute("SELECT call, times, reason FROM cut_off").fetchone()
        try:
            return CutOff(*fitted(tuple[str, int, str], row, "cut_off")) if row else None
        except ValueError:
            return None  # it only tells how long to wait

    def note_cut_off(self, call: str, reason: str) -> None:
        """Note, just before the process ends, that a call took too long."""
        before = self.cut_off()
        times = before.times + 1 if before and before.call == call else 1
        with self._transaction():
            self._database.execute(
                "INSERT OR REPLACE INTO cut_off VALUES (1, ?, ?, ?)", (call, times, reason)
            )

    def forget_cut_off(self) -> None:
        with self._transaction():
            self._database.execute("DELETE FROM cut_off")

    def _forget_prepared(self) -> None:
        self._database.execute(
            "DELETE FROM prepared WHERE (epoch, seq) NOT IN (SELECT epoch, seq FROM dead_letters)"
        )

    def close(self) -> None:
        with self._lock:
            self._database.close()
            if self._note >= 0:
                os.close(self._note)
                self._note = -1

    def _move(self, epoch: str, seq: int, checkpoint: str) -> None:
        values = (epoch, seq, sealed(checkpoint, f"{epoch} {seq}"))
        self._database.execute("INSERT OR REPLACE INTO cursor VALUES (1, ?, ?, ?)", values)

    def _check_order(self, seq: int) -> None:
        if not self.epoch or seq != self.seq + 1:
            raise ValueError(f"record {seq} does not follow {self.seq} of journal {self.epoch!r}")

    def _each(self, seqs: Sequence[int] | None, *statements: str) -> list[int]:
        with self._transaction():
            if seqs is None:
                rows = self._database.execute("SELECT DISTINCT seq FROM dead_letters ORDER BY seq").fetchall()
                seqs = [row[0] for row in rows]
            execute = self._database.execute
            return [seq for seq in seqs if [execute(each, (seq,)).rowcount for each in statements][-1] > 0]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, database.noticing_damage(self._path):
            try:
                self._database.execute("BEGIN IMMEDIATE")
                yield
                self._database.execute("COMMIT")
            except BaseException as error:
                with suppress(sqlite3.Error):  # the first error is the one to tell
                    self._database.execute("ROLLBACK")
                if is_full(error):
                    raise CursorFullError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path)) from None
                raise


def path_of(state_dir: Path, sink: str) -> Path:
    """Name the file of a sink's cursor."""
    return state_dir / "sinks" / f"{sink}.db"


def read_place(path: Path) -> tuple[str, int] | None:
    """Give the epoch and the number a sink that does not run has got to; None where nobody can tell.

    A running sink's file is locked: only its own process knows, and None is given.
    """
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=READ_WAIT_S)
        ) as file:
            row = file.execute("SELECT epoch, seq FROM cursor").fetchone()
        return _place_of(row)[:2]
    except (sqlite3.Error, ValueError) as error:
        is_locked = getattr(error, "sqlite_errorcode", 0) & 0xFF in (
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_LOCKED,
        )
        return None if is_locked or not path.exists() else _noted(path)


def _place_of(row: tuple[Any, ...] | None) -> tuple[str, int, str]:
    """Return epoch, number and checkpoint of a row. Raises ValueError for one that is damaged."""
    epoch, seq, stored = fitted(tuple[str, int, str], row or (), "place")
    checkpoint = opened(stored, f"{epoch} {seq}")
    fitted(dict[str, Any], json.loads(checkpoint), "checkpoint")
    if seq < 0:
        raise ValueError("a place before the first record")
    return epoch, seq, checkpoint


def _letter_of(row: tuple[Any, ...]) -> DeadLetter:
    """Return a dead letter; of one that is damaged what can be read, with an empty record."""
    id_, epoch, seq, record, reason, at_ms, wanted = row
    try:
        values = fitted(dict[str, Any], json.loads(record), "record")
        at_ms = fitted(int, at_ms, "at_ms")
    except (ValueError, TypeError, RecursionError):
        values, at_ms, reason = {}, 0, f"{reason} (the record is damaged)"
    seq = seq if isinstance(seq, int) else 0
    return DeadLetter(
        id=id_, epoch=str(epoch), seq=seq, record=values, reason=str(reason), at_ms=at_ms, wanted=bool(wanted)
    )


def _inode(path: Path) -> int | None:
    return path.stat().st_ino if path.exists() else None


def _note_of(path: Path) -> Path:
    return path.with_suffix(".place")


def _noted(path: Path) -> tuple[str, int] | None:
    try:
        seq, _, epoch = opened(database.read_note(_note_of(path))).partition(" ")
        return (epoch, int(seq)) if epoch else None
    except (OSError, ValueError):
        return None


def encoded(checkpoint: dict[str, Any]) -> str:
    """Give a checkpoint as it is stored. Raises TypeError or ValueError for what JSON does not have."""
    if not isinstance(checkpoint, dict):
        raise TypeError(f"a checkpoint is a dict, not {type(checkpoint).__name__}")
    return json.dumps(checkpoint, allow_nan=False)
