"""Sockets' bounds: where no room is found, and what is too large."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq

from bus.wire import FRAME, HEARTBEAT, WAIT_S, subclasses
from minuted import bus
from minuted.bus import (
    FramesIn,
    FramesOut,
    ReplayClient,
    ReplayServer,
    Replier,
    TurnsIn,
    TurnsOut,
)
from minuted.messages import (
    FRAME_BYTES,
    MESSAGE_BYTES_MAX,
    AudioEnd,
    AudioFrame,
    encode,
    pack,
)
from waiting import until

RECEIVED_BYTES_MAX = {
    # Those that others may connect to take what others have to say, and no more.
    FramesIn: bus.FRAME_MESSAGE_BYTES_MAX,
    TurnsOut: bus.SUBSCRIPTION_BYTES_MAX,
    ReplayServer: bus.REPLAY_REQUEST_BYTES_MAX,
    Replier: bus.CONTROL_REQUEST_BYTES_MAX,
}


def test_every_socket_has_bounds(runtime_dir: Path) -> None:
    for index, cls in enumerate(subclasses(bus._Socket)):
        with cls(f"ipc://{runtime_dir}/{index}.sock") as socket:
            assert 0 < socket._socket.get(zmq.SNDHWM) <= bus.TURNS_MAX, cls
            assert 0 < socket._socket.get(zmq.RCVHWM) <= bus.TURNS_MAX, cls
            assert socket._socket.get(zmq.MAXMSGSIZE) == RECEIVED_BYTES_MAX.get(cls, MESSAGE_BYTES_MAX), cls
            assert socket._socket.get(zmq.LINGER) == 0, cls


def test_a_frame_finds_no_room_where_nobody_listens(endpoint: str) -> None:
    """Capture must know: its journal has the frame, the socket has not."""
    with FramesOut(endpoint) as out:
        assert not out.send(FRAME)


def test_frames_find_no_room_when_nobody_takes_them(endpoint: str) -> None:
    with FramesIn(endpoint) as frames, FramesOut(endpoint) as out:
        assert out.send(FRAME, wait_s=WAIT_S)
        sent = 1
        while out.send(FRAME, wait_s=0.05):
            sent += 1
            assert sent < 10 * bus.FRAMES_MAX
        assert sent >= bus.FRAMES_MAX

        until(frames.receive, "a frame")
        received = 1
        while received < sent:
            until(frames.receive, f"frame {received + 1} of {sent}")
            received += 1
        assert frames.receive() is None


def test_frames_arrive_in_order_and_so_does_their_end(endpoint: str) -> None:
    end = AudioEnd(next_number=50, reason="drained")
    with FramesIn(endpoint) as frames:
        out = FramesOut(endpoint)
        for number in range(50):
            assert out.send(AudioFrame(number=number, captured_at_ms=0, pcm=bytes(FRAME_BYTES)), WAIT_S)
        assert out.send(end, WAIT_S)
        out.close(linger_ms=5000)
        received = [until(frames.receive, "a frame") for _ in range(51)]

    assert [frame.number for frame in received[:-1]] == list(range(50))
    assert received[-1] == end


def test_an_oversized_message_is_refused_and_the_next_one_heard(
    raw: Callable[[int], "zmq.Socket[bytes]"], endpoint: str
) -> None:
    with FramesIn(endpoint) as frames:
        push = raw(zmq.PUSH)
        push.set(zmq.RECONNECT_IVL, 10)
        push.connect(endpoint)
        push.send(b"x" * (bus.FRAME_MESSAGE_BYTES_MAX + 1))

        def next_frame() -> Any:
            push.send(encode(FRAME))  # what is on its way behind the oversized message goes with it
            return frames.receive()

        assert until(next_frame, "a frame after the oversized message") == FRAME


OVERSIZED: dict[type, tuple[int, list[bytes]]] = {
    # A kind that receives, the peer that writes to it, and what is to arrive after it.
    ReplayServer: (zmq.DEALER, [pack({"from_seq": 1})]),
    Replier: (zmq.DEALER, [pack({"op": "status"})]),
    TurnsOut: (zmq.XSUB, [b"\x01turn"]),
}


@pytest.mark.parametrize("kind", OVERSIZED)
def test_an_oversized_request_ends_its_connection_and_nothing_else(
    kind: Any, raw: Callable[[int], "zmq.Socket[bytes]"], endpoint: str
) -> None:
    """Nobody can have a process hold more for one message than a request needs."""
    peer_kind, good = OVERSIZED[kind]
    with kind(endpoint) as socket:
        bad = raw(peer_kind)
        events = bad.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        bad.connect(endpoint)
        bad.send(b"x" * (RECEIVED_BYTES_MAX[kind] + 1))
        disconnected = events.poll(WAIT_S * 1000)
        bad.disable_monitor()
        events.close(linger=0)
        assert disconnected
        another = raw(peer_kind)
        another.connect(endpoint)
        for part in good:
            another.send(part)

        assert socket._socket.poll(WAIT_S * 1000)
        assert socket._socket.recv_multipart()[-1] == good[-1]


@pytest.mark.parametrize("kind", [TurnsIn, ReplayClient])
def test_an_oversized_answer_is_not_taken_and_a_new_connection_hears_the_next(
    kind: Any, raw: Callable[[int], "zmq.Socket[bytes]"], endpoint: str
) -> None:
    """For ZeroMQ it breaks the protocol: that connection is over. No publisher of ours can send one."""
    message: Any = HEARTBEAT if kind is TurnsIn else {"type": "end"}
    server = raw(zmq.XPUB if kind is TurnsIn else zmq.ROUTER)
    server.bind(endpoint)
    events = server.get_monitor_socket(zmq.EVENT_DISCONNECTED)

    def answer(socket: Any, data: bytes) -> None:
        if kind is ReplayClient:
            assert socket.ask({"from_seq": 1})
            assert server.poll(WAIT_S * 1000)
            server.send_multipart([*server.recv_multipart()[:-1], data])
            return
        if server.poll(200):
            server.recv_multipart()  # a subscription, or the end of one
        server.send_multipart([b"heartbeat", data])

    with kind(endpoint) as socket:
        assert kind is ReplayClient or server.poll(WAIT_S * 1000)
        answer(socket, b"x" * (MESSAGE_BYTES_MAX + 1))
        disconnected = events.poll(WAIT_S * 1000)
        server.disable_monitor()
        events.close(linger=0)
        assert disconnected
        assert socket.receive() is None
    with kind(endpoint) as socket:
        until_s, heard = time.monotonic() + WAIT_S, None
        while heard is None and time.monotonic() < until_s:
            # The first connection may still have something to say; what is answered to it is lost.
            answer(socket, encode(message) if kind is TurnsIn else pack(message))
            heard = socket.receive(0.2)
        assert heard == message


def test_the_biggest_request_passes(endpoint: str, raw: Callable[[int], "zmq.Socket[bytes]"]) -> None:
    with Replier(endpoint) as replier:
        dealer = raw(zmq.DEALER)
        dealer.connect(endpoint)
        empty = len(pack({"op": bytes(60_000)})) - 60_000
        question = {"op": bytes(bus.CONTROL_REQUEST_BYTES_MAX - empty)}
        assert len(pack(question)) == bus.CONTROL_REQUEST_BYTES_MAX
        dealer.send(pack(question))

        asked = replier.receive(WAIT_S)

        assert asked is not None
        assert asked[1] == question


def test_a_message_of_too_many_parts_is_dropped_in_pieces_and_the_next_one_heard(
    raw: Callable[[int], "zmq.Socket[bytes]"], endpoint: str
) -> None:
    """However long it is, the reader's round is short."""
    with ReplayServer(endpoint) as replay:
        dealer = raw(zmq.DEALER)
        dealer.connect(endpoint)
        dealer.send_multipart([b"x"] * (3 * bus.PARTS_AT_ONCE_MAX))
        dealer.send(pack({"from_seq": 7}))

        rounds = 0

        def request() -> Any:
            nonlocal rounds
            rounds += bool(replay._socket.poll(0))
            return replay.receive()

        _, asked = until(request, "the request after the long message")

    assert asked == {"from_seq": 7}
    assert rounds >= 3
    assert replay.malformed == 1


def test_new_subscriptions_are_counted_so_many_at_a_time(
    raw: Callable[[int], "zmq.Socket[bytes]"], endpoint: str
) -> None:
    """The loop that counts them has frames and turns to see to."""
    count = 3 * bus.SUBSCRIPTIONS_AT_ONCE_MAX
    with TurnsOut(endpoint) as turns:
        subscriber = raw(zmq.SUB)
        subscriber.set(zmq.SNDHWM, 0)
        subscriber.connect(endpoint)
        for number in range(count):
            subscriber.subscribe(f"topic {number}")
        made: list[int] = []
        while sum(made) < count:
            assert turns._socket.poll(WAIT_S * 1000)
            made.append(turns.new_subscriptions())

    assert max(made) <= bus.SUBSCRIPTIONS_AT_ONCE_MAX
