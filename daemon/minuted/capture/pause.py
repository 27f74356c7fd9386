"""A pause for privacy: noted in the state folder, so that no restart ends it, and told to threads."""

import math
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypedDict

import structlog

from minuted.capture import notes
from minuted.control import Handler

NOTE: Final = "paused.json"
"""Since when and until when, in the state folder; the end is null for a pause without one."""
NOT_PAUSED: Final = 0.0

log = structlog.get_logger(__name__)


class PauseNote(TypedDict):
    """What is noted of a pause."""

    until_ms: float | None


class Pause:
    """Whether nobody may be heard, and until when. May be used from any thread.

    Its end is a time of day, so that it holds over restarts of the machine too: it comes earlier or later
    where the clock is set in the meantime.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Go on with a pause that another process noted; without a folder there is none. Raises OSError."""
        self._note = folder / NOTE if folder else None
        self._until_ms = _read(self._note) if self._note else NOT_PAUSED
        self._changed = threading.Condition()

    @property
    def is_possible(self) -> bool:
        return self._note is not None

    @property
    def is_on(self) -> bool:
        return time.time() * 1000 < self._until_ms

    @property
    def text(self) -> str:
        """Say it in words; "" while there is none."""
        return describe(self._until_ms, time.time() * 1000)

    @property
    def until_ms(self) -> int | None:
        """When it ends by itself, in epoch milliseconds."""
        return int(self._until_ms) if self.is_on and math.isfinite(self._until_ms) else None

    def begin(self, until_ms: float = math.inf) -> None:
        """Pause, or change the end of a pause. Raises OSError when that cannot be noted: then it is undone.

        A disk may take its time: nothing is heard meanwhile, and it is confirmed when it is noted.
        """
        assert self._note
        with self._changed:
            before_ms, self._until_ms = self._until_ms, until_ms
            try:
                values = {"since_ms": time.time_ns() // 1_000_000, "until_ms": _end_of(until_ms)}
                notes.store(self._note, values)
            except OSError:
                self._until_ms = before_ms
                raise
            finally:
                self._changed.notify_all()

    def end(self) -> None:
        """End a pause. Raises OSError when that cannot be noted: then it goes on."""
        assert self._note
        with self._changed:
            notes.remove(self._note)
            self._until_ms = NOT_PAUSED
            self._changed.notify_all()

    def tidy(self) -> None:
        """Take away the note of a pause that has run out."""
        assert self._note
        with self._changed:
            if not self.is_on and self._until_ms != NOT_PAUSED:
                try:
                    # Another source's process may have noted a new one.
                    if _read(self._note) <= self._until_ms:
                        notes.remove(self._note)
                except OSError as error:  # what has run out does no harm
                    log.warning("pause_not_tidied", reason=str(error))
                self._until_ms = NOT_PAUSED

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
        until_ms = math.inf if for_s is None else time.time() * 1000 + for_s * 1000
        return changed(question, lambda: pause.begin(until_ms))

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


def _end_of(until_ms: float) -> int | None:
    return int(until_ms) if math.isfinite(until_ms) else None


def _read(note: Path) -> float:
    try:
        until_ms = notes.read(note, PauseNote)["until_ms"]
        return math.inf if until_ms is None else float(until_ms)
    except FileNotFoundError:
        return NOT_PAUSED
    except ValueError:
        # Somebody wanted not to be heard; until when is not to be read any more.
        log.error("pause_unreadable", path=str(note))
        return math.inf
