"""One source's way from sound to records: its frames, its sessions and its marks."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import structlog
from assemblyai.streaming.v3 import (
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
from minuted.session_notes import UNWATCHED, has_partials
from minuted.transcription import by_hand
from minuted.transcription.among import Among
from minuted.transcription.changing import Changing
from minuted.transcription.cost import Meter
from minuted.transcription.intake import Intake
from minuted.transcription.lane import Lane
from minuted.transcription.lanes import Lanes
from minuted.transcription.meetings import Meetings, Unheard
from minuted.transcription.minutes import Minutes
from minuted.transcription.publisher import Publisher
from minuted.transcription.revisions import Revisions
from minuted.transcription.session import Begun, Closed, Event, Opened, Session
from minuted.transcription.vigil import Vigil

QUIET_CAPTURE_S: Final = 2.0
"""While draining, capture that has sent nothing for this long will send no end marker either."""

STALE_S: Final = 1.0
"""A source that has sent no sound for so long is not there: capture has noticed by then."""
OPEN_S_MAX: Final = 5.0
"""Without more sound a turn that is open has been ended by then, or is not for as long as none comes."""
HEARD_AFTER_MS: Final = 500
"""How long after it was sent the service may take to tell that a turn has begun."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sound:
    """Where the sound of a source comes from, by the source's name; the only one has none.

    Without a frames socket nobody adds to it any more: it was left behind by an earlier configuration.
    """

    name: str
    frames: FramesIn | None
    intake: Intake


