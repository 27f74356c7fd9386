"""Listens while no session does: closes the session when nobody speaks, and wakes it when somebody does."""

import time
from typing import Any, Final

import structlog
from assemblyai.streaming.v3 import SpeechStartedEvent, TerminationEvent, TurnEvent

from minuted.config import Settings
from minuted.transcription.idle import STRICTEST, Idle
from minuted.transcription.intake import Frames, Intake
from minuted.transcription.lane import Lane
from minuted.transcription.lanes import Lanes
from minuted.transcription.minutes import Minutes
from minuted.transcription.session import Event
from minuted.transcription.speech import Speech

FRAMES_MAX: Final = 20
"""Looked at in one go: 50 ms of work at the most; ten times real time."""
LATE_FRAMES_MAX: Final = 100
"""With 5 s to be looked at while a session is open, leave them to the service."""
BEHIND_FRAMES_MAX: Final = 1200
"""With a minute to be looked at while none is, open one: the detector would take too long."""
OPEN_TURN_S_MAX: Final = 5.0
"""A turn that has not grown for so long may not be speech, or the service tells no words: have a look."""
CLOSE_S_MAX: Final = 3.0
"""So long may a session take to end while somebody speaks again; nobody waits for what it has to say."""
CUT_MS: Final = 500
"""A word that ends so close to the end of what a session was sent may go on after it."""

log = structlog.get_logger(__name__)


