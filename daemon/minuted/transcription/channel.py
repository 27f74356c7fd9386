"""One source's way from sound to records: its frames, its sessions and its marks."""

import time
from collections.abc import Callable
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

from minuted.bus import FramesIn
from minuted.config import Settings
from minuted.messages import FRAME_MS
from minuted.transcription.cost import Meter
from minuted.transcription.intake import Intake
from minuted.transcription.lane import Lane
from minuted.transcription.lanes import Lanes
from minuted.transcription.meetings import Meetings
from minuted.transcription.minutes import Minutes
from minuted.transcription.publisher import Publisher
from minuted.transcription.session import Closed, Event, Opened, Session

QUIET_CAPTURE_S: Final = 2.0
"""While draining, capture that has sent nothing for this long will send no end marker either."""

log = structlog.get_logger(__name__)


class Channel:
    """What is heard of one source. Used from the loop's thread; `status` from any."""

    def __init__(
        self,
        settings: Settings,
        frames: FramesIn,
        intake: Intake,
        publisher: Publisher,
        meetings: Meetings,
        meter: Meter,
        post: Callable[[Session, Event], None],
    ) -> None:
        self.frames = frames
        self.intake = intake
        self.minutes = Minutes(settings, publisher, intake, meetings)
        self.lanes = Lanes(settings, self.minutes, intake, meter, post)
        self.rests = False
        """Paused, with all that was heard before it safe and no session open."""
        self._was_paused = intake.is_paused
        self._last_sound_s = time.monotonic()

    @property
    def is_full(self) -> bool:
        """Whether its recording has to wait."""
        return self.intake.is_full(self.intake.next_number - self._unsent_ms // FRAME_MS)

    @property
    def _unsent_ms(self) -> int:
        """How far behind the microphone the live session is."""
        live, unheard = self.lanes.live, self.minutes.marks.live
        if unheard is None:
            return 0
        reached = max(unheard.start, live.sent_before if live else 0)
        return max(0, self.intake.next_number - reached) * FRAME_MS

    def status(self, now_s: float) -> dict[str, Any]:
        """Tell what `minuted status` shows of it; times in seconds."""
        lanes, minutes = self.lanes, self.minutes
        live = lanes.live
        began_s = live.began_s if live else None
        return {
            "state": "paused" if self.rests else lanes.state,
            "session_id": live.session.session_id if live else "",
            "session_s": round(now_s - began_s, 1) if began_s else 0.0,
            "sessions": sum(lane.turns is not None for lane in lanes.all),
            "model": live.model if live else "",
            "reason": lanes.failure,
            "warning": lanes.warning,
            "retry_in_s": round(max(0.0, lanes.connect_at_s - now_s), 1) if live is None else 0.0,
            "reconnects": lanes.reconnects,
            "handovers": lanes.handovers,
            "backlog_s": self._unsent_ms / 1000,
            "behind_s": minutes.behind_s,
            "held_s": minutes.unheard_s,
            "taken_s": live.taken_ms / 1000 if live else 0.0,
            "dropped_s": minutes.losses.frames * FRAME_MS / 1000,
            **minutes.counts,
        }

    # Each time the loop goes round.

    def take_in(self, now_s: float) -> bool:
        """Take in what sound has come; True when there was any. Raises TurnJournalFullError, as all below."""
        came = self.minutes.take_in(self.lanes.sent, now_s)
        if came:
            self._last_sound_s = now_s
        return came

    def watch(self, now_s: float) -> None:
        """Have dead sessions say so."""
        for lane in self.lanes.all:
            lane.watch(now_s)

    def serve(self, now_s: float) -> None:
        """Open sessions where there is something to hear, and give them sound."""
        self.lanes.open(now_s)
        self.lanes.send(now_s)
        self._heed_pause()

    def _heed_pause(self) -> None:
        """In a pause, end the sessions once they have had what was heard before: open, they cost money."""
        is_paused = self.intake.is_paused
        self.rests = is_paused and not self.intake.has_more and self.lanes.finish()
        if is_paused != self._was_paused:
            self._was_paused = is_paused
            log.info("paused" if is_paused else "resumed")
            self.minutes.tell("paused" if is_paused else "resumed")
            # Who comes after us must know why there is no sound.
            self.minutes.store()

    def hand_over(self, now_s: float) -> None:
        """Have the next session ready before the live one expires; a pause needs none."""
        if not self.intake.is_paused:
            self.lanes.hand_over(now_s)

    def finish(self, now_s: float) -> bool:
        """When asked to drain: terminate once all is sent; True once all is heard."""
        is_quiet = now_s - self._last_sound_s > QUIET_CAPTURE_S
        if self.intake.has_more or not (self.intake.has_ended or is_quiet):
            return False
        return self.lanes.finish()

    def halt(self, reason: str) -> None:
        """Nothing can be stored: go back to what was, and hear no more for now."""
        self.lanes.halt(reason)
        self.minutes.restore()
        self.minutes.tell("halted", reason=reason)

    def go_on(self) -> None:
        """There is room again."""
        self.lanes.state, self.lanes.failure = "idle", ""

    def hear(self, lane: Lane, event: Event, now_s: float) -> None:
        """Take what one of its sessions says, or what became of it."""
        self.lanes.hear(lane, event)
        match event:
            case TurnEvent():
                self.minutes.hear_turn(lane, event)
            case BeginEvent():
                self.lanes.begin(lane, event)
            case SpeechStartedEvent():
                lane.turn_is_open = True
            case SilenceEvent():
                self.minutes.hear_silence(lane, event)
            case HeartbeatEvent():
                lane.taken_ms = event.total_audio_received_ms
            case SpeakerRevisionEvent():
                self.minutes.hear_revisions(lane, event)
            case WarningEvent():
                log.warning("service_warning", code=event.warning_code, text=event.warning)
                self.minutes.tell("warning", lane, reason=event.warning)
            case TerminationEvent():
                self.lanes.end(lane, event)
            case Closed():
                self.lanes.lose(lane, event.failure, now_s)
            case Opened():
                log.debug("session_opened")
