from itertools import pairwise
from typing import Literal

import pytest
from assemblyai.streaming.v3.models import RealTimeErrorCodes
from hypothesis import example, given
from hypothesis import strategies as st

from minuted.transcription.reconnect import (
    BEHIND_PER_MINUTE_MAX,
    FATAL_WAIT_S,
    FIRST_WAIT_S,
    HEALTHY_S,
    REFUSED_WAIT_S_MAX,
    SESSIONS_PER_MINUTE_MAX,
    UNREACHABLE_WAIT_S_MAX,
    Backoff,
    Begins,
    Failure,
    Verdict,
    exponential_s,
    judge,
)

AUTH = "Unauthorized Connection"
V3_CODES = [
    # A row for each of the reference's table of v3 codes, its texts as seen.
    (1000, "Session Ended", Verdict.REFUSED),  # in order, but nobody had asked: reconnect
    (1000, "", Verdict.REFUSED),
    (1001, "", Verdict.REFUSED),
    (1006, "", Verdict.UNREACHABLE),
    (1006, "Connection closed (code=1006)", Verdict.UNREACHABLE),
    (1008, f"{AUTH}: Missing Authorization header", Verdict.FATAL),
    (1008, f"{AUTH}: Invalid API key", Verdict.FATAL),
    (1008, f"{AUTH}: Signature has expired", Verdict.REFUSED),  # a token: the next attempt brings a new one
    (1008, f"{AUTH}: Your account balance is exhausted", Verdict.FATAL),
    (1008, f"{AUTH}: Account disabled", Verdict.FATAL),
    (1008, f"{AUTH}: Your free trial has expired", Verdict.FATAL),
    (1008, "See Error message for details", Verdict.FATAL),
    (1008, f"{AUTH}: Too many concurrent sessions", Verdict.BUSY),
    (1008, "Unauthorized connection: Too many concurrent sessions", Verdict.BUSY),
    (1009, "", Verdict.FATAL),
    (1009, "message too big", Verdict.FATAL),
    (1011, "internal error", Verdict.REFUSED),
    (1013, "Temporary server condition forced blocking client's request", Verdict.REFUSED),
    (3005, "Session Cancelled: An error occurred", Verdict.REFUSED),
    (3005, "Server error", Verdict.REFUSED),
    (
        3006,
        "User Input Validation Error: Invalid 'sample_rate': must be at least 8,000 Hz",
        Verdict.FATAL,
    ),
    (3006, "Invalid Message Type: hello", Verdict.FATAL),
    (3006, "Invalid JSON", Verdict.FATAL),
    (3006, "Invalid Message", Verdict.FATAL),
    (
        3006,
        "Session terminated due to inactivity: No messages received for 5 seconds",
        Verdict.REFUSED,
    ),
    (
        3007,
        "Input Duration Error: Input Duration Violation: 20.0 ms. Expected between 50 and 1000 ms",
        Verdict.FATAL,
    ),
    (
        3007,
        "Audio Transmission Rate Exceeded: Received 314.9 sec. audio in 1.31 sec",
        Verdict.REFUSED,
    ),
    (3008, "Session Expired: Maximum session duration exceeded", Verdict.EXPIRED),
    (3009, "Too many concurrent sessions", Verdict.BUSY),
    (3009, "", Verdict.BUSY),
    # What nobody has seen yet may pass.
    (1005, "", Verdict.REFUSED),
    (1002, "", Verdict.REFUSED),
    (1012, "", Verdict.REFUSED),
    (1014, "", Verdict.REFUSED),
    (3999, "news", Verdict.REFUSED),
]
HTTP_STATUSES = [
    (400, Verdict.FATAL),
    (401, Verdict.FATAL),
    (402, Verdict.FATAL),
    (403, Verdict.REFUSED),  # as likely a proxy's or a firewall's
    (404, Verdict.FATAL),
    (407, Verdict.REFUSED),
    (408, Verdict.REFUSED),
    (410, Verdict.FATAL),  # the retired endpoint
    (422, Verdict.FATAL),
    (429, Verdict.BUSY),
    (500, Verdict.REFUSED),
    (502, Verdict.REFUSED),
    (503, Verdict.REFUSED),
    (504, Verdict.REFUSED),
]


