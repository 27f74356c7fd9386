"""A bound on each call: who is told, and how the process ends. Real processes: test_main.py."""

import threading
from queue import SimpleQueue

import pytest

from minuted.delivery import deadline
from minuted.delivery.deadline import CUT_OFF, Call, Deadline
from minuted.supervision import restarts
from waiting import WAIT_S_MAX, until


def test_a_call_that_takes_too_long_is_told_and_ends_the_process() -> None:
    late: SimpleQueue[Call] = SimpleQueue()
    left: SimpleQueue[int] = SimpleQueue()
    bound = Deadline(0.05, late.put, left.put)
    with bound.call("write", count=2):
        assert left.get(timeout=WAIT_S_MAX) == CUT_OFF
    call = late.get(timeout=WAIT_S_MAX)
    assert (call.what, call.timeout_s) == ("write", 0.1)


def test_calls_that_end_in_time_are_nobody_s_business() -> None:
    """Thousands of them one after the other: each is another call."""
    left: SimpleQueue[int] = SimpleQueue()
    bound = Deadline(WAIT_S_MAX, lambda _: None, left.put)
    for _ in range(1000):
        with bound.call("write"):
            assert bound.current is not None
        assert bound.current is None
    assert left.empty()


def test_an_exception_ends_a_call_as_well() -> None:
    bound = Deadline(WAIT_S_MAX, lambda _: None)
    with pytest.raises(OSError, match="no"), bound.call("write"):
        raise OSError("no")
    assert bound.current is None


@pytest.mark.parametrize("fails", [True, False])
def test_the_end_comes_though_nothing_can_be_noted(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk that the call waits for may be the one the note is to go to."""
    monkeypatch.setattr(deadline, "LAST_WORDS_S_MAX", 0.05)
    left: SimpleQueue[int] = SimpleQueue()
    never = threading.Event()

    def note(_: Call) -> None:
        if fails:
            raise OSError("no space left")
        never.wait(WAIT_S_MAX)

    with Deadline(0.05, note, left.put).call("write"):
        assert left.get(timeout=WAIT_S_MAX) == CUT_OFF
    never.set()


def test_the_watch_sleeps_while_nothing_is_called() -> None:
    """An idle room wakes nobody."""
    bound = Deadline(WAIT_S_MAX, lambda _: None)
    with bound.call("write"):
        pass
    until(lambda: not bound._begun.is_set())


def test_the_supervisor_knows_the_exit_status() -> None:
    assert restarts.CUT_OFF == CUT_OFF
    assert restarts.note_end(restarts.History(4), CUT_OFF, 1.0, 0.0).failures == 1, (
        "the next one waits itself"
    )
