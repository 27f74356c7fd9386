"""Session time, sound time and the time of day.

A session counts the milliseconds of audio it received, from 0. Sound time counts the milliseconds
of this machine's sound: a frame's number times 50. Both run on while a session lasts, but sound
time jumps where capture missed something, and every session begins at 0 again.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from minuted.messages import FRAME_MS, AudioFrame

CLOCK_SET_MS: Final = 1000
"""A wall clock that differs by so much from what the sound says was set."""
STRETCHES_MAX: Final = 1000
"""Stretches remembered; a word older than that many jumps counts from the oldest."""
STRETCHES_KEPT: Final = 50
"""Stretches that a new process is told of."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Sound of one source without a jump, of it or of the clock."""

    sound_ms: int
    source: str
    wall_offset_ms: int
    """Add it to a sound time to get epoch milliseconds."""


class Stretches:
    """Remembers where the sound of late began, by source and jump."""

    def __init__(self, state: Iterable[Mapping[str, Any]] = (), next_number: int = -1) -> None:
        """Go on from what `to_state` gave another process, whose next frame was to be `next_number`."""
        known = (Stretch(**kept) for kept in state)
        # What begins at the next frame or later comes again.
        self._stretches: deque[Stretch] = deque(
            (stretch for stretch in known if next_number < 0 or stretch.sound_ms < next_number * FRAME_MS),
            STRETCHES_MAX,
        )
        self._next_number = next_number

    def received(self, frame: AudioFrame, *, anew: bool = False) -> None:
        """Note the next frame, in the order of their numbers; `anew`: the sound before it had ended."""
        sound_ms = frame.number * FRAME_MS
        offset_ms = frame.captured_at_ms - sound_ms
        if anew or frame.number != self._next_number or self._is_other(frame.source, offset_ms):
            self._stretches.append(Stretch(sound_ms, frame.source, offset_ms))
        self._next_number = frame.number + 1

    def go_on_at(self, number: int) -> None:
        """Expect this frame next, of the same sound: those before it are damaged."""
        self._next_number = number

    def to_state(self) -> list[dict[str, Any]]:
        """Give the stretches that another process may still have to know."""
        return [asdict(stretch) for stretch in list(self._stretches)[-STRETCHES_KEPT:]]

    def _is_other(self, source: str, offset_ms: int) -> bool:
        if not self._stretches:
            return True  # only the number of the next frame is known from the process before
        newest = self._stretches[-1]
        # A clock that was set makes no jump in the sound; a recording is one stretch whatever the clock does.
        was_set = abs(offset_ms - newest.wall_offset_ms) >= CLOCK_SET_MS and source == "microphone"
        return source != newest.source or was_set

    def at(self, sound_ms: int) -> Stretch:
        """Give the stretch that `sound_ms` lies in: the oldest, for what is before it."""
        if not self._stretches:
            return Stretch(0, "microphone", 0)  # frames are numbered by the time of day
        later = bisect_right(self._stretches, sound_ms, key=lambda stretch: stretch.sound_ms)
        return self._stretches[max(0, later - 1)]


@dataclass(frozen=True, slots=True)
class _Run:
    session_ms: int
    sound_ms: int


class SessionClock:
    """Says which sound each millisecond of one session is."""

    def __init__(self) -> None:
        self.sent_ms = 0
        """How much audio this session was sent."""
        self._runs: list[_Run] = []
        self._next_number = -1

    def sent(self, frame: AudioFrame) -> None:
        """Count a frame as the next 50 ms of the session."""
        if frame.number != self._next_number:
            self._runs.append(_Run(self.sent_ms, frame.number * FRAME_MS))
        self.sent_ms += FRAME_MS
        self._next_number = frame.number + 1

    def start_ms(self, session_ms: int) -> int:
        """Give the sound time at which something begins that the session puts at `session_ms`.

        At least one frame must have been sent, as for `end_ms`.
        """
        later = bisect_right(self._runs, session_ms, key=_session_ms)
        return self._sound_ms(later - 1, session_ms)

    def end_ms(self, session_ms: int) -> int:
        """Give the sound time at which something ends: at a jump, the end of the sound before it."""
        return self._sound_ms(bisect_left(self._runs, session_ms, key=_session_ms) - 1, session_ms)

    def _sound_ms(self, index: int, session_ms: int) -> int:
        run = self._runs[max(0, index)]
        return run.sound_ms + max(0, session_ms) - run.session_ms


def _session_ms(run: _Run) -> int:
    return run.session_ms
