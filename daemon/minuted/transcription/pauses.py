"""Where one may cut: the pauses in the sound itself, by its level. Pure.

The times of a turn's edges cannot say it: the service puts a first word's start up to 1 s too early
and a last word's end 0.24 to 1.3 s too late (measured on the U3 family), so a cut at a reported end
might fall into the next turn's first word.
"""

from array import array
from collections.abc import Sequence
from itertools import pairwise
from sys import byteorder
from typing import Final, NamedTuple

from minuted.messages import FRAME_MS

END_LATE_MS_MAX: Final = 1350
"""How much later than the truth a turn's last word was seen to end, and a frame."""
END_LATE_MS_MIN: Final = 240
"""How much later at the least, where the turn ended in a pause."""
START_EARLY_MS_MAX: Final = 1000 + FRAME_MS
"""How much earlier than the truth a turn's first word was seen to begin, and a frame."""
QUIET_ABOVE_MIN: Final = 3.0
QUIET_FLOOR: Final = 40.0
"""A frame is quiet up to three times the quietest one's level, and a little: digital silence is 0."""
FLOOR_FRAMES: Final = 200
END_WAIT_FRAMES: Final = 20
"""How long the end of a turn that somebody wants ended waits for a pause."""
PAUSE_FRAMES: Final = 4
"""200 ms: longer than the silence inside any word."""


class Level(NamedTuple):
    """How loud a frame is: the mean of its samples' absolute values, 0 to 32768."""

    number: int
    level: float


def level_of(number: int, pcm: bytes) -> Level:
    """Measure a frame; 30 µs."""
    samples = array("h", pcm)
    if byteorder == "big":
        samples.byteswap()
    return Level(number, sum(map(abs, samples)) / len(samples))


def is_loud(level: float, quietest: float) -> bool:
    """Whether a frame is more than a room's noise, of which `quietest` is the least of late."""
    return level > QUIET_ABOVE_MIN * quietest + QUIET_FLOOR


def mark_after(levels: Sequence[Level], end_ms: int) -> int:
    """Give the frame to begin at again after a turn that the service ends at sound time `end_ms`.

    The earliest pause in which the turn may have ended: then no word of the next turn is cut, and
    words of this one that are heard a second time are known again by their text (`seam.py`).
    `levels` are those of the frames sent, in order.
    """
    window = _near_end(levels, end_ms)
    if not window:
        return end_ms // FRAME_MS
    bound = _quiet_bound(window)
    for before, after in pairwise(window):
        if before.level <= bound and after.level <= bound:
            return after.number
    # No pause at all: the quietest moment near the end.
    late = [level for level in window if level.number * FRAME_MS >= end_ms - 500] or window
    return min(late, key=lambda level: level.level).number


def sound_end_ms(levels: Sequence[Level], end_ms: int) -> int:
    """Give where the last word really ends of a turn that the service ends at sound time `end_ms`.

    It is the end of the last frame that is not quiet: no more than a frame late where nothing but the
    word was to be heard.
    """
    window = _near_end(levels, end_ms)
    loud = [
        level.number
        for level in window
        if level.level > _quiet_bound(window) and level.number * FRAME_MS < end_ms
    ]
    return min(end_ms, (loud[-1] + 1) * FRAME_MS) if loud else end_ms


def sound_start_ms(levels: Sequence[Level], start_ms: int) -> int:
    """Give where the first word really begins of a turn that the service begins at sound time `start_ms`.

    It is the first frame from there on that is not quiet, within a second.
    """
    window = [
        level for level in levels if start_ms < (level.number + 1) * FRAME_MS <= start_ms + START_EARLY_MS_MAX
    ]
    loud = [level.number for level in window if level.level > _quiet_bound(window)]
    return max(start_ms, loud[0] * FRAME_MS) if loud else start_ms


def word_start(levels: Sequence[Level], start_ms: int, end_ms: int) -> int:
    """Return the frame in which a turn's first word really begins.

    The service puts it at `start_ms`, up to 1 s too early, and its end at `end_ms`. What lies between
    `start_ms` and the last pause of 100 ms before `end_ms` may belong to a turn before.
    """
    frames = [
        level
        for level in levels
        if start_ms < (level.number + 1) * FRAME_MS and level.number * FRAME_MS < max(end_ms, start_ms + 1)
    ]
    if not frames:
        return start_ms // FRAME_MS
    bound = _quiet_bound([level for level in levels if level.number > frames[-1].number - FLOOR_FRAMES])
    loud = [level.number for level in frames if level.level > bound]
    if not loud:
        return frames[0].number
    first = loud[-1]
    while any(first - 2 <= number < first for number in loud):
        first = max(number for number in loud if first - 2 <= number < first)
    return first


def cut_near(levels: Sequence[Level]) -> int:
    """Give the frame to cut these at, of which there is one at least.

    It lies in the last pause that is as long as one between words, or in the longest where none is:
    in its middle, or 200 ms before its end, for a word may begin softly.
    """
    bound = _quiet_bound(levels)
    best: list[int] = []
    run: list[int] = []
    for level in levels:
        run = [*run, level.number] if level.level <= bound else []
        if len(run) >= min(PAUSE_FRAMES, len(best) + 1):
            best = run
    return best[max(len(best) // 2, len(best) - PAUSE_FRAMES)]


def has_loud(levels: Sequence[Level], start: int, end: int) -> bool:
    """Return whether frames `start` to `end - 1` hold more than a room's noise, or are not known any more."""
    if not levels or start < levels[0].number:
        return True
    recent = [level.level for level in levels if start - FLOOR_FRAMES <= level.number < end]
    loud = [level for level in levels if start <= level.number < end and is_loud(level.level, min(recent))]
    return len(loud) > 1


def may_end_turn(levels: Sequence[Level], number: int) -> bool:
    """Whether a turn may be ended behind these frames, as somebody wants it from frame `number` on.

    They end in a pause, or a second has gone by without one: the middle of a word would cost that word.
    """
    newest = levels[-1].number
    recent = [level.level for level in levels if level.number > newest - FLOOR_FRAMES]
    is_quiet = len(recent) > 1 and not any(is_loud(level, min(recent)) for level in recent[-2:])
    return is_quiet or newest - number >= END_WAIT_FRAMES


def _near_end(levels: Sequence[Level], end_ms: int) -> list[Level]:
    """Give the frames among which a turn that the service ends at `end_ms` may have ended."""
    return [
        level for level in levels if end_ms - END_LATE_MS_MAX <= level.number * FRAME_MS <= end_ms + FRAME_MS
    ]


def _quiet_bound(levels: Sequence[Level]) -> float:
    return QUIET_ABOVE_MIN * min(level.level for level in levels) + QUIET_FLOOR
