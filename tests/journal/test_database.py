import os
import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
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


ADMIN = """
import os, sqlite3, sys
file = sqlite3.connect(sys.argv[1])
print(file.execute("SELECT count(*) FROM things").fetchone()[0], flush=True)
input()
"""


@contextmanager
def admin(path: Path) -> Iterator[None]:
    """Let another program read the file meanwhile, so that nobody empties its log into it; then kill it."""
    words = [sys.executable, "-c", ADMIN, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "500\n"
        try:
            yield
        finally:
            process.kill()


def left_by_a_killed_process(path: Path) -> None:
    """Leave 500 rows, all of them in the log, and a note of damage."""
    made = path.with_name("made.db")
    with closing(opened(made)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        file.executemany("INSERT INTO things VALUES (?, ?)", ((n, f"text {n} " * 20) for n in range(500)))
        for suffix in ("", "-wal"):
            Path(f"{path}{suffix}").write_bytes(Path(f"{made}{suffix}").read_bytes())
    path.with_name(f"{path.name}.is-damaged").touch()


class KilledError(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("at", range(12))
def test_a_process_killed_at_any_step_of_beginning_anew_loses_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    path = tmp_path / "a.db"
    left_by_a_killed_process(path)
    left = at
    real = {name: getattr(Path, name) for name in ("replace", "unlink")}

    def step(name: str, file: Path, *words: object, **options: object) -> object:
        nonlocal left
        if left == 0:
            raise KilledError
        left -= 1
        return real[name](file, *words, **options)

    with admin(path), monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *words, **options: step("replace", *words, **options))
        patch.setattr(Path, "unlink", lambda *words, **options: step("unlink", *words, **options))
        with pytest.raises(KilledError):
            opened(path).close()
            raise KilledError
    with closing(opened(path)) as file:
        assert file.execute("SELECT count(*) FROM things").fetchone() == (500,)
    kept = sorted(each.name for each in tmp_path.glob("a.db.damaged-*"))
    wals = [name for name in kept if name.endswith("-wal")]
    assert {name.removesuffix("-wal") for name in wals} <= set(kept), "each log is beside its database"


def test_a_constraint_that_fails_is_no_damage_where_the_trees_are_in_order(tmp_path: Path) -> None:
    """One mistake of ours moved the journal aside at each start."""
    path = tmp_path / "a.db"
    filled(path)
    for _ in range(2):
        with closing(opened(path)) as file:
            assert file.execute("SELECT count(*) FROM things").fetchone() == (500,)
            with pytest.raises(sqlite3.IntegrityError), database.noticing_damage(path):
                file.execute("INSERT INTO things VALUES (1, 'again')")
    opened(path).close()
    assert [each.name for each in tmp_path.iterdir()] == ["a.db"]


def test_a_constraint_that_fails_in_a_damaged_tree_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    filled(path)
    data = path.read_bytes()
    middle = len(data) // 8192 * 4096
    path.write_bytes(data[:middle] + bytes(4096) + data[middle + 4096 :])
    with (
        closing(opened(path)) as file,
        pytest.raises(sqlite3.IntegrityError),
        database.noticing_damage(path),
    ):
        file.execute("INSERT INTO things VALUES (1, 'again')")
    with closing(opened(path)) as file:
        assert 400 < file.execute("SELECT count(*) FROM things").fetchone()[0] < 500
    assert len(list(tmp_path.glob("a.db.damaged-*"))) == 1


def test_too_few_descriptors_are_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    filled(path)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, limits[1]))
    try:
        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            opened(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    with closing(opened(path)) as file:
        assert file.execute("SELECT count(*) FROM things").fetchone() == (500,)
    assert [each.name for each in tmp_path.iterdir()] == ["a.db"]


@pytest.mark.parametrize(("place", "value"), [(0, 0), (16, 9), (19, 9), (47, 9)])
def test_a_damaged_header_is_damage(tmp_path: Path, place: int, value: int) -> None:
    """SQLite has other names for some of it: read-only, cannot be opened, an error."""
    path = tmp_path / "a.db"
    filled(path)
    data = path.read_bytes()
    path.write_bytes(data[:place] + bytes([value]) + data[place + 1 :])
    opened(path).close()
    assert len(list(tmp_path.glob("a.db.damaged-*"))) == 1


def test_a_folder_in_the_place_of_the_log_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    filled(path)
    (tmp_path / "a.db-wal").mkdir()
    with closing(opened(path)) as file:
        file.execute("INSERT INTO things VALUES (1000, 'more')")


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_folder_in_the_place_of_the_note_of_damage_says_nothing(tmp_path: Path, is_damaged: bool) -> None:
    path = tmp_path / "a.db"
    filled(path)
    (tmp_path / "a.db.is-damaged").mkdir()
    if is_damaged:
        path.write_bytes(b"no database" * 100)
    for _ in range(2):
        opened(path).close()
    assert len(list(tmp_path.glob("a.db.damaged-*"))) == is_damaged
