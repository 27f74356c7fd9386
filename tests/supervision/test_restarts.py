"""When a process is started again: tables, no processes."""

import pytest

from minuted.supervision.restarts import (
    CRASHES_MAX,
    DEVICE_LOST,
    HEALTHY_S,
    SPENT,
    History,
    Kind,
    Then,
    after_end,
    note_end,
    wait_s,
)
from minuted.transcription import __main__ as transcription

CRASHED_OFTEN = History(5, tuple(range(CRASHES_MAX)))


@pytest.mark.parametrize(
    ("failures", "shortest_s", "longest_s"),
    [(1, 0.15, 0.2), (2, 0.3, 0.4), (3, 0.6, 0.8), (8, 19.2, 25.6), (9, 22.5, 30), (10_000, 22.5, 30)],
)
def test_waits_double_up_to_half_a_minute_and_chance_only_shortens_them(failures, shortest_s, longest_s):
    assert wait_s(failures, 0) == pytest.approx(longest_s)
    assert wait_s(failures, 1) == pytest.approx(shortest_s)


@pytest.mark.parametrize(
    ("kind", "exit_status", "first", "history", "then"),
    [
        (Kind.SINK, 1, True, History(), Then.AGAIN),
        (Kind.SINK, 1, False, CRASHED_OFTEN, Then.AGAIN),
        (Kind.SINK, 0, False, History(), Then.AGAIN),
        (Kind.SINK, 78, True, History(), Then.MISCONFIGURED),
        (Kind.SINK, 78, False, History(), Then.STAY_DOWN),
        (Kind.CORE, 1, True, History(), Then.AGAIN),
        (Kind.CORE, -9, False, History(1, (5.0,)), Then.AGAIN),
        (Kind.CORE, -9, False, CRASHED_OFTEN, Then.GIVE_UP),
        (Kind.CORE, 0, False, History(), Then.AGAIN),
        (Kind.CORE, 78, True, History(), Then.MISCONFIGURED),
        (Kind.CORE, 78, False, History(), Then.AGAIN),
        (Kind.RECORDING, 0, False, History(), Then.DRAIN),
        (Kind.RECORDING, 1, False, History(), Then.DRAIN),
        (Kind.RECORDING, -9, True, History(), Then.DRAIN),
        (Kind.RECORDING, 78, True, History(), Then.MISCONFIGURED),
        (Kind.RESUMABLE, 0, False, History(), Then.DRAIN),
        (Kind.RESUMABLE, 1, False, History(), Then.DRAIN),
        (Kind.RESUMABLE, -9, True, History(), Then.AGAIN),
        (Kind.RESUMABLE, -9, False, History(1, (5.0,)), Then.AGAIN),
        (Kind.RESUMABLE, -9, False, CRASHED_OFTEN, Then.GIVE_UP),
        (Kind.RESUMABLE, 78, True, History(), Then.MISCONFIGURED),
        (Kind.RESUMABLE, 78, False, History(), Then.DRAIN),
    ],
)
def test_what_follows_an_end(kind, exit_status, first, history, then):
    attended = kind in (Kind.RECORDING, Kind.RESUMABLE)
    assert after_end(kind, exit_status, history, first=first, attended=attended) is then


def test_a_recording_s_listener_is_told_at_once_of_a_refused_key():
    """Nobody wants to wait for a text that cannot come."""
    assert after_end(Kind.CORE, 78, History(), first=False, attended=True) is Then.MISCONFIGURED
    assert after_end(Kind.SINK, 78, History(), first=False, attended=True) is Then.STAY_DOWN


def test_crashes_older_than_a_minute_are_forgotten():
    """One crash a minute is no reason to take the whole room down."""
    history = History()
    for minute in range(20):
        history = note_end(history, 1, healthy_s=0, now_s=minute * 60.0)
    assert len(history.crashes_s) == 1
    assert history.failures == 20


def test_five_crashes_in_a_minute_are_five():
    history = History()
    for second in range(5):
        history = note_end(history, -11, healthy_s=0, now_s=second * 10.0)
    assert len(history.crashes_s) == CRASHES_MAX


def test_a_healthy_while_resets_the_back_off():
    assert note_end(History(failures=7), 1, healthy_s=HEALTHY_S, now_s=0).failures == 1
    assert note_end(History(failures=7), 1, healthy_s=HEALTHY_S - 1, now_s=0).failures == 8


def test_a_missing_device_later_on_is_no_crash():
    """A room whose microphone is unplugged waits for it; it does not give up after five tries."""
    history = History()
    for second in range(100):
        history = note_end(history, 78, healthy_s=0, now_s=float(second))
    assert history.crashes_s == ()
    assert after_end(Kind.CORE, 78, history, first=False, attended=False) is Then.AGAIN


def test_a_device_that_is_lost_again_and_again_is_no_crash():
    """A loose plug must not end the run: nobody is there to start it again."""
    history = History()
    for then_s in range(20):
        history = note_end(history, DEVICE_LOST, healthy_s=1.0, now_s=float(then_s))
    assert after_end(Kind.CORE, DEVICE_LOST, history, first=False, attended=False) is Then.AGAIN
    assert history.crashes_s == ()
    assert history.failures == 20


@pytest.mark.parametrize("first", [True, False])
def test_a_recording_that_may_spend_no_more_is_drained(first: bool) -> None:
    """The sinks still get what was heard; to start again would not make it cheaper."""
    history = note_end(History(), SPENT, healthy_s=1.0, now_s=0.0)
    assert after_end(Kind.CORE, SPENT, history, first=first, attended=True) is Then.DRAIN
    assert SPENT == transcription.SPENT
