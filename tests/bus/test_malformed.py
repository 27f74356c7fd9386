"""Malformed messages: dropped, counted, never a crash."""

import time
from collections.abc import Callable

import zmq

from bus.wire import FRAME, GAP, HEARTBEAT, WAIT_S
from minuted.bus import (
    FramesIn,
    ReplayClient,
    ReplayServer,
    Replier,
    TurnsIn,
    TurnsOut,
)
from minuted.messages import (
    FRAME_BYTES,
    AudioFrame,
    encode,
    pack,
)
from waiting import until

GARBAGE = [b"", b"\xc1", b"\xff" * 300, pack({"v": 1, "type": "unheard of"}), pack({"v": 2, "type": "gap"})]


def test_frames_drop_and_count_what_is_not_theirs(
    endpoint: str, raw: Callable[[int], "zmq.Socket[bytes]"]
) -> None:
    short = AudioFrame(number=1, captured_at_ms=0, pcm=b"\0\0")
    before_time = AudioFrame(number=-1, captured_at_ms=0, pcm=bytes(FRAME_BYTES))
    strange = [*GARBAGE, encode(HEARTBEAT), encode(GAP), encode(short), encode(before_time)]
    with FramesIn(endpoint) as frames:
        push = raw(zmq.PUSH)
        push.connect(endpoint)
        for data in strange:
            push.send(data)
        push.send_multipart([b"", encode(FRAME)])

        assert until(frames.receive, "the good frame") == FRAME
        assert frames.malformed == len(strange)


def test_a_subscriber_drops_and_counts_what_is_not_ours(
    endpoint: str, raw: Callable[[int], "zmq.Socket[bytes]"]
) -> None:
    publisher = raw(zmq.XPUB)
    publisher.bind(endpoint)
    with TurnsIn(endpoint) as turns:
        assert publisher.poll(WAIT_S * 1000)
        for data in GARBAGE:
            publisher.send_multipart([b"turn.final", data])
        publisher.send(b"turn.final")
        publisher.send_multipart([b"heartbeat", encode(HEARTBEAT)])

        assert turns.receive(WAIT_S) == HEARTBEAT
        assert turns.malformed == len(GARBAGE) + 1


def test_a_publisher_counts_what_is_not_a_subscription(
    endpoint: str, raw: Callable[[int], "zmq.Socket[bytes]"]
) -> None:
    with TurnsOut(endpoint) as turns:
        subscriber = raw(zmq.XSUB)
        subscriber.connect(endpoint)
        subscriber.send(b"\x05hello")
        subscriber.send(b"\x01turn")
        subscriber.send(b"\x00turn")
        subscriber.send(b"\x01turn")
        made = 0
        until_s = time.monotonic() + WAIT_S
        while made < 2 and time.monotonic() < until_s:
            made += turns.new_subscriptions()

        assert made == 2
        assert turns.malformed == 1


def test_the_replay_server_drops_and_counts_what_is_no_request(
    endpoint: str, raw: Callable[[int], "zmq.Socket[bytes]"]
) -> None:
    strange = [b"", b"\xc1", pack([1, 2]), pack(7)]
    with ReplayServer(endpoint) as server:
        dealer = raw(zmq.DEALER)
        dealer.connect(endpoint)
        for data in strange:
            dealer.send(data)
        dealer.send(pack({"from_seq": 1}))

        _, question = until(server.receive, "the good request")

        assert question == {"from_seq": 1}
        assert server.malformed == len(strange)


def test_the_replay_client_drops_and_counts_what_is_no_answer(
    endpoint: str, raw: Callable[[int], "zmq.Socket[bytes]"]
) -> None:
    router = raw(zmq.ROUTER)
    router.bind(endpoint)
    with ReplayClient(endpoint) as client:
        assert client.ask({"from_seq": 1})
        assert router.poll(WAIT_S * 1000)
        peer = router.recv_multipart()[0]
        for data in (b"", b"\xc1", pack([1])):
            router.send_multipart([peer, data])
        router.send_multipart([peer, pack({"type": "end"})])

        assert client.receive(WAIT_S) == {"type": "end"}
        assert client.malformed == 3


def test_a_replier_counts_nonsense_and_answers_it_all_the_same(
    endpoint: str, raw: Callable[[int], "zmq.Socket[bytes]"]
) -> None:
    """Who asked is waiting."""
    with Replier(endpoint) as replier:
        asker = raw(zmq.REQ)
        asker.connect(endpoint)
        asker.send(b"\xc1")
        asked = replier.receive(WAIT_S)
        assert asked is not None
        assert asked[1] == {}
        assert replier.malformed == 1
        replier.reply(asked[0], {"ok": False})

        assert asker.poll(WAIT_S * 1000)
