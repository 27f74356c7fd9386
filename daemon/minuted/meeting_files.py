"""Sinks that write one text file a meeting, in time order, every word exactly once.

A record becomes a passage once; each passage is placed by the one before it alone. So a file grown turn
by turn and a file written anew are the same, and one is written anew where a turn comes late or is
revised; what that takes is kept in the hidden folder `.minuted` beside the files, for the last few
meetings.
"""

import itertools
import json
import os
import re
import unicodedata
import zlib
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from .messages import Gap, Turn
from .runtime import places
from .runtime.disk import sync_folder
from .runtime.durations import brief
from .runtime.sealed import opened, sealed
from .runtime.shapes import MisshapenError, fitted
from .sink import Reject, Sink

NAME_BYTES_MAX: Final = 100
MEETINGS_MAX: Final = 20
"""Meetings that late turns and revisions still reach; the one longest without a word goes first.

As many as have speakers that can be named."""
BEYOND_BYTES_MAX: Final = 1 << 20
"""Of what is kept behind the committed passages, how much is read."""
_NOTES: Final = {"cut-off": "[the recording breaks off here]", "no-words": "[no words were heard]"}
"""What is said of a gap that has no length."""
_WHY: Final = {"paused": "paused", "outage": "not transcribed", "journal-full": "not transcribed"}


class MeetingDamagedError(Exception):
    """What is kept of a meeting in the hidden folder cannot be read."""


class Passage(NamedTuple):
    """A turn or a gap, cut into what a format shows of it. The label names the speaker; a gap has none."""

    id: str
    seq: int
    start_ms: int
    label: str | None
    cues: list[Any]
    """Plain values, as JSON has them; without any there is nothing to show."""


class Meeting(NamedTuple):
    """A meeting's file as it is committed, and what the next passage is placed by."""

    file: str
    inode: int = 0
    bytes: int = 0
    passages_bytes: int = 0
    cues: int = 0
    start_ms: int = 0
    """The last passage's start."""
    label: str = ""
    last: tuple[int, int, int] | None = None
    """The last cue's times."""
    end_at: int = 0
    """The byte at which the last cue's end stands."""
    heading: str = ""


Composed = tuple[bytes, Meeting, bytes | None]
"""The text of passages that follow, the meeting with them, and the bytes that are to stand at its `end_at`
of before; None where those do not fit into their place, and the file is to be written anew."""


