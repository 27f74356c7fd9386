"""What the sessions cost. The service bills the time a session's socket is open, sound or no sound.

Counted is each session from its upgrade to its socket's close, also those that were lost, opened ahead
or for what was missed. A kill leaves at most STORE_S of each open session uncounted. A session whose end
the service did not hear of (a kill, a dead link) may go on there, and be billed, for up to three hours:
how many there were is told, and not counted as time.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NotRequired, Protocol, TypedDict

import structlog

from minuted.config import Settings
from minuted.journal.turns import TurnJournal, TurnJournalFullError
from minuted.runtime.clock import wall_ms
from minuted.runtime.durations import rough
from minuted.transcription.session import Session

if TYPE_CHECKING:
    from minuted.transcription.minutes import Minutes

STORE_S: Final = 10.0
"""How often what is open is written down."""
DAYS_MAX: Final = 62
"""Days remembered: this month and the one before."""
DAY_H_MIN: Final = 20
DAY_H_MAX: Final = 36
"""A day is no shorter and no longer, whatever the wall clock says. Most have 24 h, a few 23 or 25."""

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
            # The one that was begun first: what it is called, a wrong clock has said.
            del self._days[next(each for each in self._days if each != day)]

    def rename(self, day: str, new: str, session_s: float, cut: int) -> None:
        """Count what was counted to one day to another: they are the same, and the clock was set."""
        known_s, known = self._days.get(day, (0.0, 0))
        left_s, left = max(0.0, known_s - session_s), max(0, known - cut)
        self._days[day] = (left_s, left)
        if not left_s and not left:
            del self._days[day]
        self.add(new, session_s, cut)

    def total(self, period: str) -> tuple[float, int]:
        """Give seconds and cut sessions of a day ("2026-11-22") or a month ("2026-11")."""
        found = [values for day, values in dict(self._days).items() if day.startswith(period)]
        return sum(session_s for session_s, _ in found), sum(cut for _, cut in found)

    def to_state(self) -> dict[str, Any]:
        return {day: [round(session_s, 3), cut] for day, (session_s, cut) in self._days.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The day that is spent on: what the clock calls it, and when it began by a clock that nobody sets."""

    name: str
    began_ms: int
    session_s: float = 0.0
    cut: int = 0

    def add(self, session_s: float, cut: int = 0) -> "Day":
        return replace(self, session_s=self.session_s + session_s, cut=self.cut + cut)


def day_at(day: Day, today: str, steady_ms: int) -> Day:
    """Return the day it is: the same by another name where the clock was set, else a new one. Pure.

    A clock that is set to and fro begins no day: the limit holds for DAY_H_MIN at least. Nor does it keep one
    from ending: it holds for DAY_H_MAX at most.
    """
    passed_h = (steady_ms - day.began_ms) / 3_600_000
    if passed_h >= DAY_H_MAX or (today != day.name and passed_h >= DAY_H_MIN):
        return Day(name=today, began_ms=steady_ms)
    return replace(day, name=today)


