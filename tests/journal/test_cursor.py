"""A sink's place, its checkpoint and its dead letters."""

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from fake_publisher import gap, turn
from minuted.journal.cursor import Cursor, CursorFullError, CursorInUseError, encoded, path_of, read_place
from minuted.messages import from_map


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sinks" / "webhook.db"


def test_a_new_cursor_has_no_place(path: Path) -> None:
    """Whoever opens it decides where to begin."""
    cursor = Cursor(path)
    assert (cursor.epoch, cursor.seq, cursor.checkpoint) == ("", 0, {})
    cursor.close()


def test_place_and_checkpoint_are_there_again_after_a_restart(path: Path) -> None:
    """This is what makes a file sink write each turn exactly once."""
    cursor = Cursor(path)
    cursor.place("one", 4)
    cursor.advance(5, encoded({"bytes": 120}))
    cursor.advance(6)
    cursor.close()
    again = Cursor(path)
    assert (again.epoch, again.seq, again.checkpoint) == ("one", 6, {"bytes": 120})
    again.close()


def test_nothing_but_the_next_record_moves_the_cursor(path: Path) -> None:
    """A jump would be a lost turn that nobody hears of."""
    cursor = Cursor(path)
    with pytest.raises(ValueError, match="does not follow"):
        cursor.advance(1)
    cursor.place("one", 4)
    for seq in (4, 6):
        with pytest.raises(ValueError, match="does not follow"):
            cursor.advance(seq)
    cursor.close()


def test_several_records_are_passed_in_one_step(path: Path) -> None:
    """What was delivered at once is noted at once, with no record between forgotten."""
    cursor = Cursor(path)
    cursor.place("one", 4)
    with pytest.raises(ValueError, match="record 6 does not follow 4"):
        cursor.advance(8, count=3)
    cursor.advance(8, encoded({"bytes": 120}), count=4)
    cursor.close()
    again = Cursor(path)
    assert (again.epoch, again.seq, again.checkpoint) == ("one", 8, {"bytes": 120})
    again.close()


def test_a_rejected_record_is_put_aside_and_passed_in_one_step(path: Path) -> None:
    """A kill between the two would lose the letter, or reject it twice."""
    cursor = Cursor(path)
    cursor.place("one", 0)
    cursor.reject(turn(1), "410 Gone")
    cursor.close()
    again = Cursor(path)
    (letter,) = again.dead_letters()
    assert again.seq == 1
    assert (letter.seq, letter.epoch, letter.reason, letter.wanted) == (1, "one", "410 Gone", False)
    assert from_map(letter.record) == turn(1)
    again.close()


def test_a_record_that_cannot_be_put_aside_is_not_passed(path: Path) -> None:
    """Both or neither, also when the disk says no in between."""
    cursor = Cursor(path)
    cursor.place("one", 0)
    cursor._database.execute(
        "CREATE TRIGGER full BEFORE UPDATE ON cursor BEGIN SELECT RAISE(ABORT, 'full'); END"
    )
    cursor._database.execute(
        "CREATE TRIGGER full2 BEFORE INSERT ON cursor BEGIN SELECT RAISE(ABORT, 'full'); END"
    )
    with pytest.raises(sqlite3.Error, match="full"):
        cursor.reject(turn(1), "410 Gone")
    assert cursor.seq == 0
    assert cursor.dead_letters() == []
    cursor.close()


def test_a_new_journal_keeps_the_dead_letters_and_the_checkpoint(path: Path) -> None:
    """Numbers begin at 1 again; the file the checkpoint speaks of is the same."""
    cursor = Cursor(path)
    cursor.place("one", 0)
    cursor.reject(turn(1), "no", encoded({"bytes": 7}))
    cursor.place("two", 0)
    cursor.reject(gap(1), "no")
    assert [(letter.epoch, letter.seq) for letter in cursor.dead_letters()] == [("one", 1), ("two", 1)]
    assert (cursor.epoch, cursor.seq, cursor.checkpoint) == ("two", 1, {"bytes": 7})
    cursor.close()


def test_dead_letters_are_taken_back_settled_kept_or_dropped(path: Path) -> None:
    """What a person does about them, by number."""
    cursor = Cursor(path)
    cursor.place("one", 0)
    for seq in (1, 2, 3):
        cursor.reject(turn(seq), "no")
    assert cursor.want([1, 2, 9]) == [1, 2]
    first, second = cursor.dead_letters(wanted=True)
    cursor.settle(first, encoded({"bytes": 9}))
    cursor.keep(second, "still no")
    assert cursor.checkpoint == {"bytes": 9}
    assert [(letter.seq, letter.reason, letter.wanted) for letter in cursor.dead_letters()] == [
        (2, "still no", False),
        (3, "no", False),
    ]
    assert cursor.drop() == [2, 3]
    assert cursor.count_dead_letters() == 0
    cursor.close()


