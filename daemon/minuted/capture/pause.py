"""A pause for privacy: noted in the state folder, so that no restart ends it, and told to threads."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NotRequired, TypedDict

import structlog

from minuted.control import Handler
from minuted.runtime import clock, notes
from minuted.runtime.clock import Reading, are_two_boots

NOTE: Final = "paused.json"
"""Since when and until when, in the state folder; the end is null for a pause without one."""
CLOCK_SET_MS: Final = 1000.0
"""A wall clock that is off by so much was set."""

log = structlog.get_logger(__name__)


class PauseNote(TypedDict):
    """What is noted of a pause; an older version noted no boot."""

    since_ms: float
    until_ms: float | None
    boot_id: NotRequired[str]
    until_boot_ms: NotRequired[float]
    wall_ms: NotRequired[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """When a pause is over, by the boot clock of one boot; infinity: when somebody ends it."""

    boot_id: str
    boot_ms: float
    wall_ms: float | None = None
    """Over by this time of day too, once the wall clock is known to be right: noted in another boot."""


NO_PAUSE: Final = End(boot_id="", boot_ms=-math.inf)
FOR_GOOD: Final = End(boot_id="", boot_ms=math.inf)


def carried(noted: Mapping[str, Any], now: Reading) -> End:
    """Return when a pause that was noted before is over. Pure; raises ValueError, KeyError or OverflowError.

    In the boot it was noted in, by the boot clock. Later nobody knows how long the machine was off: it is
    over when its whole time has passed since this boot, or by the wall clock once that is known to be right.
    """
    if noted["until_ms"] is None:
        return FOR_GOOD
    until_ms, since_ms = _finite(noted["until_ms"]), _finite(noted["since_ms"])
    boot_id = str(noted.get("boot_id", ""))
    if boot_id == now.boot_id:
        wall_ms = None if noted.get("wall_ms") is None else _finite(noted["wall_ms"])
        return End(boot_id=boot_id, boot_ms=_finite(noted["until_boot_ms"]), wall_ms=wall_ms)
    # An older version noted no boot: it may have been this one, so its time begins now.
    passed_ms = now.boot_ms if are_two_boots(boot_id, now.boot_id) else 0.0
    length_ms = max(0.0, until_ms - since_ms)
    return End(boot_id=now.boot_id, boot_ms=now.boot_ms + max(0.0, length_ms - passed_ms), wall_ms=until_ms)


def settled(end: End, now: Reading, *, is_set: bool) -> End:
    """Return the end by the boot clock alone, once the wall clock is known to be right. Pure."""
    if end.wall_ms is None or not is_set:
        return end
    return replace(end, boot_ms=min(end.boot_ms, now.boot_ms + end.wall_ms - now.wall_ms), wall_ms=None)


class Pause:
    """Whether nobody may be heard, and until when. May be used from any thread.

    It lasts its time by the boot clock, whatever the wall clock is set to; what is noted besides is for the
    next boot, and for people.
    """

    def __init__(self, folder: Path | None = None, read: Callable[[], Reading] = clock.read) -> None:
        """Go on with a pause that another process noted; without a folder there is none. Raises OSError."""
        self._note = folder / NOTE if folder else None
        self._read = read
        self._changed = threading.Condition()
        self._offset_ms = math.inf
        """How far the wall clock was ahead of the boot clock when the end was noted."""
        self._end = self._noted() if self._note else NO_PAUSE
        if self.is_on:
            self.follow_clock()

    @property
    def is_possible(self) -> bool:
        return self._note is not None

    @property
    def is_on(self) -> bool:
        return self._read().boot_ms < self._end.boot_ms

    @property
    def text(self) -> str:
        """Say it in words; "" while there is none."""
        now = self._read()
        return describe(_until_ms(self._end, now), now.wall_ms)

    @property
    def until_ms(self) -> int | None:
        """When it ends by itself, in epoch milliseconds."""
        end, now = self._end, self._read()
        return int(_until_ms(end, now)) if now.boot_ms < end.boot_ms < math.inf else None

    def begin(self, for_ms: float = math.inf) -> None:
        """Pause, or change the end of a pause. Raises OSError when that cannot be noted: then it is undone.

        A disk may take its time: nothing is heard meanwhile, and it is confirmed when it is noted.
        """
        with self._changed:
            now = self._read()
            before, self._end = self._end, End(boot_id=now.boot_id, boot_ms=now.boot_ms + for_ms)
            try:
                self._store(self._end, now, now.wall_ms)
            except OSError:
                self._end = before
                raise
            finally:
                self._changed.notify_all()

    def end(self) -> None:
        """End a pause. Raises OSError when that cannot be noted: then it goes on."""
        assert self._note
        with self._changed:
            notes.remove(self._note)
            self._end = NO_PAUSE
            self._changed.notify_all()

    def tidy(self) -> None:
        """Take away the note of a pause that has run out."""
        assert self._note
        with self._changed:
            if not self.is_on and self._end != NO_PAUSE:
                try:
                    # Another source's process may have noted a new one.
                    if self._noted().boot_ms <= self._end.boot_ms:
                        notes.remove(self._note)
                except OSError as error:  # what has run out does no harm
                    log.warning("pause_not_tidied", reason=str(error))
                self._end = NO_PAUSE

    def follow_clock(self) -> None:
        """Note the end anew where the wall clock was set, or a boot has passed: another one may read it."""
        with self._changed:
            now = self._read()
            if self._note is None or not now.boot_ms < self._end.boot_ms < math.inf:
                return
            was_set = abs(now.wall_ms - now.boot_ms - self._offset_ms) >= CLOCK_SET_MS
            if self._end.wall_ms is None and not was_set:
                return
            self._offset_ms = now.wall_ms - now.boot_ms
            try:
                noted = notes.read(self._note, PauseNote)
                # Another source's process may have ended it, or noted a new one.
                if abs(carried(noted, now).boot_ms - self._end.boot_ms) >= CLOCK_SET_MS:
                    return
                self._end = settled(self._end, now, is_set=self._end.wall_ms is not None and clock.is_set())
                off_ms = float(noted["until_ms"]) - _noted_until_ms(self._end, now)
                known = (noted.get("boot_id"), noted.get("wall_ms"))
                if known != (self._end.boot_id, self._end.wall_ms) or abs(off_ms) >= CLOCK_SET_MS:
                    self._store(self._end, now, float(noted["since_ms"]) - off_ms)
            except FileNotFoundError:
                return
            except (OSError, ValueError, KeyError, OverflowError) as error:  # it goes on all the same
                log.warning("pause_not_noted", reason=str(error))

    def _store(self, end: End, now: Reading, since_ms: float) -> None:
        assert self._note
        values: dict[str, Any] = {"since_ms": round(since_ms), "until_ms": None}
        if math.isfinite(end.boot_ms):
            values["until_ms"] = round(_noted_until_ms(end, now))
            values |= {"boot_id": end.boot_id, "until_boot_ms": round(end.boot_ms), "wall_ms": end.wall_ms}
        notes.store(self._note, values)
        self._offset_ms = now.wall_ms - now.boot_ms

    def _noted(self) -> End:
        assert self._note
        try:
            return carried(notes.read(self._note, PauseNote), self._read())
        except FileNotFoundError:
            return NO_PAUSE
        except (ValueError, KeyError, OverflowError):
            # Somebody wanted not to be heard; until when is not to be read any more.
            log.error("pause_unreadable", path=str(self._note))
            return FOR_GOOD

    def wait(self, timeout_s: float) -> None:
        """Wait until it changes, or `timeout_s`."""
        with self._changed:
            self._changed.wait(timeout_s)


def handlers(pause: Pause) -> dict[str, Handler]:
    """Give what a control socket answers: `{"op": "pause", "for_s": 1800, "before_s": …}` and "resume".

    Whoever asks waits for a while and then says that nothing was changed, so a request is not heeded when
    it is found after `before_s` on the monotonic clock, which is one for the whole machine.
    """

    def begin(question: dict[str, Any]) -> dict[str, Any]:
        for_s = question.get("for_s")
        if for_s is not None and not (isinstance(for_s, int | float) and 0 < for_s < math.inf):
            return refused(f"for_s cannot be {for_s!r}")
        return changed(question, lambda: pause.begin(math.inf if for_s is None else for_s * 1000))

    def changed(question: dict[str, Any], change: Callable[[], None]) -> dict[str, Any]:
        before_s = question.get("before_s")
        if not pause.is_possible:
            return refused("a recording is being played: only a microphone can be paused")
        if isinstance(before_s, int | float) and time.monotonic() > before_s:
            return refused("asked too long ago")
        was_on = pause.is_on
        try:
            change()
        except OSError as error:
            return refused(f"it could not be noted, so nothing was changed: {error}")
        return {"was_paused": was_on, "text": pause.text}

    def refused(why: str) -> dict[str, Any]:
        return {"ok": False, "error": why}

    return {"pause": begin, "resume": lambda question: changed(question, pause.end)}


def describe(until_ms: float, now_ms: float) -> str:
    """Say until when there is a pause, to the minute it is over by; "" when it is over."""
    if now_ms >= until_ms:
        return ""
    if not math.isfinite(until_ms):
        return "paused"
    now = datetime.fromtimestamp(now_ms / 1000).astimezone()
    until = datetime.fromtimestamp(until_ms / 1000).astimezone()
    if until.second or until.microsecond:
        until = until.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return f"paused until {until:%H:%M}" + ("" if until.date() == now.date() else f" on {until:%d %B}")


def _finite(value: Any) -> float:
    if not math.isfinite(found := float(value)):
        raise ValueError(f"{value} is no time")
    return found


def _until_ms(end: End, now: Reading) -> float:
    """Return the time of day at which it is over, as the wall clock is set now."""
    return now.wall_ms + end.boot_ms - now.boot_ms


def _noted_until_ms(end: End, now: Reading) -> float:
    return _until_ms(end, now) if end.wall_ms is None else end.wall_ms
