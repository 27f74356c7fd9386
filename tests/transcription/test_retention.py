"""Old turns go, in steps, and none that a sink still lacks; who asks for them is told."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from conftest import SettingsFactory
from delivery.room import Room, ended
from fake_publisher import turn
from minuted.bus import ReplayServer, TurnsOut
from minuted.config import Settings
from minuted.control import ControlServer
from minuted.delivery.following import Position
from minuted.delivery.subscription import Subscription
from minuted.journal.cursor import Cursor, path_of
from minuted.journal.turns import PRUNED_MAX, TurnJournal
from minuted.transcription.publisher import Publisher
from minuted.transcription.retention import (
    DAY_MS,
    EVERY_S,
    FIRST_S,
    STEP_S,
    Retention,
    delivered_seq,
    keep_from,
)
from waiting import until

DAYS = 30
SINKS = (
    f"[journal]\nturns_days = {DAYS}\n[sinks.file_log]\npath = '/x'\n[sinks.second]\nuse = 'file_log'\n"
    "path = '/y'\n[sinks.off]\nuse = 'file_log'\npath = '/z'\nenabled = false\n"
)


@pytest.fixture
def settings(make_settings: SettingsFactory) -> Settings:
    return make_settings(SINKS)


@pytest.fixture
def journal(settings: Settings) -> Iterator[TurnJournal]:
    with closing(TurnJournal(settings.state_dir / "turns.db")) as journal:
        yield journal


def fill(journal: TurnJournal, count: int) -> None:
    journal._database.execute("PRAGMA synchronous = OFF")
    for _ in range(count):
        journal.commit(turn(None, "so"))


def place(settings: Settings, sink: str, epoch: str, seq: int) -> None:
    """Leave a sink's cursor as a sink that was stopped does."""
    with closing(Cursor(path_of(settings.state_dir, sink))) as cursor:
        cursor.place(epoch, seq)


def later_ms(days: float) -> int:
    return time.time_ns() // 1_000_000 + round(days * DAY_MS)


def run_a_round(retention: Retention, now_s: float, days: float = DAYS + 1) -> float:
    """Let a whole round's time pass, in the steps of a busy loop; give the time after it."""
    end_s = now_s + EVERY_S - 1
    while now_s < end_s:
        retention.tick(now_s, later_ms(days))
        now_s += STEP_S / 2 if now_s < end_s - EVERY_S + FIRST_S + 30 else 600
    return end_s


def test_old_records_that_every_sink_has_are_pruned(settings: Settings, journal: TurnJournal) -> None:
    """All but the newest, by which the numbers go on."""
    fill(journal, 12)
    for sink in ("file_log", "second"):
        place(settings, sink, journal.epoch, 12)
    retention = Retention(settings, journal)
    with capture_logs() as logs:
        run_a_round(retention, 0.0)
    assert (journal.first_seq, journal.last_seq, retention.pruned) == (12, 12, 11)
    assert [entry["event"] for entry in logs] == ["records_pruned"]
    assert logs[0]["count"] == 11


def test_nothing_that_a_sink_lacks_is_pruned_and_whoever_it_waits_for_is_named(
    settings: Settings, journal: TurnJournal
) -> None:
    """A web server that was down for months gets it all."""
    fill(journal, 12)
    place(settings, "file_log", journal.epoch, 12)
    place(settings, "second", journal.epoch, 4)
    with capture_logs() as logs:
        run_a_round(Retention(settings, journal), 0.0)
    assert [record["seq"] for record in journal.page(1)] == list(range(5, 13))
    assert [entry["event"] for entry in logs] == ["records_pruned", "old_records_kept"]
    assert logs[1]["sinks"] == ["second"]


def test_nothing_is_pruned_before_its_time(settings: Settings, journal: TurnJournal) -> None:
    """Whoever has everything: another program may still ask for it."""
    fill(journal, 3)
    for sink in ("file_log", "second"):
        place(settings, sink, journal.epoch, 3)
    run_a_round(Retention(settings, journal), 0.0, DAYS - 1)
    assert journal.first_seq == 1


