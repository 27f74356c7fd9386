"""Which sessions there are: opened, handed over before they expire, and opened again when they are lost."""

import time
from collections.abc import Callable
from functools import partial
from typing import Final, Literal

import structlog
from assemblyai.streaming.v3 import HeartbeatEvent, TerminationEvent

from minuted.config import ConfigError, Settings
from minuted.messages import FRAME_MS
from minuted.runtime.kill_points import reached
from minuted.session_notes import has_partials
from minuted.transcription.access import Access
from minuted.transcription.changing import Changing
from minuted.transcription.cost import Meter, is_spent
from minuted.transcription.echo import differences
from minuted.transcription.intake import Intake
from minuted.transcription.lane import Lane, cut_in_pause, log_loss
from minuted.transcription.marks import Marks, Range
from minuted.transcription.minutes import Minutes
from minuted.transcription.pace import BURST_MS, WAKE_BURST_MS
from minuted.transcription.progress import SILENT_S_MAX
from minuted.transcription.reconnect import (
    ALONE_S,
    BEHIND_PER_MINUTE_MAX,
    BUSY_MAX,
    LAST_WORD_S_MAX,
    SESSIONS_PER_MINUTE_MAX,
    Backoff,
    Begins,
    Failure,
    Verdict,
    judge,
)
from minuted.transcription.seam import may_come_again
from minuted.transcription.session import Begun, Event, Session, parameters_of
from minuted.transcription.turns import Turns

HANDOVER_LEAD_S: Final = 60.0
"""How long before a session expires the next one is opened."""
SESSION_S_MIN: Final = 60.0
"""An expiry nearer than this is a wrong clock's, until the service has ended a session so soon (3008)."""
HANDOVER_FORCED_S: Final = 3.0
"""How long before it expires it is taken over from even in the middle of a turn."""
NO_PROGRESS: Final = "no words come for what is said"
TURN_SILENCE_MS: Final = 3600
"""What the longest of the service's presets has for `max_turn_silence`, where none is set."""

State = Literal["idle", "connecting", "live", "retrying", "refused", "halted", "limit"]

log = structlog.get_logger(__name__)


