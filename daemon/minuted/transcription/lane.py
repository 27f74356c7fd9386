"""A session and the stretch of sound it is there to hear: what it may be sent, and when it is dead."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from minuted.messages import FRAME_MS, AudioFrame
from minuted.transcription.clock import SessionClock
from minuted.transcription.intake import Frames
from minuted.transcription.pace import BURST_MS, LEAD_MS_MAX, Pace
from minuted.transcription.pauses import Level, is_loud, level_of, may_end_turn
from minuted.transcription.reconnect import Failure, Verdict
from minuted.transcription.session import QUEUED_MS_MAX, Session
from minuted.transcription.turns import Turns

LEVELS_MAX: Final = 2400
"""Frames whose level is remembered: two minutes, more than a final was ever late."""
SILENT_S_MAX: Final = 7.0
"""Without a word from a service that keeps the heartbeat it promised each 5 s: it is dead."""
UNANSWERED_FRAMES_MAX: Final = 60
"""Loud frames to which a service has said nothing for so long; where it is not known to keep a heartbeat."""
UNANSWERED: Final = "the service says nothing to what is said"
FLOOR_FRAMES: Final = 200
STUCK_S_MAX: Final = 5.0
"""With the SDK's sending queue full for so long, the link is dead."""
WORDLESS_MS_MAX: Final = 30_000
"""Sound that the service has had for so long without beginning a turn had no words in it.

It tells of a turn in every pause of 100 ms, and at the latest each 3 s; not every model confirms silence.
"""
SESSION_S_MAX: Final = 3 * 3600.0
"""How long the service lets a session be. A clock that is wrong makes nonsense of what it tells."""

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
        must_answer: bool = False,
        told: Mapping[str, Any] | None = None,
        burst_ms: int = BURST_MS,
    ) -> None:
        """`keeps_heartbeat`: earlier sessions had them; `must_answer`: loud sound is taken for speech.

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
        self._must_answer = must_answer and has_partials
        self._unanswered = 0
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
        self.expires_s = now_s + (expires_in_s if 0 < expires_in_s <= SESSION_S_MAX else SESSION_S_MAX)
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
            self._frames.advance()
            self._end_turn_at_cut(frame.number)
        self.has_sent_all = end is not None

    def hear(self) -> None:
        """The service has said something, whatever it is."""
        self._unanswered = 0

    def _end_turn_at_cut(self, number: int) -> None:
        if self._cut_after < 0:
            self._cut_after = number
        passed = [cut for cut in self.cuts if self._cut_after < cut <= number + 1]
        if passed and may_end_turn(self.levels, passed[-1]):
            self._cut_after = passed[-1]
            self.session.force_endpoint()

    def _note(self, level: Level) -> None:
        self.levels.append(level)
        self._recent.append(level.level)
        self._unanswered += is_loud(level.level, min(self._recent))

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
            elif self._must_answer and self._unanswered > UNANSWERED_FRAMES_MAX:
                self.session.give_up(UNANSWERED)
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


def levels_of(frames: Frames, end: int) -> list[Level]:
    """Give the levels of all frames up to `end`, and let go of the frames."""
    levels = []
    while (frame := frames.peek()) and frame.number < end:
        levels.append(level_of(frame.number, frame.pcm))
        frames.advance()
    frames.close()
    return levels


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