class Vigil:
    """Looks at one source's sound beside its sessions. Used from the loop's thread; `status` from any."""

    def __init__(self, settings: Settings, intake: Intake, minutes: Minutes, lanes: Lanes) -> None:
        self._is_on = settings.engine.idle_after_s > 0
        self._intake = intake
        self._minutes = minutes
        self._lanes = lanes
        self._idle: Idle = minutes.idle
        self._speech: Speech | None = None
        self._frames: Frames | None = None
        self._said_s = float("-inf")
        self._sound_s = time.monotonic()
        self._has_ended = False
        self._closing: Lane | None = None
        self._closed_s = 0.0
        lanes.is_resting = self._idle.phase != "awake"

    def hear(self, lane: Lane, event: Event, now_s: float) -> None:
        """Learn from what a session says whether somebody speaks, and whether it has ended in order."""
        if isinstance(event, TurnEvent) and event.transcript.strip():
            self._idle.words()
        if not lane.is_live:
            return
        if isinstance(event, (TurnEvent, SpeechStartedEvent)):
            self._said_s = now_s
            if not lane.is_terminating or (lane is self._closing and _is_cut(lane, event)):
                self._idle.speak()
                self._leave()
        elif isinstance(event, TerminationEvent):
            self._has_ended = True

    def look(self, now_s: float) -> None:
        """Look at the sound that came, and close or wake the session. Raises TurnJournalFullError."""
        self._idle.tick(now_s, _today(), is_paused=self._intake.is_paused)
        unheard, live = self._minutes.marks.live, self._lanes.live
        if not self._is_on or unheard is None or not self._intake.is_paced:
            self._idle.wake()
            self._idle.is_listening = False
        else:
            self._settle(live, now_s)
            self._listen(unheard.start, live, now_s)
            self._decide(live, now_s)
        if self._idle.phase == "awake":
            self._leave()
        if self._lanes.is_resting and self._idle.phase == "awake":
            log.info("woken", wakes=self._idle.wakes, vain=self._idle.vain)
            self._lanes.is_woken = True
        self._lanes.is_resting = self._idle.phase != "awake"

    def finish(self) -> None:
        """No more sound will come for now: what was looked at to its end and is silent need not be heard."""
        unheard, idle = self._minutes.marks.live, self._idle
        if unheard is None or idle.phase != "idle":
            return
        is_looked_at = unheard.start >= idle.looked_from and idle.looked_before >= self._intake.sound_before
        if is_looked_at and idle.is_sure:
            self._minutes.marks.move(unheard.id, self._intake.next_number)
        elif is_looked_at:
            idle.wake()
            self._lanes.is_resting = False

    def status(self) -> dict[str, Any]:
        """Tell what `minuted status` shows."""
        idle = self._idle
        return {
            "idle_since_ms": idle.since_ms,
            "saved_today_s": round(idle.saved_s(_today()), 1),
            "wakes": idle.wakes,
            "wakes_in_vain": idle.vain,
        }

    # Details.

    def _leave(self) -> None:
        """Somebody speaks while the session ends: the next one is not to wait, and hears its part again."""
        if self._closing:
            self._closing.is_live, self._closing.is_muted = False, True

    def _settle(self, live: Lane | None, now_s: float) -> None:
        """The session that was asked to end is gone: all is heard, or it broke and has to be heard again."""
        if self._closing and self._closing.is_muted and now_s - self._closed_s > CLOSE_S_MAX:
            self._closing.session.give_up("the session does not end")
            self._closing = None
        if self._idle.phase != "closing" or live is not None:
            return
        if not self._has_ended:
            self._idle.wake()
            return
        self._closing = None
        self._idle.rest(time.time_ns() // 1_000_000)
        self._minutes.store()
        log.info("resting", vain=self._idle.vain)

    def _listen(self, start: int, live: Lane | None, now_s: float) -> None:
        idle, newest = self._idle, self._intake.next_number
        is_turn_open = live is not None and live.turn_is_open and now_s - self._said_s <= OPEN_TURN_S_MAX
        if idle.phase == "awake" and (
            is_turn_open or live is None or self._waiting(idle.looked_before) > LATE_FRAMES_MAX
        ):
            # Somebody speaks or may do, and the service hears it.
            if newest > idle.looked_before:
                self._sound_s = now_s
            idle.speak()
            self._begin_at(newest)
            return
        if self._frames is None:
            self._begin_at(start if idle.phase == "idle" else newest)
            self._frames = self._intake.frames(idle.looked_before)
            idle.is_listening = True
        self._speech = self._speech or Speech()
        for _ in range(FRAMES_MAX):
            frame = self._frames.peek()
            if frame is None:
                break
            if frame.number != idle.looked_before:
                self._speech.reset()
            likely = self._speech.hear(frame.pcm)
            idle.look(frame.number, likely)
            if live and likely >= STRICTEST:
                live.progress.detected(frame.number)
            self._frames.advance()
            self._sound_s = now_s

    def _begin_at(self, number: int) -> None:
        if self._frames:
            self._frames.close()
            self._frames, self._idle.is_listening = None, False
        if self._speech:
            self._speech.reset()
        self._idle.begin_at(number)

    def _waiting(self, number: int) -> int:
        return self._intake.sound_before - number

    def _decide(self, live: Lane | None, now_s: float) -> None:
        idle, unheard = self._idle, self._minutes.marks.live
        assert unheard is not None
        if idle.phase == "idle":
            if unheard.start < idle.looked_from or self._waiting(idle.looked_before) > BEHIND_FRAMES_MAX:
                idle.wake()
            else:
                self._minutes.marks.move(unheard.id, min(idle.pass_before, idle.looked_before))
            return
        has_heard_all = (
            live is not None and live.turns is not None and live.sent_before >= self._intake.sound_before
        )
        if has_heard_all and idle.is_due(now_s - self._sound_s) and idle.is_sure:
            idle.close()
            self._has_ended, self._closing, self._closed_s = False, live, now_s
            self._lanes.rest()


def _is_cut(lane: Lane, event: TurnEvent | SpeechStartedEvent) -> bool:
    """Whether a session that ends tells of a word that may not have been over yet."""
    if not isinstance(event, TurnEvent) or not event.words:
        return False
    return bool(event.words[-1].end > lane.clock.sent_ms - CUT_MS)


def _today() -> str:
    return time.strftime("%Y-%m-%d")