def never_ran(_settings: Settings, _journal: TurnJournal) -> None:
    pass


def of_another_journal(settings: Settings, _journal: TurnJournal) -> None:
    place(settings, "second", "another", 99)


def without_a_place(settings: Settings, _journal: TurnJournal) -> None:
    Cursor(path_of(settings.state_dir, "second")).close()


def broken(settings: Settings, _journal: TurnJournal) -> None:
    path_of(settings.state_dir, "second").write_bytes(b"?" * 5000)


@pytest.mark.parametrize("leave", [never_ran, of_another_journal, without_a_place, broken])
def test_a_sink_nobody_can_tell_of_has_everything_kept(
    settings: Settings, journal: TurnJournal, leave: Callable[[Settings, TurnJournal], None]
) -> None:
    """A guess could lose what it still lacks."""
    fill(journal, 3)
    place(settings, "file_log", journal.epoch, 3)
    leave(settings, journal)
    with capture_logs() as logs:
        run_a_round(Retention(settings, journal), 0.0)
    assert journal.first_seq == 1
    assert [(entry["event"], entry["sinks"]) for entry in logs] == [("old_records_kept", ["second"])]


def test_a_running_sink_is_asked_and_one_that_does_not_answer_has_everything_kept(
    settings: Settings, journal: TurnJournal
) -> None:
    """Its file is locked, and what it says is newer."""
    with closing(Cursor(path_of(settings.state_dir, "second"))) as cursor:
        cursor.place(journal.epoch, 7)
        epochs = [("older", 3), (journal.epoch, 9)]
        assert delivered_seq(settings, "second", epochs) is None, "locked, and no process to ask"
        endpoint = settings.control_endpoint("delivery/second")
        handlers = {"status": lambda _: {"epoch": cursor.epoch, "seq": cursor.seq}}
        with closing(ControlServer(endpoint, handlers)):
            assert delivered_seq(settings, "second", epochs) == 7
            assert delivered_seq(settings, "second", [("another", 9)]) is None
            cursor.place("older", 2)
            assert delivered_seq(settings, "second", epochs) == 2
            cursor.place("older", 5)
            assert delivered_seq(settings, "second", epochs) == 3, "what it had beyond the fork is gone"
            cursor.place(journal.epoch, 7)
    assert delivered_seq(settings, "second", epochs) == 7, "stopped: its file tells"


def test_a_large_journal_is_pruned_batch_by_batch_and_then_left_alone_for_an_hour(
    make_settings: SettingsFactory,
) -> None:
    """Frames and turns must not wait for months of records to go."""
    settings = make_settings(f"[journal]\nturns_days = {DAYS}\n")
    with closing(TurnJournal(settings.state_dir / "turns.db")) as journal:
        fill(journal, 2 * PRUNED_MAX + 5)
        retention = Retention(settings, journal)
        seen = []
        for now_s in (
            0.0,
            FIRST_S - 0.1,
            FIRST_S,
            FIRST_S + 0.5 * STEP_S,
            FIRST_S + STEP_S,
            FIRST_S + 2 * STEP_S,
        ):
            retention.tick(now_s, later_ms(DAYS + 1))
            seen.append(journal.first_seq)
        assert seen == [1, 1, PRUNED_MAX + 1, PRUNED_MAX + 1, 2 * PRUNED_MAX + 1, 2 * PRUNED_MAX + 5]
        fill(journal, 3)
        end_s = FIRST_S + 2 * STEP_S + EVERY_S
        retention.tick(end_s - 1, later_ms(DAYS + 1))
        assert journal.first_seq == 2 * PRUNED_MAX + 5
        retention.tick(end_s, later_ms(DAYS + 1))
        assert journal.first_seq == journal.last_seq