@pytest.mark.parametrize(("code", "text", "verdict"), V3_CODES)
@pytest.mark.parametrize("shout", [False, True], ids=["as seen", "in capitals"])
def test_every_code_of_the_service_is_judged(code: int, text: str, verdict: Verdict, shout: bool) -> None:
    assert judge(Failure(text.upper() if shout else text, code)) is verdict


@pytest.mark.parametrize(("status", "verdict"), HTTP_STATUSES)
def test_every_answer_to_the_upgrade_is_judged(status: int, verdict: Verdict) -> None:
    text = f"WebSocket handshake rejected (HTTP {status})"

    assert judge(Failure(text, status, "connecting")) is verdict


@pytest.mark.parametrize(
    "text",
    [
        "Connection failed: [Errno 111] Connection refused",
        "Connection failed: timed out",
        "no Begin came",
        "",
    ],
)
def test_no_code_means_that_the_service_was_not_reached(text: str) -> None:
    assert judge(Failure(text, None, "connecting")) is Verdict.UNREACHABLE


@pytest.mark.parametrize("code", [code for code in RealTimeErrorCodes if 3000 <= code < 4000 or code < 2000])
def test_a_close_without_an_error_frame_is_judged_like_one_with(code: int) -> None:
    """The SDK puts a text of its own there."""
    expected = {
        1013: Verdict.REFUSED,
        3005: Verdict.REFUSED,
        3006: Verdict.FATAL,
        3007: Verdict.FATAL,
        3008: Verdict.EXPIRED,
        3009: Verdict.BUSY,
    }
    assert judge(Failure(RealTimeErrorCodes[code], code)) is expected[code]


# How long to wait.

REFUSED = Failure("Server error", 3005)
UNREACHABLE = Failure("Connection refused", None, "connecting")
LOST = Failure("the reader died", None, "open")
EXPIRED = Failure("Session Expired", 3008)
BUSY = Failure("Too many concurrent sessions", 3009)
FATAL = Failure("Invalid API key", 1008, "opening")
FAILURES = [REFUSED, UNREACHABLE, LOST, EXPIRED, BUSY, FATAL]


def test_waits_double_up_to_the_cap_and_half_of_each_is_chance() -> None:
    for attempt in range(1, 40):
        whole_s = min(REFUSED_WAIT_S_MAX, FIRST_WAIT_S * 2 ** (attempt - 1))
        waits_s = [exponential_s(attempt, REFUSED_WAIT_S_MAX) for _ in range(50)]
        assert whole_s / 2 <= min(waits_s) <= max(waits_s) <= whole_s
        assert max(waits_s) - min(waits_s) > whole_s / 8, "a room full of machines must not come back at once"


def test_a_year_of_attempts_is_no_trouble() -> None:
    assert exponential_s(20_000_000, UNREACHABLE_WAIT_S_MAX) <= UNREACHABLE_WAIT_S_MAX


def test_an_unreachable_service_is_tried_every_two_seconds() -> None:
    """When the network is back, so are we."""
    backoff, now_s = Backoff(), 0.0
    waits_s = []
    for _ in range(200):
        waits_s.append(backoff.wait_s(UNREACHABLE, now_s))
        now_s += waits_s[-1]

    assert max(waits_s) <= UNREACHABLE_WAIT_S_MAX
    assert max(waits_s[:1]) <= FIRST_WAIT_S
    assert min(waits_s[10:]) >= UNREACHABLE_WAIT_S_MAX / 2


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: judge(failure).value)
def test_no_wait_is_over_a_minute(failure: Failure) -> None:
    backoff, now_s = Backoff(), 0.0
    for _ in range(50):
        wait_s = backoff.wait_s(failure, now_s)
        assert 0 <= wait_s <= REFUSED_WAIT_S_MAX
        now_s += wait_s


