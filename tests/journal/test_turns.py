import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import sample_records
from minuted.journal.turns import PAGE_MAX, TurnJournal, TurnJournalFullError
from minuted.messages import Word, from_map

GAP = replace(sample_records.GAP, meeting_started_at_ms=5)
TURN = replace(
    sample_records.TURN,
    meeting_started_at_ms=5,
    start_ms=100,
    end_ms=900,
    text="Grüß Gott 👋",
    words=(Word(text="Grüß", start_ms=100, end_ms=500, confidence=0.5, speaker="A"),),
    speaker="A",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "turns.db"


@pytest.fixture
def journal(path: Path) -> Iterator[TurnJournal]:
    journal = TurnJournal(path)
    yield journal
    journal.close()


def seqs(journal: TurnJournal) -> list[int]:
    found: list[int] = []
    while page := journal.page(found[-1] + 1 if found else 1):
        found += [record["seq"] for record in page]
    return found


def test_a_new_journal_is_empty_and_has_a_name(journal: TurnJournal) -> None:
    assert (journal.first_seq, journal.last_seq) == (0, 0)
    assert journal.page(1) == []
    assert len(journal.epoch) == 16
    assert journal.state("meeting") is None


def test_records_are_numbered_from_1_and_come_back_as_they_were(journal: TurnJournal) -> None:
    committed = [journal.commit(record) for record in (TURN, GAP, replace(TURN, type="revision", revision=1))]

    assert [record.seq for record in committed] == [1, 2, 3]
    assert (journal.first_seq, journal.last_seq) == (1, 3)
    assert [from_map(record) for record in journal.page(1)] == committed
    assert [from_map(record) for record in journal.page(3)] == committed[2:]
    assert journal.page(4) == []


def test_a_record_s_own_number_does_not_count(journal: TurnJournal) -> None:
    """A revision may come with its predecessor's."""
    assert journal.commit(replace(TURN, seq=77)).seq == 1


def test_the_input_is_left_as_it_was(journal: TurnJournal) -> None:
    journal.commit(TURN)

    assert TURN.seq is None


def test_a_page_has_a_bound(journal: TurnJournal) -> None:
    for _ in range(PAGE_MAX + 3):
        journal.commit(GAP)

    assert len(journal.page(1)) == PAGE_MAX
    assert len(journal.page(1, 10**9)) == PAGE_MAX
    assert [record["seq"] for record in journal.page(7, 3)] == [7, 8, 9]
    assert len(journal.page(1, 0)) == len(journal.page(1, -5)) == 1
    assert seqs(journal) == list(range(1, PAGE_MAX + 4))


def test_a_journal_goes_on_where_it_was(path: Path) -> None:
    """Whoever restarts what, subscribers count on."""
    epochs = set()
    for round_ in range(3):
        journal = TurnJournal(path)
        epochs.add(journal.epoch)
        assert journal.last_seq == 2 * round_
        assert journal.commit(TURN, {"round": round_}).seq == 2 * round_ + 1
        assert journal.commit(GAP).seq == 2 * round_ + 2
        assert journal.first_seq == 1
        assert journal.state("round") == round_
        journal.close()
    assert len(epochs) == 1


def test_another_journal_has_another_name(tmp_path: Path) -> None:
    """That is how a subscriber learns that its cursor means nothing here."""
    names = []
    for name in ("a.db", "b.db"):
        journal = TurnJournal(tmp_path / name)
        names.append(journal.epoch)
        journal.close()

    assert names[0] != names[1]


def test_state_is_stored_with_the_record_or_not_at_all(journal: TurnJournal, path: Path) -> None:
    journal.commit(TURN, {"meeting": {"id": "m1"}, "mark": 1})
    with pytest.raises(TypeError):
        journal.commit(TURN, {"mark": 2, "meeting": object()})

    assert journal.state("mark") == 1
    assert journal.last_seq == 1
    assert seqs(journal) == [1]
    assert journal.commit(GAP, {"mark": 3}).seq == 2
    journal.close()
    again = TurnJournal(path)
    assert again.state("mark") == 3
    assert again.state("meeting") == {"id": "m1"}
    assert seqs(again) == [1, 2]
    again.close()


def test_a_record_that_cannot_be_stored_leaves_no_hole(journal: TurnJournal) -> None:
    with pytest.raises(TypeError):
        journal.commit(TURN, {"mark": object()})

    assert journal.commit(TURN).seq == 1


def test_what_commit_returned_from_is_on_the_disk(path: Path) -> None:
    """The settings that make it so are SQLite's defaults only in part."""
    journal = TurnJournal(path)
    values = [
        journal._database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "locking_mode")
    ]
    journal.close()

    assert values == ["wal", 2, "exclusive"]


@contextmanager
def no_room(journal: TurnJournal) -> Iterator[None]:
    """Let the file grow no further, as on a full disk."""
    pages = journal._database.execute("PRAGMA page_count").fetchone()[0]
    journal._database.execute(f"PRAGMA max_page_count = {pages}")
    yield
    journal._database.execute("PRAGMA max_page_count = 1000000")


def test_on_a_full_disk_nothing_is_stored_and_the_same_can_be_tried_again(
    journal: TurnJournal, path: Path
) -> None:
    """Sound waits in its own journal until there is room: no reason to end the process, nor for a hole."""
    journal.commit(TURN, {"mark": 1})
    long = replace(TURN, text="x" * 50_000)
    with no_room(journal):
        for _ in range(3):
            with pytest.raises(TurnJournalFullError, match="No space left") as full:
                journal.commit(long, {"mark": 2})
            assert full.value.filename == str(path)
            with pytest.raises(TurnJournalFullError):
                journal.keep({"mark": 3, "long": "y" * 50_000})
        assert journal.state("mark") == 1
        assert journal.state("long") is None
        assert journal.last_seq == 1
        assert journal.commit(GAP).seq == 2, "a small one finds a place in a page that is there"

    assert journal.commit(long, {"mark": 2}).seq == 3
    journal.close()
    again = TurnJournal(path)
    assert seqs(again) == [1, 2, 3]
    assert again.state("mark") == 2
    again.close()


