"""The transcription process's loop: sound and events in, decisions by the pure parts, actions out."""

import queue
import threading
import time
from typing import Any, Final

import structlog
from assemblyai.streaming.v3 import (
    BeginEvent,
    HeartbeatEvent,
    SilenceEvent,
    SpeakerRevisionEvent,
    SpeechStartedEvent,
    TerminationEvent,
    TurnEvent,
    WarningEvent,
)

from minuted.bus import FramesIn, Poller, Wakeup
from minuted.config import Settings
from minuted.journal.turns import TurnJournalFullError
from minuted.messages import FRAME_MS
from minuted.runtime import pulse
from minuted.transcription.cost import Meter
from minuted.transcription.intake import Intake
from minuted.transcription.lane import Lane
from minuted.transcription.lanes import Lanes
from minuted.transcription.minutes import Minutes
from minuted.transcription.publisher import Publisher
from minuted.transcription.retention import Retention
from minuted.transcription.session import Closed, Event, Opened, Session

TICK_S: Final = 0.05
QUIET_CAPTURE_S: Final = 2.0
"""While draining, capture that has sent nothing for this long will send no end marker either."""
ROOM_WAIT_S: Final = 5.0
"""With no room on the disk for a turn, how long until the next try."""
LEAVE_S_MAX: Final = 2.0
"""How long the sessions may take to end when the process is to be replaced."""

log = structlog.get_logger(__name__)


