"""The transcription process's loop: frames and events in, decisions by the pure parts, actions out."""

import queue
import threading
import time
from typing import Any, Final, Literal

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

from minuted import messages
from minuted.bus import FramesIn, Poller, Wakeup
from minuted.config import ConfigError, Settings
from minuted.control import status_of
from minuted.messages import FRAME_MS, AudioEnd, Gap, Turn
from minuted.transcription.backlog import Backlog
from minuted.transcription.clock import Stretches
from minuted.transcription.holes import Hole, Holes
from minuted.transcription.live import Live
from minuted.transcription.meetings import Meeting, meeting_at
from minuted.transcription.publisher import Publisher
from minuted.transcription.reconnect import Backoff, Failure, Verdict, judge
from minuted.transcription.session import (
    Closed,
    Event,
    Opened,
    Service,
    Session,
    parameters_of,
)
from minuted.transcription.turns import Turns

TICK_S: Final = 0.05
UNPACED_HELD_MS_MAX: Final = 60_000
"""An unpaced recording waits in capture beyond this."""
SILENCE_MARGIN_MS: Final = 500
"""Confirmed silence moves the mark up to this long before its end, where a word may be beginning."""
QUIET_CAPTURE_S: Final = 2.0
"""While draining, capture that has sent nothing for this long will send no end marker either."""

log = structlog.get_logger(__name__)