class Meter:
    """Watches the sessions' sockets. Used from the loop's thread; `status` from any."""

    def __init__(
        self, settings: Settings, journal: TurnJournal, steady_ms: Callable[[], int] = wall_ms
    ) -> None:
        """`steady_ms` is a clock that nobody sets."""
        state = journal.state("cost", CostState) or {}
        self.ledger = Ledger(state.get("days"))
        self._cost = settings.cost
        self._is_paid = settings.service == "assemblyai"
        self._journal = journal
        self._steady_ms = steady_ms
        self._day = self._known_day(state.get("day"))
        self._look_at_day()
        self._open: dict[Session, float] = {}
        """Sessions whose sockets may be open, and until when each is counted; `monotonic` seconds."""
        self._stored_s = float("-inf")
        self._stored: dict[str, Any] = state
        self._announced_ms: int | None = None
        if cut := int(state.get("open") or 0):
            log.warning("sessions_cut", sessions=cut)
            self._add(0.0, cut)

    def watch(self, session: Session) -> None:
        """Count a session from when it opens."""
        if self._is_paid:
            self._open[session] = 0.0

    def tick(self, now_s: float) -> None:
        """Count what has passed, to the day it is; write it down now and then, and when something changes."""
        changed = self._look_at_day()
        for session, counted_s in list(self._open.items()):
            is_closed, opened_s = session.is_closed, session.opened_s
            if opened_s is not None:
                changed |= not counted_s or is_closed
                self._add(max(0.0, now_s - max(counted_s, opened_s)))
                self._open[session] = now_s
            if is_closed:
                del self._open[session]
                if session.was_cut:
                    log.warning("session_cut", session_id=session.session_id)
                    self._add(0.0, 1)
        if changed or (self._open and now_s - self._stored_s >= STORE_S):
            self.store(now_s)

    def store(self, now_s: float) -> None:
        """Write it down; where there is no room it stays in memory until there is."""
        self._stored_s = now_s
        is_open = sum(session.opened_s is not None and not session.has_ended for session in self._open)
        day = {**asdict(self._day), "session_s": round(self._day.session_s, 3)}
        state = {"days": self.ledger.to_state(), "open": is_open, "day": day}
        if state != self._stored:
            with suppress(TurnJournalFullError):
                self._journal.keep({"cost": state})
                self._stored = state

    @property
    def is_spent(self) -> bool:
        """Whether today has reached its limit."""
        limit = self._cost.daily_limit
        return self._is_paid and limit > 0 and self._price(self._day.session_s) >= limit

    @property
    def reason(self) -> str:
        return (
            f"the daily limit of ${self._cost.daily_limit:.2f} is reached: no session until tomorrow, or "
            "until cost.daily_limit is raised; what is heard is kept"
        )

    def announce(self) -> bool:
        """Say that the limit is reached: once a day; True when it had to be said."""
        if self._announced_ms == self._day.began_ms:
            return False
        self._announced_ms = self._day.began_ms
        log.error("daily_limit_reached", limit=self._cost.daily_limit, **self.status())
        return True

    def status(self) -> dict[str, Any]:
        """Tell today's and this month's session seconds and dollars."""
        day_s, cut, (month_s, _) = self._day.session_s, self._day.cut, self.ledger.total(self._day.name[:7])
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
        shown = [f"{rough(day_s)} (${self._price(day_s):.2f}) today"]
        shown += [f"{rough(month_s)} (${self._price(month_s):.2f}) this month"] if month_s > day_s else []
        shown += [f"{cut} cut off today, which may cost up to 3 h each"] if cut else []
        return " and ".join(shown[:2]) + "".join(f", {more}" for more in shown[2:]) if month_s else ""

    def _known_day(self, known: Mapping[str, Any] | None) -> Day:
        """Return the day that another process spent on; of an older version's, as much as is known."""
        with suppress(KeyError, TypeError, ValueError):
            if known:
                return Day(
                    name=str(known["name"]),
                    began_ms=int(known["began_ms"]),
                    session_s=float(known["session_s"]),
                    cut=int(known["cut"]),
                )
        today, passed_ms = local_day(), since_midnight_ms()
        session_s, cut = self.ledger.total(today)
        return Day(name=today, began_ms=self._steady_ms() - passed_ms, session_s=session_s, cut=cut)

    def _look_at_day(self) -> bool:
        """Follow the day; return whether another one has begun, or the same got another name."""
        before, self._day = self._day, day_at(self._day, local_day(), self._steady_ms())
        if self._day.began_ms == before.began_ms and self._day.name != before.name:
            log.warning("day_renamed", before=before.name, now=self._day.name)
            self.ledger.rename(before.name, self._day.name, before.session_s, before.cut)
        return self._day != before

    def _add(self, session_s: float, cut: int = 0) -> None:
        self._day = self._day.add(session_s, cut)
        self.ledger.add(self._day.name, session_s, cut)

    def _price(self, session_s: float) -> float:
        return session_s / 3600 * self._cost.per_hour if self._is_paid else 0.0


class Sessions(Protocol):
    """What ends at the limit."""

    state: Any
    failure: str

    def leave(self) -> bool:
        """End all sessions; True once they are over."""
        ...


def is_spent(sessions: Sessions, meter: Meter, minutes: "Minutes", *, is_recording: bool) -> bool:
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


def since_midnight_ms() -> int:
    now = time.localtime()
    return ((now.tm_hour * 60 + now.tm_min) * 60 + now.tm_sec) * 1000