class Lanes:
    """The sessions and what each is there to hear. Used from the loop's thread.

    The live range has a session of its own; what an outage has left behind is worked off by another,
    or before the live one where only one is allowed.
    """

    def __init__(
        self,
        settings: Settings,
        minutes: Minutes,
        intake: Intake,
        meter: Meter,
        changing: Changing,
        post: Callable[[Session, Event], None],
    ) -> None:
        self.state: State = "idle"
        self.failure = ""
        self.reconnects = self.handovers = 0
        self._is_finishing = False
        self.is_resting = self.is_woken = False
        """Nobody speaks: no live session is to be opened; somebody does again: one is wanted at once."""
        self.connect_at_s = self.behind_at_s = 0.0
        self._settings = settings
        self._minutes = minutes
        self._intake = intake
        self._meter = meter
        self._changing = changing
        self._post = post
        self._access = Access(settings)
        self._lanes: list[Lane] = []
        self._next: Lane | None = None
        """Opened ahead, to take over before the live session expires."""
        self._begins = begins = Begins()
        self._backoffs = {True: Backoff(begins), False: Backoff(begins, BEHIND_PER_MINUTE_MAX)}
        """Of live sessions, and of those behind."""
        self._keeps_heartbeats = False
        self._session_s_min = SESSION_S_MIN
        self._busy = 0
        self._alone_until_s = 0.0

    @property
    def _marks(self) -> Marks:
        return self._minutes.marks

    @property
    def live(self) -> Lane | None:
        return next((lane for lane in self._lanes if lane.is_live), None)

    @property
    def all(self) -> list[Lane]:
        return [*self._lanes, self._next] if self._next else list(self._lanes)

    @property
    def sent(self) -> dict[int, int]:
        """For each range that a session is hearing, the number up to which it has been sent."""
        return {lane.range_id: lane.sent_before for lane in self._lanes if lane.levels and not lane.is_muted}

    # Each time the loop goes round.

    def open(self, now_s: float) -> None:
        """Open the live session when there is something to hear, and one for what was missed."""
        if is_spent(self, self._meter, self._minutes, is_recording=self._intake.is_recording):
            return
        self._minutes.pass_noise(now_s)
        unheard, live = self._marks.live, self.live
        behind = [part for part in self._marks.behind if not self._waits(part, now_s)]
        idle = self.is_resting or unheard is None or self._minutes.is_heard(unheard)
        sessions_max = self._sessions_max(now_s)
        in_order = sessions_max == 1 and bool(behind)
        if unheard and not idle and live is None and not self._intake.has_more and now_s >= self.connect_at_s:
            waits = in_order or (sessions_max == 1 and self._lanes)
            waits = waits or (self._is_finishing and self._waits(unheard, now_s))
            if not waits and self._end_muted(sessions_max, now_s):
                self.state = "connecting"
                self._lanes.append(self._lane(unheard, is_live=True))
        elif in_order and live and live.turns and not live.turn_is_open:
            self._retire(live)
        if not behind or self._is_behind_open or now_s < self.behind_at_s:
            return
        live_first = in_order or idle or (live is not None and live.turns is not None)
        if live_first and len(self.all) < sessions_max:
            self._lanes.append(self._lane(behind[0], is_live=False))

    def send(self, now_s: float) -> None:
        """Give each session as much as pace and queue allow; end those that have had all there is."""
        for lane in self._lanes:
            unheard = self._marks.get(lane.range_id)
            if lane.turns is None or lane.is_terminating:
                continue
            if unheard is None:  # the bound has taken all of it
                lane.terminate()
                continue
            lane.send(unheard.end, now_s)
            if lane.has_sent_all:
                lane.terminate()
            self._minutes.hear_nothing(lane)
        self._leave_behind(now_s)
        self._is_finishing = False  # `finish` says so each time

    def watch(self, now_s: float) -> None:
        """Close dead sessions, and leave those that make no progress while somebody speaks."""
        for lane in self.all:
            lane.watch(now_s)
            if lane.is_stalled(now_s):
                is_silent = now_s - lane.session.last_heard_s > SILENT_S_MAX
                if self._minutes.doubts.may_leave(now_s, is_silent=is_silent):
                    lane.session.give_up(NO_PROGRESS)

    @property
    def is_spoken(self) -> bool:
        """Whether a turn is being spoken, as far as the service has told."""
        live = self.live
        return bool(live and live.turn_is_open and not live.is_terminating)

    def force_endpoint(self) -> None:
        """End the live turn now, where there is one."""
        live = self.live
        if live and live.turns and not live.is_terminating:
            live.session.force_endpoint()

    def hand_over(self, now_s: float) -> None:
        """Open the next session before the live one expires, and let it take over at a turn's end."""
        self._end_behind_in_time(now_s)
        live = self.live
        unheard = self._marks.get(live.range_id) if live else None
        if live is None or unheard is None or live.began_s is None or live.is_terminating:
            return
        left_s, lead_s = live.expires_s - now_s, min(HANDOVER_LEAD_S, (live.expires_s - live.began_s) / 3)
        if left_s >= lead_s and not live.is_stale:
            return
        is_due = not live.turn_is_open or left_s < min(HANDOVER_FORCED_S, lead_s / 2)
        if self._next is not None:
            if self._next.turns and is_due:
                self._take_over(live, self._next, unheard)
        elif len(self.all) < self._sessions_max(now_s):
            # Sessions that expire one after the other count towards the account's limit, too.
            if now_s >= max(self.connect_at_s, self._begins.free_s(now_s, SESSIONS_PER_MINUTE_MAX)):
                self._next = self._lane(unheard, is_live=True)
        elif is_due:
            self._retire(live)  # there is no room for two: the next begins where this one ends

    def rest(self) -> None:
        """End the live session: nobody speaks."""
        self.is_resting = True
        self._drop_next()
        if live := self.live:
            live.terminate()

    def halt(self, reason: str) -> None:
        """Leave all sessions as they are: nothing they say can be stored."""
        for lane in self.all:
            self._drop(lane)
        self.state, self.failure = "halted", reason

    def leave(self) -> bool:
        """End all sessions, leaving what they had to say to those that come; True once they are over."""
        for lane in self.all:
            if lane.turns is None or lane is self._next:
                self._drop(lane)
            elif not lane.is_terminating:
                self._retire(lane)
        return not self._lanes

    def finish(self) -> bool:
        """End the sessions once they have had all sound; True when all of it has been heard."""
        self._drop_next()
        self._is_finishing = True
        live, unheard = self.live, self._marks.live
        is_heard = unheard is None or self._minutes.is_heard(unheard)
        if is_heard:  # captions need no session more
            self.behind_at_s = min(self.behind_at_s, self._backoffs[False].hurry_s(time.monotonic()))
        # A session reads the journal itself: one that is beyond what was taken in may be within a word.
        goes_on = live is not None and live.sent_before > self._intake.next_number
        has_had_all = live is not None and live.sent_before >= self._intake.sound_before
        if live and live.turns and not goes_on and (is_heard or has_had_all):
            live.terminate()
        return is_heard and not self._lanes and not self._marks.behind

    # What becomes of a session.

    def hear(self, event: Event) -> None:
        """Learn from a message, whatever it is, what kind of service it is."""
        if isinstance(event, HeartbeatEvent):
            self._keeps_heartbeats = True

    def begin(self, lane: Lane, event: Begun) -> None:
        """The service has said Begin."""
        model = (event.configuration and event.configuration.model) or ""
        find_meeting = partial(self._minutes.meeting_at, lane=lane)
        turns = Turns(self._settings.room, event.id, lane.clock, find_meeting, channel=self._minutes.channel)
        lane.begin(turns, model, event.expires_at.timestamp() - time.time(), time.monotonic())
        self._remember(lane)
        log.info(
            "session_started",
            session_id=event.id,
            model=model,
            is_live=lane.is_live,
            expires_at=str(event.expires_at),
        )
        if lane.is_live:
            self._minutes.remarks.begin()
        if self._settings.service != "local":  # the engine says itself what it does not have
            for text in differences(lane.session.parameters, event.told):
                self._minutes.warn(text, lane)
        if lane.is_live and lane is not self._next:
            self._become_live(lane)

    def end(self, lane: Lane, event: TerminationEvent) -> None:
        """The session ended in order."""
        log.info("session_ended", audio_s=event.audio_duration_seconds, open_s=event.session_duration_seconds)
        self._minutes.hear_end(lane)
        self._forget(lane)
        if lane.is_live:
            self._minutes.tell("ended", lane, reason="idle" if self.is_resting else "")
            self.state = "idle"

    def lose(self, lane: Lane, failure: Failure, now_s: float) -> None:
        """The session broke. Raises ConfigError where a recording's session is refused for good."""
        failure = self._changing.heed(failure, lane.told)
        verdict = judge(failure)
        self._access.lost(lane.session, failure)
        self._forget(lane)
        if lane.is_muted:
            return
        self._minutes.hear_break(lane)
        if verdict is Verdict.FATAL and self._intake.is_recording:
            raise ConfigError(f"the service refused the session: {failure.text} (code {failure.code})")
        if failure.is_unreadable:
            self._minutes.hear_unreadable(lane)
        lasted_s = now_s - lane.began_s if lane.began_s else 0.0
        if verdict is Verdict.EXPIRED and lasted_s:
            self._session_s_min = min(self._session_s_min, lasted_s / 2)
        wait_s = self._backoffs[lane.is_live].wait_s(failure, now_s, lasted_s=lasted_s)
        self.reconnects += 1
        log_loss(lane, failure, verdict, wait_s)
        if verdict is Verdict.BUSY:
            self._make_room(lane, now_s)
        if not lane.is_live:
            self.behind_at_s = now_s + wait_s
            return
        self.connect_at_s = now_s + wait_s
        if self.live is not None:
            return  # it was to take over: the live session goes on
        self.failure = failure.text
        self.state = "refused" if verdict is Verdict.FATAL else "retrying"
        self._minutes.tell(self.state, lane, reason=failure.text, retry_in_s=round(wait_s, 2))

    # Details.

    def _waits(self, part: Range, now_s: float) -> bool:
        """Return whether a doubtful range is not to be heard yet.

        Of the sessions that an account may begin within a minute one is left to what is live.
        """
        doubts = self._minutes.doubts
        if self._intake.is_paced and doubts.is_open(part.id):
            free_s = self._begins.free_s(now_s, SESSIONS_PER_MINUTE_MAX - 1)
            if free_s > now_s and not part.is_live:
                return True
        return doubts.waits(part.id, now_s, is_last=self._is_finishing)

    def _sessions_max(self, now_s: float) -> int:
        return 1 if now_s < self._alone_until_s else self._settings.engine.sessions_max

    @property
    def _is_behind_open(self) -> bool:
        return any(not lane.is_live and not lane.is_muted for lane in self._lanes)

    def _lane(self, unheard: Range, *, is_live: bool) -> Lane:
        asked, is_local = self._changing.session, self._settings.service == "local"
        session = Session(self._access, parameters_of(asked, local=is_local), self._post)
        self._meter.watch(session)
        self._backoffs[is_live].begin(session.started_s)
        return Lane(
            unheard.id,
            session,
            self._intake.frames(unheard.start),
            is_live=is_live,
            has_partials=has_partials(asked),
            keeps_heartbeat=self._keeps_heartbeats,
            answers_late=is_local,
            session_s_min=self._session_s_min,
            turn_silence_ms=asked.max_turn_silence or TURN_SILENCE_MS,
            told=self._changing.told,
            burst_ms=WAKE_BURST_MS if is_live and self.is_woken else BURST_MS,
        )

    def _remember(self, lane: Lane) -> None:
        """Tell a session that has not been sent anything yet what was committed before its sound."""
        if lane.turns and (unheard := self._marks.get(lane.range_id)):
            lane.turns.remember(may_come_again(unheard.tail, unheard.start * FRAME_MS))

    def _become_live(self, lane: Lane) -> None:
        """Begin where the live range begins; after a long break, what was missed is left to another."""
        self.state, self.failure, self.is_woken = "live", "", False
        self._minutes.tell("started", lane, model=lane.model)
        unheard = self._marks.get(lane.range_id)
        if unheard and self._is_late(unheard.start, self._settings.engine.live_first_s):
            live = self._split(unheard.start)
            lane.start_at(live.id, self._intake.frames(live.start))
            self._remember(lane)

    def _leave_behind(self, now_s: float) -> None:
        """Where a session has fallen far behind without breaking, let another one be live."""
        live = self.live
        if live is None or live.turns is None or live.is_terminating or not live.levels:
            return
        if self._is_behind_open or self._next or len(self.all) >= self._sessions_max(now_s):
            return
        if self._is_late(live.sent_before, 2 * self._settings.engine.live_first_s):
            self._split(live.sent_before)
            live.is_live = False

    def _is_late(self, number: int, late_s_max: float) -> bool:
        """Whether so much sound waits behind a frame that live captions would come late."""
        late_s = (self._intake.next_number - number) * FRAME_MS / 1000
        has_two = self._sessions_max(time.monotonic()) > 1
        return late_s > late_s_max and has_two and self._intake.is_paced

    def _split(self, start: int) -> Range:
        """Cut the live range in a pause of late, behind `start`; give what is live from now on."""
        cut = cut_in_pause(self._intake, start)
        log.warning("catching_up_behind", behind_s=(cut - start) * FRAME_MS / 1000)
        return self._minutes.split(cut)

    def _take_over(self, live: Lane, following: Lane, unheard: Range) -> None:
        # All before the mark is safe; what the old session heard after it, the new one hears again.
        self._retire(live)
        following.start_at(unheard.id, self._intake.frames(unheard.start))
        self._remember(following)
        self._lanes.append(following)
        self._next = None
        self.handovers += 1
        reached("session-handed-over")
        log.info("session_handed_over", session_id=following.session.session_id)
        self._become_live(following)

    def _retire(self, lane: Lane) -> None:
        """End a session whose part another one is to hear again, from the mark on."""
        lane.is_live, lane.is_muted = False, True
        lane.terminate()

    def _drop_next(self) -> None:
        if self._next is not None:
            self._drop(self._next)

    def _end_muted(self, sessions_max: int, now_s: float) -> bool:
        """Make room for the live session; False while one that nobody listens to names its speakers."""
        for lane in list(self._lanes):
            if lane.is_muted and len(self.all) >= sessions_max:
                if self._settings.session.speaker_labels and now_s - lane.ending_s < LAST_WORD_S_MAX:
                    return False
                self._drop(lane)
        return True

    def _make_room(self, refused: Lane, now_s: float) -> None:
        """The service has too many sessions open: live goes first, and for a while there is one."""
        if refused.is_live:
            for lane in self._lanes:
                if not lane.is_live and not lane.is_terminating:
                    self._retire(lane)
            return
        self._busy += 1
        if self._busy >= BUSY_MAX:
            self._busy, self._alone_until_s = 0, now_s + ALONE_S
            log.warning("one_session_at_a_time", for_s=ALONE_S)

    def _drop(self, lane: Lane) -> None:
        """Leave a session as it is."""
        lane.session.abandon()
        self._forget(lane)

    def _end_behind_in_time(self, now_s: float) -> None:
        """A session that catches up ends in order before it expires, so that it can name its speakers."""
        for lane in self._lanes:
            left_s, lead_s = lane.expires_s - now_s, (lane.expires_s - (lane.began_s or now_s)) / 3
            if not (lane.is_live or lane.is_terminating) and left_s < min(HANDOVER_FORCED_S, lead_s):
                self._retire(lane)

    def _forget(self, lane: Lane) -> None:
        lane.close()
        if lane is self._next:
            self._next = None
        else:
            self._lanes.remove(lane)
