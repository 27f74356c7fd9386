"""Which frame number is now, the same for all processes of a boot, whatever the wall clock does.

Frames are numbered by the boot clock, from a number that the first process of the boot takes from the wall
clock and notes in the state folder. After a reboot the wall clock is all that tells how long the machine was
off: the numbers go on by as much as it has gone on, and never go back.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from minuted.journal.audio_reader import AudioReader
from minuted.journal.folder import Folder
from minuted.messages import FRAME_MS
from minuted.runtime import clock, notes
from minuted.runtime.clock import Reading

NOTE: Final = "clock.json"
LOCK: Final = "clock.lock"
STEP_MS: Final = 60_000
"""A wall clock that was set by less changes nothing that is counted in days."""
AHEAD_MS_MAX: Final = 600_000
"""Sound numbered further ahead than that, as of a recording played fast, takes the clock with it."""
DAY_MS: Final = 86_400_000
DOWN_MS_MAX: Final = DAY_MS
"""For longer than that a machine was off only if its clock is known to be right, as it was before."""
NOTE_EVERY_MS: Final = 60_000
NEWS_MS: Final = 1000
"""A wall clock that was set by so much is noted at once."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How the other clocks stand to the boot clock, in one boot."""

    boot_id: str
    sound_ms: int
    """The sound time at boot: a frame's number times its length."""
    steady_ms: int
    """The steady time at boot: time as it has passed since the state folder is used, as well as is known."""
    seen_boot_ms: int
    seen_wall_ms: int
    """Both clocks when they were looked at last."""
    seen_is_set: bool = False
    """The wall clock was then known to be right."""
    set_boot_ms: int | None = None
    """When in this boot the wall clock was seen to have been set."""


def follow(known: Course | None, now: Reading, least_ms: int = 0, *, is_set: bool) -> Course:
    """Return the course from `now` on; sound up to `least_ms` has its numbers already. Pure.

    `is_set`: the wall clock is known to be right.
    """
    if known is None:
        sound_ms = max(now.wall_ms, least_ms)
        return _beginning(now, sound_ms, now.wall_ms, is_set=is_set)
    if known.boot_id != now.boot_id:
        down_ms = now.wall_ms - known.seen_wall_ms
        sound_ms = known.sound_ms + known.seen_boot_ms + max(0, down_ms)
        steady_ms = known.steady_ms + known.seen_boot_ms
        is_sure = is_set and known.seen_is_set
        steady_ms += max(0, down_ms if is_sure else min(down_ms, DOWN_MS_MAX))
        begun = _beginning(now, max(sound_ms, least_ms), steady_ms, is_set=is_set)
        return replace(begun, set_boot_ms=now.boot_ms) if down_ms <= -STEP_MS else begun
    set_ms = (now.wall_ms - known.seen_wall_ms) - (now.boot_ms - known.seen_boot_ms)
    is_ahead = least_ms > now.boot_ms + known.sound_ms + AHEAD_MS_MAX
    return replace(
        known,
        sound_ms=least_ms - now.boot_ms if is_ahead else known.sound_ms,
        seen_boot_ms=now.boot_ms,
        seen_wall_ms=now.wall_ms,
        seen_is_set=is_set,
        set_boot_ms=now.boot_ms if abs(set_ms) >= STEP_MS else known.set_boot_ms,
    )


def _beginning(now: Reading, sound_ms: int, steady_ms: int, *, is_set: bool) -> Course:
    return Course(
        boot_id=now.boot_id,
        sound_ms=sound_ms - now.boot_ms,
        steady_ms=steady_ms - now.boot_ms,
        seen_boot_ms=now.boot_ms,
        seen_wall_ms=now.wall_ms,
        seen_is_set=is_set,
    )


class SoundClock:
    """The course that all processes share. May be used from any thread.

    Where it cannot be noted the process goes on by what it knows: the next one may then be led astray by a
    clock that is set, which is no reason not to record.
    """

    def __init__(
        self, folder: Path, audio_folders: Iterable[Path] = (), read: Callable[[], Reading] = clock.read
    ) -> None:
        """Use the note in `folder`; `audio_folders` hold the sound that has its numbers already."""
        self._folder = folder
        self._audio_folders = tuple(audio_folders)
        self._read = read
        self._course: Course | None = None

    def look(self, least_number: int = 0) -> Course:
        """Follow both clocks and note it; sound before `least_number` has its numbers already."""
        now = self._read()
        try:
            with notes.locked(self._folder / LOCK):
                known = self._known(now)
                course = self._followed(known, now, least_number)
                if _is_news(known, course):
                    notes.store(self._folder / NOTE, asdict(course))
        except OSError as error:
            log.warning("clock_not_noted", reason=str(error))
            course = self._followed(self._course, now, least_number)
        self._course = course
        return course

    def now_ms(self) -> int:
        """Return the sound time of a frame that is heard now."""
        return self._known_course.sound_ms + self._read().boot_ms

    def number_at(self, boot_ms: int) -> int:
        """Return the number of a frame that was heard at `boot_ms`."""
        return (self._known_course.sound_ms + boot_ms) // FRAME_MS

    def number_now(self) -> int:
        """Return the number of a frame that is heard now."""
        return self.now_ms() // FRAME_MS

    def steady_ms(self) -> int:
        """Return a time in milliseconds that passes as time does, whatever the wall clock is set to."""
        return self._known_course.steady_ms + self._read().boot_ms

    def set_ago_s(self) -> float:
        """Return how long ago the wall clock was set in this boot; infinity: it was not seen to be."""
        set_boot_ms = self._known_course.set_boot_ms
        return math.inf if set_boot_ms is None else (self._read().boot_ms - set_boot_ms) / 1000

    @property
    def _known_course(self) -> Course:
        return self._course or self.look()

    def _known(self, now: Reading) -> Course | None:
        """Return what another process has noted of this boot, else what this one knows."""
        noted = _noted(self._folder / NOTE)
        return noted if noted and (noted.boot_id == now.boot_id or not self._course) else self._course

    def _followed(self, known: Course | None, now: Reading, least_number: int) -> Course:
        if known is None or known.boot_id != now.boot_id:
            newest = [_newest_number(folder) for folder in self._audio_folders]
            least_number = max(least_number, *(number + 1 for number in newest), 0)
            course = follow(known, now, least_number * FRAME_MS, is_set=clock.is_set())
            log.debug("sound_clock_begun", sound_ms=course.sound_ms + now.boot_ms, wall_ms=now.wall_ms)
            return course
        course = follow(known, now, least_number * FRAME_MS, is_set=clock.is_set())
        if course.set_boot_ms != known.set_boot_ms:
            log.warning("clock_was_set", ahead_ms=_offset_ms(course) - _offset_ms(known))
        return course


def _is_news(known: Course | None, course: Course) -> bool:
    if known is None or abs(_offset_ms(course) - _offset_ms(known)) >= NEWS_MS:
        return True
    moved = replace(known, seen_boot_ms=course.seen_boot_ms, seen_wall_ms=course.seen_wall_ms)
    return moved != course or course.seen_boot_ms - known.seen_boot_ms >= NOTE_EVERY_MS


def _offset_ms(course: Course) -> int:
    return course.seen_wall_ms - course.seen_boot_ms


def _noted(note: Path) -> Course | None:
    try:
        return Course(**notes.read(note, Course))
    except FileNotFoundError:
        return None
    except ValueError:
        log.error("clock_note_unreadable", path=str(note))
        return None


def _newest_number(folder: Path) -> int:
    return AudioReader(Folder(folder)).newest_number if folder.is_dir() else -1