def test_any_other_error_of_the_database_is_final(journal: TurnJournal) -> None:
    """Nobody can know what reached the disk; only a new process finds out."""
    journal._database.execute(
        "CREATE TRIGGER bad BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'bad'); END"
    )
    with pytest.raises(sqlite3.IntegrityError, match="bad"):
        journal.commit(TURN)
    journal.close()
    with pytest.raises(sqlite3.ProgrammingError):
        journal.commit(TURN)


def test_state_can_be_kept_without_a_record(journal: TurnJournal, path: Path) -> None:
    """Confirmed silence moves the mark, and is nobody's turn."""
    journal.commit(TURN, {"mark": 1, "meeting": "m1"})
    journal.keep({"mark": 2, "hole": [1, 5]})
    with pytest.raises(TypeError):
        journal.keep({"mark": 3, "hole": object()})
    journal.close()

    again = TurnJournal(path)
    assert [again.state(key) for key in ("mark", "meeting", "hole")] == [2, "m1", [1, 5]]
    assert again.last_seq == 1
    again.close()


def test_a_second_process_is_refused(journal: TurnJournal, path: Path) -> None:
    """Two writers would give the same number twice."""
    script = (
        "import sys; from pathlib import Path; from minuted.journal import turns; turns.OPEN_WAIT_S_MAX = 0.1"
    )
    second = subprocess.run(
        [sys.executable, "-c", f"{script}; turns.TurnJournal(Path(sys.argv[1]))", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert second.returncode == 1
    assert "locked" in second.stderr
    assert journal.commit(TURN).seq == 1


WRITER = """
import sys
from pathlib import Path
from minuted.journal.turns import TurnJournal
from minuted.messages import Gap
journal = TurnJournal(Path(sys.argv[1]))
print(0, journal.epoch, flush=True)
while True:
    number = journal.last_seq + 1
    gap = Gap(room="r", meeting_id="m", start_ms=number, end_ms=number, reason="x" * (number % 300))
    print(journal.commit(gap, {"mark": number}).seq, flush=True)
"""


def test_no_kill_loses_or_repeats_a_number(path: Path) -> None:
    """What was said to be committed is there, with its state; what is there is whole and in order."""
    told, epochs = 0, set()
    for round_ in range(12):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            epochs.add(writer.stdout.readline().split()[1])
            for _ in range(1 + 7 * round_):
                told = int(writer.stdout.readline())
            os.kill(writer.pid, signal.SIGKILL)
            # Lines it had got out before it died.
            told = max([told, *(int(line) for line in writer.stdout.read().splitlines() if line.strip())])

        journal = TurnJournal(path)
        found = journal.last_seq
        assert told <= found <= told + 1
        assert seqs(journal) == list(range(1, found + 1))
        assert journal.state("mark") == found
        assert journal.page(found)[0]["start_ms"] == found
        journal.close()
    assert len(epochs) == 1


# What is noted of turns.


def test_the_newest_record_of_a_turn_is_found_with_what_was_noted_of_it(journal: TurnJournal) -> None:
    """A revision is made of it, perhaps by another process than wrote it."""
    journal.commit(TURN, labels={"s:0": "A"})
    journal.commit(GAP)
    later = replace(TURN, id="s:1", meeting_id="m")
    journal.commit_all([later, replace(TURN, type="revision", revision=1)], labels={"s:1": "B", "s:0": "C"})

    first, second = journal.turns_of("m", 0, 9)
    assert (first.place, first.record["seq"], first.record["revision"], first.labels) == (1, 4, 1, "C")
    assert (second.place, second.record["id"], second.labels) == (3, "s:1", "B")
    assert journal.turn("s:0") == first
    assert journal.turns_of("m", 1, 9) == [second]
    assert journal.turns_of("m", 0, 1) == [first]
    assert journal.turn("s:2") is None
    assert journal.turns_of("another", 0, 9) == []


def test_what_is_noted_may_change_without_a_record(journal: TurnJournal) -> None:
    journal.commit(TURN, labels={"s:0": "A"})
    journal.commit_all([], {"key": 1}, {"s:0": "B", "s:9": "C"})

    kept = journal.turn("s:0")
    assert kept is not None
    assert (kept.labels, journal.last_seq, journal.state("key")) == ("B", 1, 1)
    assert journal.turn("s:9") is None


def test_several_records_are_stored_or_none(journal: TurnJournal) -> None:
    """Half of a revision would be taken for all of it."""
    with pytest.raises(TypeError):
        journal.commit_all([TURN, TURN], {"key": object()}, {"s:0": "A"})

    assert (journal.last_seq, journal.page(1), journal.state("key")) == (0, [], None)
    assert journal.turn("s:0") is None


def test_a_turn_that_is_pruned_is_forgotten_and_a_later_revision_kept(journal: TurnJournal) -> None:
    journal.commit(TURN, labels={"s:0": "A"})
    journal.commit(replace(TURN, id="s:1"), labels={"s:1": "B"})
    journal.commit(replace(TURN, type="revision", revision=1), labels={"s:0": "C"})
    assert journal.prune(2**62, 3) == 2

    assert journal.turn("s:1") is None
    kept = journal.turn("s:0")
    assert kept is not None
    assert kept.record["revision"] == 1
