"""The turn journal: every final, revision and gap of this machine, numbered without holes.

SQLite in WAL mode with synchronous=FULL: what `commit` returned from survives a power cut. One
process with one connection writes and reads it, which also keeps clear of the WAL-reset bug of
SQLite before 3.51.3 (it needs two connections).

The file's size is bounded by what is kept, without a VACUUM: pages that pruning frees are the next
records' pages. The write-ahead log is emptied into the file whenever it holds WAL_PAGES pages, which one
connection cannot hinder, and is begun anew by the next commit, cut back to WAL_BYTES_KEPT.
"""

import errno
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from minuted.journal.exclusive import open_exclusive
from minuted.messages import Record, Turn, encode, unpack

OPEN_WAIT_S_MAX: Final = 20.0
"""How long another program, somebody's `sqlite3` for one, may keep the file from us."""
PAGE_MAX: Final = 500
"""Records in one page of a replay."""
PRUNED_MAX: Final = 1000
"""Records deleted at once; some 20 ms."""
WAL_PAGES: Final = 1000
WAL_BYTES_KEPT: Final = 8 << 20
"""The log grows beyond it only while a full disk keeps it from being emptied."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, record BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS turns (
    id TEXT PRIMARY KEY,
    meeting_id TEXT NOT NULL,
    place INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    labels TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS turns_by_seq ON turns (seq);
CREATE INDEX IF NOT EXISTS turns_of_meetings ON turns (meeting_id, place);
"""


class Kept(NamedTuple):
    """A turn as it was last recorded, and what was noted of it."""

    place: int
    """The number of its final: where it stands among the others."""
    record: dict[str, Any]
    labels: str


class TurnJournalFullError(OSError):
    """There is no room: nothing was stored, and the same can be tried again."""


