"""A stop: what is delivered before it, and what it does not wait for."""

import threading

import pytest

from delivery.sinks_of_tests import MakeDelivery, Noting, _wait, failing
from fake_publisher import FakePublisher
from minuted import Retry
from waiting import until


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
