"""The loop around one sink, with a real publisher's sockets and a real cursor, on a thread."""

import threading
from pathlib import Path
from typing import Any

import pytest

from delivery.sinks_of_tests import MakeDelivery, Noting, _wait, failing
from fake_publisher import FakePublisher, gap, turn
from minuted import Gap, Reject, Retry, Sink, Turn
from minuted.delivery.subscription import TOPICS
from waiting import until


class Partial(Noting):
    def partial(self, turn: Turn) -> None:
        self._note(f"partial {turn.text}")


def test_it_is_opened_once_given_everything_in_order_and_closed_after_the_last(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """The sink's contract, kind by kind."""
    delivery = deliver(sink := Noting())
    publisher.publish()
    publisher.publish(make=gap)
    publisher.publish(make=lambda seq: turn(seq, type="revision", revision=1))
    assert delivery.end() == 0
    assert sink.calls == ["open", "write 1", "gap 2", "revise 3", "close"]


def test_a_sink_that_cares_only_for_turns_goes_on_past_the_rest(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """Gaps and revisions have numbers too; the cursor passes them."""

    class Plain(Sink):
        def __post_init__(self) -> None:
            self.seqs: list[int | None] = []

        def write(self, turn: Turn) -> None:
            self.seqs.append(turn.seq)

    delivery = deliver(sink := Plain())
    publisher.publish(make=gap)
    publisher.publish(make=lambda seq: turn(seq, type="revision"))
    publisher.publish()
    assert delivery.end() == 0
    assert sink.seqs == [3]
    assert delivery.cursor.seq == 3


def test_order_is_kept_while_writes_fail(publisher: FakePublisher, deliver: MakeDelivery) -> None:
    """What failed is tried again before anything later is."""
    sink = Noting()
    sink.at_call = failing("write 2", OSError("no"), ValueError("no"), Retry("not now"))
    delivery = deliver(sink)
    publisher.publish(4)
    until(lambda: delivery.cursor.seq == 4)
    assert delivery.status.to_map()["retries"] == 3
    assert delivery.status.to_map()["last_error"] == ""
    assert delivery.end() == 0
    assert sink.calls == ["open", "write 1", *["write 2"] * 4, "write 3", "write 4", "close"]


def test_a_rejected_record_becomes_a_dead_letter_and_the_next_follows(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """One turn that cannot be delivered does not hold up a meeting."""
    sink = Noting()
    sink.at_call = failing("write 2", Reject("400 Bad Request, whsec_c2VjcmV0: This is turn 2."))
    delivery = deliver(sink)
    publisher.publish(3)
    until(lambda: delivery.cursor.seq == 3)
    assert delivery.status.to_map()["dead_letters"] == 1
    (letter,) = delivery.cursor.dead_letters()
    assert letter.seq == 2
    assert letter.reason.startswith("Reject: 400 Bad Request, <secret>: … (sinks_of_tests.py:")
    assert delivery.end() == 0


def test_a_dead_letter_that_is_wanted_again_is_offered_once(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """The far end was mended: what it refused is given to it after all."""
    sink = Noting()
    sink.at_call = failing("write 1", Reject("no"), OSError("still no"))
    delivery = deliver(sink)
    publisher.publish(2)
    until(lambda: delivery.cursor.seq == 2)
    delivery.cursor.want([1])
    delivery.wakeup.set()
    until(lambda: delivery.cursor.dead_letters()[0].reason.startswith("OSError: still no"))
    delivery.cursor.want([1])
    delivery.wakeup.set()
    until(lambda: delivery.cursor.count_dead_letters() == 0)
    until(lambda: delivery.status.to_map()["dead_letters"] == 0)
    assert delivery.end() == 0
    assert sink.calls == ["open", "write 1", "write 2", "write 1", "write 1", "close"]


def test_a_checkpoint_is_kept_with_what_was_delivered_and_a_failed_try_leaves_no_trace(
    publisher: FakePublisher, deliver: MakeDelivery, tmp_path: Path
) -> None:
    """A file's length is in it: a wrong one would cut off a delivered turn, or leave half of one."""
    seen: list[dict[str, Any]] = []

    class Counting(Noting):
        def open(self) -> None:
            seen.append(dict(self.checkpoint))
            self.checkpoint.setdefault("bytes", 0)

        def write(self, turn: Turn) -> None:
            seen.append(dict(self.checkpoint))
            self.checkpoint["bytes"] += 10
            super().write(turn)

    first = Counting()
    first.at_call = failing("write 2", OSError("no"))
    delivery = deliver(first)
    publisher.publish(2)
    until(lambda: delivery.cursor.seq == 2)
    assert delivery.end() == 0
    assert [values.get("bytes") for values in seen] == [None, 0, 10, 10]
    seen.clear()
    assert deliver(Counting()).end() == 0
    assert seen == [{"bytes": 20}]


def test_a_checkpoint_that_cannot_be_stored_is_a_failure_of_the_sink(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """Its author sees it at the first turn, not after the first restart."""

    class Wrong(Noting):
        def write(self, turn: Turn) -> None:
            super().write(turn)
            self.checkpoint["path"] = Path("/x") if self.calls.count("write 1") == 1 else "/x"

    delivery = deliver(Wrong())
    publisher.publish()
    until(lambda: delivery.cursor.seq == 1)
    assert delivery.status.to_map()["retries"] == 1
    assert delivery.cursor.checkpoint == {"path": "/x"}


def test_open_is_tried_until_it_succeeds_and_the_status_says_why_it_waits(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """A disk that is mounted late, a host that is not up yet: neither is a reason to give up."""
    sink, mended = Noting(), threading.Event()

    def at_call(call: str, _count: int) -> None:
        if call == "open" and not mended.is_set():
            raise ConnectionError(f"refused, with {sink.secret}")

    sink.at_call = at_call
    delivery = deliver(sink)
    publisher.publish(2)
    until(lambda: delivery.status.state == "waiting" and delivery.status.to_map()["lag"] == 2)
    assert delivery.status.reason.startswith("ConnectionError: refused, with <secret>")
    mended.set()
    until(lambda: delivery.cursor.seq == 2)
    assert (delivery.status.state, delivery.status.reason) == ("delivering", "")
    assert delivery.end() == 0


def test_a_partial_is_shown_once_even_when_that_fails(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """A failed one is forgotten: the next is better anyway."""
    sink, go_on = Partial(), threading.Event()

    def at_call(call: str, _count: int) -> None:
        if call == "write 1":
            _wait(go_on)
        if call == "partial so":
            raise ValueError("no")

    sink.at_call = at_call
    delivery = deliver(sink)
    until(lambda: publisher.subscriptions == len(TOPICS) + 1)
    publisher.show(turn(None, "so", id="t1", final=False))
    until(lambda: "partial so" in sink.calls)
    publisher.publish()
    until(lambda: "write 1" in sink.calls)
    for text in ("and", "and what"):
        publisher.show(turn(None, text, id="t2", final=False))
    publisher.publish(lost=True)
    go_on.set()
    until(lambda: "write 2" in sink.calls and "partial and what" in sink.calls)
    assert delivery.end() == 0
    assert sink.calls.count("partial so") == sink.calls.count("partial and what") == 1
    assert delivery.status.to_map()["partial_failures"] == 1


def test_a_sink_that_fails_to_close_is_no_success(publisher: FakePublisher, deliver: MakeDelivery) -> None:
    """Something of the last file may be missing."""
    sink = Noting()
    sink.at_call = failing("close", OSError("no"))
    assert deliver(sink).end() == 1


def test_a_new_journal_is_followed_and_the_cursor_goes_with_it(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """State was moved away: a new meeting is delivered, though its numbers were had before."""
    delivery = deliver(sink := Noting())
    publisher.publish(2)
    until(lambda: delivery.cursor.seq == 2)
    publisher.begin_anew("two")
    publisher.publish()
    until(lambda: (delivery.cursor.epoch, delivery.cursor.seq) == ("two", 1))
    assert delivery.end() == 0
    assert sink.calls == ["open", "write 1", "write 2", "write 1", "close"]


class Preparing(Noting):
    """Prepares another text each time it is asked."""

    version: str = "a"

    def prepare(self, record: Turn | Gap) -> str:
        self._note(f"prepare {record.seq}")
        return f"{self.version} {self.epoch} {record.seq} {self.calls.count('prepare 1')}"

    def write(self, turn: Turn) -> None:
        self._note(f"write {turn.seq}: {self.prepared}")


@pytest.mark.parametrize(
    "error",
    [
        OverflowError("date value out of range"),
        UnicodeEncodeError("utf-8", "\ud83d", 0, 1, "no"),
        KeyError("x"),
    ],
)
def test_a_record_that_cannot_be_prepared_is_put_aside_and_the_next_delivered(
    publisher: FakePublisher, deliver: MakeDelivery, error: Exception
) -> None:
    """It depends on the record alone: a sink that tried again would wait for ever."""
    sink = Preparing()
    sink.at_call = failing("prepare 1", *[error] * 1000)
    delivery = deliver(sink)
    publisher.publish()
    publisher.publish()
    until(lambda: delivery.cursor.seq == 2)
    assert delivery.end() == 0
    assert sink.calls == ["open", "prepare 1", "prepare 2", "write 2: a one 2 1", "close"]
    (letter,) = delivery.cursor_letters
    assert letter.seq == 1
    assert "cannot be prepared" in letter.reason


def test_a_record_that_is_prepared_into_no_text_is_put_aside(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """Half a character can be stored by nobody."""
    delivery = deliver(Preparing(version="\ud83d"))
    publisher.publish()
    until(lambda: delivery.cursor.seq == 1)
    assert delivery.end() == 0
    assert len(delivery.cursor_letters) == 1


def test_every_try_of_a_record_finds_what_was_prepared_before_the_first(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """Also a try after a restart with other options, and one of a dead letter in another journal."""
    first = Preparing()
    first.at_call = failing("prepare 1", OSError("not yet"))
    delivery = deliver(first, give_up_s=0.0)
    publisher.publish()
    until(lambda: delivery.cursor.seq == 1)
    first.at_call = failing("write 2: a one 2 2", *[OSError("no")] * 1000)
    publisher.publish()
    until(lambda: delivery.status.to_map()["retries"] >= 3)
    assert delivery.end() == 1
    assert first.calls[:4] == ["open", "prepare 1", "prepare 1", "write 1: a one 1 2"]
    assert set(first.calls[5:-1]) == {"write 2: a one 2 2"}

    second = Preparing(version="b")
    second.at_call = failing("write 2: a one 2 2", Reject("no"))
    delivery = deliver(second)
    until(lambda: delivery.cursor.seq == 2)
    publisher.begin_anew("two")
    publisher.publish()
    until(lambda: (delivery.cursor.epoch, delivery.cursor.seq) == ("two", 1))
    delivery.cursor.want([2])
    delivery.wakeup.set()
    until(lambda: delivery.cursor.count_dead_letters() == 0)
    assert delivery.end() == 0
    assert second.calls == [
        "open",
        "write 2: a one 2 2",
        "prepare 1",
        "write 1: b two 1 1",
        "write 2: a one 2 2",
        "close",
    ]
