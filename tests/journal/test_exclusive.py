"""A SQLite file for one process alone, beside others that may have it open."""

import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from minuted.journal.exclusive import DatabaseInUseError, open_exclusive
from minuted.runtime.files import UnsafeFileError
from waiting import WAIT_S_MAX, until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database in WAL mode, as a run leaves it."""
    file = tmp_path / "folder" / "a.db"
    with closing(open_exclusive(file, 0.0)) as database:
        database.execute("CREATE TABLE a (b)")
    return file


def opened_by_an_admin(path: Path) -> sqlite3.Connection:
    """As `sqlite3 turns.db` has it after its first question."""
    admin = sqlite3.connect(path, check_same_thread=False)
    admin.execute("SELECT * FROM a").fetchall()
    return admin


def test_its_mode_is_its_own_whatever_the_umask(path: Path) -> None:
    path.chmod(0o644)
    with closing(open_exclusive(path, 0.0)) as database:
        database.execute("INSERT INTO a VALUES (1)")
        files = [path, path.with_name("a.db-wal")]
        assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o640, 0o640]


def test_who_has_it_open_is_told_what_to_do(path: Path) -> None:
    with closing(opened_by_an_admin(path)):
        told: list[str] = []
        with pytest.raises(DatabaseInUseError) as raised:
            open_exclusive(path, 0.3, told.append)
    assert told == [str(raised.value)]
    assert f"{path} is in use by another process" in told[0]
    assert told[0].endswith("which has it locked: close it there")


def test_it_is_opened_as_soon_as_it_is_let_go_of(path: Path) -> None:
    admin, told, got = opened_by_an_admin(path), [], []
    waiting = threading.Thread(
        target=lambda: got.append(open_exclusive(path, WAIT_S_MAX, told.append, check_same_thread=False))
    )
    waiting.start()
    until(lambda: told)
    admin.close()
    waiting.join(WAIT_S_MAX)
    (database,) = got
    database.execute("INSERT INTO a VALUES (1)")
    database.close()


def test_a_link_in_its_place_is_not_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "b.db").symlink_to(path)
    before = path.read_bytes()
    with pytest.raises(UnsafeFileError):
        open_exclusive(tmp_path / "b.db", 0.0)
    assert path.read_bytes() == before
