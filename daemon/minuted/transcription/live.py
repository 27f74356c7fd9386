"""The session there is: what it may be sent, what it has surely heard, and when it is dead."""

import time
from typing import Final

from minuted.messages import FRAME_MS, AudioFrame
from minuted.transcription.clock import SessionClock
from minuted.transcription.pace import LEAD_MS_MAX, Pace
from minuted.transcription.session import QUEUED_MS_MAX, Session
from minuted.transcription.turns import Turns

SILENT_S_MAX: Final = 7.0
"""Without a word from a service that keeps the heartbeat it promised each 5 s: it is dead."""
STUCK_S_MAX: Final = 5.0
"""With the SDK's sending queue full for so long, the link is dead."""
WORDLESS_MS_MAX: Final = 30_000
"""Sound that the service has had for so long without beginning a turn had no words in it.

It tells of a turn in every pause of 100 ms, and at the latest each 3 s; not every model confirms silence.
"""


class Live:
    """A session and what belongs to it alone. Used from the loop's thread."""

    def __init__(self, session: Session, *, has_partials: bool) -> None:
        self.session = session
        self.clock = SessionClock()
        self.turns: Turns | None = None  # from Begin on
        self.model = ""
        self.began_s: float | None = None
        self.taken_ms = 0
        """How much sound the service says it has received: its heartbeats tell."""
        self.turn_is_open = False
        self.has_partials = has_partials
        self.terminating = False
        self._pace = Pace(time.monotonic())
        self._had_room_s = time.monotonic()

    def begin(self, now_s: float, model: str) -> None:
        """The service has said Begin."""
        self.began_s, self.model = now_s, model
        self._had_room_s = now_s
        self._pace = Pace(now_s)

    def send(self, frame: AudioFrame, now_s: float) -> bool:
        """Send a frame, if pace and queue allow it."""
        if self.session.queued_ms >= QUEUED_MS_MAX:
            return False
        ahead = self.clock.sent_ms - self.taken_ms >= LEAD_MS_MAX
        if not frame.paced and ahead and self.taken_ms:
            return False
        # An engine that does not say what it has taken gets an unpaced recording at this pace too.
        if (frame.paced or ahead) and not self._pace.allows(FRAME_MS, now_s):
            return False
        self.session.send(frame.pcm)
        self.clock.sent(frame)
        return True

    def watch(self, now_s: float) -> None:
        """Have a dead session say so: the SDK alone would take up to 50 s."""
        self.session.watch(now_s)
        if self.turns is None or self.session.queued_ms < QUEUED_MS_MAX:
            self._had_room_s = now_s
        if self.taken_ms and now_s - self.session.last_heard_s > SILENT_S_MAX:
            self.session.give_up("the service has gone silent")
        elif now_s - self._had_room_s > STUCK_S_MAX:
            self.session.give_up("the service takes no more audio")

    def wordless_before_ms(self) -> int | None:
        """Give the sound time before which there surely were no words that are still to come; or None."""
        # Without its heartbeat nobody knows that the service listens, without partials that nobody speaks.
        heard_ms = min(self.clock.sent_ms, self.taken_ms)
        if self.turn_is_open or not self.has_partials or heard_ms <= WORDLESS_MS_MAX:
            return None
        return self.clock.end_ms(heard_ms - WORDLESS_MS_MAX)
