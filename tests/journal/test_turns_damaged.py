"""A turn journal that somebody or something has damaged: each piece costs itself alone."""

import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest

import sample_records
from journal.copies import age
from minuted.journal import database
from minuted.journal.stored import marker
from minuted.journal.turns import TurnJournal
from minuted.messages import Turn, Word, encode, from_map

TURN = replace(sample_records.TURN, text="what was said " * 20)
COUNT = 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of many records, closed."""
    path = tmp_path / "turns.db"
    with closing(TurnJournal(path)) as journal:
        for number in range(COUNT):
            turn = replace(TURN, id=f"s:{number}", turn_order=number)
            journal.commit(turn, {"marks": {"next_id": number}}, {turn.id: "[null,[]]"})
    return path


def change(path: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute(statement, values)
        file.commit()


def types(journal: TurnJournal) -> list[str]:
    return [record["type"] for record in journal.page(1)]


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\xc1\xc1",
        msgpack.packb([1]),
        encode(replace(TURN, seq=99)),
        msgpack.packb({"v": 1}),
        "text",
        None,
    ],
)
def test_a_record_that_cannot_be_read_costs_itself_alone_and_is_told_of_once(
    path: Path, stored: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(path)) as file:
        if stored is None:
            file.execute("DELETE FROM records WHERE seq = 7")
        else:
            file.execute("UPDATE records SET record = ? WHERE seq = 7", (stored,))
        file.commit()
    with closing(TurnJournal(path)) as journal:
        assert journal.page(6, 3)[1] == marker(7)
        assert types(journal) == ["turn"] * 6 + ["damaged"] + ["turn"] * (COUNT - 7)
        assert journal.turn("s:6") is None
        assert len(journal.turns_of(TURN.meeting_id, 0, 10)) == 10
        assert journal.turns_of(TURN.meeting_id, 0, 10)[-1].place == 11
        assert journal.damaged == 1
        assert journal.commit(TURN).seq == COUNT + 1
    assert capsys.readouterr().out.count("record_damaged") == 1


def test_one_wrong_bit_in_a_record_s_text_is_noticed(path: Path) -> None:
    data = path.read_bytes()
    place = data.rindex(b"what was said")
    path.write_bytes(data[:place] + b"V" + data[place + 1 :])
    with closing(TurnJournal(path)) as journal:
        assert types(journal).count("damaged") == 1


@pytest.mark.parametrize(
    "value",
    [
        "",
        "{",
        '"text"',
        "[1]",
        '{"next_id": "title"}',
        '{"next_id": 1e999}',
        "[" * 9999,
        b"\xff\xfe",
        5,
        None,
    ],
)
def test_a_state_value_that_cannot_be_read_is_none_and_told_of_without_its_text(
    path: Path, value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    change(path, "UPDATE state SET value = ? WHERE key = 'marks'", "" if value is None else value)
    with closing(TurnJournal(path)) as journal:
        assert journal.state("marks", dict[str, int]) is None
        assert journal.state("marks", dict[str, int]) is None
        assert (journal.resets, journal.last_seq) == (1, COUNT)
    told = capsys.readouterr().out
    assert told.count("state_reset") == 1
    assert "title" not in told


def test_a_state_value_that_is_gone_is_told_of(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is stored in one transaction with it is there; where nothing is, nothing was ever stored."""
    change(path, "INSERT INTO state VALUES ('intake', '{}')")
    change(path, "DELETE FROM state WHERE key = 'marks'")
    with closing(TurnJournal(path)) as journal:
        journal.notice_missing(["marks", "intake"])
        journal.notice_missing(["marks:far", "intake:far"])
        assert journal.resets == 1
    assert capsys.readouterr().out.count("state_reset") == 1


def test_an_epoch_of_half_a_character_is_begun_anew(path: Path) -> None:
    """It is written into files, which take none."""
    change(path, """UPDATE state SET value = '"\\ud83d"' WHERE key = 'epoch'""")
    with closing(TurnJournal(path)) as journal:
        assert journal.epoch.isalnum()


