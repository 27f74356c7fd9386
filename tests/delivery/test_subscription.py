"""A subscription over real sockets, with a publisher that fails in every way one may."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import fake_publisher
from fake_publisher import FakePublisher, turn
from minuted.bus import Wakeup
from minuted.delivery import subscription as subscription_module
from minuted.delivery.following import Position
from minuted.delivery.subscription import TOPICS, Subscription
from waiting import until

WAIT_S = 30.0


@pytest.fixture
def endpoints(runtime_dir: Path) -> tuple[str, str]:
    return f"ipc://{runtime_dir}/turns.sock", f"ipc://{runtime_dir}/replay.sock"


@pytest.fixture
def publisher(endpoints: tuple[str, str]) -> Iterator[FakePublisher]:
    with FakePublisher(*endpoints, records=3) as publisher:
        yield publisher


def given(subscription: Subscription, count: int) -> list[int | None]:
    """Give the numbers of the next records, waiting for them."""
    until_s = time.monotonic() + WAIT_S
    seqs: list[int | None] = []
    while len(seqs) < count and time.monotonic() < until_s:
        if record := subscription.receive(1.0):
            seqs.append(record.seq)
    return seqs


def test_a_late_joiner_gets_what_came_before_and_what_comes(
    publisher: FakePublisher, endpoints: tuple[str, str]
) -> None:
    """A sink that was down for an hour misses nothing."""
    with Subscription(*endpoints, after_seq=1) as subscription:
        assert given(subscription, 2) == [2, 3]
        publisher.publish(2)
        assert given(subscription, 2) == [4, 5]
        assert subscription.caught_up()
        assert subscription.caught_up(5)
        assert not subscription.caught_up(6)
        assert (subscription.epoch, subscription.seq, subscription.last_seq) == ("one", 5, 5)


def test_a_subscriber_without_a_place_gets_what_comes_from_now_on(
    publisher: FakePublisher, endpoints: tuple[str, str]
) -> None:
    """And is told its place before the first record, so that it can keep it."""
    positions: list[Position] = []
    with Subscription(*endpoints, on_position=positions.append) as subscription:
        assert subscription.find_place(WAIT_S)
        assert positions == [Position("one", 3, "start")]
        publisher.publish()
        assert given(subscription, 1) == [4]


def test_lost_messages_are_fetched(publisher: FakePublisher, endpoints: tuple[str, str]) -> None:
    """The turn socket drops what a slow subscriber has no room for; the journal does not."""
    with Subscription(*endpoints, after_seq=3) as subscription:
        assert subscription.receive(0.5) is None
        publisher.publish(4, lost=True)
        publisher.publish(2)
        assert given(subscription, 6) == [4, 5, 6, 7, 8, 9]


def test_a_long_history_comes_page_by_page_even_when_pages_lose_messages(endpoints: tuple[str, str]) -> None:
    """A replay is a conversation over sockets with bounds: some of it may be lost as well."""
    with (
        FakePublisher(*endpoints, records=1800) as publisher,
        Subscription(*endpoints, after_seq=0) as subscription,
    ):
        lost: set[object] = set()

        def lose(message: dict[str, object]) -> bool:
            seq = message.get("seq")
            first_time = seq is not None and seq not in lost and seq in (1, 77, 500, 501, 1300)
            lost.add(seq)
            return first_time

        publisher.lose = lose
        assert given(subscription, 1800) == list(range(1, 1801))
        assert len(publisher.asked) > 4


def test_a_replay_socket_that_is_absent_for_a_while_is_asked_again(
    publisher: FakePublisher, endpoints: tuple[str, str]
) -> None:
    """It is the first thing to go and the last to come back when transcription restarts."""
    publisher.deaf = True
    with Subscription(*endpoints, after_seq=0) as subscription:
        assert subscription.receive(0.3) is None
        publisher.publish()
        assert subscription.receive(1.5) is None
        publisher.deaf = False
        assert given(subscription, 4) == [1, 2, 3, 4]


def test_a_subscriber_that_is_first_waits_for_the_publisher(endpoints: tuple[str, str]) -> None:
    """Start order is the supervisor's business, and not to be relied on."""
    with Subscription(*endpoints, after_seq=0) as subscription:
        assert subscription.receive(0.2) is None
        with FakePublisher(*endpoints, records=2):
            assert given(subscription, 2) == [1, 2]


def test_a_new_journal_is_followed_from_its_beginning(
    publisher: FakePublisher, endpoints: tuple[str, str]
) -> None:
    """Somebody moved the state away: the numbers begin at 1 again, and the caller is told."""
    positions: list[Position] = []
    with Subscription(*endpoints, 3, epoch="one", on_position=positions.append) as subscription:
        assert subscription.receive(0.3) is None
        publisher.begin_anew("two")
        publisher.publish(2)
        assert given(subscription, 2) == [1, 2]
        assert positions == [Position("two", 0, "new journal")]
        assert subscription.epoch == "two"


