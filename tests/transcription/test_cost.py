"""What sessions cost: counted by their sockets, kept through kills, and ended at the day's limit."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from minuted.config import Settings
from minuted.journal.turns import TurnJournal
from minuted.messages import Session as SessionEvent
from minuted.status import details
from minuted.summary import summary
from minuted.transcription import cost
from minuted.transcription.cost import DAYS_MAX, Day, Ledger, Meter, SpentError, day_at
from simulator import Fault, Service
from simulator.coded import compose
from simulator.proxy import Proxy

SHORT = compose(1, first_number=50, words=(2, 2), tail_ms=500)
RECORDING = compose(1, words=(5, 5), tail_ms=800)
SLACK_S = 2.0
"""What a busy machine may lie between a socket's end there and here."""


class Socket:
    """What the meter sees of a session."""

    session_id = "s"

    def __init__(self) -> None:
        self.opened_s: float | None = None
        self.is_closed = self.was_cut = self.has_ended = False


@pytest.fixture
def make_meter(make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, no_key: Any) -> Any:
    journals: list[TurnJournal] = []

    def make(text: str = "", service: str = "assemblyai") -> Meter:
        settings = make_settings(f'[engine]\nservice = "{service}"\n[cost]\n{text}\n')
        if journals:
            journals.pop().close()
        journals.append(TurnJournal(settings.state_dir / "turns.db"))
        return Meter(settings, journals[-1], lambda: STEADY_MS[0])

    monkeypatch.setattr(cost, "since_midnight_ms", lambda: 10 * HOUR_MS)
    STEADY_MS[0] = 5000 * HOUR_MS
    on(monkeypatch, "2026-11-22")
    yield make
    for journal in journals:
        journal.close()


HOUR_MS = 3_600_000
STEADY_MS = {0: 0}
"""A clock that nobody sets."""


def on(monkeypatch: pytest.MonkeyPatch, day: str, passed_h: float = 0) -> None:
    """It is that day by the clock on the wall, and so much time has passed."""
    STEADY_MS[0] += round(passed_h * HOUR_MS)
    monkeypatch.setattr(cost, "local_day", lambda: day)


def texts(recording: Any) -> list[str]:
    return [word.text for word in recording.words]


# The ledger.


def test_days_add_up_to_months() -> None:
    ledger = Ledger()
    for day, session_s in (("2026-10-31", 1000.0), ("2026-11-01", 30.0), ("2026-11-22", 60.0)):
        ledger.add(day, session_s)
    ledger.add("2026-11-22", 5.0, cut=1)

    assert ledger.total("2026-11-22") == (65.0, 1)
    assert ledger.total("2026-11") == (95.0, 1)
    assert ledger.total("2026-12") == (0, 0)


def test_a_ledger_outlasts_being_written_down_and_has_a_bound() -> None:
    ledger = Ledger()
    for number in range(100):
        ledger.add(f"2026-{1 + number // 28:02d}-{1 + number % 28:02d}", 1.0)
    again = Ledger(json.loads(json.dumps(ledger.to_state())))

    assert again.total("2026") == ledger.total("2026") == (DAYS_MAX, 0)
    assert again.total("2026-01") == (0, 0)


def test_what_a_day_is_called_says_nothing_of_its_age() -> None:
    """A clock that is behind for a day must not cost the day's account, nor one ahead a real day's."""
    ledger = Ledger(
        {f"2026-{1 + number // 28:02d}-{1 + number % 28:02d}": [1.0, 0] for number in range(DAYS_MAX)}
    )
    for day in ("2019-01-01", "2040-08-10", "2026-03-07"):
        ledger.add(day, 5.0)
    assert [ledger.total(day)[0] for day in ("2019-01-01", "2040-08-10", "2026-03-07")] == [5.0, 5.0, 5.0]
    assert ledger.total("2026-01-03") == (0, 0)
    assert ledger.total("2026-01-04") == (1.0, 0)


def test_a_day_that_is_renamed_is_counted_once() -> None:
    ledger = Ledger({"2026-11-21": [100.0, 2], "2026-11-22": [60.0, 1]})
    ledger.rename("2026-11-22", "2040-08-10", 40.0, 1)
    assert [ledger.total(day) for day in ("2026-11-22", "2040-08-10")] == [(20.0, 0), (40.0, 1)]
    ledger.rename("2040-08-10", "2026-11-22", 45.0, 1)
    assert ledger.to_state() == {"2026-11-21": [100.0, 2], "2026-11-22": [65.0, 1]}


