"""Which recordings are to be taken, where their texts go, and which have been taken before."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from minuted.capture.media import ENDINGS
from minuted.runtime.shapes import MisshapenError, fitted

READABLE: Final = frozenset(
    ".wav .wave .w64 .rf64 .flac .ogg .oga .opus .mp3 .mp2 .aiff .aif .aifc .au .snd .caf".split()  # noqa: SIM905
)
"""The endings by which recordings are found in a folder. A file that is named is tried whatever it is."""
NOTES_MAX: Final = 10_000
"""Recordings remembered; the ones noted longest ago are forgotten, and would be taken again."""


@dataclass(frozen=True)
class Job:
    """A recording, and what its texts are called but for their endings."""

    recording: Path
    base: Path
    problem: str = ""
    """It is a folder in which nobody may look for recordings, and why."""

    def target(self, form: str) -> Path:
        return self.base.with_name(f"{self.base.name}.{form}")


def jobs_of(inputs: Iterable[Path], output_dir: Path | None) -> list[Job]:
    """Find the recordings and name their texts. Raises ValueError where two would have one name.

    In a folder every recording is taken, also in folders in it, in order; hidden ones are not.
    """
    found: dict[Path, Path] = {}
    closed: dict[Path, str] = {}
    for given in inputs:
        for recording in _recordings_in(given, closed) if given.is_dir() else [given]:
            place = recording.relative_to(given) if given.is_dir() else Path(recording.name)
            own = output_dir / place if output_dir else recording
            found.setdefault(recording.resolve(), own.parent.resolve() / own.name)
    stems = [own.with_suffix("") for own in found.values()]
    jobs = [
        # talk.wav and talk.mp3 beside each other become talk.wav.srt and talk.mp3.srt.
        Job(recording, own if stems.count(stem) > 1 else stem, closed.get(recording, ""))
        for (recording, own), stem in zip(found.items(), stems, strict=True)
    ]
    by_base: dict[Path, Path] = {}
    for job in jobs:
        other = by_base.setdefault(job.base, job.recording)
        if other != job.recording:
            raise ValueError(
                f"the texts of {other} and {job.recording} would both be called {job.base.name}: "
                "take them apart, or name the folder that both are in"
            )
    return jobs


def _recordings_in(folder: Path, closed: dict[Path, str]) -> list[Path]:
    """Give a folder's recordings, and the folders in it that cannot be read, which are added to `closed`."""
    found: list[Path] = []

    def note(error: OSError) -> None:
        found.append(Path(error.filename))
        closed[found[-1].resolve()] = f"the folder cannot be read: {error.strerror}"

    for place, folders, files in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(place, name) for name in files if not name.startswith(".")]
        found += [path for path in paths if path.suffix.lower() in READABLE | ENDINGS and path.is_file()]
    return sorted(found)


@dataclass(frozen=True)
class Note:
    """A recording that was heard as far as it goes: which one, in which meeting, and what was made of it."""

    bytes: int
    changed_ns: int
    meeting_id: str
    """"" where there was not a word in it."""
    started_at_ms: int
    records: int
    written: tuple[str, ...]
    broke_off: str = ""
    """What could not be heard of it."""

    def is_of(self, recording: Path) -> bool:
        return (self.bytes, self.changed_ns) == state_of(recording)


def state_of(recording: Path) -> tuple[int, int]:
    """Give what changes with a recording. Raises OSError."""
    state = recording.stat()
    return state.st_size, state.st_mtime_ns


class Notes:
    """Recordings that were heard, in a file of the state folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._notes: dict[str, Any] = {}
        try:
            noted = json.loads(path.read_bytes())
            self._notes = noted if isinstance(noted, dict) else {}
        except (OSError, ValueError, RecursionError):
            # A note that is lost costs a recording being taken again.
            pass

    def of(self, recording: Path) -> Note | None:
        """Give what is noted of a recording, unless it has changed since. Raises OSError."""
        try:
            values = fitted(Note, self._notes[str(recording)], "note")
            note = Note(**{**values, "written": tuple(values["written"])})
        except (KeyError, MisshapenError):
            return None
        return note if note.is_of(recording) else None

    def keep(self, recording: Path, note: Note) -> dict[str, Any]:
        """Take a note; give all there are, to be stored."""
        self._notes.pop(str(recording), None)
        while len(self._notes) >= NOTES_MAX:
            del self._notes[next(iter(self._notes))]
        self._notes[str(recording)] = asdict(note)
        return self._notes


def in_the_way(job: Job, forms: Sequence[str], note: Note | None) -> list[Path]:
    """Name the files that are there already and were not made of this recording."""
    ours = set(note.written) if note else set()
    return [path for form in forms if (path := job.target(form)).exists() and str(path) not in ours]


def lacking(job: Job, forms: Sequence[str]) -> list[str]:
    """Name the formats that are yet to be written."""
    return [form for form in forms if not job.target(form).exists()]