class MeetingFiles(Sink):
    """One file a meeting. A format says what a passage is, how passages follow each other, and its suffix."""

    directory: Path
    """Where the files go, one a meeting: <room>-<year>-<month>-<day>T<hour><minute>[-<title>]."""
    makes_folders = True

    @property
    @abstractmethod
    def suffix(self) -> str:
        """Give how the files' names end."""

    @abstractmethod
    def passage(self, record: Turn | Gap) -> Passage:
        """Cut a record into what is shown of it."""

    @abstractmethod
    def compose(self, passages: Sequence[Passage], meeting: Meeting) -> Composed:
        """Give the text of passages that follow what is in a meeting's file."""

    def heading(self, room: str, started_at_ms: int, title: str | None) -> str:  # noqa: ARG002
        """Give what every file begins with."""
        return ""

    def document(
        self, records: Iterable[Turn | Gap], room: str, started_at_ms: int, title: str | None = None
    ) -> bytes:
        """Give the whole file of a meeting's records; revisions have taken their turns' places already."""
        passages = [passage for passage in map(self.passage, records) if passage.cues]
        passages.sort(key=_place_of)
        heading = self.heading(room, started_at_ms, title)
        return self._composed(passages, Meeting(file="", heading=heading))[0]

    @staticmethod
    def note_of(gap: Gap) -> str:
        """Say that there are no words here, why, and for how long."""
        if note := _NOTES.get(gap.reason):
            return note
        seconds = max(0, gap.end_ms - gap.start_ms) / 1000
        where = f"{gap.channel}: " if gap.channel else ""
        return f"[{where}{_WHY.get(gap.reason, 'no audio')} {brief(seconds)}]"

    @staticmethod
    def speaker_of(turn: Turn) -> str:
        """Name who speaks, with several sources by the source too; "" where nobody is told from another."""
        return " ".join(filter(None, (turn.channel, turn.speaker)))

    def check(self) -> str:
        told = super().check()
        if (self.directory / ".minuted").exists():
            places.try_folder(self.directory / ".minuted")
        return told

    def open(self) -> None:
        (self.directory / ".minuted").mkdir(parents=True, exist_ok=True)
        for meeting_id, meeting in self._meetings().items():
            beyond = self._passages_beyond(meeting)
            (only,) = beyond.values() if len(beyond) == 1 else (None,)
            # A single one is the next record's, which a kill left here, or one of a lost future.
            if only is None or not self._ends_in(meeting, only):
                self._committed(meeting_id, only.id if only else "")

    def write(self, turn: Turn) -> None:
        passage = self.passage(turn)
        if not passage.cues:
            return
        meeting = self._committed(turn.meeting_id, passage.id)
        if meeting and self._has_added(turn.meeting_id, passage, meeting):
            return
        self._add(turn.meeting_id, passage, self._begun(turn, passage))

    def gap(self, gap: Gap) -> None:
        # A gap alone is no meeting: it begins no file.
        passage = self.passage(gap)
        if meeting := self._committed(gap.meeting_id, passage.id):
            self._has_added(gap.meeting_id, passage, meeting)

    def revise(self, turn: Turn) -> None:
        self.revise_all([turn])

    def revise_all(self, turns: Sequence[Turn]) -> None:
        # A name that is given late in a long meeting revises thousands: the file is written anew once.
        for meeting_id in dict.fromkeys(turn.meeting_id for turn in turns):
            own = [turn for turn in turns if turn.meeting_id == meeting_id]
            if meeting := self._committed(meeting_id):
                try:
                    self._revise(meeting_id, own, meeting)
                except MeetingDamagedError:
                    self._leave(meeting_id, meeting)

    def _revise(self, meeting_id: str, turns: Sequence[Turn], meeting: Meeting) -> None:
        seqs = {passage.id: passage.seq for passage in reversed(self._passages(meeting))}
        revised = [self.passage(turn)._replace(seq=seqs[turn.id]) for turn in turns if turn.id in seqs]
        if revised:
            self._commit(meeting_id, self._rewritten(self._kept(meeting, *revised)))

    def _has_added(self, meeting_id: str, passage: Passage, meeting: Meeting) -> bool:
        """Add a passage; False where the meeting's file cannot be gone on with."""
        try:
            self._add(meeting_id, passage, meeting)
        except MeetingDamagedError:
            self._leave(meeting_id, meeting)
            return False
        return True

    def _leave(self, meeting_id: str, meeting: Meeting, reason: str = "") -> None:
        """Leave a meeting's file as it is: what is still said of it goes into another."""
        _log_damage(
            sink=self.name, file=meeting.file, meeting_id=meeting_id, **{"reason": reason} if reason else {}
        )
        meetings = self._meetings()
        meetings.pop(meeting_id, None)
        self.checkpoint = _checkpoint_of(meetings)

    def _add(self, meeting_id: str, passage: Passage, meeting: Meeting) -> None:
        text, longer, end = self._composed([passage], meeting)
        kept = self._kept(meeting, passage)
        if passage.start_ms < meeting.start_ms or end is None:
            self._commit(meeting_id, self._rewritten(kept))
            return
        inode = write_at(self.directory / meeting.file, meeting.bytes, text, (meeting.end_at, end))
        self._commit(meeting_id, longer._replace(inode=inode, passages_bytes=kept.passages_bytes))

    def _composed(self, passages: Sequence[Passage], meeting: Meeting) -> Composed:
        """Give what follows in a file, and at its beginning the heading before it."""
        heading = b"" if meeting.bytes else meeting.heading.encode()
        meeting = meeting._replace(bytes=meeting.bytes + len(heading))
        text, longer, end = self.compose(passages, meeting)
        start_ms = max([longer.start_ms, *(passage.start_ms for passage in passages)])
        return heading + text, longer._replace(bytes=meeting.bytes + len(text), start_ms=start_ms), end

    def _meetings(self) -> dict[str, Meeting]:
        stored, found = self.checkpoint.get("meetings", {}), {}
        for key, known in stored.items() if isinstance(stored, dict) else ():
            try:
                found[key] = _meeting_of(known)
            except MisshapenError as error:
                _log_damage(sink=self.name, meeting_id=key, reason=str(error))
        if len(found) < len(stored):
            self.checkpoint = {"meetings": {key: stored[key] for key in found}}
        return found

    def _commit(self, meeting_id: str, meeting: Meeting) -> None:
        meetings = self._meetings()
        meetings.pop(meeting_id, None)
        while len(meetings) >= MEETINGS_MAX:
            oldest = meetings.pop(next(iter(meetings)))
            self._passages_file(oldest).unlink(missing_ok=True)
        meetings[meeting_id] = meeting
        self.checkpoint = _checkpoint_of(meetings)

    def _committed(self, meeting_id: str, offered: str = "") -> Meeting | None:
        """Bring a meeting's files to what is committed of them; None where one has been taken away.

        `offered` is the passage that is about to be added: only that one can be there already, from before a
        kill. Others mean that the sink's place comes from a backup, and nothing they are in is cut.
        """
        meeting = self._meetings().get(meeting_id)
        if meeting is None:
            return None
        file, kept = self.directory / meeting.file, self._passages_file(meeting)
        if not file.is_file():
            return None  # taken away
        if self._passages_beyond(meeting).keys() - {offered}:
            self._leave(meeting_id, meeting, "the sink's place was put back")
            return None
        try:
            if not kept.is_file() or kept.stat().st_size < meeting.passages_bytes:
                raise MeetingDamagedError
            os.truncate(kept, meeting.passages_bytes)
            if file.stat().st_ino == meeting.inode and file.stat().st_size >= meeting.bytes:
                os.truncate(file, meeting.bytes)
            else:
                # Written anew for a turn that was then not committed, or changed by somebody else.
                meeting = self._rewritten(meeting)
                self._commit(meeting_id, meeting)
        except MeetingDamagedError:
            self._leave(meeting_id, meeting)
            return None
        return meeting

    def _begun(self, turn: Turn, passage: Passage) -> Meeting:
        """Name a new meeting's file: one that is not there, or was left by a first write that was killed."""
        heading = self.heading(turn.room, turn.meeting_started_at_ms, turn.meeting_title)
        text, _, _ = self._composed([passage], Meeting(file="", heading=heading))
        others = [meeting.file for key, meeting in self._meetings().items() if key != turn.meeting_id]

        def is_free(name: str) -> bool:
            path = self.directory / name
            if name in others or path.is_symlink():  # also one that leads nowhere
                return False
            return not path.exists() or (path.is_file() and text.startswith(path.read_bytes()))

        return Meeting(file=next(filter(is_free, names_of(turn, self.suffix))), heading=heading)

    def _passages_file(self, meeting: Meeting) -> Path:
        return self.directory / ".minuted" / f"{meeting.file}.passages"

    def _passages_beyond(self, meeting: Meeting) -> dict[str, Passage]:
        """Return the passages, by their ids, that stand behind the committed ones and revise none of them."""
        try:
            with self._passages_file(meeting).open("rb") as file:
                file.seek(meeting.passages_bytes)
                data = file.read(BEYOND_BYTES_MAX)
        except OSError:
            return {}
        found = {}
        for line in data.decode(errors="replace").split("\n") if data else ():
            with suppress(ValueError, TypeError, RecursionError):
                passage = _passage_of(line)
                found[passage.id] = passage
        if found:
            with suppress(OSError, MeetingDamagedError):
                for passage in self._passages(meeting):
                    found.pop(passage.id, None)
        return found

    def _ends_in(self, meeting: Meeting, passage: Passage) -> bool:
        """Return whether what is in the file beyond the committed end is this passage, whole."""
        text, _, _ = self._composed([passage], meeting)
        with suppress(OSError), (self.directory / meeting.file).open("rb") as file:
            file.seek(meeting.bytes)
            return file.read(len(text) + 1) == text
        return False

    def _passages(self, meeting: Meeting) -> list[Passage]:
        """Read them all. Raises MeetingDamagedError: a file written anew would lack what cannot be read."""
        data = self._passages_file(meeting).read_bytes()[: meeting.passages_bytes]
        try:
            kept = [_passage_of(line) for line in data.decode().split("\n") if line]
        except (ValueError, TypeError, RecursionError):
            raise MeetingDamagedError from None
        # A revision has the id and the number of what it revises, and so takes its place.
        known = {(passage.id, passage.seq): passage for passage in kept}
        return sorted(known.values(), key=_place_of)

    def _kept(self, meeting: Meeting, *passages: Passage) -> Meeting:
        """Keep passages for the day the file must be written anew."""
        lines = b"".join(sealed(json.dumps(passage._asdict())).encode() + b"\n" for passage in passages)
        write_at(self._passages_file(meeting), meeting.passages_bytes, lines)
        return meeting._replace(passages_bytes=meeting.passages_bytes + len(lines))

    def _rewritten(self, meeting: Meeting) -> Meeting:
        """Write the file anew beside itself, then put it in its place."""
        empty = Meeting(meeting.file, passages_bytes=meeting.passages_bytes, heading=meeting.heading)
        text, whole, _ = self._composed([each for each in self._passages(meeting) if each.cues], empty)
        new = self.directory / ".minuted" / f"{meeting.file}.new"
        try:
            inode = write_at(new, 0, text)
            new.replace(self.directory / meeting.file)
        finally:
            new.unlink(missing_ok=True)
        sync_folder(self.directory)
        return whole._replace(inode=inode)


