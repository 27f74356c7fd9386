import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from minuted import bus
from minuted.bus import (
    AddressInUseError,
    FramesIn,
    FramesOut,
    Poller,
    ReplayClient,
    ReplayServer,
    Replier,
    TurnsIn,
    TurnsOut,
    Wakeup,
    request,
)
from minuted.messages import (
    FRAME_BYTES,
    MESSAGE_BYTES_MAX,
    AudioEnd,
    AudioFrame,
    Gap,
    Heartbeat,
    MalformedMessageError,
    Message,
    encode,
    pack,
)

BINDING = [FramesIn, TurnsOut, ReplayServer, Replier]
WAIT_S = 10
FRAME = AudioFrame(number=7, captured_at_ms=1000, pcm=bytes(FRAME_BYTES))
HEARTBEAT = Heartbeat(epoch="e", last_seq=3)
GAP = Gap(seq=1, room="r", meeting_id="m", start_ms=0, end_ms=50, reason="paused")
GARBAGE = [b"", b"\xc1", b"\xff" * 300, pack({"v": 1, "type": "unheard of"}), pack({"v": 2, "type": "gap"})]


@pytest.fixture
def endpoint(runtime_dir: Path) -> str:
    return f"ipc://{runtime_dir}/test.sock"


@pytest.fixture
def raw() -> Iterator[Callable[[int], "zmq.Socket[bytes]"]]:
    """Make bare sockets, as a foreign program has them."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made: list[zmq.Socket[bytes]] = []

    def make(kind: int) -> "zmq.Socket[bytes]":
        made.append(context.socket(kind))
        return made[-1]

    yield make
    for socket in made:
        socket.close(linger=0)
    context.term()


def until(condition: Callable[[], Any], what: str) -> Any:
    """Give the first true result; fail when there is none for long."""
    until_s = time.monotonic() + WAIT_S
    while time.monotonic() < until_s:
        if result := condition():
            return result
        time.sleep(0.002)
    pytest.fail(f"never happened: {what}")


def subclasses(cls: type) -> list[type]:
    return [found for below in cls.__subclasses__() for found in (below, *subclasses(below))]


# Who may connect, and who may bind.


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000], ids=oct)
@pytest.mark.parametrize("kind", BINDING)
def test_a_socket_s_mode_is_its_own_whatever_the_umask(kind: Any, umask: int, endpoint: str) -> None:
    """Under 022 only the owner could connect; under 0 everybody. Frames are nobody's business."""
    before = os.umask(umask)
    try:
        with kind(endpoint):
            mode = 0o600 if kind is FramesIn else 0o660
            assert stat.S_IMODE(Path(endpoint.removeprefix("ipc://")).stat().st_mode) == mode
            assert os.umask(umask) == umask
    finally:
        os.umask(before)


def test_the_list_of_binding_sockets_is_whole(runtime_dir: Path) -> None:
    for index, cls in enumerate(subclasses(bus._Socket)):
        with cls(f"ipc://{runtime_dir}/{index}.sock"):
            assert (runtime_dir / f"{index}.sock").exists() == (cls in BINDING), cls


@pytest.mark.parametrize("kind", BINDING)
def test_a_second_bind_is_refused(kind: Any, endpoint: str) -> None:
    """ZeroMQ would let it take the first one's place without a word."""
    with kind(endpoint):
        with pytest.raises(AddressInUseError, match=f"test.sock is already in use .*process {os.getpid()}"):
            kind(endpoint)
        with pytest.raises(AddressInUseError):
            kind(endpoint)
    with kind(endpoint):
        pass


HOLDER = """
import subprocess, sys
from minuted.bus import TurnsOut
socket = TurnsOut(sys.argv[1])
child = subprocess.Popen(["sleep", "60"])
print(child.pid, flush=True)
sys.stdin.read()
"""


