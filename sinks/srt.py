"""Write subtitles while people speak: one .srt file a meeting, in time order, every word exactly once.

A turn is cut into cues once; each cue is placed by the one before it alone. So a file grown turn by
turn and a file written anew are the same, and one is written anew where a turn comes late or is revised;
what that takes is kept in the hidden folder `.minuted` beside the subtitles, for the last few meetings.

Source of 2 lines of 42 characters, 5/6 to 7 s, and 2 frames between cues: Netflix's rules for timed text.
"""

import itertools
import json
import math
import os
import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from minuted import Gap, Sink, Turn, Word

LINE_CHARACTERS_MAX: Final = 42
CUE_MS_MIN: Final = 833
CUE_MS_MAX: Final = 7000
LINGER_MS: Final = 500
"""How long a cue stays after its last word, where nothing follows."""
SPACE_MS: Final = 83
"""Between two cues, where there is room for it."""
LABEL_CHARACTERS_MAX: Final = 20
SENTENCE_END: Final = re.compile(r"[.?!…]\W*$")
_LOOK_ALIKES: Final = str.maketrans("<>{}\\", "‹›()/", "\ufeff")  # noqa: RUF001
NAME_BYTES_MAX: Final = 100
MEETINGS_MAX: Final = 8
"""Meetings that late turns and revisions still reach; the one longest without a word goes first."""


class Srt(Sink):
    directory: Path
    """Where the files go, one a meeting: <room>-<year>-<month>-<day>T<hour><minute>[-<title>].srt."""

    def open(self) -> None:
        (self.directory / ".minuted").mkdir(parents=True, exist_ok=True)
        for meeting_id in self._meetings():
            self._committed(meeting_id)

    def write(self, turn: Turn) -> None:
        passage = passage_of(turn)
        if passage.cues:
            meeting = self._committed(turn.meeting_id) or self._begun(turn, passage)
            self._add(turn.meeting_id, passage, meeting)

    def gap(self, gap: Gap) -> None:
        # A gap alone is no meeting: it begins no file.
        if meeting := self._committed(gap.meeting_id):
            self._add(gap.meeting_id, passage_of_gap(gap), meeting)

    def revise(self, turn: Turn) -> None:
        meeting = self._committed(turn.meeting_id)
        known = self._passages(meeting) if meeting else []
        earlier = next((passage for passage in known if passage.id == turn.id), None)
        if meeting and earlier:
            revision = passage_of(turn)._replace(seq=earlier.seq)
            self._commit(turn.meeting_id, self._rewritten(self._kept(meeting, revision)))

    def _add(self, meeting_id: str, passage: "Passage", meeting: "Meeting") -> None:
        text, longer, end = compose([passage], meeting)
        kept = self._kept(meeting, passage)
        # Where hours get a third digit, the end of the cue before no longer fits its place.
        if passage.start_ms < meeting.start_ms or len(end) != len(meeting.end()):
            self._commit(meeting_id, self._rewritten(kept))
            return
        inode = write_at(self.directory / meeting.file, meeting.bytes, text, (meeting.end_at, end.encode()))
        self._commit(meeting_id, longer._replace(inode=inode, passages_bytes=kept.passages_bytes))

    def _meetings(self) -> dict[str, "Meeting"]:
        return {key: Meeting(**known) for key, known in self.checkpoint.get("meetings", {}).items()}

    def _commit(self, meeting_id: str, meeting: "Meeting") -> None:
        meetings = self._meetings()
        meetings.pop(meeting_id, None)
        while len(meetings) >= MEETINGS_MAX:
            oldest = meetings.pop(next(iter(meetings)))
            self._passages_file(oldest).unlink(missing_ok=True)
        meetings[meeting_id] = meeting
        self.checkpoint = {"meetings": {key: known._asdict() for key, known in meetings.items()}}

    def _committed(self, meeting_id: str) -> "Meeting | None":
        """Bring a meeting's files to what is committed of them; None where one has been taken away."""
        meeting = self._meetings().get(meeting_id)
        if meeting is None:
            return None
        file, kept = self.directory / meeting.file, self._passages_file(meeting)
        if not file.exists() or not kept.exists() or kept.stat().st_size < meeting.passages_bytes:
            return None
        os.truncate(kept, meeting.passages_bytes)
        if file.stat().st_ino == meeting.inode and file.stat().st_size >= meeting.bytes:
            os.truncate(file, meeting.bytes)
        else:
            # Written anew for a turn that was then not committed, or changed by somebody else.
            meeting = self._rewritten(meeting)
            self._commit(meeting_id, meeting)
        return meeting

    def _begun(self, turn: Turn, passage: "Passage") -> "Meeting":
        """Name a new meeting's file: one that is not there, or was left by a first write that was killed."""
        text, _, _ = compose([passage], Meeting(file=""))
        others = [meeting.file for key, meeting in self._meetings().items() if key != turn.meeting_id]

        def is_free(name: str) -> bool:
            path = self.directory / name
            return name not in others and (not path.exists() or text.startswith(path.read_bytes()))

        return Meeting(file=next(filter(is_free, names_of(turn))))

    def _passages_file(self, meeting: "Meeting") -> Path:
        return self.directory / ".minuted" / f"{meeting.file}.passages"

    def _passages(self, meeting: "Meeting") -> list["Passage"]:
        lines = self._passages_file(meeting).read_bytes()[: meeting.passages_bytes].splitlines()
        kept = (Passage(**json.loads(line)) for line in lines)
        # A revision has the id and the number of what it revises, and so takes its place.
        known = {(passage.id, passage.seq): passage for passage in kept}
        return sorted(known.values(), key=lambda passage: (passage.start_ms, passage.seq))

    def _kept(self, meeting: "Meeting", passage: "Passage") -> "Meeting":
        """Keep a passage for the day the file must be written anew."""
        line = json.dumps(passage._asdict()).encode() + b"\n"
        write_at(self._passages_file(meeting), meeting.passages_bytes, line)
        return meeting._replace(passages_bytes=meeting.passages_bytes + len(line))

    def _rewritten(self, meeting: "Meeting") -> "Meeting":
        """Write the file anew beside itself, then put it in its place."""
        empty = Meeting(meeting.file, passages_bytes=meeting.passages_bytes)
        text, whole, _ = compose(self._passages(meeting), empty)
        new = self.directory / ".minuted" / f"{meeting.file}.new"
        try:
            inode = write_at(new, 0, text)
            new.replace(self.directory / meeting.file)
        finally:
            new.unlink(missing_ok=True)
        sync_folder(self.directory)
        return whole._replace(inode=inode)


