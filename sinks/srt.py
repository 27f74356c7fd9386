"""Write subtitles while people speak: one file a meeting, in time order, every word exactly once.

A turn is cut into cues once; each cue is placed by the one before it alone.

Source of 2 lines of 42 characters, 5/6 to 7 s, and 2 frames between cues: Netflix's rules for timed text.
"""

import itertools
import math
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from minuted import Gap, Meeting, MeetingFiles, Passage, Turn, Word

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


class Srt(MeetingFiles):
    directory: Path
    """Where the files go, one a meeting: <room>-<year>-<month>-<day>T<hour><minute>[-<title>].srt."""
    format: Literal["srt", "vtt"] = "srt"
    """"vtt" writes the same subtitles as WebVTT, for web pages."""

    @property
    def suffix(self) -> str:
        return f".{self.format}"

    def heading(self, room: str, started_at_ms: int, title: str | None) -> str:  # noqa: ARG002
        return "WEBVTT\n\n" if self.format == "vtt" else ""

    def passage(self, record: Turn | Gap) -> Passage:
        return passage_of_gap(record) if isinstance(record, Gap) else passage_of(record)

    def compose(self, passages: Sequence[Passage], meeting: Meeting) -> tuple[bytes, Meeting, bytes | None]:
        return compose(passages, meeting, "." if self.format == "vtt" else ",")


class Cue(NamedTuple):
    """Words shown at once, in milliseconds from the meeting's start."""

    start_ms: int
    spoken_ms: int
    """When its last word ends: no other cue begins before."""
    until_ms: int
    """How long it would stay where nothing follows, were there no bounds."""
    text: str


def compose(
    passages: Sequence[Passage], meeting: Meeting, comma: str = ","
) -> tuple[bytes, Meeting, bytes | None]:
    """Give the blocks of passages that follow, the meeting with them, and the end of the cue before them.

    `comma` stands before the milliseconds. Where hours get a third digit, that end no longer fits its place.
    """
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
    following = cues[0] if cues else None
    old, new = (stamp(end_of(before, cue), comma) if before else "" for cue in (None, following))
    meeting = meeting._replace(label=label)
    text = bytearray()
    for number, (cue, following) in enumerate(itertools.zip_longest(cues, cues[1:]), meeting.cues + 1):
        head = f"{number}\n{stamp(cue.start_ms, comma)} --> "
        end_at = meeting.bytes + len(text) + len(head)
        text += f"{head}{stamp(end_of(cue, following), comma)}\n{cue.text}\n\n".encode()
        meeting = meeting._replace(cues=number, last=cue[:3], end_at=end_at)
    end = new.encode() if len(new) == len(old) else None
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


def stamp(time_ms: int, comma: str = ",") -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{comma}{milliseconds:03}"


def passage_of(turn: Turn) -> Passage:
    """Cut a turn into cues. Their words are the turn's words: none added, dropped or moved."""
    words = words_of(turn.text)
    name = " ".join(words_of(MeetingFiles.speaker_of(turn)[:LABEL_CHARACTERS_MAX]))
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
    start_ms = max(0, gap.start_ms)
    cue = Cue(start_ms, start_ms + 1, gap.end_ms, " ".join(words_of(MeetingFiles.note_of(gap))))
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
