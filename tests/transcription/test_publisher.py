import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import zmq

from minuted.bus import ReplayClient, ReplayServer, TurnsIn, TurnsOut
from minuted.config import Settings
from minuted.journal.turns import PAGE_MAX, TurnJournal
from minuted.messages import Gap, Heartbeat, Message, Session, from_map, pack
from minuted.transcription.publisher import HEARTBEAT_S, REPLAYS_PER_TICK_MAX, Publisher
from sample_records import GAP, TURN

WAIT_S = 10


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
def publisher(settings: Settings) -> Iterator[Publisher]:
    journal = TurnJournal(settings.state_dir / "turns.db")
    with TurnsOut(settings.turns_endpoint) as turns, ReplayServer(settings.replay_endpoint) as replay:
        yield Publisher(turns, replay, journal)
    journal.close()


@pytest.fixture
def subscriber(settings: Settings, publisher: Publisher) -> Iterator[TurnsIn]:
    """A subscriber that has been greeted."""
    with TurnsIn(settings.turns_endpoint) as subscriber:
        greeting = heard(subscriber, publisher)
        assert isinstance(greeting, Heartbeat)
        # It may have been the first tick's heartbeat: then the subscription is still to be counted.
        publisher.turns.new_subscriptions()
        yield subscriber


@pytest.fixture
def client(settings: Settings) -> Iterator[ReplayClient]:
    with ReplayClient(settings.replay_endpoint) as client:
        yield client


def heard(subscriber: TurnsIn, publisher: Publisher, now_s: float = 0.0) -> Message:
    """Tick until the subscriber hears something. Time stands still: no heartbeat is due but the first."""
    until_s = time.monotonic() + WAIT_S
    while time.monotonic() < until_s:
        publisher.tick(now_s, now_ms=7)
        if message := subscriber.receive(0.01):
            return message
    pytest.fail("nothing was heard")


def answered(publisher: Publisher, client: ReplayClient, question: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask, tick, and give the answer up to and with the marker."""
    assert client.ask(question)
    answer: list[dict[str, Any]] = []
    until_s = time.monotonic() + WAIT_S
    while time.monotonic() < until_s:
        publisher.tick(0.0, now_ms=7)
        while part := client.receive(0.005):
            answer.append(part)
            if part["type"] == "end":
                return answer
    pytest.fail("no end marker came")


def test_a_record_is_numbered_committed_and_published(publisher: Publisher, subscriber: TurnsIn) -> None:
    for number, record in enumerate((TURN, GAP, replace(TURN, type="revision", revision=1)), 1):
        committed = publisher.record(record, {"mark": number})

        assert committed == replace(record, seq=number)
        assert subscriber.receive(WAIT_S) == committed
        assert from_map(publisher.journal.page(number)[0]) == committed
        assert publisher.journal.state("mark") == number


def test_nothing_is_published_that_is_not_committed(
    publisher: Publisher, subscriber: TurnsIn, settings: Settings
) -> None:
    """A subscriber that looks into the journal finds what it was just told, at every instant."""
    missing: list[int] = []
    seen: list[int] = []
    reading = threading.Event()

    def read() -> None:
        reading.set()
        while len(seen) < 200:
            message = subscriber.receive(WAIT_S)
            assert isinstance(message, Gap)
            assert message.seq is not None
            seen.append(message.seq)
            if message.seq > publisher.journal.last_seq:
                missing.append(message.seq)

    # What is published before the commit would be seen here first: the journal counts after COMMIT.
    publish, order = publisher.turns.publish, []

    def publish_noting(message: Message) -> None:
        order.append((message.seq, publisher.journal.last_seq))  # type: ignore[attr-defined]
        publish(message)

    publisher.turns.publish = publish_noting  # type: ignore[method-assign]
    reader = threading.Thread(target=read)
    reader.start()
    reading.wait()
    for _ in range(200):
        publisher.record(GAP)
    reader.join(WAIT_S)

    assert seen == list(range(1, 201))
    assert missing == []
    assert all(seq == last_seq for seq, last_seq in order)


def test_what_cannot_be_committed_is_not_published(publisher: Publisher, subscriber: TurnsIn) -> None:
    with pytest.raises(TypeError):
        publisher.record(TURN, {"mark": object()})
    committed = publisher.record(GAP)

    assert committed.seq == 1
    assert subscriber.receive(WAIT_S) == committed


def test_partials_pass_by_the_journal(publisher: Publisher, subscriber: TurnsIn) -> None:
    partial = replace(TURN, final=False)
    publisher.passing(partial)
    session = Session(event="started", room="r", at_ms=1)
    publisher.passing(session)

    assert [subscriber.receive(WAIT_S), subscriber.receive(WAIT_S)] == [partial, session]
    assert publisher.partials == 1
    assert publisher.journal.last_seq == 0


def test_every_new_subscription_is_greeted_at_once(
    publisher: Publisher, subscriber: TurnsIn, settings: Settings
) -> None:
    """It learns what it has missed before the next turn, which may be an hour away."""
    publisher.record(GAP)
    assert isinstance(subscriber.receive(WAIT_S), Gap)
    for _ in range(3):
        with TurnsIn(settings.turns_endpoint, ("turn.final", "heartbeat")) as another:
            greeting = heard(another, publisher)
            assert greeting == Heartbeat(epoch=publisher.journal.epoch, last_seq=1, at_ms=7)


def test_a_heartbeat_comes_each_second(publisher: Publisher, subscriber: TurnsIn) -> None:
    for now_s in (0.5, 0.9, HEARTBEAT_S, 1.5, 1.99, 2.0, 10.0, 10.5):
        publisher.tick(now_s, now_ms=int(now_s * 1000))
    publisher.record(GAP)
    beats = []
    while isinstance(message := subscriber.receive(WAIT_S), Heartbeat):
        beats.append(message.at_ms)

    assert beats == [1000, 2000, 10_000]


# Replay.


def test_an_empty_journal_answers_with_its_end(publisher: Publisher, client: ReplayClient) -> None:
    assert answered(publisher, client, {"from_seq": 1}) == [
        {
            "v": 1,
            "type": "end",
            "epoch": publisher.journal.epoch,
            "first_seq": 0,
            "next_seq": 1,
            "last_seq": 0,
            "forks": [],
        }
    ]


def test_a_replay_gives_what_is_asked_for_and_an_end(publisher: Publisher, client: ReplayClient) -> None:
    committed = [publisher.record(record) for record in (TURN, GAP, TURN, GAP)]

    *records, end = answered(publisher, client, {"from_seq": 2, "limit": 2})

    assert [from_map(record) for record in records] == committed[1:3]
    assert (end["first_seq"], end["next_seq"], end["last_seq"]) == (1, 4, 4)
    assert publisher.replayed == 2


@pytest.mark.parametrize("limit", [None, 1, 7, 0, -1, PAGE_MAX, 10 * PAGE_MAX, 2**64 - 1, -(2**63)])
@pytest.mark.parametrize("from_seq", [1, 0, -1, -(2**63)])
def test_asking_until_the_end_gives_everything_once(
    publisher: Publisher, client: ReplayClient, limit: int | None, from_seq: int
) -> None:
    """How every subscriber catches up, the page's length whatever it is."""
    for _ in range(23):
        publisher.record(GAP)
    numbers: list[int] = []
    next_seq, asked = from_seq, 0
    while next_seq <= publisher.journal.last_seq:
        *records, end = answered(
            publisher, client, {"from_seq": next_seq} | ({} if limit is None else {"limit": limit})
        )
        numbers += [record["seq"] for record in records]
        assert end["next_seq"] > next_seq
        next_seq, asked = end["next_seq"], asked + 1
        assert asked <= 24

    assert numbers == list(range(1, 24))


@pytest.mark.parametrize("from_seq", [0, -5, 1])
def test_asking_an_empty_journal_comes_to_an_end(
    publisher: Publisher, client: ReplayClient, from_seq: int
) -> None:
    """A client goes on asking until next_seq is over last_seq."""
    (end,) = answered(publisher, client, {"from_seq": from_seq})

    assert end["next_seq"] > end["last_seq"]


@pytest.mark.parametrize("from_seq", [6, 7, 10**9, 2**63 - 1, 2**63, 2**64 - 1])
def test_asking_for_what_is_not_there_yet_gives_only_the_end(
    publisher: Publisher, client: ReplayClient, from_seq: int
) -> None:
    """Its cursor is another journal's; the epoch says so. SQLite's own numbers end at 2 to the 63rd."""
    for _ in range(5):
        publisher.record(GAP)

    (end,) = answered(publisher, client, {"from_seq": from_seq})

    assert (end["next_seq"], end["last_seq"]) == (from_seq, 5)


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"from_seq": None},
        {"from_seq": "1"},
        {"from_seq": 1.5},
        {"from_seq": 1, "limit": "all"},
        {"limit": 1},
    ],
)
def test_a_request_that_is_none_is_counted(
    publisher: Publisher, client: ReplayClient, question: dict[str, Any]
) -> None:
    publisher.record(GAP)
    assert client.ask(question)

    assert len(answered(publisher, client, {"from_seq": 1})) == 2
    assert publisher.replay.malformed == 1


