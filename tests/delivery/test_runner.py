"""The loop around one sink, with a real publisher's sockets and a real cursor, on a thread."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_publisher import FakePublisher, gap, turn
from minuted import Gap, Reject, Retry, Sink, Turn
from minuted.bus import Wakeup
from minuted.delivery import runner as runner_module
from minuted.delivery.runner import (
    AFTER_S_MAX,
    DRAIN_WAIT_S_MAX,
    FIRST_WAIT_S,
    WAIT_S_MAX,
    Runner,
    Status,
    next_wait_s,
    placer,
    shows_partials,
)
from minuted.delivery.subscription import TOPICS, Subscription
from minuted.journal.cursor import Cursor, DeadLetter

WAIT_S = 30.0


def until(reached: Callable[[], bool]) -> None:
    """Wait until something is so; fail when it never is."""
    end_s = time.monotonic() + WAIT_S
    while not reached():
        assert time.monotonic() < end_s, "it never came to that"
        time.sleep(0.01)


class Noting(Sink):
    """Notes every call, and first does what it is told to do at it."""

    secret: str = "whsec_c2VjcmV0"

    def __post_init__(self) -> None:
        self.calls: list[str] = []
        self.at_call: Callable[[str, int], None] = lambda *_: None
        self._counts: dict[str, int] = {}

    def open(self) -> None:
        self._note("open")

    def write(self, turn: Turn) -> None:
        self._note(f"write {turn.seq}")

    def revise(self, turn: Turn) -> None:
        self._note(f"revise {turn.seq}")

    def gap(self, gap: Gap) -> None:
        self._note(f"gap {gap.seq}")

    def close(self) -> None:
        self._note("close")

    def _note(self, call: str) -> None:
        self._counts[call] = self._counts.get(call, 0) + 1
        self.calls.append(call)
        self.at_call(call, self._counts[call])


class Partial(Noting):
    def partial(self, turn: Turn) -> None:
        self._note(f"partial {turn.text}")


class Delivery:
    """A runner at work on a thread of its own, as in its own process."""

    def __init__(self, runtime_dir: Path, state_dir: Path, sink: Sink, **values: Any) -> None:
        self._endpoints = (f"ipc://{runtime_dir}/turns.sock", f"ipc://{runtime_dir}/replay.sock")
        self._state_dir = state_dir
        self._values = values
        self.sink = sink
        self.exit_status: int | None = None
        self.stop = threading.Event()
        self.wakeup = Wakeup()
        self.cursor: Cursor
        self.cursor_letters: list[DeadLetter] = []
        """Those left at the end."""
        self.status: Status
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> "Delivery":
        self._thread.start()
        assert self._up.wait(WAIT_S)
        return self

    def ask_to_stop(self) -> None:
        self.stop.set()
        self.wakeup.set()

    def end(self) -> int | None:
        self.ask_to_stop()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        return self.exit_status

    def _run(self) -> None:
        self.cursor = Cursor(self._state_dir / "noting.db")
        place = (self.cursor.seq if self.cursor.epoch else None, self.cursor.epoch)
        with Subscription(
            *self._endpoints,
            place[0],
            epoch=place[1],
            partials=shows_partials(type(self.sink)),
            on_position=placer(self.cursor, "noting"),
            wakeup=self.wakeup,
        ) as subscription:
            self.sink.name = "noting"
            self.status = Status("noting", Path(__file__), self.cursor, subscription)
            subscription.find_place(WAIT_S)
            self._up.set()
            arguments = (self.sink, Path(__file__), self.cursor, subscription, self.status, self.stop)
            self.exit_status = Runner(*arguments, **self._values).run()
        self.cursor_letters = self.cursor.dead_letters()
        self.cursor.close()
        self.wakeup.close()


@pytest.fixture
def publisher(runtime_dir: Path) -> Iterator[FakePublisher]:
    with FakePublisher(f"ipc://{runtime_dir}/turns.sock", f"ipc://{runtime_dir}/replay.sock") as publisher:
        yield publisher


MakeDelivery = Callable[..., Delivery]


@pytest.fixture
def deliver(
    runtime_dir: Path, tmp_path: Path, publisher: FakePublisher, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeDelivery]:
    """Start a delivery to a sink, with short waits; it is stopped after the test at the latest."""
    monkeypatch.setattr(runner_module, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(runner_module, "IDLE_S", 0.1)
    begun: list[Delivery] = []

    def start(sink: Sink, **values: Any) -> Delivery:
        begun.append(Delivery(runtime_dir, tmp_path, sink, **values))
        return begun[-1].start()

    yield start
    for delivery in begun:
        if delivery.exit_status is None:
            delivery.end()


def failing(call: str, *errors: Exception) -> Callable[[str, int], None]:
    """Make `call` fail with each of the errors in turn, and then no more."""

    def at_call(made: str, count: int) -> None:
        if made == call and count <= len(errors):
            raise errors[count - 1]

    return at_call


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
    assert letter.reason.startswith("Reject: 400 Bad Request, <secret>: … (test_runner.py:")
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


def test_a_stop_ends_a_long_wait_at_once_and_delivers_what_is_left(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """An hour asked for by a web server is not the room's hour."""
    sink = Noting()
    sink.at_call = failing("write 1", Retry("busy", after_s=3600))
    delivery = deliver(sink)
    publisher.publish(3)
    until(lambda: delivery.status.state == "waiting")
    publisher.publish(2, lost=True)
    assert delivery.end() == 0
    assert sink.calls[2:] == ["write 1", "write 2", "write 3", "write 4", "write 5", "close"]
    assert delivery.status.state == "stopped"


