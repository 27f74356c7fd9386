"""A source's way to its outlet: its frames in order, the end marker, and what goes wrong."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol

import structlog

from minuted.capture.backlog import Backlog, Item
from minuted.capture.framing import level_dbfs
from minuted.capture.microphone import MicrophoneError
from minuted.capture.outlets import JournalFailedError, Outlet, Reason
from minuted.capture.pause import Pause
from minuted.capture.playing import DamagedError
from minuted.messages import FRAME_MS, AudioEnd, AudioFrame
from minuted.runtime import notify, pulse

TICK_S: Final = 0.1
"""How long one wait may take, and so how late a stop or a stall is noticed."""
LEVEL_FRAMES: Final = 1000 // FRAME_MS
WAITING_S: Final = 1.0
"""From when on a receiver that takes nothing is worth a word in the status."""
LOST_FLUSH_S_MAX: Final = 5.0
"""When the microphone is lost, how long what it had said may take to leave."""
UNHEARD_FLUSH_S_MAX: Final = 0.5
"""How long a stop waits for a receiver that never was there."""
NO_ROOM_FLUSH_S_MAX: Final = 0.5
"""How long it waits for room on a disk that is full."""
READER_S_MAX: Final = 1.0
"""How long the reading thread may take to notice the end, or a failed journal to close."""
TELL_EVERY_S: Final = 1.0
"""Losses are logged no more often."""
LOST: Final = 75
"""The exit status when the device is lost: try again (EX_TEMPFAIL), for nothing here has crashed."""
BROKE_OFF: Final = 65
"""The exit status when a recording broke off, and all before it was sent (EX_DATAERR)."""
LET_GO_S_MAX: Final = 1.0
"""How long a device may take to close for a pause; then the process ends, which closes it."""

log = structlog.get_logger(__name__)


class Source(Protocol):
    """Where sound comes from: a Microphone or a Player."""

    name: str
    missing: str
    """What it waits for before it can begin, in one line."""
    overflows: int
    """How often sound was lost before it reached us."""

    @property
    def doubt(self) -> str:
        """Why what is heard may be nothing, in one line."""

    def run(self, put: Callable[[Item], bool], stop: threading.Event) -> None: ...
    def fault(self, now_s: float) -> str: ...
    def status(self) -> dict[str, Any]: ...


class Sender:
    """A source's way to its outlet: one thread makes frames, the caller of `run` sends them.

    In a pause that thread has closed the source and waits; what was heard before still leaves.
    """

    def __init__(
        self,
        source: Source,
        backlog: Backlog,
        outlet: Outlet,
        stop: threading.Event,
        stop_timeout_s: float,
        pause: Pause,
        number_now: Callable[[], int],
    ) -> None:
        """`number_now` gives the number of a frame that is heard now."""
        self.is_stuck = False
        """A thread is left that may never end."""
        self._source = source
        self._backlog = backlog
        self._outlet = outlet
        self._stop = stop
        self._stop_timeout_s = stop_timeout_s
        self._pause = pause
        self._number_now = number_now
        self._halt = threading.Event()
        """Set while the source is to stop, for good or for a pause."""
        self._rests = threading.Event()
        """The source is closed for a pause."""
        self._has_resumed = False
        """A pause is over, and nothing has been heard since."""
        self._asked_s: float | None = None
        self._put_number = 0
        self._reader = threading.Thread(target=self._read, name="reader", daemon=True)
        self._error: Exception | None = None
        self._recent: deque[bytes] = deque(maxlen=LEVEL_FRAMES)
        self._ending: Literal["", "drained", "stopped", "lost"] = ""
        self._deadline_s: float | None = None
        self._failed = False
        self._sent = 0
        self._next_number = 0
        self._sent_s = time.monotonic()
        self._told_trouble = ""
        self._told_losses = (0, 0)
        self._told_losses_s = 0.0

    def status(self) -> dict[str, Any]:
        """Tell what `minuted status` shows. May be called from any thread."""
        return {
            "state": self._state(time.monotonic()),
            "source": self._source.name,
            "reason": self._trouble(),
            "paused": self._pause.is_on and self._rests.is_set(),
            "paused_until_ms": self._pause.until_ms,
            "frames": self._sent,
            "next_number": self._next_number,
            "queued": len(self._backlog),
            "dropped": self._backlog.dropped,
            "overflows": self._source.overflows,
            "level_dbfs": level_dbfs(tuple(self._recent)),
            **self._outlet.status(),
            **self._source.status(),
        }

    def run(self) -> int:
        """Work until everything has been sent, or can no longer be; give the exit status."""
        try:
            return self._run()
        except JournalFailedError as error:
            log.error("journal_failed", reason=str(error))
            notify.status(f"the audio journal failed: {error}")
            # Nothing can be kept any more, and a disk that fails may hang as well.
            self._begin_closing().join(READER_S_MAX)
            self.is_stuck = True
            return 1

    def _run(self) -> int:
        self._reader.start()
        frame: Item | None = None
        while not self._is_over(time.monotonic()):
            if frame is None:
                frame = self._backlog.take(TICK_S)
            if frame is None:
                if self._backlog.is_drained:
                    break
            elif self._hand_on(frame):
                frame = None
        left = len(self._backlog) + (frame is not None)
        if self._ending != "lost":
            self._reader.join(READER_S_MAX)
        self._raise_error()
        is_whole = self._close(left)
        self.is_stuck = self._ending == "lost" or self._reader.is_alive() or not is_whole
        log.info(
            "capture_ended",
            reason=self._ending,
            frames=self._sent,
            dropped=self._backlog.dropped,
            **self._outlet.status(),
        )
        if self._ending == "lost" and self._sent:
            return LOST
        if is_whole and isinstance(self._error, DamagedError):
            return BROKE_OFF
        return 1 if self._failed or not is_whole else 0

    def _read(self) -> None:
        try:
            while True:
                if not self._pause.is_on:
                    self._source.run(self._put, self._halt)
                if self._is_ending or not self._pause.is_possible:
                    return
                self._rest()
                if self._is_ending:
                    return
        except Exception as error:  # it is the other thread that acts on it
            self._error = error

    @property
    def _is_ending(self) -> bool:
        return bool(self._ending) or self._stop.is_set()

    def _put(self, frame: Item) -> bool:
        # What was heard in part after somebody asked for a pause is not kept at all.
        if self._pause.is_on:
            return False
        if isinstance(frame, AudioFrame):
            self._recent.append(frame.pcm)
            self._put_number = frame.number + 1
            self._has_resumed = False
        return self._backlog.put(frame)

    def _rest(self) -> None:
        """Wait for a pause to be over; the source is closed."""
        self._recent.clear()
        self._backlog.put(AudioEnd(next_number=self._put_number, reason="paused"))
        self._rests.set()
        log.info("paused", until_ms=self._pause.until_ms)
        while self._pause.is_on and not self._is_ending:
            self._pause.wait(TICK_S)
            self._pause.follow_clock()
        # Whoever ends it says so first and halts then.
        self._halt.clear()
        if self._is_ending:
            return
        self._pause.tidy()
        log.info("resumed")
        self._has_resumed = True
        self._rests.clear()

    def _hand_on(self, item: Item) -> bool:
        if isinstance(item, AudioEnd):
            return self._outlet.finish("paused", TICK_S)
        if not self._outlet.take(item, TICK_S):
            return False
        if isinstance(item, AudioFrame):
            self._note_sent(item)
        return True

    def _note_sent(self, frame: AudioFrame) -> None:
        self._sent += 1
        self._next_number = frame.number + 1
        self._sent_s = time.monotonic()
        if self._sent == 1:
            notify.ready(f"hearing {self._source.name}")

    def _is_over(self, now_s: float) -> bool:
        """Look after the source, the outlet and the counters; say whether there is no time left."""
        pulse.beat()
        self._outlet.check()
        if not self._ending:
            self._look_at_pause(now_s)
            self._look_for_end(now_s)
        elif self._deadline_s is None and self._stop.is_set():
            self._deadline_s = now_s + self._stop_timeout_s
        if self._deadline_s is not None and self._outlet.trouble:
            self._deadline_s = min(self._deadline_s, now_s + NO_ROOM_FLUSH_S_MAX)
        self._tell(now_s)
        return self._deadline_s is not None and now_s > self._deadline_s

    def _look_at_pause(self, now_s: float) -> None:
        if self._has_resumed and self._source.missing and not len(self._backlog):
            self._has_resumed = False
            self._outlet.lose(self._number_now())
        if not self._pause.is_on or self._rests.is_set():
            self._asked_s = None
            return
        self._halt.set()
        self._asked_s = self._asked_s or now_s

    def _look_for_end(self, now_s: float) -> None:
        if self._stop.is_set():
            self._end("stopped", now_s + self._flush_s_max(self._stop_timeout_s))
        elif not self._reader.is_alive():
            if isinstance(self._error, OSError):
                self._fail(str(self._error))
            is_lost = isinstance(self._error, MicrophoneError)
            deadline_s = now_s + self._flush_s_max(LOST_FLUSH_S_MAX) if is_lost else None
            self._end("lost" if is_lost else "drained", deadline_s)
        elif self._asked_s and now_s - self._asked_s > LET_GO_S_MAX:
            self._fail("the device does not close for a pause")
            self._end("lost", now_s + self._flush_s_max(LOST_FLUSH_S_MAX))
        elif not self._rests.is_set() and (fault := self._source.fault(now_s)):
            self._fail(fault)
            self._end("lost", now_s + self._flush_s_max(LOST_FLUSH_S_MAX))

    def _flush_s_max(self, bound_s: float) -> float:
        return bound_s if self._sent else UNHEARD_FLUSH_S_MAX

    def _end(self, ending: Literal["drained", "stopped", "lost"], deadline_s: float | None) -> None:
        self._ending = ending
        self._deadline_s = deadline_s
        self._halt.set()
        self._backlog.end()

    def _fail(self, reason: str) -> None:
        self._failed = True
        log.error("source_failed", source=self._source.name, reason=reason)
        notify.status(reason)

    def _tell(self, now_s: float) -> None:
        """Say what has gone wrong since it was last said."""
        if (trouble := self._trouble()) != self._told_trouble:
            self._told_trouble = trouble
            if trouble and trouble == self._source.doubt:
                log.warning("source_silent", source=self._source.name, reason=trouble)
            if trouble:
                # Up and at its post, though there is nothing to hear yet or no room for it.
                notify.ready(trouble)
            elif self._sent:
                notify.status(f"hearing {self._source.name}")
        losses = (self._backlog.dropped, self._source.overflows)
        if losses == self._told_losses or now_s - self._told_losses_s < TELL_EVERY_S:
            return
        if dropped := losses[0] - self._told_losses[0]:
            log.error("frames_dropped", count=dropped, reason="backlog full", intentional=False)
        if overflows := losses[1] - self._told_losses[1]:
            log.error("input_overflowed", count=overflows)
        self._told_losses, self._told_losses_s = losses, now_s

    def _raise_error(self) -> None:
        if self._error and not isinstance(self._error, OSError):
            self._outlet.close(hurried=True)
            raise self._error

    def _close(self, left: int) -> bool:
        """Send the end marker and close the outlet; False when something stays behind."""
        if left:
            reason = self._outlet.trouble or "nobody took them"
            log.error("frames_abandoned", count=left, reason=reason, intentional=False)
        elif self._ending == "lost":
            self._outlet.lose(self._number_now())
        elif not self._send_end():
            left = 1
        closing = self._begin_closing()
        while closing.is_alive() and not self._is_over(time.monotonic()):
            closing.join(TICK_S)
        self._outlet.check()
        return not left and not closing.is_alive()

    def _begin_closing(self) -> threading.Thread:
        # Closing waits without a bound of its own, so it has a thread of its own.
        closing = threading.Thread(target=self._outlet.close, name="closing", daemon=True)
        closing.start()
        return closing

    def _send_end(self) -> bool:
        reason: Reason = "stopped" if self._ending == "stopped" else "drained"
        while not self._outlet.finish(reason, TICK_S):
            if self._is_over(time.monotonic()):
                return False
        return True

    def _trouble(self) -> str:
        return self._pause.text or self._source.missing or self._outlet.trouble or self._source.doubt

    def _state(self, now_s: float) -> str:
        if self._outlet.trouble:
            return "disk-full"
        if self._ending:
            return "draining"
        if self._pause.is_on:
            return "paused" if self._rests.is_set() else "pausing"
        if self._source.missing:
            return "no-device"
        if not self._recent:
            return "starting"
        waits = len(self._backlog) > 0 and now_s - self._sent_s > WAITING_S
        if waits:
            return "waiting"
        return "silent" if self._source.doubt else "hearing"