def test_a_disk_too_full_to_prune_is_no_reason_to_end(settings: Settings, journal: TurnJournal) -> None:
    """Deleting needs a little room, too; the next round tries again."""
    for sink in ("file_log", "second"):
        place(settings, sink, journal.epoch, 99)
    fill(journal, 300)
    journal._database.executescript(
        "CREATE TABLE ballast (x); CREATE TRIGGER more BEFORE DELETE ON records WHEN OLD.seq = 9"
        " BEGIN INSERT INTO ballast VALUES (zeroblob(100000)); END;"
    )
    pages = journal._database.execute("PRAGMA page_count").fetchone()[0]
    journal._database.execute(f"PRAGMA max_page_count = {pages}")
    retention = Retention(settings, journal)
    with capture_logs() as logs:
        now_s = run_a_round(retention, 0.0)
    assert (journal.first_seq, logs[0]["event"]) == (1, "prune_failed")
    journal._database.execute("PRAGMA max_page_count = 1000000")
    run_a_round(retention, now_s + FIRST_S)
    assert journal.first_seq == 99 + 1


@given(st.lists(st.none() | st.integers(0, 50)), st.integers(0, 50))
def test_what_is_kept_begins_at_the_first_record_that_any_sink_lacks(
    delivered: list[int | None], last_seq: int
) -> None:
    """One sink that is behind keeps it for all."""
    first = keep_from(delivered, last_seq)
    assert all((seq or 0) + 1 >= first for seq in delivered)
    assert (first == last_seq + 1) if not delivered else (first - 1 in [seq or 0 for seq in delivered])


def test_who_asks_for_what_was_pruned_is_told_how_much_and_given_the_rest(
    settings: Settings, journal: TurnJournal
) -> None:
    """It neither hangs nor passes over them in silence, and goes on with what comes live."""
    fill(journal, 20)
    assert journal.prune(later_ms(1), 13) == 12
    positions: list[Position] = []
    with (
        closing(TurnsOut(settings.turns_endpoint)) as turns,
        closing(ReplayServer(settings.replay_endpoint)) as replay,
        Subscription(
            settings.turns_endpoint,
            settings.replay_endpoint,
            4,
            epoch=journal.epoch,
            on_position=positions.append,
        ) as subscription,
    ):
        publisher = Publisher(turns, replay, journal)
        found: list[int | None] = []

        def follow_to(seq: int) -> bool:
            publisher.tick(time.monotonic(), later_ms(0))
            if record := subscription.receive(0.01):
                found.append(record.seq)
            return subscription.seq >= seq

        until(lambda: follow_to(20))
        publisher.record(turn(None, "and on"))
        until(lambda: follow_to(21))
        assert found == list(range(13, 22))
        assert subscription.missed == 8
        assert [(each.reason, each.seq, each.missed) for each in positions] == [("missed", 12, 8)]


def test_who_has_everything_does_not_notice_that_it_was_pruned(
    settings: Settings, journal: TurnJournal
) -> None:
    """The place to go on from is still there: it is the newest record's."""
    fill(journal, 20)
    journal.prune(later_ms(1), 21)
    with (
        closing(TurnsOut(settings.turns_endpoint)) as turns,
        closing(ReplayServer(settings.replay_endpoint)) as replay,
        Subscription(
            settings.turns_endpoint, settings.replay_endpoint, 20, epoch=journal.epoch
        ) as subscription,
    ):
        publisher = Publisher(turns, replay, journal)

        def heard() -> bool:
            publisher.tick(time.monotonic(), later_ms(0))
            subscription.pump(0.01)
            return subscription.last_seq == 21

        journal.commit(turn(None, "lost on the turn socket"))
        until(heard)
        record = None
        while record is None:
            publisher.tick(time.monotonic(), later_ms(0))
            record = subscription.receive(0.01)
        assert (record.seq, subscription.missed) == (21, 0)


def test_a_sink_that_was_off_for_longer_than_turns_are_kept_is_told_and_goes_on(runtime_dir: Path) -> None:
    """The one case in which a sink finds that records are gone: they are counted in its status."""
    room = Room(runtime_dir)
    try:
        room.configure(f"[sinks.file_log]\npath = '{room.out}'\n")
        publisher = room.publish_from_here(records=3)
        place(room.settings, "file_log", publisher.epoch, 3)
        publisher.publish(20)
        publisher.first_seq = 15
        process = room.start("file_log")
        until(lambda: room.status("file_log").get("seq") == 23)
        assert room.status("file_log")["missed"] == 11
        process.terminate()
        _, log = ended(process)
        assert "records_missed" in log
        assert len(room.lines()) == 9
    finally:
        room.close()


