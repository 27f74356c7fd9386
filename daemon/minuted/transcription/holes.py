"""Sound of which there will be no words. Pure: time comes in as an argument."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from minuted.messages import FRAME_MS, Gap
from minuted.transcription.meetings import Meeting

LOST_FRAMES_MAX: Final = 1200
"""A loss that goes on is declared each minute."""
LOST_QUIET_S: Final = 2.0
"""A loss is over when nothing more has been lost for so long."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Frames `from_number` to `to_number - 1` will never be heard, and why; "" where nobody would."""

    from_number: int
    to_number: int
    reason: str


class Losses:
    """Gathers the frames that a bound throws away one by one."""

    def __init__(self) -> None:
        self.frames = 0
        """How many in all."""
        self._lost: deque[Hole] = deque()
        """In order; only the newest still grows."""
        self._lost_at_s = 0.0

    def lose(self, hole: Hole, now_s: float) -> None:
        """Note frames that were thrown away unheard; not before those noted last."""
        self.frames += hole.to_number - hole.from_number
        newest = self._lost[-1] if self._lost else None
        if newest and (newest.to_number, newest.reason) == (hole.from_number, hole.reason):
            self._lost[-1] = Hole(newest.from_number, hole.to_number, hole.reason)
        else:
            self._lost.append(hole)
        self._lost_at_s = now_s

    def take(self, now_s: float) -> Hole | None:
        """Give the oldest loss there was, once it is over or has become long."""
        if not self._lost:
            return None
        is_long = self._lost[0].to_number - self._lost[0].from_number >= LOST_FRAMES_MAX
        is_over = len(self._lost) > 1 or now_s - self._lost_at_s >= LOST_QUIET_S
        return self._lost.popleft() if is_long or is_over else None


def gap_of(hole: Hole, meeting: Meeting | None, wall_offset_ms: int, room: str, channel: str | None) -> Gap:
    """Give a hole as a record of the meeting it lies in, or that ended before it."""
    start_ms, end_ms = hole.from_number * FRAME_MS, hole.to_number * FRAME_MS
    origin_ms = meeting.sound_ms if meeting else start_ms
    return Gap(
        room=room,
        meeting_id=meeting.id if meeting else "",
        meeting_started_at_ms=meeting.started_at_ms if meeting else start_ms + wall_offset_ms,
        start_ms=start_ms - origin_ms,
        end_ms=end_ms - origin_ms,
        reason=hole.reason,
        channel=channel,
    )
