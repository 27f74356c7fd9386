"""The order of several channels' finals, against a model of a room where people talk across each other."""

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from minuted.transcription.order import HELD_MAX, HOLD_S_MAX, Order

TICK_MS = 50
HOLD_MS = round(HOLD_S_MAX * 1000)


class Said(NamedTuple):
    """A turn: when it began, and how long after that its final was there."""

    channel: str
    begins_ms: int
    final_ms: int


def turns_of(channel: str, lengths: Sequence[tuple[int, int]]) -> list[Said]:
    """Put turns behind each other: a pause, and how long until its final."""
    said, at_ms = [], 0
    for pause_ms, length_ms in lengths:
        at_ms += pause_ms
        said.append(Said(channel, at_ms, at_ms + length_ms))
        at_ms += length_ms
    return said


def rooms(length_ms_max: int) -> st.SearchStrategy[list[Said]]:
    steps = st.tuples(st.integers(0, 40), st.integers(1, length_ms_max // TICK_MS))
    lengths = st.lists(steps.map(lambda step: (step[0] * TICK_MS, step[1] * TICK_MS)), max_size=8)
    return st.lists(lengths, min_size=1, max_size=4).map(
        lambda channels: [
            turn for number, each in enumerate(channels) for turn in turns_of(f"c{number}", each)
        ]
    )


def committed(room: list[Said]) -> list[tuple[int, Said]]:
    """Let the clock run over a room; give when each turn was committed, in their order."""
    order: Order[Said] = Order()
    done: list[tuple[int, Said]] = []
    last_ms = max((turn.final_ms for turn in room), default=0) + HOLD_MS + TICK_MS
    for now_ms in range(0, last_ms + TICK_MS, TICK_MS):
        for turn in room:
            if turn.final_ms == now_ms:
                order.hold(turn.channel, turn.begins_ms, now_ms / 1000 + HOLD_S_MAX, turn)
        pending = {turn.channel: turn.begins_ms for turn in room if turn.begins_ms <= now_ms < turn.final_ms}
        done += [(now_ms, turn) for turn in order.take(now_ms / 1000, pending)]
    return done


@given(rooms(20_000))
def test_every_final_goes_once_in_its_channel_s_order_and_within_the_bound(room: list[Said]) -> None:
    """Whatever the others do: one who lectures for a minute holds nobody up."""
    done = committed(room)
    assert sorted(turn for _, turn in done) == sorted(room)
    for channel in {turn.channel for turn in room}:
        own = [turn.begins_ms for _, turn in done if turn.channel == channel]
        assert own == sorted(own)
    assert all(at_ms - turn.final_ms <= HOLD_MS for at_ms, turn in done)


@given(rooms(HOLD_MS))
def test_turns_that_are_no_longer_than_the_bound_are_all_in_the_order_they_began_in(room: list[Said]) -> None:
    """Question and answer, laughter, a word thrown in: the minutes read as it was said."""
    begun = [turn.begins_ms for _, turn in committed(room)]
    assert begun == sorted(begun)


@given(rooms(20_000))
def test_nothing_waits_for_a_channel_that_says_nothing(room: list[Said]) -> None:
    alone = [turn for turn in room if turn.channel == "c0"]
    assert all(at_ms == turn.final_ms for at_ms, turn in committed(alone))


def test_what_goes_late_takes_what_began_before_it_along() -> None:
    """The one that is overdue must not pass another that merely waits for a third."""
    order: Order[str] = Order()
    order.hold("far", 10, 5.0, "earlier")
    order.hold("table", 12, 4.0, "later")
    assert order.take(3.9, {"desk": 8}) == []
    assert order.take(4.0, {"desk": 8}) == ["earlier", "later"]


def test_a_channel_that_must_be_settled_is_and_the_later_ones_wait_on() -> None:
    """Before its session's end is believed, what it said is committed."""
    order: Order[str] = Order()
    order.hold("far", 10, 5.0, "far")
    order.hold("table", 11, 5.0, "table")
    order.hold("desk", 12, 5.0, "desk")
    assert order.settle("table") == ["far", "table"]
    assert (order.holds("table"), order.holds("desk")) == (False, True)
    order.drop("desk")
    assert order.take(9.0, {}) == []


def test_no_more_wait_than_the_bound_allows() -> None:
    order: Order[int] = Order()
    for number in range(HELD_MAX + 3):
        order.hold("far", number, 60.0, number)
    assert order.take(0.0, {"table": -1}) == [0, 1, 2]