def test_a_killed_holder_frees_its_socket(endpoint: str) -> None:
    """Also when a child of it lives on: the lock is not handed down."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, endpoint], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            with pytest.raises(AddressInUseError, match=f"process {holder.pid}"):
                TurnsOut(endpoint)
            holder.kill()
            holder.wait()
            with TurnsOut(endpoint) as turns, TurnsIn(endpoint) as subscriber:
                until(turns.new_subscriptions, "a subscription")
                turns.publish(HEARTBEAT)
                assert subscriber.receive(WAIT_S) == HEARTBEAT
        finally:
            holder.kill()
            os.kill(child, signal.SIGKILL)


def test_a_folder_that_is_not_there_is_an_os_error(runtime_dir: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        FramesIn(f"ipc://{runtime_dir}/nowhere/test.sock")


def test_a_path_that_cannot_be_bound_is_an_os_error(runtime_dir: Path) -> None:
    """Callers know OSError; ZeroMQ's own is none."""
    (runtime_dir / "folder.sock").mkdir()

    with pytest.raises(OSError, match=r"folder\.sock"):
        FramesIn(f"ipc://{runtime_dir}/folder.sock")


# Bounds.


def test_every_socket_has_bounds(runtime_dir: Path) -> None:
    for index, cls in enumerate(subclasses(bus._Socket)):
        with cls(f"ipc://{runtime_dir}/{index}.sock") as socket:
            assert 0 < socket._socket.get(zmq.SNDHWM) <= bus.TURNS_MAX, cls
            assert 0 < socket._socket.get(zmq.RCVHWM) <= bus.TURNS_MAX, cls
            assert socket._socket.get(zmq.MAXMSGSIZE) == MESSAGE_BYTES_MAX, cls
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
        push.send(b"x" * (MESSAGE_BYTES_MAX + 1))
        push.send(encode(FRAME))
        push.send(encode(FRAME))

        assert until(frames.receive, "a frame after the oversized message") == FRAME


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
    """Nobody can have a process hold more than a megabyte for one message."""
    peer_kind, good = OVERSIZED[kind]
    with kind(endpoint) as socket:
        bad = raw(peer_kind)
        events = bad.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        bad.connect(endpoint)
        bad.send(b"x" * (MESSAGE_BYTES_MAX + 1))
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


def test_the_biggest_message_passes(endpoint: str, raw: Callable[[int], "zmq.Socket[bytes]"]) -> None:
    with Replier(endpoint) as replier:
        dealer = raw(zmq.DEALER)
        dealer.connect(endpoint)
        empty = len(pack({"op": bytes(70_000)})) - 70_000
        question = {"op": bytes(MESSAGE_BYTES_MAX - empty)}
        assert len(pack(question)) == MESSAGE_BYTES_MAX
        dealer.send(pack(question))

        asked = replier.receive(WAIT_S)

        assert asked is not None
        assert asked[1] == question


# Malformed messages: dropped, counted, never a crash.


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


# The turn socket.


def test_turns_travel_as_a_topic_and_one_map(
    endpoint: str, raw: Callable[[int], "zmq.Socket[bytes]"]
) -> None:
    """This is what a program in any language sees."""
    with TurnsOut(endpoint) as turns:
        subscriber = raw(zmq.SUB)
        subscriber.subscribe("gap")
        subscriber.connect(endpoint)
        until(turns.new_subscriptions, "a subscription")
        turns.publish(HEARTBEAT)
        turns.publish(GAP)

        assert subscriber.poll(WAIT_S * 1000)
        topic, data = subscriber.recv_multipart()

        assert topic == b"gap"
        assert data == encode(GAP)


def test_every_subscription_is_noticed_also_a_repeated_one(endpoint: str) -> None:
    """A subscriber that comes back must be greeted anew."""
    with TurnsOut(endpoint) as turns:
        for _ in range(3):
            with TurnsIn(endpoint, ("turn.final",)):
                assert until(turns.new_subscriptions, "a subscription") == 1


def test_a_subscriber_survives_its_publisher(endpoint: str) -> None:
    """The transcription process may be killed and started anew; nobody downstream reconnects by hand."""
    with TurnsIn(endpoint) as subscriber:
        for last_seq in range(3):
            heartbeat = Heartbeat(epoch="e", last_seq=last_seq)
            with TurnsOut(endpoint) as turns:
                # A SUB socket says again what it wants when its own thread next looks at it.
                until(lambda: subscriber.receive() or turns.new_subscriptions(), "a subscription")
                turns.publish(heartbeat)
                assert subscriber.receive(WAIT_S) == heartbeat


