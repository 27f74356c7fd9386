import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from minuted.journal import database
from minuted.runtime.files import UnsafeFileError

SCHEMA = "CREATE TABLE IF NOT EXISTS things (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"
COLUMNS = {"things": ("id", "text")}


def opened(path: Path) -> sqlite3.Connection:
    return database.opened(path, SCHEMA, COLUMNS)


def filled(path: Path, count: int = 500) -> None:
    with closing(opened(path)) as file:
        file.executemany("INSERT INTO things VALUES (?, ?)", ((n, f"text {n} " * 20) for n in range(count)))


def test_it_is_its_owner_s_and_group_s_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(opened(tmp_path / "a.db")):
            assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o640}
    finally:
        os.umask(before)


def test_what_is_noted_as_damaged_is_moved_aside_with_its_rows_copied(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    filled(path)
    data = path.read_bytes()
    middle = len(data) // 8192 * 4096
    path.write_bytes(data[:middle] + b"\xff" * 4096 + data[middle + 4096 :])
    with (
        closing(opened(path)) as file,
        pytest.raises(sqlite3.DatabaseError),
        database.noticing_damage(path),
    ):
        file.execute("DELETE FROM things")
    with closing(opened(path)) as file:
        (count,) = file.execute("SELECT count(*) FROM things").fetchone()
        assert 400 < count < 500
    assert len(list(tmp_path.glob("a.db.damaged-*"))) == 1
    assert not list(tmp_path.glob("*is-damaged")), "the new one is well"


def test_only_the_latest_damaged_ones_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    for year in range(2020, 2026):
        (tmp_path / f"a.db.damaged-{year}0101T000000").touch()
    path.write_bytes(b"no database" * 100)
    opened(path).close()
    kept = sorted(file.name for file in tmp_path.glob("a.db.damaged-*"))
    assert len(kept) == database.KEPT_MAX
    assert kept[0] == "a.db.damaged-20240101T000000"


def test_a_process_that_was_ended_while_it_moved_one_aside_is_followed_by_one_that_ends_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.db"
    filled(path, 3)
    path.replace(tmp_path / "a.db.rebuilt")
    with closing(opened(path)) as file:
        assert file.execute("SELECT count(*) FROM things").fetchone() == (3,)


@pytest.mark.parametrize("sql", ["SELECT * FROM nothing", "BEGIN"])
def test_a_mistake_of_ours_and_a_lock_are_no_damage(tmp_path: Path, sql: str) -> None:
    path = tmp_path / "a.db"
    with closing(opened(path)) as file:
        file.execute("BEGIN EXCLUSIVE")
        with (
            closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other,
            pytest.raises(sqlite3.OperationalError) as caught,
            database.noticing_damage(path),
        ):
            other.execute(sql)
            other.execute("BEGIN IMMEDIATE")
        assert not database.is_damage(caught.value)
    assert not list(tmp_path.glob("*is-damaged"))


def test_a_folder_in_its_place_is_no_damage(tmp_path: Path) -> None:
    """Whoever put it there has to take it away."""
    (tmp_path / "a.db").mkdir()
    with pytest.raises(UnsafeFileError, match="no regular file"):
        opened(tmp_path / "a.db")
