"""Dead letters, asked of a sink's process or read from its file."""

from collections.abc import Iterator

import pytest

from conftest import SettingsFactory
from fake_publisher import gap, turn
from minuted.config import Settings
from minuted.control import ControlServer, ask
from minuted.delivery import dead_letters
from minuted.journal.cursor import Cursor
from waiting import WAIT_S_MAX


@pytest.fixture
def settings(make_settings: SettingsFactory) -> Settings:
    return make_settings("[sinks.webhook]\n")


@pytest.fixture
def cursor(settings: Settings) -> Iterator[Cursor]:
    """The cursor of a sink that refused a turn, a gap and another turn."""
    cursor = Cursor(dead_letters.cursor_path(settings, "webhook"))
    cursor.place("one", 0)
    for record in (turn(1, "Good morning." * 50), gap(2), turn(3)):
        cursor.reject(record, "410 Gone")
    yield cursor
    cursor.close()


@pytest.fixture
def changes(settings: Settings, cursor: Cursor) -> Iterator[list[str]]:
    """A process that has the cursor, and notes each change."""
    changes: list[str] = []
    handlers = dead_letters.handlers(cursor, lambda: changes.append("changed"))
    server = ControlServer(settings.control_endpoint("delivery/webhook"), handlers)
    yield changes
    server.close()


def test_a_running_process_is_asked(settings: Settings, cursor: Cursor, changes: list[str]) -> None:
    """Its file is its own."""
    assert [letter["seq"] for letter in dead_letters.listed(settings, "webhook")] == [1, 2, 3]
    assert dead_letters.retry(settings, "webhook", [3, 8]) == [3]
    assert dead_letters.drop(settings, "webhook", [1]) == [1]
    assert [(letter.seq, letter.wanted) for letter in cursor.dead_letters()] == [(2, False), (3, True)]
    assert changes


def test_the_file_of_a_sink_that_does_not_run_is_opened(settings: Settings, cursor: Cursor) -> None:
    """What is taken back then is offered at the next start."""
    cursor.close()
    assert dead_letters.retry(settings, "webhook") == [1, 2, 3]
    assert dead_letters.drop(settings, "webhook", [2]) == [2]
    assert [(letter["seq"], letter["wanted"]) for letter in dead_letters.listed(settings, "webhook")] == [
        (1, True),
        (3, True),
    ]


def test_a_listed_letter_says_what_a_person_needs(settings: Settings, cursor: Cursor) -> None:
    """And no more than fits into one answer, however long the turns."""
    cursor.close()
    first, second, _ = dead_letters.listed(settings, "webhook")
    assert first.pop("at_ms") > 0
    assert first == {
        "seq": 1,
        "epoch": "one",
        "type": "turn",
        "reason": "410 Gone",
        "wanted": False,
        "meeting_id": "m1",
        "text": ("Good morning." * 50)[: dead_letters.TEXT_CHARACTERS_MAX],
    }
    assert (second["type"], second["text"]) == ("gap", "")


def test_a_sink_that_never_ran_has_none(settings: Settings) -> None:
    """And asking for them does not make it a file."""
    assert dead_letters.listed(settings, "webhook") == []
    assert not dead_letters.cursor_path(settings, "webhook").exists()


@pytest.mark.parametrize("seqs", ["1", [1, "2"], 3])
def test_nonsense_is_refused(settings: Settings, changes: list[str], seqs: object) -> None:
    """A request is a message like any other."""
    with pytest.raises(ValueError, match="seqs is a list of numbers"):
        ask(settings, "delivery/webhook", "drop", WAIT_S_MAX, seqs=seqs)
    assert len(dead_letters.listed(settings, "webhook")) == 3
