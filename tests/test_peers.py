"""Who floods is cut off, and nobody else."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
import zmq
from structlog.testing import capture_logs

from bus.wire import HEARTBEAT
from floods.process import flooding
from floods.wire import connect, frame
from minuted import peers
from minuted.bus import ReplayServer, TurnsOut
from minuted.messages import pack
from minuted.peers import Connection, Judgement, surplus
from waiting import until

MB = 1 << 20
A, B, C = (5, 105), (6, 106), (7, 107)
LOOK_S = peers.LOOK_EVERY_S


class Looked:
    """A judgement that is asked at a steady pace."""

    def __init__(self, memory_mb: float = 60) -> None:
        self.judgement = Judgement()
        self.memory_mb = memory_mb
        self.now_s = 100.0

    def look(self, *waiting: peers.Id, grown_mb: float = 0, after_s: float = LOOK_S) -> set[peers.Id]:
        """A and C send much, B little."""
        self.now_s += after_s
        self.memory_mb += grown_mb
        sizes = {each: 30 if each == B else 50_000 for each in waiting}
        return self.judgement.look(sizes, int(self.memory_mb * MB), self.now_s)


def test_what_is_read_at_once_is_no_flood() -> None:
    """Requests one after the other, for an hour."""
    looked = Looked()
    for _ in range(10_000):
        assert not looked.look(A)
        assert not looked.look(after_s=0.3)


def test_what_is_never_read_to_its_end_is_one() -> None:
    looked = Looked()
    looks = 1
    while not (found := looked.look(A, *([B] if looks % 2 else []))):
        looks += 1
    assert found == {A}
    assert looks == pytest.approx(peers.UNREAD_S_MAX / LOOK_S, abs=2)


def test_more_than_any_request_has_is_one_at_once() -> None:
    assert Judgement().look({A: peers.UNREAD_BYTES_MAX, B: 30}, 60 * MB, 100.0) == {A}


def test_who_looks_late_himself_has_seen_nothing() -> None:
    """A machine that stood still for a second is no flood."""
    looked = Looked()
    assert not looked.look(A)
    assert not looked.look(A, after_s=2.0)


def test_who_makes_the_process_grow_goes_first() -> None:
    looked = Looked()
    assert not looked.look(B)
    assert not looked.look(after_s=2.0)
    assert not looked.look(A, B)
    assert not looked.look(A, grown_mb=7)
    assert not looked.look(A, grown_mb=7)
    assert looked.look(A, B, grown_mb=7) == {A}


def test_of_several_that_flood_each_goes() -> None:
    looked = Looked()
    found = [looked.look(A, C, grown_mb=7) for _ in range(20)]
    assert {A} in found
    assert set().union(*found) <= {A, C}


def test_who_grows_it_with_pauses_too_small_to_see_does_as_well() -> None:
    """The queue is often empty when it is looked at: the reader is as fast as the sender."""
    looked = Looked()
    rounds = 1
    while not (found := looked.look(A) or looked.look(grown_mb=0.5)):
        rounds += 1
    assert found == {A}
    assert rounds <= 40


def test_who_asks_while_another_floods_stays() -> None:
    looked = Looked()
    for number in range(2, 200):
        asking = [B] if number % 3 == 0 else []
        found = looked.look(A, *asking, grown_mb=6)
        assert found <= {A}


def test_growth_that_comes_and_goes_is_no_flood() -> None:
    """Pages of records are read and sent, and their memory is free again."""
    looked = Looked()
    for _ in range(1000):
        assert not looked.look(A, grown_mb=5)
        assert not looked.look(grown_mb=-5)


def test_growth_while_nothing_arrives_is_nobody_s_fault() -> None:
    looked = Looked()
    for _ in range(100):
        assert not looked.look(A)
        assert not looked.look()
        assert not looked.look(grown_mb=10, after_s=0.3)


def test_who_lets_it_grow_slowly_is_found_in_the_end() -> None:
    looked = Looked()
    grown_mb = 0.0
    found: set[peers.Id] = set()
    while not found:
        assert not looked.look(B)
        found = looked.look(A) or looked.look(grown_mb=0.5)
        looked.look(after_s=2.0)
        grown_mb += 0.5
        assert grown_mb < 20
    assert found == {A}


def test_the_more_it_has_grown_the_less_must_have_been_seen() -> None:
    """Of what a quick reader takes at once little is seen to wait."""
    looked = Looked()
    rounds = 1
    while not (found := looked.look(B) or looked.look(grown_mb=0.5)):
        rounds += 1
    assert found == {B}
    assert 100 <= rounds <= 160


def test_connections_that_have_ended_are_forgotten() -> None:
    looked = Looked()
    for number in range(1000):
        looked.look((5, number))
        looked.look()
        looked.judgement.keep([(5, number)])
    assert len(looked.judgement._seen_bytes) == 1


def test_the_newest_beyond_the_bounds_are_too_many() -> None:
    local = {(number, number): Connection("/turns.sock", "", "user 1000") for number in range(1002)}
    assert surplus(local, set(list(local)[2:])) == {(0, 0), (1, 1)}
    there = {(number, number): Connection("tcp:5555", "192.0.2.1", "192.0.2.1") for number in range(101)}
    other = {(2000, 2000): Connection("tcp:5555", "192.0.2.2", "192.0.2.2")}
    assert surplus({**there, **other}, set()) == {(100, 100)}


FLOOD = """
import sys
from floods.wire import endless, flood
flood(sys.argv[1], b"DEALER", endless(b"x" * 4000), 60)
"""


def test_a_flooding_process_is_kept_out_and_the_others_are_served(
    raw: Callable[[int], "zmq.Socket[bytes]"], endpoint: str
) -> None:
    """It comes back at once, many times over."""
    path = endpoint.removeprefix("ipc://")
    before = peers.cut_off()
    with capture_logs() as logs, ReplayServer(endpoint) as replay:
        flooding = subprocess.Popen(
            [sys.executable, "-c", FLOOD, path], env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        )
        try:
            until(lambda: peers.cut_off() >= before + 5, "cuts")
            until(lambda: stat.S_IMODE(Path(path).stat().st_mode) == 0o600, "it is closed to others")
            asking = raw(zmq.DEALER)
            asking.connect(endpoint)
            for number in range(50):
                asking.send(pack({"from_seq": number}))
                peer, asked = until(replay.receive, "a request")
                assert asked == {"from_seq": number}
                sent = replay.send(peer, {"type": "end"})
                assert sent, (os.getpid(), flooding.pid, number, logs)
                assert asking.poll(10_000)
                asking.recv()
        finally:
            flooding.kill()
            flooding.wait()
        until(
            lambda: stat.S_IMODE(Path(path).stat().st_mode) == 0o660, "the socket is open to the group again"
        )
    cuts = [entry for entry in logs if entry["event"] == "peer_cut_off"]
    assert {entry["socket"] for entry in cuts} <= {path}
    structlog.reset_defaults()


def test_other_sockets_of_the_process_are_left_alone(endpoint: str) -> None:
    """A session with the service is none of these, however much it says."""
    with (
        ReplayServer(endpoint),
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as ours,
    ):
        client.sendall(bytes(100_000))
        ids = {(each.fileno(), os.fstat(each.fileno()).st_ino) for each in (listener, client, ours)}
        until(lambda: ids <= peers._watch._others, "a look at these")
        assert not ids & peers._watch._connections.keys()


def test_a_descriptor_that_is_another_s_by_now_is_not_touched() -> None:
    with socket.socket() as one, pytest.raises(OSError, match="another"), peers._copy((one.fileno(), 1)):
        pass


@pytest.mark.parametrize(
    ("pid", "uid", "peer"),
    [
        (70, os.geteuid(), "process 70"),
        (70, 1234, "user 1234"),
        (70, peers.overflow_uid(), "process 70"),
        (0, peers.overflow_uid(), ""),
        (0, os.geteuid(), ""),
    ],
)
def test_who_is_nobody_in_particular_is_kept_out_by_process_or_not_at_all(
    pid: int, uid: int, peer: str
) -> None:
    """In a user namespace all users from outside are one user, and in one of processes all have no number."""
    assert peers.name_peer(pid, uid) == peer


@pytest.mark.parametrize(
    ("credentials", "mode"),
    [((70, 1234), 0o600), ((0, peers.overflow_uid()), 0o660)],
    ids=["one user", "unknown users"],
)
def test_who_was_there_before_a_flood_by_another_of_that_name_stays(
    credentials: tuple[int, int], mode: int, monkeypatch: pytest.MonkeyPatch, runtime_dir: Path
) -> None:
    """Its connection outlives many cuts; the socket is closed to others only where a name is kept out."""
    monkeypatch.setattr(peers, "_credentials", lambda connection: credentials)
    path = runtime_dir / "turns.sock"
    before = peers.cut_off()
    with TurnsOut(f"ipc://{path}") as turns, connect(str(path), b"SUB") as subscriber:
        subscriber.sendall(frame(b"\x01heartbeat"))
        subscriber.settimeout(20)

        def beat() -> bytes:
            turns.publish(HEARTBEAT)
            return subscriber.recv(4096)

        until(turns.new_subscriptions, "a subscription")
        until(lambda: any(its.address == str(path) for its in peers._watch._connections.values()), "a look")
        assert beat()
        call = f"flood('{path}', b'SUB', many(b'x' * 30), 60)"
        with flooding(call):
            until(lambda: peers.cut_off() >= before + 5, "cuts")
            for _ in range(200):
                assert beat(), "its connection was ended"
            assert stat.S_IMODE(path.stat().st_mode) == mode
    until(lambda: not peers._watch._kept_out, "nobody is kept out")


def test_a_file_in_a_socket_s_place_leaves_no_descriptor(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        each = (file.fileno(), os.fstat(file.fileno()).st_ino)
        before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208
        with pytest.raises(OSError, match="socket"), peers._copy(each):
            pass
        assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


SHORT_OF_DESCRIPTORS = """
import resource, sys
from floods.process import flooding
from floods.process import flooding
from floods.wire import connect, frame
from minuted import peers
from minuted.bus import ReplayServer, TurnsOut
from structlog.testing import capture_logs
from waiting import until

path = sys.argv[1]
with capture_logs() as logs, ReplayServer(f"ipc://{path}"):
    until(lambda: peers._watch._scan_s, "a look")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    until(lambda: logs or not peers._watch._thread.is_alive(), "a round without a descriptor")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with flooding(f"flood('{path}', b'DEALER', endless(b'x' * 4000), 60)"):
        until(lambda: peers.cut_off() or not peers._watch._thread.is_alive(), "a cut")
print([each["event"] for each in logs if each["event"] != "peer_cut_off"], peers.cut_off() > 0)
"""


def test_a_round_without_a_free_descriptor_does_not_end_the_watch(runtime_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_DESCRIPTORS, str(runtime_dir / "replay.sock")],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "['peer_watch_interrupted'] True\n", done.stderr