class Cue(NamedTuple):
    """Words shown at once, in milliseconds from the meeting's start."""

    start_ms: int
    spoken_ms: int
    """When its last word ends: no other cue begins before."""
    until_ms: int
    """How long it would stay where nothing follows, were there no bounds."""
    text: str


class Passage(NamedTuple):
    """A turn or a gap, cut into cues. The label names the speaker; a gap has none at all."""

    id: str
    seq: int
    start_ms: int
    label: str | None
    cues: list[Cue]


class Meeting(NamedTuple):
    """A meeting's file as it is committed, and what the next cue is placed by."""

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

    def end(self, following: Cue | None = None) -> str:
        """Say when the last cue goes, as it stands in the file."""
        return stamp(end_of(Cue(*self.last, ""), following)) if self.last else ""


def compose(passages: Sequence[Passage], meeting: Meeting) -> tuple[bytes, Meeting, str]:
    """Give the blocks of passages that follow, the meeting with them, and the end of the cue before them."""
    before = Cue(*meeting.last, "") if meeting.last else None
    label = meeting.label
    cues: list[Cue] = []
    for passage in passages:
        shown = f"{passage.label} " if passage.label and passage.label != label else ""
        label = label if passage.label is None or not passage.cues else passage.label
        for cue in itertools.starmap(Cue, passage.cues):  # lists, where they were read back
            last = cues[-1] if cues else before
            if passage.label is None and last and last.spoken_ms >= cue.until_ms:
                continue  # what was said before reaches beyond this gap
            cues.append(place(cue._replace(text=layout(f"{shown}{cue.text}".split())), last))
            shown = ""
    end = meeting.end(cues[0] if cues else None)
    meeting = meeting._replace(start_ms=max([meeting.start_ms, *(p.start_ms for p in passages)]), label=label)
    text = bytearray()
    for number, (cue, following) in enumerate(itertools.zip_longest(cues, cues[1:]), meeting.cues + 1):
        head = f"{number}\n{stamp(cue.start_ms)} --> "
        end_at = meeting.bytes + len(text) + len(head)
        text += f"{head}{stamp(end_of(cue, following))}\n{cue.text}\n\n".encode()
        meeting = meeting._replace(cues=number, last=cue[:3], end_at=end_at)
    return bytes(text), meeting._replace(bytes=meeting.bytes + len(text)), end