def _passage_of(line: str) -> Passage:
    """Read a kept passage. Raises ValueError."""
    return Passage(**fitted(Passage, json.loads(opened(line)), "passage"))


def _meeting_of(known: Any) -> Meeting:
    """Read a meeting of a checkpoint. Raises MisshapenError."""
    values = fitted(Meeting, known, "meeting")
    sizes = [values[name] for name in ("bytes", "passages_bytes", "cues", "end_at")]
    if min(sizes) < 0 or Path(values["file"]).name != values["file"]:
        raise MisshapenError("meeting.file is no place in a folder")
    last = values["last"]
    return Meeting(**{**values, "last": last and tuple(last)})


def _checkpoint_of(meetings: dict[str, Meeting]) -> dict[str, Any]:
    return {"meetings": {key: known._asdict() for key, known in meetings.items()}}


def _place_of(passage: Passage) -> tuple[int, int]:
    return passage.start_ms, passage.seq


def names_of(turn: Turn, suffix: str) -> Iterator[str]:
    """Name the meeting's file; then, should that name be another meeting's, further ones.

    Raises Reject for a meeting at a time that no calendar has.
    """
    try:
        started = datetime.fromtimestamp(turn.meeting_started_at_ms / 1000).astimezone()
    except (OSError, OverflowError, ValueError):
        raise Reject(f"no calendar has the time {turn.meeting_started_at_ms} ms") from None
    title = slug(turn.meeting_title or "")
    name = f"{slug(turn.room) or 'room'}-{started:%Y-%m-%dT%H%M}{title and '-'}{title}"
    yield f"{name}{suffix}"
    name = f"{name}-{zlib.crc32(turn.meeting_id.encode()):08x}"
    yield f"{name}{suffix}"
    yield from (f"{name}-{number}{suffix}" for number in itertools.count(2))


