"""When the session is closed because nobody speaks, and from where it is opened again. Pure.

Time is counted in frames that a detector has looked at: what nobody looked at was not silent.
"""

import math
from collections.abc import Mapping
from typing import Any, Final, Literal, NotRequired, TypedDict

from minuted.messages import FRAME_MS

PRE_ROLL_FRAMES: Final = 30
"""A session begins 1.5 s before the speech for which it is opened."""
NOTICE_FRAMES: Final = 10
"""Speech is noticed within 500 ms, the faintest too."""
SPEECH: Final = 0.3
"""From this likelihood on it is speech: what the service's own detector has for its bound."""
STRICTER: Final = 0.1
STEPS_MAX: Final = 2
"""Opened in vain, the bound rises so much, at most so often: at 0.5 nothing was missed at a noise as loud."""
STRICTEST: Final = SPEECH + STEPS_MAX * STRICTER
"""This holds a session that is open; it takes less to open one."""
LONGER_MAX: Final = 8
"""Opened in vain after that too, the session stays open twice as long each time, up to so many times."""
DOUBT: Final = 0.15
"""From here on it may be speech: the mark waits there to see what becomes of it …"""
DOUBT_FRAMES_MAX: Final = 20
"""… for a second, and no longer than that after the last doubt."""
SAVED_DAYS_MAX: Final = 3
"""Days of which the time is remembered that no session was open."""
PASSED_S_MAX: Final = 5.0
"""More than this between two looks: the machine slept."""

Phase = Literal["awake", "closing", "idle"]


class IdleState(TypedDict):
    """What `Idle.to_state` gives."""

    since_ms: NotRequired[int | None]
    vain: NotRequired[int]
    saved_s: NotRequired[float]
    saved_days: NotRequired[dict[str, float]]
    saved_day: NotRequired[str]


class Idle:
    """Decides for one source. `after_s` without speech the session may go; 0: never."""

    def __init__(self, after_s: float, state: Mapping[str, Any] | None = None) -> None:
        """Go on from what `to_state` gave another process; the sound from the mark on it looks at anew."""
        known = state or {}
        self.phase: Phase = "idle" if after_s and known.get("since_ms") is not None else "awake"
        self.since_ms: int | None = known.get("since_ms") if self.phase == "idle" else None
        """Since when no session is open (epoch milliseconds)."""
        self.vain: int = known.get("vain", 0)
        """How often it was opened in vain of late: no words came."""
        self.wakes = 0
        self.is_listening = False
        """The detector looks at what comes; else the service is known to hear speech in it."""
        self.looked_from = 0
        """Every frame from here up to `looked_before` was looked at, and is not speech."""
        self.looked_before = 0
        self._after_s = after_s
        self._saved_s: dict[str, float] = dict(known.get("saved_days", ()))
        if "saved_day" in known:  # an older version
            self._saved_s = {known["saved_day"]: known.get("saved_s", 0.0)}
        self._quiet = 0
        self._doubt = -1
        self._doubt_last = -1
        self._had_words = True
        self._ticked_s: float | None = None

    @property
    def bound(self) -> float:
        """From which likelihood on a frame is speech."""
        return SPEECH + STRICTER * min(self.vain, STEPS_MAX)

    @property
    def quiet_s_min(self) -> float:
        """How long nobody must have spoken."""
        return self._after_s * float(min(LONGER_MAX, 2 ** max(0, self.vain - STEPS_MAX)))

    @property
    def pass_before(self) -> int:
        """The frame up to which sound need not be heard, if nobody speaks: no word began before it."""
        quiet_before = self._doubt if self._doubt >= 0 else self.looked_before
        return quiet_before - PRE_ROLL_FRAMES - NOTICE_FRAMES

    @property
    def hold_before(self) -> float:
        """The frame up to which a mark may move while a session is open, if nothing says that it may more.

        Speech may be beginning, and the session be closed before anybody knows.
        """
        return max(self.pass_before, self.looked_from) if self.is_listening else math.inf

    @property
    def is_sure(self) -> bool:
        """Whether nothing looked at of late may be the beginning of a word."""
        return self._doubt < 0

    # What comes in.

    def begin_at(self, number: int) -> None:
        """What was before frame `number` was not looked at."""
        self.looked_from = self.looked_before = number
        self._doubt = -1

    def look(self, number: int, likely: float) -> None:
        """A frame was looked at, the next one, with how likely it is that somebody speaks in it."""
        self.looked_before = number + 1
        if likely >= STRICTEST or (likely >= self.bound and self.phase != "awake"):
            self.speak()
            return
        if likely >= self.bound:
            # The service hears it and knows better; but nobody else may pass it.
            self.looked_from = self.looked_before
        self._quiet += 1
        if likely >= DOUBT:
            self._doubt_last = number
            self._doubt = number if self._doubt < 0 else max(self._doubt, number - DOUBT_FRAMES_MAX)
        elif self._doubt >= 0 and number - self._doubt_last >= DOUBT_FRAMES_MAX:
            self._doubt = -1

    def speak(self) -> None:
        """Somebody speaks: what was looked at so far is not to be passed."""
        self.looked_from = self.looked_before
        self.wake()

    def words(self) -> None:
        """The service has heard words: it was not opened in vain. They may come when it is closed again."""
        if not self._had_words and self.phase == "idle":
            self.vain = max(0, self.vain - 1)
        self._had_words = True

    # What follows.

    def is_due(self, still_s: float) -> bool:
        """Whether nobody has spoken for long enough; `still_s` is for how long no sound has come at all."""
        quiet_s = self._quiet * FRAME_MS / 1000 + still_s
        return self.phase == "awake" and self._after_s > 0 and quiet_s >= self.quiet_s_min

    def close(self) -> None:
        """The session is asked to end."""
        self.phase = "closing"

    def rest(self, now_ms: int) -> None:
        """It has ended, and all it was sent was heard."""
        self.phase, self.since_ms = "idle", now_ms
        self.vain = max(0, self.vain - 1) if self._had_words else self.vain + 1
        self._ticked_s = None

    def wake(self) -> None:
        """A session is to be opened: somebody speaks, or nobody knows."""
        if self.phase == "idle":
            self.wakes += 1
            self._had_words = False
        self.phase, self.since_ms = "awake", None
        self._quiet, self._doubt = 0, -1

    def tick(self, now_s: float, today: str, *, is_paused: bool = False) -> None:
        """Count the time in which no session is open for want of speech, on the day it passes."""
        # A clock that is set to another day and back finds that day's count again.
        self._saved_s.setdefault(today, 0.0)
        while len(self._saved_s) > SAVED_DAYS_MAX:
            del self._saved_s[next(day for day in self._saved_s if day != today)]
        if self.phase != "idle" or is_paused:
            self._ticked_s = None
            return
        if self._ticked_s is not None:
            self._saved_s[today] += min(PASSED_S_MAX, now_s - self._ticked_s)
        self._ticked_s = now_s

    def saved_s(self, today: str) -> float:
        """How long no session was open today because nobody spoke."""
        return self._saved_s.get(today, 0.0)

    def to_state(self) -> dict[str, Any]:
        return {
            "since_ms": self.since_ms,
            "vain": self.vain,
            "saved_days": {day: round(saved_s, 1) for day, saved_s in self._saved_s.items()},
        }
