"""Revisions that have come already, given to a sink in one call."""

from collections.abc import Sequence

import pytest

from delivery.sinks_of_tests import MakeDelivery, Noting, failing
from fake_publisher import FakePublisher, turn
from minuted import Reject, Turn
from waiting import until


class Several(Noting):
    def revise_all(self, turns: Sequence[Turn]) -> None:
        for revised in turns:
            self._note(f"revise {revised.seq}")
            self.checkpoint["seq"] = revised.seq
        self._note(f"all {turns[0].seq} to {turns[-1].seq}")

    def revise(self, turn: Turn) -> None:
        self._note(f"revise {turn.seq}")
        self._note(f"one {turn.seq}")


@pytest.fixture
def waiting(publisher: FakePublisher, deliver: MakeDelivery) -> FakePublisher:
    """A turn, four revisions, a turn and a revision, all of them there before the sink is."""
    assert deliver(Several()).end() == 0
    for kind in ("turn", *["revision"] * 4, "turn", "revision"):
        publisher.publish(make=lambda seq, kind=kind: turn(seq, type=kind))  # type: ignore[misc]
    return publisher


def told(sink: Noting) -> list[str]:
    return [call for call in sink.calls if call.split()[0] in ("write", "all", "one")]


def test_those_that_follow_on_each_other_come_at_once(waiting: FakePublisher, deliver: MakeDelivery) -> None:
    """A file is written anew once for a thousand of them; what is between keeps its place."""
    delivery = deliver(sink := Several())
    until(lambda: delivery.cursor.seq == 7)
    assert told(sink) == ["write 1", "all 2 to 5", "write 6", "one 7"]
    assert delivery.status.delivered == 7
    assert delivery.cursor.checkpoint == {"seq": 5}
    assert delivery.end() == 0


def test_after_a_failure_the_first_comes_alone_and_then_the_rest(
    waiting: FakePublisher, deliver: MakeDelivery
) -> None:
    """The one that fails holds up those after it, not those before; its words are in no other's reason."""
    sink = Several()
    sink.at_call = failing("revise 3", OSError("no"), OSError("no"), OSError("no"))
    delivery = deliver(sink)
    until(lambda: delivery.cursor.seq == 7)
    # All of 2 to 5, then of 3 to 5, then 3 alone: no, and again.
    assert told(sink) == ["write 1", "one 2", "one 3", "all 4 to 5", "write 6", "one 7"]
    assert delivery.status.retries == 1
    assert delivery.end() == 0


def test_one_that_is_rejected_takes_no_other_with_it(waiting: FakePublisher, deliver: MakeDelivery) -> None:
    sink = Several()
    sink.at_call = failing("revise 4", *[Reject("never")] * 4)
    delivery = deliver(sink)
    until(lambda: delivery.cursor.seq == 7)
    assert told(sink) == ["write 1", "one 2", "one 3", "one 5", "write 6", "one 7"]
    assert delivery.end() == 0
    assert [letter.seq for letter in delivery.cursor_letters] == [4]
