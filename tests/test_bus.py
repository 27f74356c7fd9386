import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq

from bus.wire import FRAME, GAP, HEARTBEAT, WAIT_S, subclasses
from minuted import bus
from minuted.bus import (
    AddressInUseError,
    FramesIn,
    FramesOut,
    Poller,
    ReplayServer,
    Replier,
    TurnsIn,
    TurnsOut,
    Wakeup,
    request,
)
from minuted.messages import (
    Heartbeat,
    MalformedMessageError,
    Message,
    encode,
    pack,
)
from waiting import until

BINDING = [FramesIn, TurnsOut, ReplayServer, Replier]


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
