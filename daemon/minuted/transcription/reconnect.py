"""Retryable or fatal, and how long to wait. Pure: time comes in as an argument.

Source of the codes: the vendor's close codes and Error frames, as the service sent them in 2026
(1008 auth, 3005 server, 3006 input, 3007 duration or rate, 3008 expiry, 3009 sessions), and the
HTTP statuses a proxy or the edge may answer the upgrade with.
"""

from bisect import insort
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

import tenacity

FIRST_WAIT_S: Final = 0.25
UNREACHABLE_WAIT_S_MAX: Final = 2.0
REFUSED_WAIT_S_MAX: Final = 60.0
FATAL_WAIT_S: Final = 60.0
"""Trying again would fail the same way, until somebody mends it: then we notice within a minute."""
HEALTHY_S: Final = 60.0
"""A session that lasted this long ends the series of failures."""
SESSIONS_PER_MINUTE_MAX: Final = 5
"""New sessions while failing; the free plan's limit, and a storm helps nobody."""
BUSY_MAX: Final = 2
"""Refusals of a second session, after which there is one at a time."""
ALONE_S: Final = 3600.0
"""… for so long; then a second one is tried again."""
LAST_WORD_S_MAX: Final = 5.0
"""How long the next session waits for room while the last one thinks again who spoke: it took 1.6 s."""
BEHIND_PER_MINUTE_MAX: Final = 2
"""Of them for what was missed: live goes first."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a session is over. `code` is a WebSocket close code, an Error frame's, or an HTTP status."""

    text: str
    code: int | None = None
    phase: Literal["minting", "connecting", "opening", "open"] = "open"
    """minting: there was no token to connect with; `code` is then the token server's HTTP status.
    connecting: the upgrade was not answered; opening: before Begin; open: after it."""
    retry_after_s: float | None = None
    """When to come again, as the answer says."""
    is_unreadable: bool = False
    """What the service said of the sound could not be read, or not be recorded."""


class Verdict(Enum):
    """What to do about a failure."""

    EXPIRED = "expired"  # a new session at once
    UNREACHABLE = "unreachable"  # it never reached the service: try often
    REFUSED = "refused"  # the service would not, or not now: try ever more seldom
    BUSY = "busy"  # the account's session limit: wait long from the start
    FATAL = "fatal"  # the key or a parameter is wrong: tell people, try seldom


_BUSY: Final = "too many concurrent"
_RETRYABLE_CLOSES: Final = (1000, 1001, 1011, 1012, 1013, 1014, 3005)
_FATAL_STATUSES: Final = (400, 401, 402, 404, 410, 422)


def judge(failure: Failure) -> Verdict:
    """Decide on a failure by its code, and by its text where one code has several meanings."""
    code, text = failure.code, failure.text.lower()
    if failure.phase == "minting":
        return _judge_minting(code)
    if _BUSY in text or code in (3009, 429):
        return Verdict.BUSY
    if code is None or code == 1006:
        return Verdict.UNREACHABLE
    if code == 3008:
        return Verdict.EXPIRED
    if code == 1008:
        # A temporary token that expired: the next attempt brings a new one. A trial or a key does not.
        is_token = "expired" in text and ("signature" in text or "token" in text)
        return Verdict.REFUSED if is_token else Verdict.FATAL
    if code == 3006:
        return Verdict.REFUSED if "inactivity" in text else Verdict.FATAL
    if code == 3007:
        # Too fast mends itself; a chunk of the wrong length is our bug, and one try is harmless.
        return Verdict.REFUSED if "rate" in text else Verdict.FATAL
    if code in _RETRYABLE_CLOSES:
        return Verdict.REFUSED
    if code in _FATAL_STATUSES or code == 1009:
        return Verdict.FATAL
    # 403 and 407 are as likely a proxy's as the service's, 5xx pass, and what nobody has seen yet may too.
    return Verdict.REFUSED


def _judge_minting(status: int | None) -> Verdict:
    """A token server that knows us not, or is not there at all, will go on so; all else may pass.

    One that was asked too often says nothing of how many sessions the account has room for.
    """
    is_final = status is not None and 400 <= status < 500 and status not in (408, 429)
    return Verdict.FATAL if is_final else Verdict.REFUSED


