"""A session and the stretch of sound it is there to hear: what it may be sent, and when it is dead."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from assemblyai.streaming.v3 import TurnEvent

from minuted.messages import FRAME_MS, AudioFrame
from minuted.transcription.clock import SessionClock
from minuted.transcription.intake import Frames, Intake
from minuted.transcription.pace import BURST_MS, LEAD_MS_MAX, Pace
from minuted.transcription.pauses import Level, cut_near, is_loud, level_of, may_end_turn
from minuted.transcription.progress import SILENT_S_MAX, Progress
from minuted.transcription.reconnect import Failure, Verdict
from minuted.transcription.session import QUEUED_MS_MAX, Session
from minuted.transcription.turns import Turns

LEVELS_MAX: Final = 2400
"""Frames whose level is remembered: two minutes, more than a final was ever late."""
FLOOR_FRAMES: Final = 200
STUCK_S_MAX: Final = 5.0
"""With the SDK's sending queue full for so long, the link is dead."""
WORDLESS_MS_MAX: Final = 30_000
"""Sound that the service has had for so long without beginning a turn had no words in it.

It tells of a turn in every pause of 100 ms, and at the latest each 3 s; not every model confirms silence.
"""
SESSION_S_MAX: Final = 3 * 3600.0
"""How long the service lets a session be. A clock that is wrong makes nonsense of what it tells."""
CUT_SEARCH_FRAMES: Final = 200
"""After a long break the live session begins in a pause of the last 10 s."""

log = structlog.get_logger(__name__)


