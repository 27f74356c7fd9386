"""How far a sink has got, what it left for itself, and what it could not deliver: one SQLite file a sink.

WAL with synchronous=FULL: a cursor that was moved stays moved after a power cut. The file belongs to
one process with one connection, which keeps clear of SQLite's WAL-reset bug as well. Whatever stores
raises CursorFullError where there is no room; any other I/O error is raised as it comes, and must end
the process: nobody can know what reached the disk.
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

from minuted.journal.exclusive import DatabaseInUseError, open_exclusive
from minuted.journal.turns import is_full
from minuted.messages import Record

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
"""


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


class Cursor:
    """A sink's place in the turn journal. May be used from several threads.

    `epoch` names the journal, "" before the first was met; `seq` is the last record delivered or put
    aside; `checkpoint` what the sink left with it.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._path = path
        try:
            self._database = open_exclusive(path, OPEN_WAIT_S, check_same_thread=False)
        except DatabaseInUseError as error:
            raise CursorInUseError(str(error)) from None
        except (sqlite3.Error, OSError) as error:
            if is_full(error) or getattr(error, "errno", 0) == errno.ENOSPC:
                raise CursorFullError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from None
            raise
        try:
            with self._transaction():
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._database.execute(statement)
        except (sqlite3.Error, CursorFullError):
            self._database.close()
            raise
        row = self._database.execute("SELECT epoch, seq, checkpoint FROM cursor").fetchone()
        self.epoch: str = row[0] if row else ""
        self.seq: int = row[1] if row else 0
        self._checkpoint: str = row[2] if row else "{}"

    @property
    def checkpoint(self) -> dict[str, Any]:
        """A copy of what the sink left with the last record delivered."""
        return dict(json.loads(self._checkpoint))

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

    def prepare(self, epoch: str, seq: int, value: str) -> None:
        """Store what every try to deliver a record has in common, before the first."""
        with self._transaction():
            self._database.execute("INSERT OR REPLACE INTO prepared VALUES (?, ?, ?)", (epoch, seq, value))

    def prepared(self, epoch: str, seq: int) -> str | None:
        """Give what was stored for the tries of a record, None before the first."""
        with self._lock:
            row = self._database.execute(
                "SELECT value FROM prepared WHERE epoch = ? AND seq = ?", (epoch, seq)
            ).fetchone()
        return str(row[0]) if row else None

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

    def dead_letters(self, *, wanted: bool = False, limit: int = 1000) -> list[DeadLetter]:
        """Give the dead letters, the oldest first; with `wanted` only those to be offered again."""
        with self._lock:
            rows = self._database.execute(
                "SELECT id, epoch, seq, record, reason, at_ms, wanted FROM dead_letters"
                " WHERE wanted >= ? ORDER BY id LIMIT ?",
                (int(wanted), limit),
            ).fetchall()
        names = ("id", "epoch", "seq", "record", "reason", "at_ms", "wanted")
        letters = [dict(zip(names, row, strict=True)) for row in rows]
        return [
            DeadLetter(**{**row, "record": json.loads(row["record"]), "wanted": bool(row["wanted"])})
            for row in letters
        ]

    def count_dead_letters(self) -> int:
        with self._lock:
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

    def _forget_prepared(self) -> None:
        self._database.execute(
            "DELETE FROM prepared WHERE (epoch, seq) NOT IN (SELECT epoch, seq FROM dead_letters)"
        )

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def _move(self, epoch: str, seq: int, checkpoint: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO cursor VALUES (1, ?, ?, ?)", (epoch, seq, checkpoint))

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
        with self._lock:
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
    except sqlite3.Error:
        return None
    return (str(row[0]), int(row[1])) if row else None


def encoded(checkpoint: dict[str, Any]) -> str:
    """Give a checkpoint as it is stored. Raises TypeError or ValueError for what JSON does not have."""
    if not isinstance(checkpoint, dict):
        raise TypeError(f"a checkpoint is a dict, not {type(checkpoint).__name__}")
    return json.dumps(checkpoint, allow_nan=False)
