"""The turn journal: every final, revision and gap of this machine, numbered without holes.

SQLite in WAL mode with synchronous=FULL: what `commit` returned from survives a power cut. One
process with one connection writes and reads it, which also keeps clear of the WAL-reset bug of
SQLite before 3.51.3 (it needs two connections).
"""

import json
import secrets
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from minuted.messages import Record, encode, unpack

PAGE_MAX: Final = 500
"""Records in one page of a replay."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, record BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class TurnJournal:
    """Commits records under the next sequence number, and gives them back by it.

    `epoch` names the journal and changes only when it is a new one. An I/O error is raised as it
    comes, and must end the process: nobody can know what reached the disk.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.executescript(_SCHEMA)
        self.epoch: str = self.state("epoch") or self._begin_epoch()
        first, last = self._database.execute("SELECT min(seq), max(seq) FROM records").fetchone()
        self.first_seq: int = first or 0
        self.last_seq: int = last or 0

    def commit(self, record: Record, state: Mapping[str, Any] | None = None) -> Record:
        """Store a record under the next number, and `state` with it or not at all; give it back numbered."""
        numbered = replace(record, seq=self.last_seq + 1)
        with self._transaction():
            self._database.execute(
                "INSERT INTO records VALUES (?, ?, ?)",
                (numbered.seq, time.time_ns() // 1_000_000, encode(numbered)),
            )
            for key, value in (state or {}).items():
                self._put(key, value)
        self.last_seq += 1
        self.first_seq = self.first_seq or self.last_seq
        return numbered

    def keep(self, state: Mapping[str, Any]) -> None:
        """Store `state` without a record."""
        with self._transaction():
            for key, value in state.items():
                self._put(key, value)

    def page(self, from_seq: int, limit: int = PAGE_MAX) -> list[dict[str, Any]]:
        """Give up to `limit` records from `from_seq` on, as maps, in order."""
        rows = self._database.execute(
            "SELECT record FROM records WHERE seq >= ? ORDER BY seq LIMIT ?",
            (from_seq, max(1, min(limit, PAGE_MAX))),
        )
        return [unpack(row[0]) for row in rows]

    def state(self, key: str) -> Any:
        """Give what was last stored under `key`, or None."""
        row = self._database.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def close(self) -> None:
        self._database.close()

    def _begin_epoch(self) -> str:
        epoch = secrets.token_hex(8)
        with self._transaction():
            self._put("epoch", epoch)
        return epoch

    def _put(self, key: str, value: Any) -> None:
        self._database.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, json.dumps(value)))

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._database)


class _Transaction:
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK and the error."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._database.execute("COMMIT")
        elif self._database.in_transaction:  # a full disk has ended it already
            self._database.execute("ROLLBACK")
