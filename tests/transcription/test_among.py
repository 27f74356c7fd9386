"""What a channel shares with others, without sessions: test_channels.py has those."""

import time

import pytest

from minuted.transcription.among import TOGETHER, Among, together
from minuted.transcription.clock import Stretch
from minuted.transcription.marks import Heard
from minuted.transcription.meetings import Unheard
from minuted.transcription.order import HOLD_S_MAX, HOLD_UNPACED_S_MAX, Order
from minuted.transcription.turns import Taken
from sample_records import TURN


def taken(begins_ms: int, ends_ms: int) -> Taken:
    return Taken(TURN, (Heard("Yes.", begins_ms, ends_ms),), ends_ms)


@pytest.fixture
def done() -> list[str]:
    return []


@pytest.fixture
def table() -> Among:
    return Among("table", Order(), list)


@pytest.mark.parametrize(("is_paced", "hold_s"), [(True, HOLD_S_MAX), (False, HOLD_UNPACED_S_MAX)])
def test_a_final_waits_no_longer_than_its_pace_allows(
    table: Among, done: list[str], is_paced: bool, hold_s: float
) -> None:
    """Live captions are for now; a recording that is played fast is for later."""
    table.hold(taken(500, 900), lambda: done.append("yes"), is_paced=is_paced)
    assert (table.holds, table.offered_ms) == (True, 900)
    now_s = time.monotonic()
    assert table.order.take(now_s + hold_s - 0.5, {"far": 0}) == []
    (commit,) = table.order.take(now_s + hold_s, {"far": 0})
    commit()
    assert done == ["yes"]


def test_what_is_settled_is_committed_and_what_is_dropped_is_not(table: Among, done: list[str]) -> None:
    table.hold(taken(500, 900), lambda: done.append("first"), is_paced=True)
    table.settle()
    table.hold(taken(1500, 1900), lambda: done.append("second"), is_paced=True)
    table.drop()
    table.settle()
    assert done == ["first"]
    assert (table.holds, table.offered_ms) == (False, 0)


def test_what_others_have_not_heard_counts_up_to_the_turn_that_asks() -> None:
    """A meeting begins with it only where it lies before the turn."""
    table = Among("table", Order(), lambda: [Unheard(100, 9000), Unheard(200, 300)])
    assert table.unheard_before(1000) == [Unheard(100, 1000), Unheard(200, 300)]


def test_recordings_are_one_meeting_and_microphones_are_what_they_were() -> None:
    assert together(Stretch(50, "left.wav", 7)) == Stretch(50, TOGETHER, 7)
    assert together(Stretch(50, "microphone", 7)) == Stretch(50, "microphone", 7)