def test_a_slow_subscriber_does_not_hold_up_the_others(endpoint: str) -> None:
    count = 3 * bus.TURNS_MAX
    with TurnsOut(endpoint) as turns, TurnsIn(endpoint) as slow, TurnsIn(endpoint) as quick:
        subscriptions = 0
        while subscriptions < 2:
            subscriptions += until(turns.new_subscriptions, "two subscriptions")
        received: list[Message] = []
        for seq in range(count):
            turns.publish(Heartbeat(epoch="e", last_seq=seq))
            if seq % 500 == 499:
                while len(received) <= seq:
                    message = quick.receive(WAIT_S)
                    assert message == Heartbeat(epoch="e", last_seq=len(received))
                    received.append(message)
        late = 0
        while slow.receive(0.2):
            late += 1

    assert bus.TURNS_MAX <= late < count


# The replay socket.


def test_a_replay_to_a_peer_that_has_gone_says_so(
    endpoint: str, raw: Callable[[int], "zmq.Socket[bytes]"]
) -> None:
    with ReplayServer(endpoint) as server:
        assert not server.send(b"nobody", {"seq": 1})
        dealer = raw(zmq.DEALER)
        dealer.connect(endpoint)
        dealer.send(pack({"from_seq": 1}))
        peer, _ = until(server.receive, "the request")
        assert server.send(peer, {"seq": 1})
        dealer.close()
        sent = 0
        while server.send(peer, {"seq": 2}):
            sent += 1
            assert sent <= 3 * bus.REPLAY_MAX


def test_a_replay_to_a_peer_that_does_not_read_is_bounded(
    endpoint: str, raw: Callable[[int], "zmq.Socket[bytes]"]
) -> None:
    with ReplayServer(endpoint) as server:
        dealer = raw(zmq.DEALER)
        dealer.set(zmq.RCVHWM, 10)
        dealer.connect(endpoint)
        dealer.send(pack({"from_seq": 1}))
        peer, _ = until(server.receive, "the request")
        record = {"text": "x" * 1000}
        sent = 0
        while server.send(peer, record):
            sent += 1
            assert sent < 3 * bus.REPLAY_MAX
        assert sent >= bus.REPLAY_MAX


# Requests.


def test_a_request_nobody_answers_times_out(endpoint: str) -> None:
    with pytest.raises(TimeoutError, match=r"nothing answers at .*test\.sock"):
        request(endpoint, {"op": "status"}, timeout_s=0.05)


def test_a_request_gets_its_own_answer(endpoint: str) -> None:
    with Replier(endpoint) as replier:

        def serve() -> None:
            for _ in range(3):
                asked = replier.receive(WAIT_S)
                assert asked is not None
                address, question = asked
                replier.reply(address, {"ok": True, "echo": question["number"]})

        thread = threading.Thread(target=serve)
        thread.start()
        answers = [request(endpoint, {"number": number}, WAIT_S) for number in range(3)]
        thread.join()

    assert [answer["echo"] for answer in answers] == [0, 1, 2]


def test_an_answer_that_is_nonsense_is_malformed(
    endpoint: str, raw: Callable[[int], "zmq.Socket[bytes]"]
) -> None:
    router = raw(zmq.ROUTER)
    router.bind(endpoint)

    def serve() -> None:
        router.poll(WAIT_S * 1000)
        router.send_multipart([*router.recv_multipart()[:-1], b"\xc1"])

    thread = threading.Thread(target=serve)
    thread.start()
    with pytest.raises(MalformedMessageError):
        request(endpoint, {"op": "status"}, WAIT_S)
    thread.join()


# Waiting.


def test_a_wakeup_ends_a_wait(endpoint: str) -> None:
    wakeup = Wakeup()
    with FramesIn(endpoint) as frames:
        poller = Poller(frames, wakeup)
        threading.Timer(0.01, wakeup.set).start()
        started_s = time.monotonic()
        poller.wait(WAIT_S)
        assert time.monotonic() - started_s < WAIT_S
        wakeup.set()
        wakeup.clear()
        wakeup.clear()
        started_s = time.monotonic()
        poller.wait(0.05)
        assert time.monotonic() - started_s >= 0.04
    wakeup.close()


def test_a_frame_ends_a_wait(endpoint: str) -> None:
    with FramesIn(endpoint) as frames, FramesOut(endpoint) as out:
        assert out.send(FRAME, WAIT_S)
        started_s = time.monotonic()
        Poller(frames).wait(WAIT_S)

        assert time.monotonic() - started_s < WAIT_S
        assert until(frames.receive, "the frame") == FRAME