def place(cue: Cue, before: Cue | None) -> Cue:
    """Move a cue that begins while others speak to where they end; it keeps up to 5/6 s of its time."""
    if before is None or cue.start_ms >= before.spoken_ms:
        return cue
    start_ms = before.spoken_ms
    spoken_ms = max(cue.spoken_ms, start_ms + min(cue.spoken_ms - cue.start_ms, CUE_MS_MIN))
    return cue._replace(start_ms=start_ms, spoken_ms=spoken_ms)


def end_of(cue: Cue, following: Cue | None) -> int:
    """Say when a cue goes: after 5/6 to 7 s, in good time before the next one and never after its start."""
    end_ms = min(max(cue.until_ms, cue.start_ms + CUE_MS_MIN), cue.start_ms + CUE_MS_MAX)
    if following is None:
        return end_ms
    return min(end_ms, max(following.start_ms - SPACE_MS, min(following.start_ms, cue.start_ms + CUE_MS_MIN)))


def stamp(time_ms: int) -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{milliseconds:03}"


def passage_of(turn: Turn) -> Passage:
    """Cut a turn into cues. Their words are the turn's words: none added, dropped or moved."""
    words = words_of(turn.text)
    name = " ".join(words_of((turn.speaker or "")[:LABEL_CHARACTERS_MAX]))
    lead = f"{name}:".split() if name else []
    times = times_of(words, turn) if words else []
    times = times[:1] * len(lead) + times
    cues = []
    for begin, end in cut(lead + words, times, len(lead)) if words else ():
        start_ms, end_ms = times[begin][0], times[end - 1][1]
        spoken_ms = min(max(end_ms, start_ms + 1), start_ms + CUE_MS_MAX)
        text = " ".join(words[max(0, begin - len(lead)) : end - len(lead)])
        cues.append(Cue(start_ms, spoken_ms, end_ms + LINGER_MS, text))
    start_ms = cues[0].start_ms if cues else turn.start_ms
    return Passage(turn.id, turn.seq or 0, start_ms, " ".join(lead), cues)


def passage_of_gap(gap: Gap) -> Passage:
    """Say that there are no words here, why, and for how long."""
    why = {"paused": "paused", "outage": "not transcribed", "journal-full": "not transcribed"}
    seconds = max(0, gap.end_ms - gap.start_ms) / 1000
    length = f"{seconds:.1f} s" if seconds < 60 else f"{round(seconds / 60, 1):g} min"
    start_ms = max(0, gap.start_ms)
    text = f"[{why.get(gap.reason, 'no audio')} {length}]"
    cue = Cue(start_ms, start_ms + 1, gap.end_ms, text)
    return Passage(f"gap-{gap.seq}", gap.seq or 0, start_ms, None, [cue])


def words_of(text: str) -> list[str]:
    """Give a text's words, freed of what readers of SRT take for something else, none over 42 characters.

    Arrows, tags, override codes, entities and full timestamps become look-alikes.
    """
    text = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cs"))
    text = text.replace("-->", "→").translate(_LOOK_ALIKES)
    text = re.sub(r"&(?=#?\w+;)", "＆", text)  # noqa: RUF001
    text = re.sub(r"(?<=\d):(?=\d{1,2}:\d{1,2}[.,]\d)", "∶", text)  # noqa: RUF001
    width = LINE_CHARACTERS_MAX
    return [word[at : at + width] for word in text.split() for at in range(0, len(word), width)]