# Clocks that are set.


class Clock:
    """The journal's own."""

    def __init__(self) -> None:
        self.now_ms = 1_790_000_000_000

    def __call__(self) -> int:
        return self.now_ms


def dated(journal: TurnJournal, clock: Clock, days: list[float]) -> None:
    """Commit a record for each, dated so many days from now."""
    now_ms = clock.now_ms
    for day in days:
        clock.now_ms = now_ms + round(day * DAY_MS)
        journal.commit(turn(None, "so", meeting_id="0123456789abcdef"))
    clock.now_ms = now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def clocked(make_settings: SettingsFactory, clock: Clock) -> Iterator[tuple[Settings, TurnJournal]]:
    settings = make_settings(f"[journal]\nturns_days = {DAYS}\n")
    with closing(TurnJournal(settings.state_dir / "turns.db", clock)) as journal:
        yield settings, journal


def prune(retention: Retention, clock: Clock, set_ago_s: float = math.inf) -> None:
    for now_s in (0.0, FIRST_S, FIRST_S + STEP_S, FIRST_S + 2 * STEP_S):
        retention.tick(now_s, clock.now_ms, set_ago_s)


@pytest.mark.parametrize(
    ("days", "first_seq"),
    [
        ([-40, 3650, -35, -1, 0], 4),
        ([3650, 3650, -35, -1, 0], 4),
        ([3650, 3650, 3650], 1),
        ([-40, 3650, -1, 0], 2),
        ([3650, -1, 0], 1),
        ([-40, -120, -1, 0], 3),
        ([-1, -120, 0], 1),
        ([-40, -40, 0], 3),
    ],
)
def test_a_record_dated_in_the_future_is_as_old_as_what_follows(
    clocked: tuple[Settings, TurnJournal], clock: Clock, days: list[float], first_seq: int
) -> None:
    settings, journal = clocked
    dated(journal, clock, days)
    prune(Retention(settings, journal), clock)
    assert journal.first_seq == first_seq


def test_more_records_dated_in_the_future_than_a_batch_go_too(
    clocked: tuple[Settings, TurnJournal], clock: Clock
) -> None:
    settings, journal = clocked
    journal._database.execute("PRAGMA synchronous = OFF")
    dated(journal, clock, [3650] * (PRUNED_MAX + 5) + [-40, -1, 0])
    prune(Retention(settings, journal), clock)
    assert journal.first_seq == PRUNED_MAX + 7


def test_nothing_is_pruned_within_a_day_after_the_clock_was_set(
    clocked: tuple[Settings, TurnJournal], clock: Clock
) -> None:
    settings, journal = clocked
    dated(journal, clock, [-40, -40, 0])
    retention = Retention(settings, journal)
    prune(retention, clock, set_ago_s=86_399.0)
    assert journal.first_seq == 1
    assert "clock was set" in retention.reason
    retention.tick(2 * EVERY_S, clock.now_ms, 86_400.0 + EVERY_S)
    retention.tick(2 * EVERY_S + STEP_S, clock.now_ms, 86_400.0 + EVERY_S)
    assert (journal.first_seq, retention.reason) == (3, "")


def test_of_a_meeting_that_goes_on_nothing_is_pruned(
    clocked: tuple[Settings, TurnJournal], clock: Clock
) -> None:
    """However long it lasts, and whatever its records are dated."""
    settings, journal = clocked
    dated(journal, clock, [-50, -45])
    now_ms, clock.now_ms = clock.now_ms, clock.now_ms - 40 * DAY_MS
    journal.commit(turn(None, "so", meeting_id="fedcba9876543210"))
    clock.now_ms = now_ms
    dated(journal, clock, [-40, 0])
    prune(Retention(settings, journal, lambda: {"fedcba9876543210"}), clock)
    assert journal.first_seq == 3
    prune(Retention(settings, journal, lambda: {"another"}), clock)
    assert journal.first_seq == 5