class Lane:
    """One session at work on one range. Used from the loop's thread."""

    def __init__(
        self,
        range_id: int,
        session: Session,
        frames: Frames,
        *,
        is_live: bool,
        has_partials: bool,
        keeps_heartbeat: bool = False,
        answers_late: bool = False,
        turn_silence_ms: int = 1200,
        session_s_min: float = 0.0,
        told: Mapping[str, Any] | None = None,
        burst_ms: int = BURST_MS,
    ) -> None:
        """`keeps_heartbeat`: earlier sessions had them; `answers_late`: words come for what it has taken.

        `session_s_min`: an expiry nearer than that is not believed.
        `told` are the live settings it is asked for with.
        """
        self.range_id = range_id
        self.session = session
        self.is_live = is_live
        self.clock = SessionClock()
        self.turns: Turns | None = None  # from Begin on
        self.model = ""
        self.began_s: float | None = None
        self.expires_s = float("inf")
        """When the service will end the session; `monotonic` seconds."""
        self.taken_ms = 0
        """How much sound the service says it has received: its heartbeats tell."""
        self.turn_is_open = False
        self.open_from_ms: int | None = None
        """The sound time at which the turn that is open began, where that is known."""
        self.is_terminating = False
        self.ending_s = 0.0
        """When it was asked to end."""
        self.is_muted = False
        """Another lane hears again what this one still has to say."""
        self.has_sent_all = False
        """All of a range with an end."""
        self.told = told
        """The live settings it goes by."""
        self.is_stale = False
        """It goes by something that no session can be told to forget: the next one takes over."""
        self.cuts: Sequence[int] = ()
        """Frames before which somebody has ended a meeting: its turn is ended there too."""
        self.spoken_until_ms = 0
        """The sound time at which its last final's sound ends."""
        self.levels: deque[Level] = deque(maxlen=LEVELS_MAX)
        self._has_partials = has_partials
        self._keeps_heartbeat = keeps_heartbeat
        self._answers_late = answers_late
        self._turn_silence_ms = turn_silence_ms
        self._session_s_min = session_s_min
        self.progress = self._new_progress(time.monotonic())
        self._recent: deque[float] = deque(maxlen=FLOOR_FRAMES)
        self._frames = frames
        self._cut_after = -1
        self._burst_ms = burst_ms
        self._pace = Pace(time.monotonic())
        self._had_room_s = time.monotonic()

    @property
    def sent_before(self) -> int:
        """The number after the last frame it was sent; 0 before the first."""
        return self.levels[-1].number + 1 if self.levels else 0

    def begin(self, turns: Turns, model: str, expires_in_s: float, now_s: float) -> None:
        """The service has said Begin."""
        self.turns, self.model, self.began_s = turns, model, now_s
        is_believed = self._session_s_min <= expires_in_s <= SESSION_S_MAX and expires_in_s > 0
        self.expires_s = now_s + (expires_in_s if is_believed else SESSION_S_MAX)
        self.progress = self._new_progress(now_s)
        self._had_room_s = now_s
        self._pace = Pace(now_s, self._burst_ms)

    def start_at(self, range_id: int, frames: Frames) -> None:
        """Hear another stretch instead; nothing has been sent yet."""
        assert not self.clock.sent_ms
        self._frames.close()
        self.range_id, self._frames = range_id, frames

    def send(self, end: int | None, now_s: float) -> None:
        """Send what pace and queue allow, up to frame `end`."""
        while (frame := self._frames.peek()) and (end is None or frame.number < end):
            if not self._may_send(frame, now_s):
                return
            self.session.send(frame.pcm)
            self.clock.sent(frame)
            self._note(level_of(frame.number, frame.pcm))
            self._answers_late |= not frame.paced
            self._frames.advance()
            self._end_turn_at_cut(frame.number)
        self.has_sent_all = end is not None

    def _new_progress(self, now_s: float) -> Progress:
        return Progress(now_s, has_partials=self._has_partials, turn_silence_ms=self._turn_silence_ms)

    def span_of(self, event: TurnEvent) -> tuple[int, int] | None:
        """Return the first and the last frame of a turn's words; None where it has no words."""
        if not event.transcript.strip():
            return None
        if not event.words:  # without times it may be anywhere in what was sent
            return self.levels[0].number, self.levels[-1].number
        start_ms = self.clock.start_ms(event.words[0].start)
        end_ms = max(start_ms, self.clock.end_ms(event.words[-1].end))
        return start_ms // FRAME_MS, min(end_ms // FRAME_MS, self.levels[-1].number)

    def is_stalled(self, now_s: float) -> bool:
        """Return whether speech goes in and no words come out."""
        if self.turns is None or self.is_terminating or self.is_muted or not self.levels:
            return False
        taken = self.clock.end_ms(self.taken_ms) // FRAME_MS if self._answers_late and self.taken_ms else None
        return self.progress.is_stalled(now_s, now_s - self.session.last_heard_s, taken)

    def _end_turn_at_cut(self, number: int) -> None:
        if self._cut_after < 0:
            self._cut_after = number
        passed = [cut for cut in self.cuts if self._cut_after < cut <= number + 1]
        if passed and may_end_turn(self.levels, passed[-1]):
            self._cut_after = passed[-1]
            self.session.force_endpoint()

    def _note(self, level: Level) -> None:
        before = min(self._recent, default=level.level)
        self.levels.append(level)
        self._recent.append(level.level)
        quietest = min(self._recent)
        self.progress.sent(level.number, is_loud=is_loud(level.level, quietest))
        if quietest < before:  # a session may begin within a word
            of_late = list(self.levels)[-FLOOR_FRAMES:]
            louder = [each.number for each in of_late if is_loud(each.level, quietest)]
            self.progress.was_loud(louder)

    def _may_send(self, frame: AudioFrame, now_s: float) -> bool:
        if self.session.queued_ms >= QUEUED_MS_MAX:
            return False
        ahead = self.clock.sent_ms - self.taken_ms >= LEAD_MS_MAX
        if not frame.paced and ahead and self.taken_ms:
            return False
        # An engine that does not say what it has taken gets an unpaced recording at this pace too.
        return not (frame.paced or ahead) or self._pace.allows(FRAME_MS, now_s)

    def watch(self, now_s: float) -> None:
        """Have a dead session say so: the SDK alone would take up to 50 s."""
        self.session.watch(now_s)
        if self.turns is None or self.session.queued_ms < QUEUED_MS_MAX:
            self._had_room_s = now_s
        if self.turns and now_s - self.session.last_heard_s > SILENT_S_MAX:
            is_promised = not self.told or self.told["session_heartbeat"] is not False
            if is_promised and (self.taken_ms or (self._keeps_heartbeat and self.levels)):
                self.session.give_up("the service has gone silent")
        if now_s - self._had_room_s > STUCK_S_MAX:
            self.session.give_up("the service takes no more audio")

    def wordless_before_ms(self) -> int | None:
        """Give the sound time before which there surely were no words that are still to come; or None."""
        # Without its heartbeat nobody knows that the service listens, without partials that nobody speaks.
        heard_ms = min(self.clock.sent_ms, self.taken_ms)
        if self.turn_is_open or not self._has_partials or heard_ms <= WORDLESS_MS_MAX:
            return None
        return self.clock.end_ms(heard_ms - WORDLESS_MS_MAX)

    def terminate(self) -> None:
        """Ask for the last turn and the end."""
        if not self.is_terminating:
            self.is_terminating, self.ending_s = True, time.monotonic()
            self.session.terminate()

    def close(self) -> None:
        """Let go of the sound."""
        self._frames.close()


def cut_in_pause(intake: Intake, start: int) -> int:
    """Give the frame in a pause of late, not before `start`, from which on a session may well begin."""
    newest = intake.next_number
    frames = intake.frames(max(start, newest - CUT_SEARCH_FRAMES))
    levels = []
    while (frame := frames.peek()) and frame.number < newest:
        levels.append(level_of(frame.number, frame.pcm))
        frames.advance()
    frames.close()
    return max(start, cut_near(levels) if levels else newest)


def log_loss(lane: Lane, failure: Failure, verdict: Verdict, wait_s: float) -> None:
    """Say why a session is over that was not asked to end."""
    details: dict[str, Any] = {
        "reason": failure.text,
        "code": failure.code,
        "phase": failure.phase,
        "is_live": lane.is_live,
        "retry_in_s": round(wait_s, 2),
    }
    if verdict is Verdict.FATAL:
        log.error("session_refused", **details)
    else:
        log.warning("session_lost", **details)