_WAIT_S_MAX: Final = {
    Verdict.UNREACHABLE: UNREACHABLE_WAIT_S_MAX,
    Verdict.REFUSED: REFUSED_WAIT_S_MAX,
    Verdict.BUSY: REFUSED_WAIT_S_MAX,
}


class Begins:
    """When sessions began in the last minute, or are to begin: the account's limit is of these."""

    def __init__(self) -> None:
        self._at_s: list[float] = []

    def add(self, at_s: float, now_s: float) -> None:
        self._at_s = [each for each in self._at_s if now_s < each + 60]
        insort(self._at_s, at_s)

    def remove(self, at_s: float | None) -> None:
        """Forget one that did not begin then; one that is forgotten already is no error."""
        if at_s in self._at_s:
            self._at_s.remove(at_s)

    def free_s(self, at_s: float, most: int) -> float:
        """Give when another may begin, `at_s` at the earliest, for there to be no more than so many."""
        while len(late := [each for each in self._at_s if each <= at_s < each + 60]) >= most:
            at_s = late[-most] + 60
        return at_s


class Backoff:
    """Says how long to wait before the next session: exponential with jitter, by the kind of failure."""

    def __init__(self, begins: Begins | None = None, sessions_max: int = SESSIONS_PER_MINUTE_MAX) -> None:
        """`begins` is shared with another one whose sessions count towards the same limit.

        With fewer `sessions_max` a minute, the other's included, this one leaves the rest to the other.
        """
        self.attempts = 0
        """Failures in a row."""
        self._verdict: Verdict | None = None
        self._sessions_max = sessions_max
        self._begins = Begins() if begins is None else begins
        self._planned_s: float | None = None
        self._begun_s: float | None = None
        self._due_s = 0.0

    def begin(self, now_s: float) -> None:
        """A session begins: the one that was waited for, or one that follows no failure."""
        self._begins.remove(self._planned_s)
        self._begins.add(now_s, now_s)
        self._planned_s, self._begun_s = None, now_s

    def wait_s(self, failure: Failure, now_s: float, *, lasted_s: float = 0) -> float:
        """Give the seconds to wait after `failure` of a session that was open for `lasted_s`."""
        verdict = judge(failure)
        if lasted_s >= HEALTHY_S:
            self.attempts = 0
        if verdict is not self._verdict:
            self.attempts = 0  # the road is free and the door is shut: another series begins
        self._verdict = verdict
        self.attempts += 1
        wait_s = {Verdict.EXPIRED: 0.0, Verdict.FATAL: FATAL_WAIT_S}.get(verdict)
        if wait_s is None:
            again_s = failure.retry_after_s
            first = 5 if verdict is Verdict.BUSY else 0
            wait_s = exponential_s(self.attempts + first, _WAIT_S_MAX[verdict])
            wait_s = max(wait_s, min(again_s or 0.0, REFUSED_WAIT_S_MAX))
        self._begins.remove(self._planned_s)
        if verdict is Verdict.UNREACHABLE and failure.phase == "connecting":
            self._begins.remove(self._begun_s)  # the service knows nothing of it
        self._due_s = now_s + wait_s
        self._planned_s = self._begins.free_s(self._due_s, self._sessions_max)
        self._begins.add(self._planned_s, now_s)
        return self._planned_s - now_s

    def hurry_s(self, now_s: float) -> float:
        """Give when the next session may begin where nothing is to be left to the other."""
        return self._begins.free_s(max(now_s, self._due_s), SESSIONS_PER_MINUTE_MAX)


def exponential_s(attempt: int, wait_s_max: float) -> float:
    """Give the wait after the attempt-th failure: 0.25 s doubling to the cap, half of it random."""
    half = {"multiplier": FIRST_WAIT_S / 2, "max": wait_s_max / 2}
    wait = tenacity.wait_exponential(**half) + tenacity.wait_random_exponential(**half)
    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    state.attempt_number = attempt
    return wait(state)
