"""The turn journal: every final, revision and gap of this machine, numbered without holes.

SQLite in WAL mode with synchronous=FULL: what `commit` returned from survives a power cut. One
process with one connection writes and reads it, which also keeps clear of the WAL-reset bug of
SQLite before 3.51.3 (it needs two connections).

The file's size is bounded by what is kept, without a VACUUM: pages that pruning frees are the next
records' pages. The write-ahead log is emptied into the file whenever it holds WAL_PAGES pages, which one
connection cannot hinder, and is begun anew by the next commit, cut back to WAL_BYTES_KEPT.

What is damaged costs itself alone: a record that cannot be read has a marker in its place, a state value
is begun anew, and a file that SQLite cannot use is moved aside with what can be read of it copied. Numbers
that were given are never given again, though the file was put back to what it was: the last one is noted
in a file beside it. Where that file was put back, too, nobody can tell which numbers were given: the journal
goes on under a new epoch, as a fork of the one it was.
"""

import errno
import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog

from minuted.journal import database, original, paging
from minuted.journal.stored import DAMAGED, pack_record, storable, unpack_record
from minuted.messages import Record, Turn
from minuted.runtime.clock import wall_ms
from minuted.runtime.sealed import BrokenSealError, opened, sealed
from minuted.runtime.shapes import MisshapenError, fitted

OPEN_WAIT_S_MAX: Final = 20.0
"""How long another program, somebody's `sqlite3` for one, may keep the file from us."""
PAGE_MAX: Final = 500
"""Records in one page of a replay."""
DAMAGED_MAX: Final = 10_000
"""Damaged records that are remembered, so that each is told of once."""
STRAY_MIN: Final = 10_000
"""Numbers that are left out before a record that cannot be read: its own is damaged."""
FORKS_MAX: Final = 100
"""Forks that are remembered; who comes from an earlier epoch begins with the oldest record."""
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
COLUMNS: Final = {
    "state": ("key", "value"),
    "records": ("seq", "at_ms", "record"),
    "turns": ("id", "meeting_id", "place", "seq", "labels"),
}

_OF_MEETING: Final = "meeting_id = ? AND place > ? ORDER BY place LIMIT ?"
_LAST_TWO: Final = "SELECT seq, record FROM records ORDER BY seq DESC LIMIT 2"
_FORKS: Final = list[tuple[str, int]]
_ENDS: Final = "SELECT (SELECT min(seq) FROM records), (SELECT max(seq) FROM records)"
"""Two queries: a single one would read every record."""