class Transcriber:
    """Turns sound into records by way of sessions. One thread: the caller of `run`.

    `drain`, `force_endpoint`, `wake` and `status` may be called from any thread.
    """

    def __init__(self, settings: Settings, frames: FramesIn, publisher: Publisher, intake: Intake) -> None:
        self._settings = settings
        self._frames = frames
        self._publisher = publisher
        self._intake = intake
        self._minutes = Minutes(settings, publisher, intake)
        self._meter = Meter(settings, publisher.journal)
        self._lanes = Lanes(settings, self._minutes, intake, self._meter, self._post)
        self._events: queue.SimpleQueue[tuple[Session, Event]] = queue.SimpleQueue()
        self._wakeup = Wakeup()
        self._poller = Poller(frames, publisher.turns, publisher.replay, self._wakeup)
        self._poller_full = Poller(publisher.turns, publisher.replay, self._wakeup)
        self._drain = threading.Event()
        self._drained = threading.Event()
        self._was_paused = intake.is_paused
        self._rests = False
        """Paused, with all that was heard before it safe and no session open."""
        self._endpoint = threading.Event()
        self._leave = threading.Event()
        self._last_sound_s = time.monotonic()
        self._halted_at_s: float | None = None
        self._retention = Retention(settings, publisher.journal)

    # What other threads may call.

    def drain(self) -> None:
        """Finish: send what is left, terminate the session, commit the last turns."""
        self._drain.set()
        self._wakeup.set()

    def leave(self) -> None:
        """End the sessions and `run`; what has no words yet, the next process hears again."""
        self._leave.set()
        self._wakeup.set()

    def force_endpoint(self) -> None:
        """End the current turn now."""
        self._endpoint.set()
        self._wakeup.set()

    def wake(self) -> None:
        self._wakeup.set()

    def status(self) -> dict[str, Any]:
        """Tell what `minuted status` shows; times in seconds."""
        lanes, minutes, journal = self._lanes, self._minutes, self._publisher.journal
        live, now_s = lanes.live, time.monotonic()
        began_s = live.began_s if live else None
        sockets = (self._frames, self._publisher.turns, self._publisher.replay)
        return {
            "state": self._state,
            "service": self._settings.service,
            "session_id": live.session.session_id if live else "",
            "session_s": round(now_s - began_s, 1) if began_s else 0.0,
            "sessions": sum(lane.turns is not None for lane in lanes.all),
            "model": live.model if live else "",
            "reason": lanes.failure,
            "warning": lanes.warning,
            **self._meter.status(),
            "retry_in_s": round(max(0.0, lanes.connect_at_s - now_s), 1) if live is None else 0.0,
            "reconnects": lanes.reconnects,
            "handovers": lanes.handovers,
            "backlog_s": self._unsent_ms / 1000,
            "behind_s": minutes.behind_s,
            "held_s": minutes.unheard_s,
            "taken_s": live.taken_ms / 1000 if live else 0.0,
            "dropped_s": minutes.losses.frames * FRAME_MS / 1000,
            **minutes.counts,
            "partials": self._publisher.partials,
            "replayed": self._publisher.replayed,
            "pruned": self._retention.pruned,
            "refused": self._publisher.refused,
            "malformed": sum(socket.malformed for socket in sockets),
            "epoch": journal.epoch,
            "last_seq": journal.last_seq,
        }

    @property
    def _state(self) -> str:
        if self._drain.is_set():
            return "drained" if self._drained.is_set() else "draining"
        return "paused" if self._rests else self._lanes.state

    @property
    def _unsent_ms(self) -> int:
        """How far behind the microphone the live session is."""
        live, unheard = self._lanes.live, self._minutes.marks.live
        if unheard is None:
            return 0
        reached = max(unheard.start, live.sent_before if live else 0)
        return max(0, self._intake.next_number - reached) * FRAME_MS

    # The loop.

    def run(self, stop: threading.Event) -> bool:
        """Work, as `_run` says, and leave the account in order."""
        try:
            return self._run(stop)
        finally:
            self._meter.tick(time.monotonic())
            self._meter.store(time.monotonic())

    def _run(self, stop: threading.Event) -> bool:
        """Work until `stop` is set and everything is drained; False when that took too long.

        After `stop_timeout_s` it is given up; at once, when a supervisor has asked for it in vain before.
        Asked to leave, it does not drain.
        Raises ConfigError when the service refuses a recording's key or parameters for good, SpentError
        when the day's limit is reached while a recording is played, and
        OSError or sqlite3.Error when a journal cannot be read or written.
        """
        give_up_s = leave_s = float("inf")
        while not (stop.is_set() and self._drained.is_set()):
            pulse.beat()
            if self._leave.is_set() and not stop.is_set():
                leave_s = min(leave_s, time.monotonic() + LEAVE_S_MAX)
                if self._lanes.leave() or time.monotonic() >= leave_s:
                    log.info("left", unheard_s=self._minutes.unheard_s)
                    return True
            if stop.is_set() and give_up_s == float("inf"):
                asked_before = self._drain.is_set()
                give_up_s = time.monotonic() + (0 if asked_before else self._settings.stop_timeout_s)
                self._drain.set()
            if time.monotonic() >= give_up_s:
                log.error("not_drained", unheard_s=self._minutes.unheard_s, reason=self._lanes.failure)
                return False
            self._wait()
            self._work(time.monotonic())
        return True

    def _wait(self) -> None:
        reached = self._intake.next_number - self._unsent_ms // FRAME_MS
        poller = self._poller_full if self._intake.is_full(reached) else self._poller
        poller.wait(0 if self._intake.has_more else TICK_S)
        self._wakeup.clear()

    def _work(self, now_s: float) -> None:
        try:
            if self._halted_at_s is None:
                self._transcribe(now_s)
            elif now_s - self._halted_at_s >= ROOM_WAIT_S:
                self._minutes.store()
                self._halted_at_s = None
                self._lanes.state, self._lanes.failure = "idle", ""
                log.info("going_on")
        except TurnJournalFullError as error:
            if self._lanes.state != "halted":
                log.error("halted", reason=str(error))
                self._lanes.halt(str(error))
                self._minutes.restore()
                self._minutes.tell("halted", reason=str(error))
            self._halted_at_s = now_s
        now_ms = time.time_ns() // 1_000_000
        self._meter.tick(now_s)
        self._publisher.tick(now_s, now_ms)
        self._retention.tick(now_s, now_ms)

    def _transcribe(self, now_s: float) -> None:
        if self._minutes.take_in(self._lanes.sent, now_s):
            self._last_sound_s = now_s
            self._drained.clear()
        self._take_events(now_s)
        for lane in self._lanes.all:
            lane.watch(now_s)
        if self._leave.is_set():
            return
        self._lanes.open(now_s)
        if self._endpoint.is_set():
            self._endpoint.clear()
            self._lanes.force_endpoint()
        self._lanes.send(now_s)
        self._heed_pause()
        if self._drain.is_set():
            self._finish(now_s)
        elif not self._intake.is_paused:
            self._lanes.hand_over(now_s)
        self._minutes.keep()

    def _heed_pause(self) -> None:
        """In a pause, end the sessions once they have had what was heard before: open, they cost money."""
        is_paused = self._intake.is_paused
        self._rests = is_paused and not self._intake.has_more and self._lanes.finish()
        if is_paused != self._was_paused:
            self._was_paused = is_paused
            log.info("paused" if is_paused else "resumed")
            self._minutes.tell("paused" if is_paused else "resumed")
            # Who comes after us must know why there is no sound.
            self._minutes.store()

    def _finish(self, now_s: float) -> None:
        """When asked to drain: terminate once all is sent, and say so once all is safe."""
        if self._drained.is_set():
            return
        if self._intake.has_more or not (
            self._intake.has_ended or now_s - self._last_sound_s > QUIET_CAPTURE_S
        ):
            return
        if self._lanes.finish():
            self._minutes.keep(always=True)
            self._publisher.heartbeat(time.time_ns() // 1_000_000)
            self._minutes.tell("drained")
            self._drained.set()

    def _post(self, session: Session, event: Event) -> None:
        """Take an event on a session's thread."""
        self._events.put((session, event))
        self._wakeup.set()

    def _take_events(self, now_s: float) -> None:
        while True:
            try:
                session, event = self._events.get_nowait()
            except queue.Empty:
                return
            for lane in self._lanes.all:
                if lane.session is session:
                    self._hear(lane, event, now_s)

    def _hear(self, lane: Lane, event: Event, now_s: float) -> None:
        self._lanes.hear(lane, event)
        match event:
            case TurnEvent():
                self._minutes.hear_turn(lane, event)
            case BeginEvent():
                self._lanes.begin(lane, event)
            case SpeechStartedEvent():
                lane.turn_is_open = True
            case SilenceEvent():
                self._minutes.hear_silence(lane, event)
            case HeartbeatEvent():
                lane.taken_ms = event.total_audio_received_ms
            case SpeakerRevisionEvent():
                self._minutes.hear_revisions(lane, event)
            case WarningEvent():
                log.warning("service_warning", code=event.warning_code, text=event.warning)
                self._minutes.tell("warning", lane, reason=event.warning)
            case TerminationEvent():
                self._lanes.end(lane, event)
            case Closed():
                self._lanes.lose(lane, event.failure, now_s)
            case Opened():
                log.debug("session_opened")