def slug(text: str) -> str:
    """Return a name as a file's name can have it: letters with their marks, and digits."""
    letters = unicodedata.normalize("NFKC", text).lower()
    # The marks of Hindi, Thai and others are letters to their readers, and none to \w.
    plain = re.sub("-+", "-", "".join(c if c.isalnum() or c == "_" or _is_mark(c) else "-" for c in letters))
    plain = plain.strip("-")
    short = plain.encode()[:NAME_BYTES_MAX].decode(errors="ignore")
    while short and _is_mark(plain[len(short) : len(short) + 1]):
        short = short[:-1]  # no letter without all of its marks
    return short


def _is_mark(letter: str) -> bool:
    return letter != "" and unicodedata.category(letter).startswith("M")


def write_at(path: Path, at_bytes: int, data: bytes, patch: tuple[int, bytes] = (0, b"")) -> int:
    """Have a file end in `data` from `at_bytes` on, on the disk; give its inode.

    `patch` puts bytes in the place of as many. Where there is no room the file is cut back.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    try:
        os.ftruncate(file, at_bytes)
        os.pwrite(file, patch[1], patch[0])
        if os.pwrite(file, data, at_bytes) < len(data):
            os.ftruncate(file, at_bytes)
            raise OSError(f"no room for a whole cue in {path}")
        os.fdatasync(file)
        if not at_bytes:
            sync_folder(path.parent)
        return os.fstat(file).st_ino
    finally:
        os.close(file)


def _log_damage(**details: Any) -> None:
    import structlog  # noqa: PLC0415  # `minuted --help` imports this module and has no use for it

    structlog.get_logger(__name__).error("meeting_file_damaged", **details)