def test_an_expired_session_is_followed_at_once() -> None:
    assert Backoff().wait_s(EXPIRED, 0.0, lasted_s=10_800) == 0


def test_a_fatal_failure_is_tried_again_each_minute() -> None:
    """Somebody may have mended it."""
    assert Backoff().wait_s(FATAL, 0.0) == FATAL_WAIT_S == 60


def test_a_busy_account_is_left_alone_from_the_start() -> None:
    assert 4 <= Backoff().wait_s(BUSY, 0.0) <= 8


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("named_s", "wait_s"), [(2.0, 2.0), (30.0, 30.0), (1e9, 60.0)])
def test_who_is_told_when_to_come_again_does_not_come_sooner_nor_much_later(
    status: int, named_s: float, wait_s: float
) -> None:
    """And no answer may put a room off for more than a minute."""
    failure = Failure("no token: it answered", status, "minting", named_s)
    assert Backoff().wait_s(failure, 0.0) == wait_s


def test_a_healthy_minute_ends_the_series() -> None:
    backoff, now_s = Backoff(), 0.0
    for _ in range(10):
        now_s += backoff.wait_s(REFUSED, now_s)
    assert backoff.attempts == 10

    now_s += HEALTHY_S
    wait_s = backoff.wait_s(REFUSED, now_s, lasted_s=HEALTHY_S)

    assert backoff.attempts == 1
    assert wait_s <= FIRST_WAIT_S


def test_an_unhealthy_minute_does_not() -> None:
    backoff = Backoff()
    for number in range(10):
        backoff.wait_s(REFUSED, number * 100.0, lasted_s=HEALTHY_S - 1)

    assert backoff.attempts == 10


def test_another_kind_of_failure_begins_another_series() -> None:
    """The road is free and the door is shut."""
    backoff, now_s = Backoff(), 0.0
    for _ in range(10):
        now_s += backoff.wait_s(UNREACHABLE, now_s)

    assert backoff.wait_s(REFUSED, now_s) <= FIRST_WAIT_S


Attempt = tuple[Failure, float, float]
"""How it failed, how long it took to open or fail, how long it then was open."""
ATTEMPTS = st.lists(
    st.tuples(
        st.sampled_from(
            [*FAILURES, Failure("no Begin came", None, "opening"), Failure("gone", 403, "connecting")]
        ),
        st.one_of(st.just(0.0), st.floats(0, 8)),
        st.one_of(st.just(0.0), st.floats(0, 70), st.sampled_from([HEALTHY_S, 10_800.0])),
    ),
    min_size=6,
    max_size=40,
)


def reaching(attempts: list[Attempt]) -> list[float]:
    """Play failures in simulated time; give when sessions began that reached the service."""
    backoff, now_s, began_s = Backoff(), 0.0, []
    for failure, opening_s, open_s in attempts:
        backoff.begin(now_s)
        lasted_s = open_s if failure.phase == "open" else 0.0
        if not (failure.phase == "connecting" and judge(failure) is Verdict.UNREACHABLE):
            began_s.append(now_s)
        now_s += opening_s + lasted_s
        now_s += backoff.wait_s(failure, now_s, lasted_s=lasted_s)
    return began_s


