import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

import sample_records
from minuted.journal import paging
from minuted.journal.stored import marker, pack_record
from minuted.messages import Turn

SCHEMA = "CREATE TABLE records (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, record BLOB NOT NULL)"


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(SCHEMA)
        for seq in (2, 3, 5):
            database.execute("INSERT INTO records VALUES (?, 0, ?)", (seq, pack_record(turn(seq))))
        yield database


def turn(seq: int) -> Turn:
    return replace(sample_records.TURN, seq=seq)


def test_every_number_has_its_record_or_a_marker(database: sqlite3.Connection) -> None:
    database.execute("UPDATE records SET record = 'text' WHERE seq = 3")
    found = paging.page(database, 1, 6)
    assert [each["seq"] for each in found] == [1, 2, 3, 4, 5, 6]
    assert [each == marker(each["seq"]) for each in found] == [True, False, True, True, False, True]


def test_none_are_asked_for(database: sqlite3.Connection) -> None:
    assert paging.page(database, 3, 2) == []


def test_a_page_has_a_bound_in_bytes(database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "PAGE_BYTES_MAX", 10)
    assert [each["seq"] for each in paging.page(database, 1, 6)] == [1, 2]