class TurnJournal:
    """Commits records under the next sequence number, and gives them back by it.

    `epoch` names the journal and changes only when it is a new one. Whatever stores raises
    TurnJournalFullError where there is no room. Any other error of SQLite is raised as it comes, and
    must end the process: nobody can know what reached the disk.
    """

    def __init__(self, path: Path, on_wait: Callable[[str], None] = lambda _text: None) -> None:
        """Open the journal, and tell `on_wait` where another program has it open. Raises OSError."""
        self._path = path
        self._database = open_exclusive(path, OPEN_WAIT_S_MAX, on_wait)
        for pragma in (f"wal_autocheckpoint={WAL_PAGES}", f"journal_size_limit={WAL_BYTES_KEPT}"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.executescript(_SCHEMA)
        self.epoch: str = self.state("epoch") or self._begin_epoch()
        first, last = self._database.execute("SELECT min(seq), max(seq) FROM records").fetchone()
        self.first_seq: int = first or 0
        self.last_seq: int = last or 0

    def commit(
        self, record: Record, state: Mapping[str, Any] | None = None, labels: Mapping[str, str] | None = None
    ) -> Record:
        """Store a record under the next number, and `state` with it or not at all; give it back numbered."""
        return self.commit_all([record], state, labels)[0]

    def commit_all(
        self,
        records: Sequence[Record],
        state: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> list[Record]:
        """Store several, as they follow on each other: all of them or none.

        What `labels` says of a turn, by its id, is kept beside the newest record of that turn.
        """
        numbered = [replace(record, seq=seq) for seq, record in enumerate(records, self.last_seq + 1)]
        now_ms = time.time_ns() // 1_000_000
        with self._transaction():
            self._database.executemany(
                "INSERT INTO records VALUES (?, ?, ?)",
                [(record.seq, now_ms, encode(record)) for record in numbered],
            )
            self._put_labels(numbered, labels or {})
            self._put_all(state or {})
        if numbered:
            self.first_seq = self.first_seq or self.last_seq + 1
            self.last_seq += len(numbered)
        return numbered

    def keep(self, state: Mapping[str, Any]) -> None:
        """Store `state` without a record: all of it or nothing."""
        with self._transaction():
            self._put_all(state)

    def page(self, from_seq: int, limit: int = PAGE_MAX) -> list[dict[str, Any]]:
        """Give up to `limit` records from `from_seq` on, as maps, in order."""
        rows = self._database.execute(
            "SELECT record FROM records WHERE seq >= ? ORDER BY seq LIMIT ?",
            (from_seq, max(1, min(limit, PAGE_MAX))),
        )
        return [unpack(row[0]) for row in rows]

    def turn(self, turn_id: str) -> Kept | None:
        """Give a turn that was committed with labels; None where there is none, or no longer."""
        return next(iter(self._kept("turns.id = ?", (turn_id,))), None)

    def turns_of(self, meeting_id: str, after_place: int, limit: int) -> list[Kept]:
        """Give up to `limit` of a meeting's turns behind a place, in the order of their finals."""
        return self._kept(
            "meeting_id = ? AND place > ? ORDER BY place LIMIT ?", (meeting_id, after_place, limit)
        )

    def state(self, key: str) -> Any:
        """Give what was last stored under `key`, or None."""
        row = self._database.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def oldest_ms(self) -> int | None:
        """Say when the first record was committed (epoch milliseconds); None where there is none."""
        row = self._database.execute("SELECT at_ms FROM records ORDER BY seq LIMIT 1").fetchone()
        return int(row[0]) if row else None

    def prune(self, before_ms: int, keep_from_seq: int) -> int:
        """Delete records committed before `before_ms`, and before `keep_from_seq`; give how many.

        At most PRUNED_MAX go in a call. They go from the front up to the first that is to be kept, so
        that no hole comes about, whatever the clock said when. The newest record always stays: the
        next number is known by it.
        """
        end_seq = min(keep_from_seq, self.last_seq, self.first_seq + PRUNED_MAX)
        kept = self._database.execute(
            "SELECT min(seq) FROM records WHERE seq < ? AND at_ms >= ?", (end_seq, before_ms)
        ).fetchone()[0]
        end_seq = kept or end_seq
        if end_seq <= self.first_seq:
            return 0
        with self._transaction():
            gone = self._database.execute("DELETE FROM records WHERE seq < ?", (end_seq,)).rowcount
            self._database.execute("DELETE FROM turns WHERE seq < ?", (end_seq,))
        self.first_seq = end_seq
        return gone

    def close(self) -> None:
        self._database.close()

    def _begin_epoch(self) -> str:
        epoch = secrets.token_hex(8)
        self.keep({"epoch": epoch})
        return epoch

    def _kept(self, condition: str, values: tuple[Any, ...]) -> list[Kept]:
        rows = self._database.execute(
            f"SELECT place, record, labels FROM turns JOIN records USING (seq) WHERE {condition}",  # noqa: S608
            values,
        )
        return [Kept(place, unpack(record), labels) for place, record, labels in rows]

    def _put_labels(self, records: Sequence[Record], labels: Mapping[str, str]) -> None:
        turns = {turn.id: turn for turn in records if isinstance(turn, Turn) and turn.id in labels}
        self._database.executemany(
            "INSERT INTO turns VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, labels = excluded.labels",
            [(turn.id, turn.meeting_id, turn.seq, turn.seq, labels[turn.id]) for turn in turns.values()],
        )
        others = [(text, turn_id) for turn_id, text in labels.items() if turn_id not in turns]
        self._database.executemany("UPDATE turns SET labels = ? WHERE id = ?", others)

    def _put_all(self, state: Mapping[str, Any]) -> None:
        self._database.executemany(
            "INSERT OR REPLACE INTO state VALUES (?, ?)",
            [(key, json.dumps(value)) for key, value in state.items()],
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            yield
            self._database.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):  # a full disk may have ended it already
                self._database.execute("ROLLBACK")
            if is_full(error):
                raise TurnJournalFullError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path)) from None
            raise


def is_full(error: BaseException) -> bool:
    """Tell whether SQLite had no room: the one error after which it is certain that nothing was stored."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.Error) and code == sqlite3.SQLITE_FULL