class Transcriber:
    """Holds the streaming session and turns its events into records. One thread: the caller of `run`.

    `drain` and `status` may be called from any thread.
    """

    def __init__(self, settings: Settings, frames: FramesIn, publisher: Publisher) -> None:
        self._settings = settings
        self._frames = frames
        self._publisher = publisher
        self._events: queue.SimpleQueue[tuple[Session, Event]] = queue.SimpleQueue()
        self._wakeup = Wakeup()
        self._poller = Poller(frames, publisher.turns, publisher.replay, self._wakeup)
        self._poller_full = Poller(publisher.turns, publisher.replay, self._wakeup)
        self._backlog = Backlog(settings.journal.memory_s_max)
        self._stretches = Stretches()
        self._meeting = Meeting.from_state(publisher.journal.state("meeting"))
        self._backoff = Backoff()
        self._live: Live | None = None
        self._connect_at_s = 0.0
        self._failure = ""
        self._reconnects = 0
        self._finals = 0
        self._drain = threading.Event()
        self._drained = threading.Event()
        self._endpoint = threading.Event()
        self._end_received = False
        self._last_frame_s: float | None = None
        self._holes = Holes()
        self._recorded = False
        self._paced = True
        self._state: Literal["idle", "connecting", "live", "retrying", "refused", "drained"] = "idle"

    # What other threads may call.

    def drain(self) -> None:
        """Finish: send what is left, terminate the session, commit the last turns."""
        self._drain.set()
        self._wakeup.set()

    def force_endpoint(self) -> None:
        """End the current turn now."""
        self._endpoint.set()
        self._wakeup.set()

    def wake(self) -> None:
        self._wakeup.set()

    def status(self) -> dict[str, Any]:
        """Tell what `minuted status` shows; times in seconds."""
        live, journal = self._live, self._publisher.journal
        began_s = live.began_s if live else None
        now_s = time.monotonic()
        return {
            "state": "draining" if self._drain.is_set() and not self._drained.is_set() else self._state,
            "service": self._settings.service,
            "session_id": live.session.session_id if live else "",
            "session_s": round(now_s - began_s, 1) if began_s else 0.0,
            "model": live.model if live else "",
            "reason": self._failure,
            "retry_in_s": round(max(0.0, self._connect_at_s - now_s), 1) if live is None else 0.0,
            "reconnects": self._reconnects,
            "backlog_s": self._backlog.unsent_ms / 1000,
            "taken_s": live.taken_ms / 1000 if live else 0.0,
            "held_s": self._backlog.held_ms / 1000,
            "dropped_s": self._backlog.dropped * FRAME_MS / 1000,
            "finals": self._finals,
            "partials": self._publisher.partials,
            "replayed": self._publisher.replayed,
            "malformed": self._frames.malformed
            + self._publisher.turns.malformed
            + self._publisher.replay.malformed,
            "epoch": journal.epoch,
            "last_seq": journal.last_seq,
        }

    # The loop.

    def run(self, stop: threading.Event) -> bool:
        """Work until `stop` is set and everything is drained; False when that took too long.

        After `stop_timeout_s` it is given up; at once, when a supervisor has asked for it in vain before.
        Raises ConfigError when the service refuses a recording's key or parameters for good, and
        OSError or sqlite3.Error when the journal cannot be written.
        """
        give_up_s = float("inf")
        while not (stop.is_set() and self._drained.is_set()):
            if stop.is_set() and give_up_s == float("inf"):
                asked_before = self._drain.is_set()
                give_up_s = time.monotonic() + (0 if asked_before else self._settings.stop_timeout_s)
                self._drain.set()
            if time.monotonic() >= give_up_s:
                log.error("not_drained", backlog_s=self._backlog.held_ms / 1000, reason=self._failure)
                return False
            poller = self._poller_full if self._is_full else self._poller
            poller.wait(TICK_S)
            self._wakeup.clear()
            self._take_frames()
            self._take_events()
            now_s = time.monotonic()
            self._keep_session(now_s)
            self._send(now_s)
            self._finish_if_drained(now_s)
            self._publisher.tick(now_s, _epoch_ms())
        return True

    @property
    def _is_full(self) -> bool:
        """A recording can wait, and must arrive whole; a microphone cannot."""
        limit_ms = self._backlog.frames_max * FRAME_MS
        if not self._paced:
            limit_ms = min(limit_ms, UNPACED_HELD_MS_MAX)
        return self._recorded and self._backlog.unsent_ms > 0 and self._backlog.held_ms >= limit_ms

    def _take_frames(self) -> None:
        while not self._is_full and (message := self._frames.receive()):
            self._last_frame_s = time.monotonic()
            if isinstance(message, AudioEnd):
                self._end_received = True
                self._holes.end()
                continue
            self._end_received = False
            self._recorded = message.source != "microphone"
            self._paced = message.paced
            lost = self._backlog.append(message)
            newest = self._backlog.newest
            self._stretches.received(newest)
            if lost:
                self._holes.lose(lost, self._last_frame_s)
            if hole := self._holes.come(newest.number):
                self._declare(hole)
            if self._state == "drained":
                self._state = "idle"
                self._drained.clear()
        if hole := self._holes.take(time.monotonic()):
            self._declare(hole)

    def _declare(self, hole: Hole) -> None:
        """Record a stretch of which there will be no words."""
        start_ms, end_ms = hole.from_number * FRAME_MS, hole.to_number * FRAME_MS
        known = self._meeting if self._meeting and self._meeting.sound_ms <= start_ms else None
        origin_ms = known.sound_ms if known else start_ms
        offset_ms = self._stretches.at(start_ms).wall_offset_ms
        log.error("gap", reason=hole.reason, duration_s=(end_ms - start_ms) / 1000)
        self._publisher.record(
            Gap(
                room=self._settings.room,
                meeting_id=known.id if known else "",
                meeting_started_at_ms=known.started_at_ms if known else start_ms + offset_ms,
                start_ms=start_ms - origin_ms,
                end_ms=end_ms - origin_ms,
                reason=hole.reason,
            )
        )

    def _take_events(self) -> None:
        while True:
            try:
                session, event = self._events.get_nowait()
            except queue.Empty:
                return
            if self._live is not None and session is self._live.session:
                self._hear(self._live, event)

    def _post(self, session: Session, event: Event) -> None:
        """Take an event on a session's thread."""
        self._events.put((session, event))
        self._wakeup.set()

    def _keep_session(self, now_s: float) -> None:
        """Open a session when there is something to say, and notice when it died without a word."""
        if self._live is not None:
            self._live.watch(now_s)
        elif self._backlog.held_ms and now_s >= self._connect_at_s:
            self._state = "connecting"
            self._backlog.rewind()
            asked = self._settings.session
            parameters = parameters_of(asked, local=self._settings.service == "local")
            has_partials = asked.include_partial_turns is not False and not asked.redact_pii
            session = Session(self._find_service, parameters, self._post)
            self._live = Live(session, has_partials=has_partials)

    def _find_service(self) -> Service:
        """Say where to connect to and as whom; called on the session's own thread, may wait."""
        settings = self._settings
        if settings.service == "local":
            url = settings.engine.url or str((status_of(settings, "engine") or {}).get("url", ""))
            if not url:
                raise ConnectionRefusedError("the local engine is not up yet")
            return Service(url, settings.engine_key() or "local")
        return Service(settings.service_url.rstrip("/"), settings.api_key())

    def _send(self, now_s: float) -> None:
        """Give the session as much as pace and queue allow."""
        live = self._live
        if live is None or live.turns is None or live.terminating:
            self._endpoint.clear()  # there is no turn to end
            return
        if self._endpoint.is_set():
            self._endpoint.clear()
            live.session.force_endpoint()
        if (wordless_ms := live.wordless_before_ms()) is not None:
            self._backlog.release(wordless_ms)
        while (frame := self._backlog.next()) and live.send(frame, now_s):
            self._backlog.sent()

    def _finish_if_drained(self, now_s: float) -> None:
        """When asked to drain: terminate once all is sent, and say so once all is safe."""
        if not self._drain.is_set() or self._drained.is_set():
            return
        live = self._live
        quiet_s = now_s - self._last_frame_s if self._last_frame_s else QUIET_CAPTURE_S + 1
        quiet = self._end_received or quiet_s > QUIET_CAPTURE_S
        if not quiet or self._backlog.unsent_ms:
            return
        if live is None:
            if not self._backlog.held_ms:
                self._state = "drained"
                self._publisher.heartbeat(_epoch_ms())
                self._tell("drained")
                self._drained.set()
        elif live.turns is not None and not live.terminating:
            live.terminating = True
            live.session.terminate()

    # What the service says.

    def _hear(self, live: Live, event: Event) -> None:
        match event:
            case TurnEvent():
                self._hear_turn(live, event)
            case BeginEvent():
                self._hear_begin(live, event)
            case SpeechStartedEvent():
                live.turn_is_open = True
            case SilenceEvent():
                if not live.turn_is_open and live.clock.sent_ms:
                    self._backlog.release(live.clock.end_ms(event.end_ms) - SILENCE_MARGIN_MS)
            case HeartbeatEvent():
                live.taken_ms = event.total_audio_received_ms
            case SpeakerRevisionEvent():
                self._hear_revision(live, event)
            case WarningEvent():
                log.warning("service_warning", code=event.warning_code, text=event.warning)
                self._tell("warning", reason=event.warning)
            case TerminationEvent():
                self._end_session(event)
            case Closed():
                self._lose_session(live, event.failure)
            case Opened():
                log.debug("session_opened")

    def _hear_begin(self, live: Live, event: BeginEvent) -> None:
        live.turns = Turns(self._settings.room, event.id, live.clock, self._find_meeting)
        live.begin(time.monotonic(), (event.configuration and event.configuration.model) or "")
        self._state, self._failure = "live", ""
        log.info("session_started", session_id=event.id, model=live.model, expires_at=str(event.expires_at))
        asked = self._settings.session.speech_model
        if self._settings.service != "local" and live.model and live.model != asked:
            log.warning("model_differs", asked=asked, given=live.model)
            self._tell("warning", reason=f"asked for the model {asked}, got {live.model}")
        self._tell("started", model=live.model)

    def _hear_turn(self, live: Live, event: TurnEvent) -> None:
        if live.turns is None or not live.clock.sent_ms:
            return
        live.turn_is_open = not event.end_of_turn
        repeated = live.turns.repeated
        turn = live.turns.take(event)
        if live.turns.repeated > repeated:
            log.info("final_repeated", turn_order=event.turn_order)
        if turn is None:
            return
        if not turn.final:
            self._publisher.passing(turn)
            return
        live.turns.committed(self._commit(turn))

    def _commit(self, turn: Turn) -> Turn:
        """The one way a final turn takes: journal, then subscribers, then the mark moves."""
        assert self._meeting is not None
        end_ms = self._meeting.sound_ms + turn.end_ms
        self._meeting = self._meeting.heard_until(end_ms)
        record = self._publisher.record(turn, {"meeting": self._meeting.to_state()})
        self._finals += 1
        if turn.words:  # without them nobody knows where it ended
            self._backlog.release(end_ms)
        assert isinstance(record, Turn)
        return record

    def _hear_revision(self, live: Live, event: SpeakerRevisionEvent) -> None:
        if live.turns is None:
            return
        for item in event.revisions:
            if revised := live.turns.revise(item):
                record = self._publisher.record(revised)
                assert isinstance(record, Turn)
                live.turns.committed(record)

    def _find_meeting(self, start_ms: int) -> Meeting:
        gap_ms = self._settings.meeting.gap_min * 60_000
        self._meeting = meeting_at(self._meeting, start_ms, self._stretches.at(start_ms), gap_ms)
        return self._meeting

    def _end_session(self, event: TerminationEvent) -> None:
        """The session ended in order: all it was sent has been heard."""
        log.info("session_ended", audio_s=event.audio_duration_seconds, open_s=event.session_duration_seconds)
        self._tell("ended")
        self._backlog.release_sent()
        self._live, self._state = None, "idle"

    def _lose_session(self, live: Live, failure: Failure) -> None:
        now_s = time.monotonic()
        verdict = judge(failure)
        lasted_s = now_s - live.began_s if live.began_s else 0.0
        wait_s = self._backoff.wait_s(failure, now_s, lasted_s=lasted_s)
        self._backlog.rewind()
        self._connect_at_s = now_s + wait_s
        self._failure = failure.text
        self._reconnects += 1
        if verdict is Verdict.FATAL and self._recorded:
            raise ConfigError(f"the service refused the session: {failure.text} (code {failure.code})")
        self._state = "refused" if verdict is Verdict.FATAL else "retrying"
        tell = log.error if verdict is Verdict.FATAL else log.warning
        tell(
            "session_refused" if verdict is Verdict.FATAL else "session_lost",
            reason=failure.text,
            code=failure.code,
            phase=failure.phase,
            retry_in_s=round(wait_s, 2),
        )
        self._tell(self._state, reason=failure.text, retry_in_s=round(wait_s, 2))
        self._live = None

    def _tell(self, event: str, **details: Any) -> None:
        """Publish what became of the session."""
        session_id = self._live.session.session_id if self._live else ""
        self._publisher.passing(
            messages.Session(
                event=event, room=self._settings.room, at_ms=_epoch_ms(), session_id=session_id, **details
            )
        )


def _epoch_ms() -> int:
    return time.time_ns() // 1_000_000
