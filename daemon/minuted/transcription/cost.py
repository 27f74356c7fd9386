"""What the sessions cost. The service bills the time a session's socket is open, sound or no sound.

Counted is each session from its upgrade to its socket's close, also those that were lost, opened ahead
or for what was missed. A kill leaves at most STORE_S of each open session uncounted. A session whose end
the service did not hear of (a kill, a dead link) may go on there, and be billed, for up to three hours:
how many there were is told, and not counted as time.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NotRequired, Protocol, TypedDict

import structlog

from minuted.config import Settings
from minuted.journal.turns import TurnJournal, TurnJournalFullError
from minuted.transcription.minutes import Minutes
from minuted.transcription.session import Session

STORE_S: Final = 10.0
"""How often what is open is written down."""
DAYS_MAX: Final = 62
"""Days remembered: this month and the one before."""

log = structlog.get_logger(__name__)


class SpentError(Exception):
    """The day's limit is reached, and nobody will be there to go on tomorrow."""


class CostState(TypedDict):
    """What is stored: `Ledger.to_state`, and how many sessions were open."""

    days: NotRequired[dict[str, tuple[float, int]]]
    open: NotRequired[int]


class Ledger:
    """Session seconds, and sessions cut off, of each day. Pure."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        self._days: dict[str, tuple[float, int]] = {
            day: (float(session_s), int(cut)) for day, (session_s, cut) in (state or {}).items()
        }

    def add(self, day: str, session_s: float, cut: int = 0) -> None:
        before_s, before = self._days.get(day, (0.0, 0))
        self._days[day] = (before_s + session_s, before + cut)
        while len(self._days) > DAYS_MAX:
            del self._days[min(self._days)]

    def total(self, period: str) -> tuple[float, int]:
        """Give seconds and cut sessions of a day ("2026-11-22") or a month ("2026-11")."""
        found = [values for day, values in dict(self._days).items() if day.startswith(period)]
        return sum(session_s for session_s, _ in found), sum(cut for _, cut in found)

    def to_state(self) -> dict[str, Any]:
        return {day: [round(session_s, 3), cut] for day, (session_s, cut) in self._days.items()}


class Meter:
    """Watches the sessions' sockets. Used from the loop's thread; `status` from any."""

    def __init__(self, settings: Settings, journal: TurnJournal) -> None:
        state = journal.state("cost", CostState) or {}
        self.ledger = Ledger(state.get("days"))
        self._cost = settings.cost
        self._is_paid = settings.service == "assemblyai"
        self._journal = journal
        self._day = local_day()
        self._open: dict[Session, float] = {}
        """Sessions whose sockets may be open, and until when each is counted; `monotonic` seconds."""
        self._stored_s = float("-inf")
        self._stored: dict[str, Any] = state
        self._announced = ""
        if cut := int(state.get("open") or 0):
            log.warning("sessions_cut", sessions=cut)
            self.ledger.add(self._day, 0.0, cut)

    def watch(self, session: Session) -> None:
        """Count a session from when it opens."""
        if self._is_paid:
            self._open[session] = 0.0

    def tick(self, now_s: float) -> None:
        """Count what has passed, to the day it is; write it down now and then, and when something changes."""
        self._day = local_day()
        changed = False
        for session, counted_s in list(self._open.items()):
            is_closed, opened_s = session.is_closed, session.opened_s
            if opened_s is not None:
                changed |= not counted_s or is_closed
                self.ledger.add(self._day, max(0.0, now_s - max(counted_s, opened_s)))
                self._open[session] = now_s
            if is_closed:
                del self._open[session]
                if session.was_cut:
                    log.warning("session_cut", session_id=session.session_id)
                    self.ledger.add(self._day, 0.0, 1)
        if changed or (self._open and now_s - self._stored_s >= STORE_S):
            self.store(now_s)

    def store(self, now_s: float) -> None:
        """Write it down; where there is no room it stays in memory until there is."""
        self._stored_s = now_s
        is_open = sum(session.opened_s is not None and not session.has_ended for session in self._open)
        state = {"days": self.ledger.to_state(), "open": is_open}
        if state != self._stored:
            with suppress(TurnJournalFullError):
                self._journal.keep({"cost": state})
                self._stored = state

    @property
    def is_spent(self) -> bool:
        """Whether today has reached its limit."""
        limit = self._cost.daily_limit
        return self._is_paid and limit > 0 and self._price(self.ledger.total(self._day)[0]) >= limit

    @property
    def reason(self) -> str:
        return (
            f"the daily limit of ${self._cost.daily_limit:.2f} is reached: no session until tomorrow, or "
            "until cost.daily_limit is raised; what is heard is kept"
        )

    def announce(self) -> bool:
        """Say that the limit is reached: once a day; True when it had to be said."""
        if self._announced == self._day:
            return False
        self._announced = self._day
        log.error("daily_limit_reached", limit=self._cost.daily_limit, **self.status())
        return True

    def status(self) -> dict[str, Any]:
        """Tell today's and this month's session seconds and dollars."""
        (day_s, cut), (month_s, _) = self.ledger.total(self._day), self.ledger.total(self._day[:7])
        return {
            "session_s_today": round(day_s, 1),
            "session_s_month": round(month_s, 1),
            "cost_today": round(self._price(day_s), 4),
            "cost_month": round(self._price(month_s), 4),
            "cut_today": cut,
            "daily_limit": self._cost.daily_limit,
            "limit_reached": self.is_spent,
            "spent": self._spent(day_s, month_s, cut) if self._is_paid else "",
        }

    def _spent(self, day_s: float, month_s: float, cut: int) -> str:
        """Say it in one line."""
        shown = [f"{_time(day_s)} (${self._price(day_s):.2f}) today"]
        shown += [f"{_time(month_s)} (${self._price(month_s):.2f}) this month"] if month_s > day_s else []
        shown += [f"{cut} cut off today, which may cost up to 3 h each"] if cut else []
        return " and ".join(shown[:2]) + "".join(f", {more}" for more in shown[2:]) if month_s else ""

    def _price(self, session_s: float) -> float:
        return session_s / 3600 * self._cost.per_hour if self._is_paid else 0.0


class Sessions(Protocol):
    """What ends at the limit."""

    state: Any
    failure: str

    def leave(self) -> bool:
        """End all sessions; True once they are over."""
        ...


def is_spent(sessions: Sessions, meter: Meter, minutes: Minutes, *, is_recording: bool) -> bool:
    """Whether today's money is spent; then every session is ended, and none is to be opened.

    Raises SpentError where a recording is played: nobody waits until tomorrow.
    """
    if not meter.is_spent:
        if sessions.state == "limit":
            sessions.state, sessions.failure = "idle", ""
        return False
    sessions.state, sessions.failure = "limit", meter.reason
    if meter.announce():
        minutes.tell("limit", reason=meter.reason)
    if sessions.leave() and is_recording:
        raise SpentError(meter.reason)
    return True


def local_day() -> str:
    return time.strftime("%Y-%m-%d")


def _time(seconds: float) -> str:
    minutes = int(seconds) // 60
    if minutes < 60:
        return f"{minutes} min" if minutes else f"{int(seconds)} s"
    return f"{minutes // 60}:{minutes % 60:02d} h"