def test_one_wrong_digit_in_a_state_value_is_noticed(path: Path) -> None:
    """It would be a mark beyond sound that nobody has heard."""
    with closing(sqlite3.connect(path)) as file:
        (value,) = file.execute("SELECT value FROM state WHERE key = 'marks'").fetchone()
    assert json.loads(value) == {"next_id": COUNT - 1}
    change(path, "UPDATE state SET value = ? WHERE key = 'marks'", value.replace("9", "8"))
    with closing(TurnJournal(path)) as journal:
        assert journal.state("marks") is None
        assert journal.resets == 1


def test_what_an_older_version_stored_is_read(path: Path) -> None:
    change(path, "UPDATE state SET value = '{\"next_id\": 5}' WHERE key = 'marks'")
    change(path, "UPDATE records SET record = ? WHERE seq = 7", encode(replace(TURN, seq=7)))
    path.with_suffix(".last").unlink()
    with closing(TurnJournal(path)) as journal:
        assert journal.state("marks", dict[str, int]) == {"next_id": 5}
        assert from_map(journal.page(7)[0]) == replace(TURN, seq=7)
        assert journal.damaged == 0


def test_a_state_that_nobody_has_stored_is_no_damage(path: Path) -> None:
    with closing(TurnJournal(path)) as journal:
        journal.keep({"gone": None})
        assert journal.state("never", int) is None
        assert journal.state("gone", int) is None
        assert journal.resets == 0


def test_a_turn_of_18500_words_is_committed_readable(path: Path) -> None:
    words = tuple(Word(text=f"word{n}", start_ms=n, end_ms=n + 1, confidence=0.5) for n in range(18_500))
    text = " ".join(word.text for word in words)
    with closing(TurnJournal(path)) as journal:
        committed = journal.commit(replace(TURN, words=words, text=text))
        journal.commit(TURN)
        page = journal.page(COUNT + 1)
    assert [record["type"] for record in page] == ["turn", "turn"]
    assert from_map(page[0]) == committed
    assert isinstance(committed, Turn)
    assert committed.text == text


