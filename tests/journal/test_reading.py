"""A journal is read as it was left, by a clean end or by a kill, and nothing shows that somebody read it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fake_publisher import turn
from minuted.journal.reading import JournalChangedError, reading
from minuted.journal.turns import TurnJournal

KILLED = """
import os, sys
from pathlib import Path
from fake_publisher import turn
from minuted.journal.turns import TurnJournal
journal = TurnJournal(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    journal.commit(turn(None))
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "turns.db"


def written(path: Path, count: int) -> None:
    journal = TurnJournal(path)
    for _ in range(count):
        journal.commit(turn(None))
    journal.close()


def killed(path: Path, count: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", KILLED, str(path), str(count)], check=False, env=environment)


def state_of(path: Path) -> dict[str, tuple[int, int]]:
    return {file.name: (file.stat().st_size, file.stat().st_mtime_ns) for file in path.parent.iterdir()}


def test_a_closed_journal_is_read_by_its_numbers(path: Path) -> None:
    written(path, 7)

    with reading(path) as reader:
        assert (reader.first_seq, reader.last_seq) == (1, 7)
        assert [values["seq"] for values in reader.page(3, 2)] == [3, 4]
        assert reader.page(8, 10) == []


def test_what_a_kill_has_left_in_the_log_is_read_too(path: Path) -> None:
    """The last words before a crash are the ones that are looked for."""
    killed(path, 5)
    assert path.with_name("turns.db-wal").stat().st_size

    with reading(path) as reader:
        assert [values["seq"] for values in reader.page(1, 10)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("left_by", [written, killed])
def test_nothing_is_changed_by_reading(path: Path, left_by) -> None:
    """A file made by whoever reads, root perhaps, might keep the daemon from its own journal."""
    left_by(path, 3)
    before = state_of(path)

    with reading(path) as reader:
        reader.page(1, 10)
        assert state_of(path) == before

    assert state_of(path) == before
    journal = TurnJournal(path)
    assert journal.last_seq == 3
    journal.close()


def test_a_writer_that_starts_meanwhile_is_noticed(path: Path) -> None:
    """Pages that are changed under a reader may not belong together."""
    written(path, 3)
    with reading(path) as reader:
        killed(path, 1)
        with pytest.raises(JournalChangedError, match="ask again"):
            reader.page(1, 10)


def test_reading_keeps_no_writer_out(path: Path) -> None:
    """The daemon may start at any moment."""
    written(path, 3)
    with reading(path):
        written(path, 1)

    with reading(path) as reader:
        assert reader.last_seq == 4


def test_an_empty_journal_has_no_records(path: Path) -> None:
    written(path, 0)
    with reading(path) as reader:
        assert (reader.first_seq, reader.last_seq, reader.page(1, 5)) == (0, 0, [])


def test_what_is_no_journal_is_said_in_a_line(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("x" * 5000)
    with pytest.raises(OSError, match="cannot be read: file is not a database"), reading(path):
        pass
    with pytest.raises(FileNotFoundError), reading(path.with_name("none.db")):
        pass