log = structlog.get_logger(__name__)


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

    def __init__(
        self,
        path: Path,
        now_ms: Callable[[], int] = wall_ms,
        on_wait: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """Open it. Where it is damaged, go on with what can be read; `epoch` tells where that is another.

        Records are dated by `now_ms`, for `prune` to compare with: best a clock that nobody sets. `on_wait`
        is told where another program has the file open. Raises OSError.
        """
        self._damaged: set[int] = set()
        self._resets: set[str] = set()
        self._path = path
        self._now_ms = now_ms
        self._database = database.opened(
            path,
            _SCHEMA,
            COLUMNS,
            (f"wal_autocheckpoint={WAL_PAGES}", f"journal_size_limit={WAL_BYTES_KEPT}"),
            wait_s=OPEN_WAIT_S_MAX,
            on_wait=on_wait,
        )
        noted_epoch, noted_seq = self._noted()
        self.epoch: str = self.state("epoch", str) or self._begin_epoch(noted_epoch)
        with database.noticing_damage(path):
            self._drop_strays()
            first, last = self._database.execute(_ENDS).fetchone()
        self.last_seq: int = max(last or 0, noted_seq if noted_epoch == self.epoch else 0)
        self.first_seq: int = first or (self.last_seq + 1 if self.last_seq else 0)
        if self.last_seq > (last or 0):
            log.error("records_gone", from_seq=(last or 0) + 1, to_seq=self.last_seq)
        self.forks: list[tuple[str, int]] = [(each, seq) for each, seq in self.state("forks", _FORKS) or ()]
        """The epochs this journal had before, the oldest first, and the last number under each."""
        mark = path.with_suffix(".original")
        is_marked = self.state("is_marked", bool) is True
        self.is_put_back = is_marked and original.is_copied(mark)
        """Whether it was found to be a copy: numbers behind its last may have been given under its epoch."""
        if self.is_put_back:
            self._fork()
        if original.leave(mark) and not is_marked:
            with suppress(TurnJournalFullError):
                self.keep({"is_marked": True})
        self._note = database.open_note(self._note_path)
        self._note_last()

    @property
    def damaged(self) -> int:
        """Records that were asked for and could not be read, since the journal was opened."""
        return len(self._damaged)

    @property
    def resets(self) -> int:
        """State values that could not be read, and were begun anew, since the journal was opened."""
        return len(self._resets)

    def commit(
        self, record: Record, state: Mapping[str, Any] | None = None, labels: Mapping[str, str] | None = None
    ) -> Record:
        """Store a record under the next number, and `state` with it or not at all; give it back numbered.

        What is stored may be several, and other than what came: see `stored.storable`.
        """
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
        fit = [each for record in records for each in _fit(replace(record, seq=self.last_seq + 1))]
        numbered = [replace(record, seq=seq) for seq, record in enumerate(fit, self.last_seq + 1)]
        now_ms = self._now_ms()
        with self._transaction():
            self._database.executemany(
                "INSERT INTO records VALUES (?, ?, ?)",
                [(record.seq, now_ms, pack_record(record)) for record in numbered],
            )
            self._put_labels(numbered, labels or {})
            self._put_all(state or {})
        if numbered:
            self.first_seq = self.first_seq or self.last_seq + 1
            self.last_seq += len(numbered)
            self._note_last()
        return numbered

    def keep(self, state: Mapping[str, Any]) -> None:
        """Store `state` without a record: all of it or nothing."""
        with self._transaction():
            self._put_all(state)

    def page(self, from_seq: int, limit: int = PAGE_MAX) -> list[dict[str, Any]]:
        """Return up to `limit` records from `from_seq` on, as maps, in order.

        No number is left out: one whose record cannot be read has a map of the type "damaged".
        """
        first = max(from_seq, self.first_seq, 1)
        last = min(first + max(1, min(limit, PAGE_MAX)) - 1, self.last_seq)
        found = paging.page(self._database, first, last)
        for seq in (record["seq"] for record in found if record["type"] == DAMAGED):
            if seq not in self._damaged and len(self._damaged) < DAMAGED_MAX:
                self._damaged.add(seq)
                log.error("record_damaged", seq=seq)
        return found

    def turn(self, turn_id: str) -> Kept | None:
        """Give a turn that was committed with labels; None where there is none, or no longer."""
        kept = self._kept("turns.id = ?", (turn_id,))
        return kept[0] if kept and kept[0].record["type"] != DAMAGED else None

    def turns_of(self, meeting_id: str, after_place: int, limit: int) -> list[Kept]:
        """Give up to `limit` of a meeting's turns behind a place, in the order of their finals."""
        found: list[Kept] = []
        rows = self._kept(_OF_MEETING, (meeting_id, after_place, limit))
        while rows:
            found += [row for row in rows if row.record["type"] != DAMAGED]
            left = limit - len(found)
            rows = self._kept(_OF_MEETING, (meeting_id, rows[-1].place, left)) if left else []
        return found

    def state(self, key: str, shape: Any = Any) -> Any:
        """Return what was last stored under `key`, or None; in plain values of that shape.

        What cannot be read counts as never stored, and is told of: by its key alone.
        """
        with database.noticing_damage(self._path):
            row = self._database.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        try:
            return fitted(shape | None, json.loads(opened(row[0], key)), key) if row else None
        except (BrokenSealError, MisshapenError, ValueError, TypeError, RecursionError) as error:
            reason = str(error) if isinstance(error, BrokenSealError | MisshapenError) else "no JSON"
            if key not in self._resets:
                self._resets.add(key)
                log.error("state_reset", key=key, reason=reason)
            return None

    def notice_missing(self, keys: Collection[str]) -> None:
        """Tell of state values that are not there, though others that are always stored with them are."""
        with database.noticing_damage(self._path):
            stored = {row[0] for row in self._database.execute("SELECT key FROM state")}
        missing = sorted(set(keys) - stored)
        for key in missing if len(missing) < len(keys) else ():
            self._resets.add(key)
            log.error("state_reset", key=key, reason="missing")

    def oldest_ms(self) -> int | None:
        """Return the date of the first record that is not dated in the future; None where there is none."""
        query = "SELECT at_ms FROM records WHERE at_ms <= ? ORDER BY seq LIMIT 1"
        with database.noticing_damage(self._path):
            row = self._database.execute(query, (self._now_ms(),)).fetchone()
        return int(row[0]) if row else None

    def prune(self, before_ms: int, keep_from_seq: int, keep_meetings: Collection[str] = ()) -> int:
        """Delete records committed before `before_ms`, and before `keep_from_seq`; give how many.

        At most PRUNED_MAX go in a call. They go from the front up to the first that is to be kept, so
        that no hole comes about, whatever the clock said when: what is dated in the future is as old as what
        follows it. A record of one of `keep_meetings` is to be kept. The newest record always stays: the
        next number is known by it.
        """
        end_seq, batch_seq = min(keep_from_seq, self.last_seq), self.first_seq + PRUNED_MAX
        with database.noticing_damage(self._path):
            old_seq = self._last_old(before_ms, min(end_seq, batch_seq)) or self._last_old(before_ms, end_seq)
            if old_seq is None:
                return 0
            end_seq = min(old_seq + 1, batch_seq)
            for meeting_id in keep_meetings:
                end_seq = self._seq("min", "instr(record, ?)", end_seq, meeting_id.encode()) or end_seq
        if end_seq <= self.first_seq:
            return 0
        with self._transaction():
            gone = self._database.execute("DELETE FROM records WHERE seq < ?", (end_seq,)).rowcount
            self._database.execute("DELETE FROM turns WHERE seq < ?", (end_seq,))
        self.first_seq = end_seq
        return gone

    def close(self) -> None:
        self._database.close()
        if self._note >= 0:
            os.close(self._note)
            self._note = -1

    def _last_old(self, before_ms: int, before_seq: int) -> int | None:
        """Return the last old record in front of the first that is not old; None: there is none."""
        young_seq = self._seq("min", "at_ms BETWEEN ? AND ?", before_seq, before_ms, self._now_ms())
        return self._seq("max", "at_ms < ?", young_seq or before_seq, before_ms)

    def _seq(self, which: str, condition: str, before_seq: int, *values: Any) -> int | None:
        query = f"SELECT {which}(seq) FROM records WHERE seq < ? AND {condition}"  # noqa: S608
        found: int | None = self._database.execute(query, (before_seq, *values)).fetchone()[0]
        return found

    def _drop_strays(self) -> None:
        """Delete records whose number is damaged: everybody would ask for all those before it."""
        while True:
            rows = self._database.execute(_LAST_TWO).fetchall()
            before = rows[1][0] if len(rows) > 1 else 0
            if not rows or rows[0][0] - before <= STRAY_MIN:
                return
            if unpack_record(*rows[0])["type"] != DAMAGED:
                return
            log.error("record_damaged", seq=rows[0][0])
            self._database.execute("DELETE FROM records WHERE seq = ?", (rows[0][0],))

    def _begin_epoch(self, noted: str) -> str:
        epoch = secrets.token_hex(8)
        if noted:
            log.error("journal_lost", epoch=noted, new_epoch=epoch)
        self.keep({"epoch": epoch})
        return epoch

    def _fork(self) -> None:
        before, self.epoch = self.epoch, secrets.token_hex(8)
        self.forks = [*self.forks, (before, self.last_seq)][-FORKS_MAX:]
        self.keep({"epoch": self.epoch, "forks": self.forks})
        log.error("journal_put_back", last_seq=self.last_seq, epoch=before, new_epoch=self.epoch)

    @property
    def _note_path(self) -> Path:
        return self._path.with_suffix(".last")

    def _noted(self) -> tuple[str, int]:
        """Return the journal and the last number that were noted; "" and 0 where nobody can tell."""
        try:
            epoch, _, seq = opened(database.read_note(self._note_path)).partition(" ")
            return epoch, int(seq)
        except (OSError, ValueError):
            return "", 0

    def _note_last(self) -> None:
        text = sealed(f"{self.epoch} {self.last_seq:020}").encode()
        with suppress(OSError):  # it is for the day the journal is put back
            os.pwrite(self._note, text, 0)

    def _kept(self, condition: str, values: tuple[Any, ...]) -> list[Kept]:
        with database.noticing_damage(self._path):
            rows = self._database.execute(
                f"SELECT place, seq, record, labels FROM turns JOIN records USING (seq) WHERE {condition}",  # noqa: S608
                values,
            ).fetchall()
        return [Kept(place, unpack_record(seq, record), labels) for place, seq, record, labels in rows]

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
            [(key, sealed(json.dumps(value), key)) for key, value in state.items()],
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        try:
            with database.noticing_damage(self._path):
                self._database.execute("BEGIN IMMEDIATE")
                yield
                self._database.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):  # a full disk may have ended it already
                self._database.execute("ROLLBACK")
            if is_full(error):
                raise TurnJournalFullError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path)) from None
            raise


def _fit(record: Record) -> list[Record]:
    fit = storable(record)
    if fit != [record]:
        log.error("record_changed", seq=record.seq, records=len(fit), stored_as=fit[0].type)
    return fit


def is_full(error: BaseException) -> bool:
    """Tell whether SQLite had no room: the one error after which it is certain that nothing was stored."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.Error) and code == sqlite3.SQLITE_FULL