def test_a_second_process_on_the_same_file_is_told_so(path: Path) -> None:
    """Two cursors for one sink would deliver twice."""
    cursor = Cursor(path)
    script = (
        "import sys, pathlib; from minuted.journal.cursor import Cursor; Cursor(pathlib.Path(sys.argv[1]))"
    )
    second = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False, timeout=30
    )
    assert second.returncode == 1
    assert f"CursorInUseError: {path} is in use by another process" in second.stderr
    cursor.advance(1) if cursor.epoch else cursor.place("one", 0)
    cursor.close()


def test_the_file_is_free_again_when_its_process_was_killed(path: Path) -> None:
    """A crash must not lock a sink out of its own place."""
    script = (
        "import os, signal, sys, pathlib; from minuted.journal.cursor import Cursor;"
        "c = Cursor(pathlib.Path(sys.argv[1])); c.place('one', 0); c.advance(1);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(path)], check=False, timeout=30)
    assert killed.returncode == -9
    cursor = Cursor(path)
    assert cursor.seq == 1
    cursor.close()


def test_two_cursors_in_one_process_exclude_each_other_too(path: Path) -> None:
    """The command that lists dead letters may be called from anywhere."""
    cursor = Cursor(path)
    with pytest.raises(CursorInUseError):
        Cursor(path)
    cursor.close()


def damaged(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute(statement, values)
        file.commit()


@pytest.fixture
def placed(path: Path) -> Path:
    """The file of a sink that has got to record 6, and has put another aside."""
    with closing(Cursor(path)) as cursor:
        cursor.place("one", 4)
        cursor.reject(turn(5), "refused")
        cursor.advance(6, encoded({"bytes": 120}))
        cursor.prepare("one", 7, "a body")
    return path


NO_DATABASE = b"these are not the bytes you are looking for" * 20


def test_a_file_that_is_no_database_is_kept_aside_and_the_place_is_known(placed: Path) -> None:
    """It may be the only copy of something: it is not overwritten."""
    placed.write_bytes(NO_DATABASE)
    with closing(Cursor(placed)) as cursor:
        assert (cursor.epoch, cursor.seq, cursor.checkpoint, cursor.is_damaged) == ("one", 6, {}, False)
        cursor.advance(7)
    (aside,) = placed.parent.glob("webhook.db.damaged-*")
    assert aside.read_bytes() == NO_DATABASE
    with closing(Cursor(placed)) as cursor:
        assert (cursor.epoch, cursor.seq) == ("one", 7)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE cursor SET seq = 900",
        "UPDATE cursor SET seq = 'six'",
        "UPDATE cursor SET epoch = 'two'",
        "UPDATE cursor SET epoch = x'ff'",
        "UPDATE cursor SET checkpoint = '{'",
        "UPDATE cursor SET checkpoint = '[]'",
        "DELETE FROM cursor",
        "DROP TABLE cursor",
    ],
)
def test_a_place_that_is_damaged_is_taken_from_the_note_beside_it(
    placed: Path, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Records would be passed over, or come twice."""
    damaged(placed, change)
    assert read_place(placed) == ("one", 6)
    with closing(Cursor(placed)) as cursor:
        assert (cursor.epoch, cursor.seq, cursor.checkpoint) == ("one", 6, {})
        assert cursor.count_dead_letters() == 1
        cursor.advance(7)
    assert capsys.readouterr().out.count("place_damaged") == 1


def test_where_nobody_can_tell_the_place_the_sink_begins_with_the_oldest_record(placed: Path) -> None:
    placed.write_bytes(NO_DATABASE)
    placed.with_suffix(".place").write_bytes(b"\xff" * 60)
    with closing(Cursor(placed)) as cursor:
        assert (cursor.epoch, cursor.seq, cursor.is_damaged) == ("", 0, True)
    with closing(Cursor(placed)) as cursor:
        assert cursor.is_damaged, "also where its process ended before it had begun"
        cursor.place("one", 0)
    with closing(Cursor(placed)) as cursor:
        assert not cursor.is_damaged


@pytest.mark.parametrize("what", ["folder", "link", "pipe"])
def test_a_note_that_is_no_file_is_gone_on_without(
    placed: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is for the day of damage; its loss was a crash loop."""
    note, other = placed.with_suffix(".place"), placed.with_name("other")
    note.unlink()
    other.write_text("x")
    {"folder": note.mkdir, "link": lambda: note.symlink_to(other), "pipe": lambda: os.mkfifo(note)}[what]()
    with closing(Cursor(placed)) as cursor:
        assert (cursor.epoch, cursor.seq) == ("one", 6)
        cursor.advance(7)
    with closing(Cursor(placed)) as cursor:
        assert cursor.seq == 7
    assert other.read_text() == "x"
    assert capsys.readouterr().out.count("note_not_written") == 2, "once in a process"


def test_what_an_older_version_stored_is_read(placed: Path) -> None:
    placed.with_suffix(".place").unlink()
    damaged(placed, "UPDATE cursor SET seq = 5, checkpoint = '{\"bytes\": 1}'")
    damaged(placed, "UPDATE prepared SET value = 'an older body'")
    with closing(Cursor(placed)) as cursor:
        assert (cursor.epoch, cursor.seq, cursor.checkpoint) == ("one", 5, {"bytes": 1})
        assert cursor.prepared("one", 7) == "an older body"


def test_a_prepared_value_that_is_damaged_is_prepared_anew(placed: Path) -> None:
    """A sink would try it for ever."""
    damaged(placed, "UPDATE prepared SET value = replace(value, 'body', 'bodi')")
    with closing(Cursor(placed)) as cursor:
        assert cursor.prepared("one", 7) is None


@pytest.mark.parametrize("record", ["{", "[]", "5", b"\xff"])
def test_a_dead_letter_that_is_damaged_is_listed_without_its_record(placed: Path, record: object) -> None:
    damaged(placed, "UPDATE dead_letters SET record = ?", record)
    with closing(Cursor(placed)) as cursor:
        (letter,) = cursor.dead_letters()
        assert (letter.seq, letter.record) == (5, {})
        assert letter.reason == "refused (the record is damaged)"
        assert cursor.drop() == [5]


def test_damage_that_shows_while_it_works_ends_the_process_and_no_other(placed: Path) -> None:
    with closing(Cursor(placed)) as cursor:
        cursor._database.execute("PRAGMA writable_schema = ON")
        cursor._database.execute("UPDATE sqlite_master SET rootpage = 999 WHERE name = 'cursor'")
    with pytest.raises(sqlite3.DatabaseError):
        for _ in range(2):
            with closing(Cursor(placed)) as cursor:
                cursor.advance(cursor.seq + 1)
                raise sqlite3.DatabaseError("it was noticed when it was opened")
    with closing(Cursor(placed)) as cursor:
        assert (cursor.epoch, cursor.seq) == ("one", 7)


def test_nobody_else_may_read_it_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(Cursor(path)) as cursor:
            cursor.place("one", 1)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert set(modes) == {"webhook.db", "webhook.db-wal", "webhook.place"}
    assert set(modes.values()) == {0o640}


def test_commits_are_synced_to_the_disk(path: Path) -> None:
    """synchronous=FULL: a cursor that was moved stays moved after a power cut."""
    cursor = Cursor(path)
    pragmas = [
        cursor._database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("synchronous", "journal_mode", "locking_mode")
    ]
    assert pragmas == [2, "wal", "exclusive"]
    cursor.close()


@pytest.mark.parametrize("checkpoint", [{"path": Path()}, {"at": float("nan")}, ["bytes", 4]])
def test_a_checkpoint_that_cannot_be_stored_is_refused(checkpoint: object) -> None:
    """Better at the first turn than at the first restart."""
    with pytest.raises((TypeError, ValueError)):
        encoded(checkpoint)  # type: ignore[arg-type]


def fill(cursor: Cursor, *, full: bool = True) -> None:
    """Let the file grow no further, as on a full disk."""
    pages = cursor._database.execute("PRAGMA page_count").fetchone()[0]
    cursor._database.execute(f"PRAGMA max_page_count = {pages if full else 1_000_000}")


def test_on_a_full_disk_nothing_is_stored_and_the_same_can_be_tried_again(path: Path) -> None:
    """The sink waits for room; a crash would have it deliver the record again."""
    cursor = Cursor(path)
    cursor.place("one", 0)
    cursor.advance(1, encoded({"bytes": 1}))
    long = encoded({"bytes": 2, "more": "x" * 50_000})
    fill(cursor)
    for _ in range(2):
        with pytest.raises(CursorFullError, match="No space left"):
            cursor.advance(2, long)
        with pytest.raises(CursorFullError, match="No space left"):
            cursor.reject(turn(2, "y" * 50_000), "no")
        with pytest.raises(CursorFullError, match="No space left"):
            cursor.prepare("one", 2, "z" * 50_000)
    assert (cursor.seq, cursor.checkpoint, cursor.count_dead_letters()) == (1, {"bytes": 1}, 0)
    assert cursor.prepared("one", 2) is None
    fill(cursor, full=False)
    cursor.advance(2, long)
    cursor.close()
    again = Cursor(path)
    assert (again.seq, again.checkpoint["bytes"]) == (2, 2)
    again.close()


def test_a_place_there_is_no_room_for_holds_and_is_stored_with_the_next_record(path: Path) -> None:
    """Where to go on is known all the same: no reason not to deliver."""
    cursor = Cursor(path)
    cursor.place("one", 7)
    fill(cursor)
    with pytest.raises(CursorFullError):
        cursor.place("x" * 50_000, 0)
    fill(cursor, full=False)
    cursor.advance(1)
    cursor.close()
    again = Cursor(path)
    assert (again.epoch, again.seq) == ("x" * 50_000, 1)
    again.close()


def test_what_was_prepared_for_a_record_is_kept_until_it_is_delivered(path: Path) -> None:
    """A restart sends what the first try sent, whatever the options are now."""
    cursor = Cursor(path)
    cursor.place("one", 4)
    assert cursor.prepared("one", 5) is None
    cursor.prepare("one", 5, "first")
    cursor.close()
    again = Cursor(path)
    assert again.prepared("one", 5) == "first"
    assert again.prepared("two", 5) is None
    again.advance(5)
    assert again.prepared("one", 5) is None
    again.close()


def test_what_was_prepared_stays_with_a_dead_letter_as_long_as_that_is_one(path: Path) -> None:
    """It may be offered again after months."""
    cursor = Cursor(path)
    cursor.place("one", 0)
    for seq in (1, 2, 3):
        cursor.prepare("one", seq, f"of {seq}")
        cursor.reject(turn(seq), "no")
    cursor.place("two", 0)
    cursor.prepare("two", 1, "another")
    first, *_ = cursor.dead_letters()
    assert cursor.drop([2]) == [2]
    assert [cursor.prepared("one", seq) for seq in (1, 2, 3)] == ["of 1", None, "of 3"]
    assert cursor.prepared("two", 1) == "another"
    cursor.advance(1)
    cursor.settle(first)
    assert [cursor.prepared("one", seq) for seq in (1, 2, 3)] == [None, None, "of 3"]
    cursor.close()


def test_a_journal_that_ends_before_our_place_gives_its_numbers_to_other_records(path: Path) -> None:
    """The state of a backup: what was prepared for the old number 3 is not the new one's."""
    cursor = Cursor(path)
    cursor.place("one", 2)
    cursor.prepare("one", 3, "old")
    cursor.reject(turn(3), "no")
    cursor.prepare("one", 4, "old")
    cursor.place("one", 2)
    assert [cursor.prepared("one", seq) for seq in (3, 4)] == [None, None]
    cursor.close()


def test_an_older_version_s_file_is_gone_on_with(path: Path) -> None:
    """It has no table for what is prepared."""
    cursor = Cursor(path)
    cursor.place("one", 4)
    cursor._database.execute("DROP TABLE prepared")
    cursor.close()
    again = Cursor(path)
    again.prepare("one", 5, "first")
    assert (again.seq, again.prepared("one", 5)) == (4, "first")
    again.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from minuted.journal.cursor import Cursor
cursor = Cursor(Path(sys.argv[1]))
cursor.place("one", 4)
cursor.advance(5)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_place_of_a_sink_that_does_not_run_can_be_read(tmp_path: Path) -> None:
    """Also after a kill, when it stands in the log alone; and reading it keeps nobody out."""
    path = path_of(tmp_path, "webhook")
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert path.with_name("webhook.db-wal").stat().st_size
    assert read_place(path) == ("one", 5)
    cursor = Cursor(path)
    assert (cursor.epoch, cursor.seq) == ("one", 5)
    cursor.advance(6)
    cursor.close()
    assert read_place(path) == ("one", 6)


def test_nobody_can_tell_the_place_of_a_sink_that_runs_or_never_ran(path: Path) -> None:
    """Then everything is kept: a guess could lose what it still lacks."""
    assert read_place(path) is None
    assert not path.exists()
    cursor = Cursor(path)
    assert read_place(path) is None
    cursor.close()
    assert read_place(path) is None, "it has no place yet"
    path.write_bytes(b"no database at all" * 100)
    assert read_place(path) is None
