"""One playing of a recording: where it lies in the numbers, and how far a killed process got with it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypedDict

import structlog

from minuted.journal.audio_reader import AudioReader
from minuted.journal.folder import Folder
from minuted.runtime import notes
from minuted.runtime.kill_points import reached

LATEST_MS: Final = 1 << 45
"""A moment beyond it, in a thousand years, is damage."""
NOTE: Final = "audio-run.json"
"""What is being played in which run, in the state folder."""
LOCK: Final = "audio-run.lock"


log = structlog.get_logger(__name__)


class DamagedError(OSError):
    """The recording broke off; what came before was good."""


class PlayingNote(TypedDict):
    """What is noted of a recording that is played."""

    run: str
    path: str
    started_at_ms: int
    first_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Playing:
    """The first frame's time and number, and the first frame that has not been played yet."""

    started_at_ms: int
    first_number: int
    from_number: int

    @property
    def goes_on(self) -> bool:
        return self.from_number > self.first_number


def begin(
    folder: Path,
    run: str,
    recording: str,
    next_number: int,
    now: tuple[int, int],
    others: Iterable[Path] = (),
) -> Playing:
    """Go on with what the same run was playing, else begin anew at `next_number` or later and note it.

    `now` is the time in epoch milliseconds and the number of a frame that is heard now.

    Recordings that are played together begin as one, behind all that the `others`' journals hold.
    Without a `run` there is nobody to go on later. Raises OSError.
    """
    now_ms, now_number = now
    if not run:
        return playing_anew(now_ms, max(next_number, now_number))
    with notes.locked(folder / LOCK):
        note = folder / NOTE
        if begun := _read(note, run, recording):
            return replace(begun, from_number=max(begun.first_number, next_number))
        newest = [AudioReader(Folder(other)).newest_number for other in others]
        playing = playing_anew(now_ms, max(next_number, now_number, *(number + 1 for number in newest)))
        notes.store(
            note,
            {
                "run": run,
                "path": recording,
                "first_number": playing.first_number,
                "started_at_ms": playing.started_at_ms,
            },
        )
        reached("recording-noted")
        log.info("recording_begun", first_number=playing.first_number)
    return playing


def started_at_ms(folder: Path) -> int | None:
    """Return when the recording that was played last began, as its meeting has it; None: nobody knows."""
    try:
        return int(notes.read(folder / NOTE, PlayingNote)["started_at_ms"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def playing_anew(now_ms: int, first_number: int) -> Playing:
    """Return the playing that begins now."""
    return Playing(started_at_ms=now_ms, first_number=first_number, from_number=first_number)


def _read(note: Path, run: str, recording: str) -> Playing | None:
    try:
        noted = notes.read(note, PlayingNote)
        if (noted["run"], noted["path"]) != (run, recording):
            return None
        started_at_ms, first_number = noted["started_at_ms"], noted["first_number"]
        if not 0 <= first_number <= LATEST_MS or not 0 <= started_at_ms <= LATEST_MS:
            raise ValueError("no moment")  # as any other damage
    except FileNotFoundError:
        return None
    except ValueError:
        # It is played from its beginning: twice is better than never.
        log.error("recording_note_damaged", path=str(note))
        return None
    return Playing(started_at_ms=started_at_ms, first_number=first_number, from_number=first_number)