def test_a_stop_goes_on_trying_until_its_time_is_up_and_the_rest_comes_next_time(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """Nothing is skipped for the sake of a quick stop."""
    sink = Noting()
    sink.at_call = failing("write 1", *[OSError("no")] * 1000)
    delivery = deliver(sink, give_up_s=0.5)
    publisher.publish(2)
    until(lambda: delivery.status.state == "waiting")
    assert delivery.end() == 1
    assert sink.calls[-1] == "close"
    later = Noting()
    assert deliver(later).end() == 0
    assert later.calls == ["open", "write 1", "write 2", "close"]


def test_a_stop_does_not_wait_for_a_sink_that_never_opened_and_has_nothing_to_deliver(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """And `close` belongs to an `open` that returned."""
    sink = Noting()
    sink.at_call = failing("open", *[OSError("no")] * 1000)
    assert deliver(sink).end() == 0
    assert set(sink.calls) == {"open"}


def test_a_stop_without_a_publisher_delivers_what_has_arrived(
    publisher: FakePublisher, deliver: MakeDelivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is gone cannot be asked; the cursor keeps the place."""
    monkeypatch.setattr("minuted.delivery.following.FINISH_S", 0.3)
    sink, go_on = Noting(), threading.Event()
    sink.at_call = lambda call, _: None if call != "write 1" else _wait(go_on)
    delivery = deliver(sink)
    publisher.publish(3)
    until(lambda: "write 1" in sink.calls)
    publisher.deaf = publisher.silent = True
    delivery.ask_to_stop()
    go_on.set()
    assert delivery.end() == 0
    assert sink.calls == ["open", "write 1", "write 2", "write 3", "close"]


def _wait(event: threading.Event) -> None:
    assert event.wait(WAIT_S)


def test_a_sink_that_never_returns_leaves_the_status_readable(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """It says how long it has been at it."""
    sink, go_on = Noting(), threading.Event()
    sink.at_call = lambda call, _: _wait(go_on) if call == "write 1" else None
    delivery = deliver(sink)
    publisher.publish()
    until(lambda: delivery.status.to_map()["busy_s"] >= 0.1)
    assert delivery.status.to_map()["seq"] == 0
    go_on.set()
    until(lambda: delivery.status.to_map()["busy_s"] == 0)


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


def fill(cursor: Cursor, *, full: bool = True) -> None:
    """Let the cursor's file grow no further, as on a full disk."""
    with cursor._lock:
        pages = cursor._database.execute("PRAGMA page_count").fetchone()[0]
        cursor._database.execute(f"PRAGMA max_page_count = {pages if full else 1_000_000}")


class Heavy(Noting):
    """Leaves a checkpoint that needs room."""

    def write(self, turn: Turn) -> None:
        self.checkpoint = {"more": "x" * 20_000 * (turn.seq or 0)}
        super().write(turn)


def test_a_cursor_without_room_is_waited_for_and_the_record_not_delivered_again(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """A crash would have the far end get it twice, again and again until there is room."""
    delivery = deliver(sink := Heavy())
    publisher.publish()
    until(lambda: delivery.cursor.seq == 1)
    fill(delivery.cursor)
    publisher.publish(2)
    until(lambda: delivery.status.to_map()["retries"] >= 3)
    told = delivery.status.to_map()
    assert (told["state"], told["seq"], told["delivered"]) == ("waiting", 1, 1)
    assert told["last_error"].startswith("CursorFullError: [Errno 28] No space left on device")
    fill(delivery.cursor, full=False)
    until(lambda: delivery.cursor.seq == 3)
    until(lambda: delivery.status.to_map()["delivered"] == 3)
    assert delivery.status.to_map()["last_error"] == ""
    assert delivery.end() == 0
    assert sink.calls == ["open", "write 1", "write 2", "write 3", "close"]


def test_a_record_is_rejected_once_also_when_there_is_no_room_for_its_dead_letter(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """It is neither lost nor offered again."""
    sink = Noting()
    sink.at_call = failing("write 2", Reject("no"))
    delivery = deliver(sink)
    publisher.publish()
    until(lambda: delivery.cursor.seq == 1)
    fill(delivery.cursor)
    publisher.publish(make=lambda seq: turn(seq, "long " * 10_000))
    until(lambda: delivery.status.to_map()["retries"] >= 2)
    fill(delivery.cursor, full=False)
    until(lambda: delivery.cursor.seq == 2)
    assert delivery.end() == 0
    assert [letter.seq for letter in delivery.cursor_letters] == [2]
    assert sink.calls == ["open", "write 1", "write 2", "close"]


def test_a_stop_without_room_for_the_cursor_ends_in_time_and_says_it_is_not_done(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """The next start goes on at the place that is stored."""
    delivery = deliver(Heavy(), give_up_s=0.2)
    publisher.publish()
    until(lambda: delivery.cursor.seq == 1)
    fill(delivery.cursor)
    publisher.publish()
    until(lambda: delivery.status.to_map()["retries"] >= 1)
    assert delivery.end() == 1
    assert delivery.cursor.seq == 1


def test_a_new_journal_is_followed_though_there_is_no_room_to_note_it(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """The first record delivered notes it as well."""
    delivery = deliver(sink := Noting())
    publisher.publish(2)
    until(lambda: delivery.cursor.seq == 2)
    fill(delivery.cursor)
    long_name = "two" * 5_000
    publisher.begin_anew(long_name)
    publisher.publish()
    until(lambda: delivery.status.to_map()["state"] == "waiting")
    fill(delivery.cursor, full=False)
    until(lambda: (delivery.cursor.epoch, delivery.cursor.seq) == (long_name, 1))
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


@given(st.integers(1, 5000))
def test_waits_double_from_a_fifth_of_a_second_to_half_a_minute(failures: int) -> None:
    """Half of each is chance, so that many sinks do not come back in step."""
    whole_s = min(FIRST_WAIT_S * 2 ** min(failures - 1, 30), WAIT_S_MAX)
    assert whole_s / 2 <= next_wait_s(failures, OSError(), draining=False) <= whole_s
    assert next_wait_s(failures, OSError(), draining=True) <= DRAIN_WAIT_S_MAX


@pytest.mark.parametrize(
    ("after_s", "wait_s"),
    [
        (5, 5.0),
        (0.5, 0.5),
        (1e9, AFTER_S_MAX),
        (float("inf"), AFTER_S_MAX),
        (-3, FIRST_WAIT_S),
        (0, FIRST_WAIT_S),
    ],
)
def test_a_retry_may_say_when(after_s: float, wait_s: float) -> None:
    """Within reason: a far end cannot make us hammer it, nor wait for ever."""
    assert next_wait_s(20, Retry(after_s=after_s), draining=False) == wait_s
    assert next_wait_s(20, Retry(after_s=after_s), draining=True) <= DRAIN_WAIT_S_MAX


@pytest.mark.parametrize("after_s", [None, float("nan"), "soon"])
def test_a_retry_that_does_not_say_when_waits_as_usual(after_s: Any) -> None:
    """Nonsense from a header is no crash."""
    assert next_wait_s(20, Retry(after_s=after_s), draining=False) >= WAIT_S_MAX / 2
