"""The same records, whether a daemon gives them or its file."""

import socket
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from fake_publisher import FakePublisher, turn
from minuted.commands.records import opened, record_of, stored
from minuted.control import is_served
from minuted.journal.turns import TurnJournal


def keep(settings, count):
    journal = TurnJournal(settings.state_dir / "turns.db")
    for _ in range(count):
        journal.commit(turn(None))
    journal.close()


def publisher(settings, count):
    return FakePublisher(settings.turns_endpoint, settings.replay_endpoint, records=count)


def test_a_running_daemon_is_asked(make_settings) -> None:
    """Its journal is its own; what it has not told cannot be told wrong."""
    settings = make_settings()
    with publisher(settings, 1203) as served, opened(settings) as records:
        assert records.is_live
        assert (records.epoch, records.first_seq, records.last_seq) == ("one", 1, 1203)
        assert [record.seq for record in records.between(2, 1201)] == list(range(2, 1202))
        served.lose = lambda values: values.get("seq") == 5
        assert [record.seq for record in records.between(4, 7)] == [4, 6, 7]


def test_without_one_the_file_is_read(make_settings) -> None:
    settings = make_settings()
    keep(settings, 600)
    with opened(settings) as records:
        assert not records.is_live
        assert [record.seq for record in records.between(0, 9999)] == list(range(1, 601))


def test_backwards_gives_the_last_page_first(make_settings) -> None:
    """What is looked for is mostly near the end."""
    settings = make_settings()
    keep(settings, 1100)
    with stored(settings) as records:
        pages = [[record.seq for record in page] for page in records.backwards()]
    assert [(page[0], page[-1]) for page in pages] == [(601, 1100), (101, 600), (1, 100)]


def test_a_list_of_meetings_needs_no_words(make_settings) -> None:
    """They are nine tenths of what a record is, and a year's journal has millions."""
    settings = make_settings()
    keep(settings, 3)
    with stored(settings) as records:
        (whole,), (brief,) = records.backwards(), records.backwards(brief=True)
    assert all(record.words for record in whole)
    assert brief == [replace(record, words=()) for record in whole]


def test_a_socket_that_a_kill_has_left_is_passed_over(make_settings) -> None:
    """Else each command would wait for an answer that never comes."""
    settings = make_settings()
    keep(settings, 2)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(settings.replay_endpoint.removeprefix("ipc://"))
    assert not is_served(settings.replay_endpoint)
    with opened(settings) as records:
        assert not records.is_live
        assert records.last_seq == 2


def test_where_nothing_was_ever_written_it_says_so(make_settings) -> None:
    with pytest.raises(OSError, match="no journal here yet"), opened(make_settings()):
        pass


def test_what_another_version_wrote_is_counted_and_left_out(make_settings) -> None:
    """One record of a later version is no reason to give nothing."""
    assert record_of({**turn(1).to_map(), "v": 2}) is None
    settings = make_settings()
    with publisher(settings, 3), opened(settings) as records:
        whole = records.maps
        records.maps = lambda *asked: [{**each, "v": each["seq"]} for each in whole(*asked)]
        assert [record.seq for record in records.between(1, 3)] == [1]
        assert records.unreadable == 2


def test_of_other_meetings_nothing_is_looked_at(make_settings, monkeypatch) -> None:
    """An old meeting among a hundred thousand turns would take half a minute, and all of them in memory."""
    settings = make_settings()
    journal = TurnJournal(settings.state_dir / "turns.db")
    for number in range(30):
        journal.commit(turn(None, meeting_id=f"m{number // 10}"))
    journal.close()
    looked_at = []

    def look(values):
        looked_at.append(values["seq"])
        return record_of(values)

    monkeypatch.setattr("minuted.commands.records.record_of", look)
    with stored(settings) as records:
        (page,) = records.backwards(meeting_id="m1")
    assert [record.seq for record in page] == looked_at == list(range(11, 21))


def test_a_damaged_record_is_counted_and_the_others_are_given(make_settings) -> None:
    settings = make_settings()
    keep(settings, 5)
    with closing(sqlite3.connect(settings.state_dir / "turns.db")) as file:
        file.execute("UPDATE records SET record = 'text' WHERE seq = 3")
        file.execute("DELETE FROM records WHERE seq = 4")
        file.commit()
    with stored(settings) as records:
        assert [record.seq for record in records.between(1, 5)] == [1, 2, 5]
        assert records.unreadable == 2
