"""An exception over one event costs that session: the process goes on, and no word is lost or doubled."""

from collections.abc import Callable
from typing import Any

import pytest

from minuted.transcription.minutes import UNREADABLE_MAX, Minutes
from minuted.transcription.publisher import Publisher
from simulator import Service
from simulator.coded import compose
from simulator.oracle import from_turns, judge

FIRST_MS = 1_000_000 * 50 + 7
"""Epoch milliseconds of the first frame a Room is given."""
RECORDING, LATER = compose(4), compose(1, first_number=100, seed=1)
WORDS = [word.text for word in RECORDING.words]
SECOND = [word.text for word in RECORDING.words if word.turn == 1]


def failing(
    monkeypatch: pytest.MonkeyPatch, cls: type, name: str, error: BaseException, times: int, place: int
) -> list[str]:
    """Raise from a method over a final with a word of the second turn, so many times; return the tries."""
    honest, tries = getattr(cls, name), []

    def fail(*arguments: Any) -> Any:
        said = arguments[place]
        text = getattr(said, "text", "") or getattr(said, "transcript", "")
        is_final = getattr(said, "final", False) or getattr(said, "end_of_turn", False)
        if is_final and SECOND[1] in text and len(tries) < times:
            tries.append(text)
            raise error
        return honest(*arguments)

    monkeypatch.setattr(cls, name, fail)
    return tries


@pytest.mark.parametrize(
    ("cls", "name", "place"),
    [(Minutes, "hear_turn", 2), (Publisher, "record", 1)],
    ids=["heard", "committed"],
)
def test_an_exception_over_a_turn_costs_its_session_and_no_word(
    make_room: Callable, monkeypatch: pytest.MonkeyPatch, cls: type, name: str, place: int
) -> None:
    """Its sound is heard again: the marks are where they were before."""
    tries = failing(monkeypatch, cls, name, OverflowError("too large to convert"), 1, place)
    with Service() as service:
        room = make_room(service)
        room.play(RECORDING)
        room.end()
        assert len(service.sessions) == 2
    assert len(tries) == 1
    assert room.words == WORDS
    assert not room.gaps
    assert room.session_events.count("retrying") == 1


def test_what_fails_again_and_again_is_given_up_with_a_gap(
    make_room: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same sound must not be heard for ever, and not be lost without a word."""
    tries = failing(monkeypatch, Publisher, "record", ValueError("nobody can have this"), 99, 1)
    with Service() as service:
        room = make_room(service)
        room.play(RECORDING)
        for count in range(1, UNREADABLE_MAX + 1):
            room.wait_for(lambda count=count: room.session_events.count("retrying") >= count)
            room.retry_now()
        room.play(LATER)
        room.end()
    assert len(tries) == UNREADABLE_MAX
    turns = [record.to_map() for record in (*room.finals, *room.gaps)]
    verdict = judge([*RECORDING.words, *LATER.words], from_turns(turns, origin_ms=FIRST_MS))
    assert {word.number for word in RECORDING.words if word.turn == 1} <= {*verdict.declared}
    assert (verdict.lost, verdict.doubled, verdict.unknown) == ((), (), ())
    (gap,) = room.gaps
    assert gap.reason == "unreadable"


@pytest.mark.parametrize("error", [OSError("the disk is gone"), MemoryError()], ids=["passes", "contained"])
def test_what_is_no_session_s_doing_goes_on_to_whoever_runs_the_loop(
    make_room: Callable, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Nobody knows what reached the disk: another process begins anew."""
    failing(monkeypatch, Publisher, "record", error, 1, 1)
    with Service() as service:
        room = make_room(service)
        room.play(RECORDING)
        if isinstance(error, OSError):
            with pytest.raises(OSError, match="the disk is gone"):
                room.end()
            room.error = None
        else:
            room.end()
            assert room.words == WORDS


def test_an_exception_after_the_commit_doubles_nothing(
    make_room: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the journal stands; only what came after it is done again."""
    honest, tries = Minutes._release, []

    def fail(minutes: Minutes) -> None:
        if minutes.last_seq == 2 and not tries:
            tries.append(1)
            raise ValueError("after the commit")
        honest(minutes)

    monkeypatch.setattr(Minutes, "_release", fail)
    with Service() as service:
        room = make_room(service)
        room.play(RECORDING)
        room.end()
        assert len(service.sessions) == 2
    assert tries
    assert room.words == WORDS
