"""Who stays when there are too many: those that ask for something."""

import socket
from collections.abc import Iterator

import pytest

from minuted.runtime.connections import SURPLUS_AT_ONCE_MAX, Accepted, Connections, Listener


@pytest.fixture
def four() -> Connections:
    """Room for four, for two from one address; three seconds to ask, ten in all."""
    return Connections(4, 2, 3.0, 10.0)


def test_the_oldest_idle_one_of_a_full_address_goes_first(four: Connections) -> None:
    assert four.admit("a", "192.0.2.1", 0) is None
    assert four.admit("b", "192.0.2.1", 1) is None
    assert four.admit("other", "192.0.2.2", 2) is None
    assert four.admit("c", "192.0.2.1", 3) == "a"
    assert four.admit("d", "192.0.2.1", 4) == "b"
    assert (len(four), four.refused) == (3, 2)


def test_whoever_has_asked_stays(four: Connections) -> None:
    four.admit("a", "192.0.2.1", 0)
    four.asks("a")
    four.admit("b", "192.0.2.1", 1)
    assert four.admit("c", "192.0.2.1", 2) == "b"
    four.asks("c")
    assert four.admit("d", "192.0.2.1", 3) == "d"


def test_where_all_is_full_the_address_with_the_most_gives_way(four: Connections) -> None:
    for key, address in (("a", "192.0.2.1"), ("b", "192.0.2.1"), ("c", "192.0.2.2"), ("d", "192.0.2.3")):
        assert four.admit(key, address, 0) is None
    assert four.admit("e", "192.0.2.4", 0) == "a"


def test_time_to_ask_is_short_and_all_time_has_an_end(four: Connections) -> None:
    four.admit("idle", "192.0.2.1", 0)
    four.admit("asking", "192.0.2.1", 0)
    four.asks("asking")
    assert four.late(2.9) == []
    assert four.late(3.0) == ["idle"]
    four.ended("idle")
    assert four.late(9.9) == []
    assert four.late(10.0) == ["asking"]


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener(socket.create_server(("127.0.0.1", 0)), Connections(3, 3, 3.0, 10.0)) as made:
        made.settimeout(30)
        yield made


def test_an_accepted_connection_that_is_closed_makes_room(listener: Listener) -> None:
    with socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        assert len(listener.connections) == 1
        accepted.close()
    assert len(listener.connections) == 0


def test_one_too_many_is_accepted_and_the_oldest_sees_its_end(listener: Listener) -> None:
    made = [socket.create_connection(listener.getsockname(), timeout=30) for _ in range(4)]
    accepted = [listener.accept()[0] for _ in range(4)]
    assert made[0].recv(1) == b""
    assert accepted[0].recv(1) == b""
    assert len(listener.connections) == 3
    for each in (*made, *accepted):
        each.close()


def test_of_a_crowd_beyond_those_that_are_served_all_are_closed(listener: Listener) -> None:
    made = [socket.create_connection(listener.getsockname(), timeout=30) for _ in range(3)]
    accepted = [listener.accept()[0] for _ in range(3)]
    for each in accepted:
        listener.connections.asks(each)
    crowd = [socket.create_connection(listener.getsockname(), timeout=30) for _ in range(SURPLUS_AT_ONCE_MAX)]
    with pytest.raises(ConnectionAbortedError):
        listener.accept()
    assert [each.recv(1) for each in crowd] == [b""] * len(crowd)
    for each in (*made, *accepted, *crowd):
        each.close()


def test_who_is_late_sees_its_end() -> None:
    now_s = [0.0]
    connections = Connections(3, 3, 3.0, 10.0)
    with (
        Listener(socket.create_server(("127.0.0.1", 0)), connections, lambda: now_s[0]) as listener,
        socket.create_connection(listener.getsockname(), timeout=30) as made,
    ):
        accepted, _ = listener.accept()
        assert isinstance(accepted, Accepted)
        listener.end_late()
        assert len(connections) == 1
        now_s[0] = 3.0
        listener.end_late()
        assert made.recv(1) == b""
        accepted.close()