def test_a_silent_turn_socket_is_made_up_for_by_the_replay_socket(
    publisher: FakePublisher, endpoints: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with it, words go on to be delivered, if later."""
    monkeypatch.setattr("minuted.delivery.following.SILENCE_S", 0.3)
    publisher.silent = True
    with Subscription(*endpoints, after_seq=0) as subscription:
        assert given(subscription, 3) == [1, 2, 3]
        publisher.publish()
        assert given(subscription, 1) == [4]


def test_iterating_ends_at_the_journal_s_end_after_finish(
    publisher: FakePublisher, endpoints: tuple[str, str]
) -> None:
    """An export is a subscription that is told to finish at once."""
    with Subscription(*endpoints, after_seq=0) as subscription:
        subscription.finish()
        assert [record.seq for record in subscription] == [1, 2, 3]


def test_finishing_without_a_publisher_ends_by_itself(
    endpoints: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop must not hang on a process that is gone."""
    monkeypatch.setattr("minuted.delivery.following.FINISH_S", 0.3)
    with Subscription(*endpoints, after_seq=0) as subscription:
        subscription.finish()
        assert list(subscription) == []


def test_partials_come_only_when_asked_for(publisher: FakePublisher, endpoints: tuple[str, str]) -> None:
    """Most sinks write finals, and need not be woken twice a second."""
    with (
        Subscription(*endpoints, after_seq=3, partials=True) as curious,
        Subscription(*endpoints, after_seq=3) as plain,
    ):
        while publisher.subscriptions < 2 * len(TOPICS) + 1:
            assert curious.receive(0.1) is None
        publisher.show(turn(None, "so", id="t9", final=False))
        shown = curious.receive(WAIT_S)
        assert shown is not None
        assert shown.seq is None
        publisher.publish()
        assert given(plain, 1) == [4]


def test_a_wakeup_ends_a_wait(publisher: FakePublisher, endpoints: tuple[str, str]) -> None:
    """A signal is heeded at once, not at the next turn."""
    wakeup = Wakeup()
    with Subscription(*endpoints, after_seq=3, wakeup=wakeup) as subscription:
        began_s = time.monotonic()
        timer = threading.Timer(0.1, wakeup.set)
        timer.start()
        assert subscription.receive(60) is None
        assert time.monotonic() - began_s < WAIT_S
        timer.join()
    wakeup.close()


def test_nothing_is_lost_or_repeated_when_the_publisher_is_killed_again_and_again(
    endpoints: tuple[str, str], tmp_path: Path
) -> None:
    """Its journal is the truth; sockets, questions and answers die with the process."""
    journal = tmp_path / "turns.db"
    command = [sys.executable, fake_publisher.__file__, *endpoints, str(journal)]
    with Subscription(*endpoints, after_seq=0) as subscription:
        published, seqs = 0, []
        for round_number in range(4):
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert process.stdin
            assert process.stdout
            assert int(process.stdout.readline()) == published
            for count in (3, 700 if round_number == 1 else 2):
                process.stdin.write(f"{count}\n")
                process.stdin.flush()
                published = int(process.stdout.readline())
            seqs += given(subscription, 1 + 2 * round_number)
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        try:
            seqs += given(subscription, published - len(seqs))
        finally:
            process.communicate("", timeout=WAIT_S)
    assert seqs == list(range(1, published + 1))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription_module, "SILENT_S", 1.5)


def test_a_silence_is_told_once_with_its_reason_and_so_is_its_end(
    endpoints: tuple[str, str], impatient: None
) -> None:
    """A mistyped path must not look like a quiet room."""
    told: list[str] = []
    with Subscription(*endpoints, on_silence=told.append) as subscription:
        path = endpoints[0].removeprefix("ipc://")
        until(lambda: subscription.receive(0.1) or told)
        assert told == [f"there is no socket {path}: start minuted, or name the one in its runtime_dir"]
        subscription.receive(0.5)
        assert len(told) == 1
        with FakePublisher(*endpoints, records=1):
            until(lambda: subscription.receive(0.1) or len(told) > 1)
        assert told[1:2] == [""]


def test_a_replay_socket_that_does_not_answer_is_a_silence_too(
    publisher: FakePublisher, endpoints: tuple[str, str], impatient: None
) -> None:
    """Turns come, and what was before them never would."""
    told: list[str] = []
    wrong = f"{endpoints[1]}.wrong"
    with Subscription(endpoints[0], wrong, after_seq=0, on_silence=told.append) as subscription:
        until(lambda: subscription.receive(0.1) or told)
    assert told[0].startswith(f"there is no socket {wrong.removeprefix('ipc://')}: ")


def test_whoever_does_not_listen_for_it_reads_it(
    endpoints: tuple[str, str], impatient: None, caplog: pytest.LogCaptureFixture
) -> None:
    with Subscription(*endpoints) as subscription:
        until(lambda: subscription.receive(0.1) or caplog.records)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("minuted", "WARNING")
    assert "there is no socket" in record.getMessage()


def test_what_is_raised_of_a_silence_ends_the_iteration(endpoints: tuple[str, str], impatient: None) -> None:
    def give_up(reason: str) -> None:
        raise ConnectionError(reason)

    with (
        Subscription(*endpoints, on_silence=give_up) as subscription,
        pytest.raises(ConnectionError, match="there is no socket"),
    ):
        next(iter(subscription))