def times_of(words: Sequence[str], turn: Turn) -> list[tuple[int, int]]:
    """Give each word's start and end, by where its letters stand among those of the turn's timed words.

    The text may be written otherwise than the timed words, or there may be none: then it is spread.
    """
    begin_ms = max(0, turn.start_ms)
    end_ms = max(begin_ms, turn.end_ms)
    letters: list[tuple[int, int]] = []
    spoken = [word for word in turn.words if words_of(word.text)]
    for word in spoken or [Word(text=turn.text, start_ms=begin_ms, end_ms=end_ms)]:
        first_ms = min(max(word.start_ms, begin_ms), end_ms)
        begin_ms = min(max(word.end_ms, first_ms), end_ms)
        count = sum(map(len, words_of(word.text)))
        steps = (first_ms + (begin_ms - first_ms) * n // count for n in range(count + 1))
        letters += itertools.pairwise(steps)
    total = sum(map(len, words))
    times: list[tuple[int, int]] = []
    begin = 0
    for end in itertools.accumulate(map(len, words)):
        first, beyond = begin * len(letters) // total, end * len(letters) // total
        start_ms = max(letters[first][0], times[-1][1] if times else 0)
        times.append((start_ms, max(start_ms, letters[max(first, beyond - 1)][1])))
        begin = end
    return times


def cut(words: Sequence[str], times: Sequence[tuple[int, int]], lead: int) -> list[tuple[int, int]]:
    """Say from which to which word each cue goes: the cheapest way through the turn.

    The first `lead` words are a label, which stays with the word after it.
    """
    costs = [0.0] + [math.inf] * len(words)
    begins = [0] * (len(words) + 1)
    for end in range(lead + 1, len(words) + 1):
        for begin in range(end - 1, -1, -1):
            if 0 < begin <= lead:
                continue
            cost = cost_of(words, times, begin, end)
            is_long = math.isinf(cost) or times[end - 1][1] - times[begin][0] > CUE_MS_MAX
            if is_long and begin < end - 1 and end > lead + 1:
                break
            if costs[begin] + cost < costs[end]:
                costs[end], begins[end] = costs[begin] + cost, begin
    cuts = [(begins[-1], len(words))]
    while cuts[0][0]:
        cuts.insert(0, (begins[cuts[0][0]], cuts[0][0]))
    return cuts


def cost_of(words: Sequence[str], times: Sequence[tuple[int, int]], begin: int, end: int) -> float:
    """Weigh a cue: few of them, ended where people stop, neither torn by a pause nor gone in a blink."""
    pauses_ms = [after[0] - word[1] for word, after in itertools.pairwise(times[begin : end + 1])]
    shown_ms = (times[end][0] if end < len(times) else times[-1][1] + LINGER_MS) - times[begin][0]
    cost = 5 + max(0, CUE_MS_MIN - shown_ms) / 100 + max(0, 20 - len(" ".join(words[begin:end]))) / 4
    if end < len(times) and not SENTENCE_END.search(words[end - 1]):
        cost += 3 if pauses_ms[-1] > 300 or words[end - 1].endswith((",", ";", ":")) else 10
    cost += sum(max(0, pause_ms - 700) for pause_ms in pauses_ms[: end - begin - 1]) / 100
    cost += 2 * sum(1 for word in words[begin : end - 1] if SENTENCE_END.search(word))
    return cost + break_of(words[begin:end])[0]


def layout(words: Sequence[str]) -> str:
    """Set words in one line, or in two where the break is best."""
    first = break_of(words)[1]
    return "\n".join(filter(None, (" ".join(words[:first]), " ".join(words[first:]))))


def break_of(words: Sequence[str]) -> tuple[float, int]:
    """Say how bad the best line break is, infinitely where none fits, and after how many words it comes."""
    *firsts, whole = (length - 1 for length in itertools.accumulate(len(word) + 1 for word in words))
    if whole <= LINE_CHARACTERS_MAX:
        return 0.0, len(words)
    best = (math.inf, len(words))
    for count, first in enumerate(firsts, 1):
        second = whole - first - 1
        if max(first, second) <= LINE_CHARACTERS_MAX:
            cost = abs(first - second) / 10 + (first > second) / 2
            cost += not words[count - 1].endswith((".", "?", "!", "…", ",", ";", ":"))
            # pysubs2 takes a number alone in the last line for the next cue's.
            cost += 1000 * (count == len(words) - 1 and words[-1].isdecimal())
            best = min(best, (cost, count))
    return best


def names_of(turn: Turn) -> Iterator[str]:
    """Name the meeting's file; then, should that name be another meeting's, further ones."""
    texts = (turn.room, turn.meeting_title or "")
    plain = (re.sub(r"\W+", "-", unicodedata.normalize("NFKC", text).lower()).strip("-") for text in texts)
    room, title = (text.encode()[:NAME_BYTES_MAX].decode(errors="ignore") for text in plain)
    began = datetime.fromtimestamp(turn.meeting_started_at_ms / 1000).astimezone()
    name = "-".join(filter(None, (room or "room", f"{began:%Y-%m-%dT%H%M}", title)))
    yield f"{name}.srt"
    name = f"{name}-{zlib.crc32(turn.meeting_id.encode()):08x}"
    yield f"{name}.srt"
    yield from (f"{name}-{number}.srt" for number in itertools.count(2))


def write_at(path: Path, at_bytes: int, data: bytes, patch: tuple[int, bytes] = (0, b"")) -> int:
    """Have a file end in `data` from `at_bytes` on, on the disk; give its inode.

    `patch` puts bytes in the place of as many. Where there is no room the file is cut back.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
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


def sync_folder(folder: Path) -> None:
    # So that a new name in it outlives a power cut.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