def test_a_page_has_a_bound(publisher: Publisher, client: ReplayClient) -> None:
    for _ in range(PAGE_MAX + 1):
        publisher.journal.commit(GAP)

    *records, end = answered(publisher, client, {"from_seq": 1, "limit": 10**6})

    assert len(records) == PAGE_MAX
    assert (end["next_seq"], end["last_seq"]) == (PAGE_MAX + 1, PAGE_MAX + 1)


def test_live_records_between_pages_are_not_missed(publisher: Publisher, client: ReplayClient) -> None:
    for _ in range(3):
        publisher.record(GAP)
    *first, end = answered(publisher, client, {"from_seq": 1, "limit": 2})
    publisher.record(GAP)
    *second, end = answered(publisher, client, {"from_seq": end["next_seq"], "limit": 2})

    assert [record["seq"] for record in [*first, *second]] == [1, 2, 3, 4]
    assert end["next_seq"] > end["last_seq"]


def test_a_client_that_asks_without_end_holds_up_nobody(publisher: Publisher, settings: Settings) -> None:
    """Frames and turns wait while a tick lasts."""
    for _ in range(50):
        publisher.journal.commit(GAP)
    with zmq.Context() as context, context.socket(zmq.DEALER) as greedy:
        greedy.set(zmq.LINGER, 0)
        greedy.connect(settings.replay_endpoint)
        for _ in range(100):
            greedy.send(pack({"from_seq": 1}))
        assert publisher.replay.pollable().poll(WAIT_S * 1000)
        most = 0
        while publisher.replay.pollable().poll(200):
            before = publisher.replayed
            publisher.tick(0.0, 0)
            most = max(most, publisher.replayed - before)

    assert 50 <= most <= 50 * REPLAYS_PER_TICK_MAX
    assert publisher.replayed <= 50 * 100


def test_a_client_that_went_away_is_no_error(publisher: Publisher, settings: Settings) -> None:
    for _ in range(PAGE_MAX):
        publisher.journal.commit(GAP)
    for _ in range(20):
        with ReplayClient(settings.replay_endpoint) as client:
            assert client.ask({"from_seq": 1})
            assert publisher.replay.pollable().poll(WAIT_S * 1000)
        publisher.tick(0.0, 0)