class Channel:
    """What is heard of one source. Used from the loop's thread; `status` from any."""

    def __init__(
        self,
        settings: Settings,
        sound: Sound,
        publisher: Publisher,
        meetings: Meetings,
        meter: Meter,
        changing: Changing,
        revisions: Revisions,
        post: Callable[[Session, Event], None],
        among: Among | None = None,
    ) -> None:
        """`revisions`: those of all; `among`: its place, where there are several."""
        self.name = among.name if among else ""
        self.frames = sound.frames
        self.intake = intake = sound.intake
        self.minutes = Minutes(settings, publisher, intake, meetings, among)
        self.lanes = Lanes(settings, self.minutes, intake, meter, changing, post)
        self._revisions = revisions
        self._without = "" if has_partials(settings.session) else UNWATCHED
        self._vigil = Vigil(settings, intake, self.minutes, self.lanes)
        self.rests = False
        """Paused, with all that was heard before it safe and no session open."""
        self._ends: deque[tuple[Lane, Event]] = deque()
        """How sessions ended, while finals of theirs wait."""
        self._among = among
        self._was_paused = intake.is_paused
        self._last_sound_s = time.monotonic()

    @property
    def _holds(self) -> bool:
        return self._among is not None and self._among.holds

    @property
    def is_left_behind(self) -> bool:
        """Whether it is not configured any more, and there only for what it has left."""
        return self.frames is None

    @property
    def waits_for_money(self) -> bool:
        """Whether no session is open or will be, because the day's limit is reached."""
        return self.lanes.state == "limit" and not self.lanes.all and not self.intake.has_more

    def named(self) -> AbstractContextManager[None]:
        """Have log lines say which channel they are of, where there are several."""
        return structlog.contextvars.bound_contextvars(channel=self.name) if self.name else nullcontext()

    def pending_ms(self, now_s: float) -> int | None:
        """Say from which sound time on words of it may be about to come; None: nobody need wait for it.

        Where no session listens, and where no sound comes, words may be a long time coming.
        """
        live, unheard = self.lanes.live, self.minutes.marks.live
        if live is None or unheard is None or live.turns is None or not live.clock.sent_ms:
            return None
        safe_ms = max(unheard.start * FRAME_MS, (self._among.offered_ms if self._among else 0))
        if not self.intake.is_paced:
            # It is sent far ahead of its words.
            return safe_ms
        away_s = now_s - self._last_sound_s if live.sent_before >= self.intake.sound_before else 0.0
        if away_s > (OPEN_S_MAX if live.turn_is_open else STALE_S):
            return None
        if live.turn_is_open:
            return safe_ms if live.open_from_ms is None else live.open_from_ms
        return live.clock.end_ms(live.clock.sent_ms) - HEARD_AFTER_MS

    @property
    def unheard(self) -> list[Unheard]:
        """Give the sound that may still have words in it, though others may be ahead of it."""
        live, newest = self.lanes.live, self.intake.next_number
        parts = []
        for part in self.minutes.marks.ranges:
            start_ms, end = part.start * FRAME_MS, newest if part.end is None else part.end
            if part.is_live and live and live.turns:
                if not live.turn_is_open:
                    continue
                start_ms = live.open_from_ms or start_ms
            parts.append(Unheard(start_ms, end * FRAME_MS))
        return [part for part in parts if part.start_ms < part.end_ms]

    @property
    def is_full(self) -> bool:
        """Whether its recording has to wait."""
        return self.intake.is_full(self.intake.next_number - self._unsent_ms // FRAME_MS)

    @property
    def _unsent_ms(self) -> int:
        """How far behind the microphone the live session is."""
        live, unheard = self.lanes.live, self.minutes.marks.live
        if unheard is None or self.lanes.is_resting:
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
            "warning": minutes.remarks.shown,
            "without": self._without,
            "retry_in_s": round(max(0.0, lanes.connect_at_s - now_s), 1) if live is None else 0.0,
            "reconnects": lanes.reconnects,
            "handovers": lanes.handovers,
            "backlog_s": self._unsent_ms / 1000,
            "behind_s": minutes.behind_s,
            "held_s": minutes.unheard_s,
            "taken_s": live.taken_ms / 1000 if live else 0.0,
            "dropped_s": minutes.losses.frames * FRAME_MS / 1000,
            **minutes.counts,
            **self._vigil.status(),
        }

    # Each time the loop goes round.

    def take_in(self, now_s: float) -> bool:
        """Take in what sound has come; True when there was any. Raises TurnJournalFullError, as all below."""
        came = self.minutes.take_in(self.lanes.sent, now_s)
        if came:
            self._last_sound_s = now_s
        return came

    def watch(self, now_s: float) -> None:
        """Close dead sessions, and leave those that make no progress."""
        self.lanes.watch(now_s)

    def serve(self, now_s: float) -> None:
        """Open sessions where there is something to hear, and give them sound."""
        while self._ends and not self._holds:
            lane, event = self._ends.popleft()
            if lane in self.lanes.all:
                self._take(lane, event, now_s)
        self._vigil.look(now_s)
        self.lanes.open(now_s)
        by_hand.mark_cuts(self.lanes.all, self.minutes.cuts_ms)
        self.lanes.send(now_s)
        self._heed_pause()

    def _heed_pause(self) -> None:
        """In a pause, end the sessions once they have had what was heard before: open, they cost money.

        So it is where others' recordings play on.
        """
        is_paused = self.intake.is_paused
        is_over = self._among is not None and self.intake.is_recording and self.intake.has_ended
        finishes = (is_paused or is_over) and not self.intake.has_more
        self.rests = finishes and self._finish() and is_paused
        if is_paused != self._was_paused:
            self._was_paused = is_paused
            log.info("paused" if is_paused else "resumed")
            self.minutes.tell("paused" if is_paused else "resumed")
            # Who comes after us must know why there is no sound.
            self.minutes.store()

    def hand_over(self, now_s: float) -> None:
        """Have the next session ready before the live one expires; a pause needs none.

        What waits for its place would be heard again by the next.
        """
        if not self.intake.is_paused and not self._holds:
            self.lanes.hand_over(now_s)

    def finish(self, now_s: float) -> bool:
        """When asked to drain: terminate once all is sent; True once all is heard."""
        is_quiet = now_s - self._last_sound_s > QUIET_CAPTURE_S
        if self.intake.has_more or not (self.intake.has_ended or is_quiet):
            return False
        return self._finish()

    def _finish(self) -> bool:
        self._vigil.finish()
        return self.lanes.finish()

    def halt(self, reason: str) -> None:
        """Nothing can be stored: go back to what was, and hear no more for now."""
        self._ends.clear()
        self.lanes.halt(reason)
        self.minutes.restore()
        self.minutes.tell("halted", reason=reason)

    def go_on(self) -> None:
        """There is room again."""
        self.lanes.state, self.lanes.failure = "idle", ""

    def hear(self, lane: Lane, event: Event, now_s: float) -> None:
        """Take what one of its sessions says, or what became of it.

        Its end moves the mark past finals that still wait for their place: it waits, too.
        """
        is_ending = any(ending is lane for ending, _ in self._ends)
        if is_ending or (isinstance(event, TerminationEvent) and self._holds):
            self._ends.append((lane, event))
        else:
            self._take(lane, event, now_s)

    def lose_failed(self, now_s: float) -> None:
        """Let go of sessions that failed over what they said: nothing more of theirs counts."""
        for lane in self.lanes.all:
            if failure := lane.session.failed:
                self._take(lane, Closed(failure), now_s)

    def _take(self, lane: Lane, event: Event, now_s: float) -> None:
        self.lanes.hear(event)
        self._vigil.hear(lane, event, now_s)
        match event:
            case TurnEvent():
                self.minutes.hear_turn(lane, event)
            case Begun():
                self.lanes.begin(lane, event)
            case SpeechStartedEvent():
                lane.turn_is_open = True
                if lane.clock.sent_ms:
                    lane.open_from_ms = lane.clock.start_ms(event.timestamp)
                    lane.progress.announced(lane.open_from_ms // FRAME_MS)
            case SilenceEvent():
                self.minutes.hear_silence(lane, event)
            case HeartbeatEvent():
                lane.taken_ms = event.total_audio_received_ms
            case SpeakerRevisionEvent():
                self.minutes.settle()  # they may be of finals that wait for their place
                self._revisions.hear(lane.turns, event)
            case WarningEvent():
                self.minutes.warn(event.warning, lane)
            case TerminationEvent():
                self.lanes.end(lane, event)
            case Closed():
                self.lanes.lose(lane, event.failure, now_s)
            case Opened():
                log.debug("session_opened")