@given(ATTEMPTS)
@example([(EXPIRED, 0.0, 0.0)] * 20)
@example([(LOST, 0.0, 0.0)] * 20)
@example([(REFUSED, 0.0, 0.0), (LOST, 0.0, 0.0)] * 10)
@example([(REFUSED, 0.0, 0.0)] * 4 + [(EXPIRED, 0.0, HEALTHY_S)] + [(EXPIRED, 0.0, 0.0)] * 10)
@example([(UNREACHABLE, 0.0, 0.0), (EXPIRED, 0.0, 0.0)] * 10)
def test_no_minute_sees_more_sessions_than_the_account_may_have(attempts: list[Attempt]) -> None:
    """The free plan has five new ones a minute, for all its machines; a storm only makes it worse."""
    began_s = reaching(attempts)
    for first, last in zip(began_s, began_s[SESSIONS_PER_MINUTE_MAX:], strict=False):
        assert last - first >= 60 - 1e-6


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 30)), max_size=60))
@example([(True, 0.0), (False, 0.0)] * 10)
def test_two_series_of_failures_keep_to_one_limit_together(broken: list[tuple[bool, float]]) -> None:
    """The live session and the one behind it are one account's, and mostly break together."""
    begins, now_s = Begins(), 0.0
    series = {True: Backoff(begins), False: Backoff(begins, BEHIND_PER_MINUTE_MAX)}
    next_s = {True: 0.0, False: 0.0}
    began_s = []
    for is_live, passed_s in broken:
        # Whoever is due begins at its moment; then one breaks, at once or after a while.
        now_s = max(now_s, next_s[is_live]) + passed_s
        for at_s, which in sorted((at_s, which) for which, at_s in next_s.items() if at_s <= now_s):
            series[which].begin(at_s)
            began_s.append(at_s)
            next_s[which] = float("inf")
        next_s[is_live] = now_s + series[is_live].wait_s(LOST, now_s)
    began_s.sort()
    for first, last in zip(began_s, began_s[SESSIONS_PER_MINUTE_MAX:], strict=False):
        assert last - first >= 60 - 1e-6


@given(ATTEMPTS)
def test_waits_are_never_negative(attempts: list[Attempt]) -> None:
    assert all(later >= earlier for earlier, later in pairwise(reaching(attempts)))


def test_the_phases_are_the_three_there_are() -> None:
    phases: list[Literal["connecting", "opening", "open"]] = ["connecting", "opening", "open"]
    for phase in phases:
        assert judge(Failure("", None, phase)) is Verdict.UNREACHABLE


def shared() -> tuple[Backoff, Backoff]:
    begins = Begins()
    return Backoff(begins), Backoff(begins, BEHIND_PER_MINUTE_MAX)


def test_what_breaks_together_after_a_quiet_minute_begins_again_together() -> None:
    """One reset hits the live session and the one behind: neither has used up anything of late."""
    live, behind = shared()
    for each in (live, behind):
        each.begin(0.0)
    assert live.wait_s(LOST, 61.0) < 1
    assert behind.wait_s(LOST, 61.0) < 1


def test_what_was_missed_leaves_live_sessions_their_share_of_the_limit() -> None:
    """Two sessions break with each outage: the third within a minute must not cost captions a minute."""
    live, behind = shared()
    for each in (live, behind):
        each.begin(0.0)
    assert live.wait_s(LOST, 1.0) < 1
    live.begin(1.25)
    assert behind.wait_s(LOST, 1.0) == 59.0
    for now_s in (2.0, 3.0):
        assert live.wait_s(LOST, now_s) < 2
        live.begin(now_s + 0.5)
    assert live.wait_s(LOST, 4.0) == 56.0


def test_where_captions_need_no_more_sessions_those_behind_may_have_them_all() -> None:
    """Somebody stops the daemon: what is left to be heard has not a minute to wait for."""
    live, behind = shared()
    for each in (live, behind):
        each.begin(0.0)
    assert live.wait_s(LOST, 1.0) < 1
    live.begin(1.25)
    assert behind.wait_s(LOST, 1.0) == 59.0
    assert behind.hurry_s(2.0) == 2.0
    behind.begin(2.0)
    assert behind.wait_s(LOST, 3.0) == 58.25
    assert behind.hurry_s(3.0) < 5, "the fifth of this minute"
    behind.begin(5.0)
    assert behind.wait_s(LOST, 6.0) == 56.0
    assert behind.hurry_s(6.0) == 60.0
    assert behind.wait_s(FATAL, 70.0) == 60.0
    assert behind.hurry_s(71.0) == 130.0, "nor does it hurry what would fail the same way"