def overwritten(size: int, begin: int, data: bytes) -> Callable[[bytes], bytes]:
    return lambda old: old[:begin] + data * (size // len(data)) + old[begin + size :]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"no database" * 1000,
        lambda old: old[:5000],
        lambda old: old[:1024] + bytes(200) + old[1224:],
        overwritten(100, 0, b"\0"),
        overwritten(4096, 4096, b"\xff"),
        overwritten(4096, 8192, b"\xff"),
        overwritten(4096, 12288, b"\0"),
        overwritten(8192, 16384, b"\xa5"),
        lambda old: old.replace(b"record BLOB", b"recorf BLOB"),
    ],
)
def test_a_file_that_is_no_database_any_more_is_kept_aside_and_the_journal_goes_on(
    path: Path, spoil: Callable[[bytes], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_bytes(spoil(path.read_bytes()))
    # A process that meets the damage while it works ends; the next goes on.
    for trial in range(3):
        try:
            with closing(TurnJournal(path)) as journal:
                committed = journal.commit(TURN, {"marks": {"next_id": 3}})
                assert committed.seq
                assert len(journal.page(1, 500)) == journal.last_seq - journal.first_seq + 1
                journal.prune(0, 1)
                journal.state("marks", dict[str, int])
                break
        except sqlite3.DatabaseError:
            assert trial < 2, "a crash loop"
    with closing(TurnJournal(path)) as journal:
        assert types(journal)[-1] == "turn"
        has_all = types(journal).count("turn") == COUNT + 1
    told = capsys.readouterr().out
    if list(path.parent.glob("turns.db.damaged-*")):
        assert "database_begun_anew" in told
    else:
        assert has_all or "record_damaged" in told or "records_gone" in told


def test_what_can_be_read_of_a_damaged_journal_keeps_its_numbers(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of records in the middle is gone; the others are not."""
    monkeypatch.setattr(database, "LOOKED_AT", 1)  # as in a journal of many records
    data = path.read_bytes()
    leaves = [page for page in range(0, len(data), 4096) if data[page] == 0x0D]
    place = [page for page in leaves if b"what was said" in data[page : page + 4096]][2]
    path.write_bytes(overwritten(4096, place, b"\xff")(data))
    with closing(TurnJournal(path)) as journal:
        epoch, before = journal.epoch, types(journal)
        assert 0 < before.count("damaged") < 20
        with pytest.raises(sqlite3.DatabaseError):
            journal.prune(2**62, COUNT)
    with closing(TurnJournal(path)) as journal:
        assert (journal.epoch, journal.last_seq) == (epoch, COUNT)
        assert journal.state("marks", dict[str, int]) == {"next_id": COUNT - 1}
        assert types(journal)[-10:] == ["turn"] * 10
    assert len(list(path.parent.glob("turns.db.damaged-*"))) == 1


def test_numbers_are_not_given_again_where_yesterday_s_file_was_put_back(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sink that had them would pass over the new ones."""
    kept = path.with_suffix(".yesterday")
    shutil.copyfile(path, kept)
    with closing(TurnJournal(path)) as journal:
        epoch = journal.epoch
        for _ in range(11):
            journal.commit(TURN)
    kept.replace(path)
    with closing(TurnJournal(path)) as journal:
        assert journal.epoch == epoch
        assert journal.commit(TURN).seq == COUNT + 12
        assert types(journal)[COUNT:] == ["damaged"] * 11 + ["turn"]
    assert "records_gone" in capsys.readouterr().out


@pytest.mark.parametrize("has_mark", [True, False], ids=["the whole folder", "turns.db alone"])
def test_a_folder_that_was_put_back_goes_on_under_a_new_epoch(
    path: Path, tmp_path: Path, has_mark: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody can tell which numbers were given since: under the old name they would be given twice."""
    kept = tmp_path.with_name(f"{tmp_path.name}-yesterday")
    shutil.copytree(tmp_path, kept)
    with closing(TurnJournal(path)) as journal:
        before = journal.epoch
        assert not journal.is_put_back
        journal.commit(TURN)
    for file in tmp_path.iterdir():
        file.unlink()
    for file in kept.iterdir():
        if has_mark or file.name == "turns.db":
            shutil.copy2(file, tmp_path)
    if has_mark:
        age(path.with_suffix(".original"))
    for _ in range(2):
        with closing(TurnJournal(path)) as journal:
            assert journal.epoch != before
            assert journal.forks == [(before, COUNT)]
            assert len(types(journal)) >= COUNT, "what was recorded before is still there"
            put_back = journal.is_put_back
            journal.commit(TURN)
    assert not put_back, "said once"
    assert capsys.readouterr().out.count("journal_put_back") == 1


def test_a_journal_of_an_older_version_is_no_copy(path: Path) -> None:
    """It has no mark yet."""
    path.with_suffix(".original").unlink()
    change(path, "DELETE FROM state WHERE key = 'is_marked'")
    with closing(TurnJournal(path)) as journal:
        assert not journal.is_put_back
        assert journal.forks == []


def test_a_journal_that_is_gone_is_told_of(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_bytes(b"")
    with closing(TurnJournal(path)) as journal:
        assert journal.last_seq == 0
    assert "journal_lost" in capsys.readouterr().out


@pytest.mark.parametrize("text", [b"", b"x", b"\xff" * 80, b"0123456789abcdef 99999999"])
def test_the_note_of_the_last_number_may_be_damaged(path: Path, text: bytes) -> None:
    path.with_suffix(".last").write_bytes(text)
    with closing(TurnJournal(path)) as journal:
        assert journal.commit(TURN).seq == COUNT + 1
    with closing(TurnJournal(path)) as journal:
        assert journal.last_seq == COUNT + 1


@pytest.mark.parametrize("what", ["folder", "link", "pipe"])
def test_a_note_that_is_no_file_is_gone_on_without(
    path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is for the day of damage; its loss was a crash loop."""
    note, other = path.with_suffix(".last"), path.with_name("other")
    note.unlink()
    other.write_text("x")
    {"folder": note.mkdir, "link": lambda: note.symlink_to(other), "pipe": lambda: os.mkfifo(note)}[what]()
    with closing(TurnJournal(path)) as journal:
        assert journal.commit(TURN).seq == COUNT + 1
    assert other.read_text() == "x"
    assert capsys.readouterr().out.count("note_not_written") == 1


def test_nobody_else_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(TurnJournal(tmp_path / "turns.db")) as journal:
            journal.commit(TURN)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert set(modes) >= {"turns.db", "turns.db-wal", "turns.last"}
    assert set(modes.values()) == {0o640}
