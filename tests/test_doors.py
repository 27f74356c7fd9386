"""The sockets over TCP: whoever has a key on the list hears everything, nobody else anything."""

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
import zmq

from fake_publisher import turn
from minuted import Subscription, doors, keys
from minuted.bus import ReplayServer, TurnsIn, TurnsOut
from minuted.config import Settings
from minuted.doors import Door, Pass, key_pair, public_key
from minuted.journal.turns import TurnJournal
from minuted.messages import Heartbeat
from minuted.transcription.publisher import Publisher
from waiting import until

WAIT_S = 20


def free_ports() -> int:
    """Return a port that is free, and so is the next.

    Both lie below those that the kernel hands out, so that no connection takes one before it is bound.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(min(10_000, lowest // 2), lowest - 1)
        with (
            suppress(OSError),
            socket.create_server(("127.0.0.1", port)),
            socket.create_server(("127.0.0.1", port + 1)),
        ):
            return port


class Open:
    """A publisher with doors, tended on a thread as the transcription process does it."""

    def __init__(self, settings: Settings, descriptors_max: int = 0) -> None:
        self.settings = settings
        self._stack = ExitStack()
        self._given: list[str] = []
        self._closing = threading.Event()
        self._greeted = threading.Event()
        ready = threading.Event()
        turns_door, replay_door = keys.doors(settings)
        assert turns_door
        assert replay_door
        if descriptors_max:
            turns_door = Door(**{**vars(turns_door), "descriptors_max": descriptors_max})

        def work() -> None:
            journal = TurnJournal(settings.state_dir / "turns.db")
            with (
                closing(journal),
                TurnsOut(settings.turns_endpoint, turns_door) as turns,
                ReplayServer(settings.replay_endpoint, replay_door) as replay,
            ):
                self.publisher = Publisher(turns, replay, journal)
                count = turns.new_subscriptions

                def counted() -> int:
                    made = count()
                    if made:
                        self._greeted.set()
                    return made

                turns.new_subscriptions = counted  # type: ignore[method-assign]
                ready.set()
                while not self._closing.is_set():
                    while self._given:
                        self.publisher.record(turn(None, self._given.pop(0)))
                    self.publisher.tick(time.monotonic(), 0)
                    turns.pollable().poll(10)

        self._thread = threading.Thread(target=work)
        self._thread.start()
        assert ready.wait(WAIT_S)

    def subscribed(self) -> bool:
        """Whether somebody has subscribed: then a greeting went out."""
        return self._greeted.is_set()

    def say(self, text: str) -> None:
        self._given.append(text)

    def close(self) -> None:
        self._closing.set()
        self._thread.join()


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings(f'[publish]\nturns = "tcp://127.0.0.1:{free_ports()}"')


@pytest.fixture
def key_file(settings: Settings, tmp_path: Path) -> Path:
    """The file of a client on the list."""
    return keys.new(settings, "tablet", tmp_path)


@pytest.fixture
def open_door(settings: Settings, key_file: Path) -> Iterator[Open]:
    opened = Open(settings)
    yield opened
    opened.close()


def subscribe(settings: Settings, file: Path | None, after_seq: int | None = 0) -> Subscription:
    replay = settings.door_endpoint.rpartition(":")
    return Subscription(
        settings.door_endpoint,
        f"{replay[0]}:{int(replay[2]) + 1}",
        after_seq,
        key_file=file,
    )


def hear(subscription: Subscription, text: str) -> None:
    """Wait for a turn that says so."""

    def heard() -> bool:
        record = subscription.receive(0.1)
        return record is not None and getattr(record, "text", "") == text

    until(heard, f"{text!r} over TCP")


def test_a_client_with_a_key_gets_replay_and_turns(
    open_door: Open, settings: Settings, key_file: Path
) -> None:
    open_door.say("before it came")
    until(lambda: open_door.publisher.journal.last_seq == 1, "a turn")
    with subscribe(settings, key_file) as subscription:
        hear(subscription, "before it came")
        open_door.say("live")
        hear(subscription, "live")
    assert open_door.publisher.replayed >= 1


def test_programs_of_this_machine_need_no_key(open_door: Open, settings: Settings) -> None:
    """The sinks and the captions among them."""
    with Subscription(settings.turns_endpoint, settings.replay_endpoint, 0) as subscription:
        open_door.say("local")
        hear(subscription, "local")


def strangers(settings: Settings, key_file: Path, folder: Path) -> dict[str, Pass | None]:
    right = keys.read_pass(key_file)
    public, secret = key_pair()
    other_server = key_pair()[0]
    return {
        "without a key": None,
        "with a key that is on no list": Pass(server=right.server, public=public, secret=secret),
        "who takes another server for ours": Pass(
            server=other_server, public=right.public, secret=right.secret
        ),
        "with the right public key and another secret": Pass(
            server=right.server, public=right.public, secret=secret
        ),
    }


def test_nobody_else_hears_anything(
    open_door: Open, settings: Settings, key_file: Path, tmp_path: Path
) -> None:
    """While a client with a key hears every word of it: silence alone would prove nothing."""
    with ExitStack() as stack:
        context: zmq.Context[Any] = stack.enter_context(zmq.Context())
        deaf = {}
        for who, pass_ in strangers(settings, key_file, tmp_path).items():
            for kind, port in ((zmq.SUB, 0), (zmq.DEALER, 1)):
                stranger = stack.enter_context(context.socket(kind))
                stranger.set(zmq.LINGER, 0)
                stranger.set(zmq.RECONNECT_IVL, 50)
                if pass_:
                    doors.show(stranger, pass_)
                host, _, number = settings.door_endpoint.rpartition(":")
                stranger.connect(f"{host}:{int(number) + port}")
                if kind == zmq.SUB:
                    stranger.subscribe("")
                else:
                    stranger.send(b"\x81\xa8from_seq\x01")
                deaf[who, kind] = stranger
        with subscribe(settings, key_file) as right:
            until(lambda: open_door.publisher.refused >= 2, "the refusal of an unknown key at both doors")
            for number in range(50):
                open_door.say(f"word {number}")
                hear(right, f"word {number}")

            assert {who: stranger.poll(0) for who, stranger in deaf.items() if stranger.poll(0)} == {}


def test_a_revoked_key_hears_nothing_more_and_the_others_miss_nothing(
    open_door: Open, settings: Settings, key_file: Path, tmp_path: Path
) -> None:
    """Without a restart: the connection that stands is dropped, and no other is let in."""
    lost = keys.new(settings, "lost", tmp_path)
    with subscribe(settings, key_file) as kept, subscribe(settings, lost) as revoked:
        open_door.say("for both")
        hear(kept, "for both")
        hear(revoked, "for both")
        keys.revoke(settings, "lost")
        until(lambda: open_door.publisher.refused, "a refusal")
        with subscribe(settings, lost, None) as again:
            for number in range(20):
                open_door.say(f"secret {number}")
                hear(kept, f"secret {number}")

            assert revoked.receive(0) is None
            assert again.receive(0) is None


def test_a_key_made_while_it_runs_is_let_in(open_door: Open, settings: Settings, tmp_path: Path) -> None:
    with subscribe(settings, keys.new(settings, "late", tmp_path)) as subscription:
        open_door.say("welcome")
        hear(subscription, "welcome")


def test_a_list_that_cannot_be_read_lets_nobody_new_in(
    settings: Settings, key_file: Path, tmp_path: Path
) -> None:
    """And is no reason to end the process or to drop those who are in."""
    turns_door, _ = keys.doors(settings)
    assert turns_door
    broken = threading.Event()

    def clients() -> frozenset[str]:
        if broken.is_set():
            raise OSError("no list")
        return frozenset(turns_door.clients())

    door = Door(endpoint=turns_door.endpoint, secret=turns_door.secret, clients=clients)
    pass_ = keys.read_pass(key_file)
    with TurnsOut(settings.turns_endpoint, door) as turns:
        assert turns.door

        def heard(by: TurnsIn) -> bool:
            turns.door.tend(time.monotonic())
            turns.publish(Heartbeat(epoch="e", last_seq=1))
            return by.receive(0.02) is not None

        with TurnsIn(settings.door_endpoint, pass_=pass_) as early:
            until(lambda: heard(early), "a heartbeat")
            broken.set()
            with TurnsIn(settings.door_endpoint, pass_=pass_) as late:
                for _ in range(20):
                    until(lambda: heard(early), "a heartbeat, still")
                    assert late.receive(0) is None
                broken.clear()
                until(lambda: heard(late), "a heartbeat, now that there is a list")


def test_a_flood_of_strangers_does_not_reach_this_machine_s_programs(
    settings: Settings, key_file: Path
) -> None:
    """Connections cost descriptors, which journals need: a door that is crowded is shut for a while."""
    room = len(list(Path("/proc/self/fd").iterdir())) + 60
    # Both ends of the flood are this process's.
    opened = Open(settings, descriptors_max=room + 200)
    flood: list[socket.socket] = []
    host, _, port = settings.door_endpoint.removeprefix("tcp://").rpartition(":")
    try:
        with Subscription(settings.turns_endpoint, settings.replay_endpoint, 0) as local:
            for number in range(300):
                try:
                    flood.append(socket.create_connection((host, int(port)), timeout=1))
                    flood[-1].send(os.urandom(40))
                except OSError:
                    break  # it is shut
                if number % 30 == 0:
                    opened.say(f"turn {number}")
                    hear(local, f"turn {number}")
            until(lambda: not opened.publisher.turns.door.is_open, "the crowded door is shut")
            opened.say("still here")
            hear(local, "still here")
            with Subscription(settings.turns_endpoint, settings.replay_endpoint, 0) as newcomer:
                hear(newcomer, "still here")
            for each in flood:
                each.close()
            with subscribe(settings, key_file) as client:
                hear(client, "still here")
    finally:
        for each in flood:
            each.close()
        opened.close()


def test_silent_connections_are_closed_by_themselves(
    open_door: Open, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, _, port = settings.door_endpoint.removeprefix("tcp://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=WAIT_S) as silent:
        while silent.recv(4096):
            pass  # its greeting, and then the end


def test_a_port_in_use_is_an_os_error_that_names_it(settings: Settings, key_file: Path) -> None:
    """And leaves nothing behind that a close would wait for."""
    host, _, port = settings.door_endpoint.removeprefix("tcp://").rpartition(":")
    turns_door, _ = keys.doors(settings)
    with socket.create_server((host, int(port))), pytest.raises(OSError, match=f"tcp://{host}:{port}"):
        TurnsOut(settings.turns_endpoint, turns_door)


def test_a_public_key_belongs_to_its_secret() -> None:
    public, secret = key_pair()
    assert public_key(secret) == public
    for bad in ("", "short", "x" * 41, "ü" * 40):
        with pytest.raises(ValueError, match="not a CURVE key"):
            public_key(bad)