@pytest.mark.parametrize(
    ("passed_h", "today", "is_new"),
    [
        (14, "2026-11-22", False),
        (24, "2026-11-23", True),
        (25, "2026-11-22", False),
        (25, "2026-11-23", True),
        (23, "2026-11-23", True),
        (0.75, "2026-11-21", False),
        (19, "2040-08-10", False),
        (35, "2026-11-22", False),
        (36, "2026-11-22", True),
    ],
)
def test_a_day_is_over_by_the_clock_and_by_its_time(passed_h: float, today: str, is_new: bool) -> None:
    day = Day(name="2026-11-22", began_ms=7, session_s=9.0, cut=1)
    found = day_at(day, today, 7 + round(passed_h * HOUR_MS))
    assert found.name == today
    assert (found.session_s, found.cut) == ((0, 0) if is_new else (9.0, 1))


# The meter, by its arithmetic.


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize(
    "days", [["2026-11-21"], ["2026-07-25"], ["2040-08-10"], ["2026-11-23", "2026-11-21"]]
)
def test_a_clock_that_is_set_to_another_day_and_back_spends_nothing_twice(
    make_meter, monkeypatch: pytest.MonkeyPatch, days: list[str], restarts: bool
) -> None:
    """The limit goes on to hold, nothing is counted twice or lost, and the next day goes on by itself."""
    limit = "per_hour = 3600\ndaily_limit = 100"
    meter, session = make_meter(limit), Socket()
    meter.watch(session)
    session.opened_s = 0.0
    meter.tick(60.0)
    for number, day in enumerate([*days, "2026-11-22"], 1):
        on(monkeypatch, day, 0.01)
        if restarts:
            meter.store(60.0 + 10 * number)
            meter = make_meter(limit)
            meter._open[session] = 50.0 + 10 * number
        meter.tick(60.0 + 10 * number)
        assert meter.status()["session_s_today"] == 60.0 + 10 * number
        assert meter.ledger.total("") == (60.0 + 10 * number, meter.status()["cut_today"])
    assert meter.status()["session_s_month"] == meter.status()["session_s_today"] == 70.0 + 10 * len(days)
    meter.tick(100.0)
    assert meter.is_spent
    for day in (*days, "2026-11-22"):
        on(monkeypatch, day, 0.01)
        meter.tick(100.0)
        assert meter.is_spent
    on(monkeypatch, "2026-11-23", 14)
    meter.tick(100.0)
    assert not meter.is_spent


def test_a_clock_that_stands_still_blocks_for_no_longer_than_a_day_and_a_half(
    make_meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter, session = make_meter("per_hour = 3600\ndaily_limit = 1"), Socket()
    meter.watch(session)
    session.opened_s = 0.0
    meter.tick(60.0)
    assert meter.is_spent
    on(monkeypatch, "2026-11-22", 26)
    meter.tick(60.0)
    assert not meter.is_spent


def test_an_account_of_an_older_version_is_gone_on_with(make_meter) -> None:
    meter = make_meter()
    meter._journal.keep({"cost": {"days": {"2026-11-21": [5.0, 0], "2026-11-22": [7.0, 1]}, "open": 0}})
    again = make_meter()
    assert (again.status()["session_s_today"], again.status()["cut_today"]) == (7.0, 1)


def test_a_session_counts_from_its_upgrade_to_its_socket_s_end(make_meter) -> None:
    """Not from the attempt, not from Begin, and not to the moment we lost interest in it."""
    meter, session = make_meter(), Socket()
    meter.watch(session)
    meter.tick(100.0)
    session.opened_s = 103.0
    meter.tick(104.0)
    meter.tick(110.0)
    session.is_closed = True
    meter.tick(111.0)
    meter.tick(500.0)

    assert meter.status()["session_s_today"] == 8.0


def test_sessions_side_by_side_add_up(make_meter) -> None:
    meter, sessions = make_meter(), [Socket(), Socket()]
    for session in sessions:
        meter.watch(session)
        session.opened_s = 0.5
    meter.tick(3600.5)

    status = meter.status()
    assert (status["session_s_today"], status["cost_today"]) == (7200.0, 0.9)
    assert status["spent"] == "2 h ($0.90) today"


def test_an_attempt_that_opened_nothing_costs_nothing(make_meter) -> None:
    meter, session = make_meter(), Socket()
    meter.watch(session)
    session.is_closed = True
    meter.tick(60.0)

    assert meter.status()["session_s_today"] == 0


def test_midnight_begins_a_day_and_a_month(make_meter, monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, "2026-11-30")
    meter, session = make_meter(), Socket()
    meter.watch(session)
    session.opened_s = 1.0
    meter.tick(61.0)
    on(monkeypatch, "2026-12-01", 14)
    meter.tick(71.0)

    assert (meter.status()["session_s_today"], meter.status()["session_s_month"]) == (10.0, 10.0)
    assert meter.ledger.total("2026-11") == (60.0, 0)


def test_what_is_counted_survives_a_kill_up_to_some_seconds(make_meter) -> None:
    """And a session that was open then is told apart: the service may not have noticed its end."""
    meter, session = make_meter(), Socket()
    meter.watch(session)
    session.opened_s = 1000.0
    for tick in range(1, 2000):
        meter.tick(1000.0 + tick * 0.05)
    after = make_meter()  # without a word from the one before

    lost_s = meter.status()["session_s_today"] - after.status()["session_s_today"]
    assert 0 < lost_s <= cost.STORE_S
    assert after.status()["cut_today"] == 1
    assert after.status()["spent"].endswith("1 cut off today, which may cost up to 3 h each")


def test_after_an_end_in_order_nothing_is_lost_and_nothing_was_cut(make_meter) -> None:
    meter, session = make_meter(), Socket()
    meter.watch(session)
    session.opened_s = 1.0
    meter.tick(4.0)
    session.is_closed = True
    meter.tick(5.0)
    meter.store(5.0)
    after = make_meter()

    assert (after.status()["session_s_today"], after.status()["cut_today"]) == (4.0, 0)


def test_a_full_disk_does_not_stop_the_count(make_meter, monkeypatch: pytest.MonkeyPatch) -> None:
    meter, session = make_meter(), Socket()
    meter.watch(session)
    session.opened_s = 1.0

    def full(_: Any) -> None:
        raise cost.TurnJournalFullError("full")

    monkeypatch.setattr(meter._journal, "keep", full)
    meter.tick(31.0)
    monkeypatch.undo()
    on(monkeypatch, "2026-11-22")
    meter.tick(61.0)

    assert make_meter().status()["session_s_today"] == 60.0


def test_the_engine_on_this_machine_costs_nothing(make_meter) -> None:
    meter, session = make_meter("daily_limit = 0.1", "local"), Socket()
    meter.watch(session)
    session.opened_s = 1.0
    meter.tick(90_000.0)

    assert not meter.is_spent
    assert meter.status()["cost_today"] == 0
    assert meter.status()["spent"] == ""


def test_the_limit_is_the_day_s_and_by_the_price(make_meter, monkeypatch: pytest.MonkeyPatch) -> None:
    meter, session = make_meter("per_hour = 0.5\ndaily_limit = 1.0"), Socket()
    meter.watch(session)
    session.opened_s = 1.0
    meter.tick(7200.0)
    assert not meter.is_spent
    meter.tick(7201.0)
    assert meter.is_spent
    assert [meter.announce(), meter.announce()] == [True, False]
    on(monkeypatch, "2026-11-23", 14)
    meter.tick(7201.1)
    assert not meter.is_spent
    assert make_meter("per_hour = 0.5\ndaily_limit = 2.0").is_spent is False


# With real sessions.


def open_s(service: Service) -> float:
    """Add up how long the service had its sessions open."""
    return sum(each.ended_at_s - each.at_s for each in service.connections if each.ended_at_s is not None)


def test_what_we_count_is_what_the_service_saw(make_room: Callable) -> None:
    """Lost sessions too, and what is worked off behind the live one."""
    with Service([Fault(name="reset", session=0, at_audio_ms=2000)]) as service:
        room = make_room(service)
        room.play(RECORDING, in_real_time=True)
        room.end()
        room.wait_for(lambda: room.transcriber._meter._open == {})
        status = room.transcriber.status()
        billed_s = open_s(service)

    assert len(service.sessions) >= 2
    assert abs(status["session_s_today"] - billed_s) < SLACK_S
    assert status["session_s_today"] > 2
    assert status["cut_today"] == 1, "a reset is no goodbye"
    assert status["spent"] in details(status)


def test_a_dead_link_is_counted_until_it_is_given_up_and_told(make_room: Callable) -> None:
    """The service may count on: it has not been told."""
    with Service() as service, Proxy(service.port) as way:
        room = make_room(way)
        room.play(SHORT, paced=True)
        room.wait_for(lambda: "started" in room.session_events)
        way.black_hole()
        room.wait_for(lambda: "retrying" in room.session_events)
        way.heal()
        room.wait_for(lambda: room.transcriber.status()["cut_today"])
        room.end()

    assert room.words == texts(SHORT)


def sessions_of(room: Any) -> list[Any]:
    return [lane for channel in room.transcriber._channels for lane in channel.lanes.all]


LIMITED = "[cost]\nper_hour = 3600\ndaily_limit = 1\n"


def test_at_the_limit_the_session_ends_and_what_is_said_waits(make_room: Callable) -> None:
    """Loudly; nothing is lost, and with more money all of it is heard."""
    with Service() as service:
        room = make_room(service, LIMITED)
        room.play(RECORDING, in_real_time=True)
        room.wait_for(lambda: "limit" in room.session_events)
        room.wait_for(lambda: not sessions_of(room))
        sessions = len(service.connections)
        room.play(SHORT, in_real_time=True)
        room.wait_for(lambda: room.transcriber.status()["held_s"] > 1)
        status = room.transcriber.status()
        assert len(service.connections) == sessions == 1
        assert service.close_codes() == [1000]
        with capture_logs() as logged:
            room.stop()
        (left,) = [each for each in logged if each["event"] == "stopped_at_limit"]
        assert left["is_kept"]
        assert left["unheard_s"] > 1
        assert room.drained is True, "it was asked to stop, and nothing is lost"
        richer = make_room(service, LIMITED.replace("daily_limit = 1", "daily_limit = 0"))
        richer.end()

    (told,) = [each for each in room.messages if isinstance(each, SessionEvent) and each.event == "limit"]
    assert told.reason.startswith("the daily limit of $1.00 is reached")
    assert (status["state"], status["reason"]) == ("limit", told.reason)
    assert status["cost_today"] >= 1
    assert (status["daily_limit"], status["limit_reached"]) == (1, True)
    line = summary("boardroom", "running", {"capture": {"state": "hearing"}, "transcription": status}, 0)
    assert "daily limit reached" in line
    assert room.words + richer.words == texts(RECORDING) + texts(SHORT)
    assert richer.transcriber.status()["session_s_today"] > status["session_s_today"]


def test_a_stop_at_the_limit_fails_where_what_was_heard_is_lost_with_it(make_room: Callable) -> None:
    """In memory nothing waits for tomorrow: whoever stops it then should not be told that all is well."""
    with Service() as service:
        room = make_room(service, LIMITED + "[journal]\naudio = 'memory'\n")
        room.play(RECORDING, in_real_time=True)
        room.wait_for(lambda: "limit" in room.session_events and not sessions_of(room))
        with capture_logs() as logged:
            room.stop()
    assert "not_drained" not in {each["event"] for each in logged}, "nothing was waited for"
    assert [each["is_kept"] for each in logged if each["event"] == "stopped_at_limit"] == [False]
    assert room.drained is False


def test_on_the_next_day_it_goes_on_by_itself(make_room: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, "2026-11-22")
    with Service() as service:
        room = make_room(service, LIMITED)
        room.play(RECORDING, in_real_time=True)
        room.wait_for(lambda: "limit" in room.session_events and not sessions_of(room))
        assert room.session_events.count("started") == 1
        # Days so short that no limit is reached.
        monkeypatch.setattr(cost, "DAY_H_MIN", 0)
        monkeypatch.setattr(cost, "local_day", lambda: f"day {int(time.monotonic() * 4)}")
        room.wait_for(lambda: len(room.words) == len(texts(RECORDING)))
        room.close()

    assert room.words == texts(RECORDING)


def test_a_recording_does_not_wait_for_tomorrow(make_room: Callable) -> None:
    """Somebody waits for its text, and has to be told."""
    with Service() as service:
        room = make_room(service, LIMITED)
        with pytest.raises(SpentError, match=r"the daily limit of \$1.00 is reached"):
            room.play(RECORDING, source="talk.wav", in_real_time=True)
        assert service.close_codes() == [1000]
