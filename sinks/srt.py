"""Write subtitles while people speak: one file a meeting, in time order, every word exactly once.

A turn is cut into cues once; each cue is placed by the one before it alone.

Source of 2 lines of 42 characters, 5/6 to 7 s, and 2 frames between cues: Netflix's rules for timed text.
"""

import bisect
import itertools
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from minuted import Gap, Meeting, MeetingFiles, Passage, Turn

LINE_CHARACTERS_MAX: Final = 42
LETTERS_MAX: Final = 2 * LINE_CHARACTERS_MAX + 1
"""In two lines, with the blank between them."""
CUE_MS_MIN: Final = 833
CUE_MS_MAX: Final = 7000
LINGER_MS: Final = 500
"""How long a cue stays after its last word, where nothing follows."""
SPACE_MS: Final = 83
"""Between two cues, where there is room for it."""
LABEL_CHARACTERS_MAX: Final = 20
PAUSE_MS_MAX: Final = 700
"""Within a cue; a longer one costs by its length."""
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
    total = sum(map(len, words))
    spoken = [(word.start_ms, word.end_ms, sum(map(len, words_of(word.text)))) for word in turn.words]
    letters = Letters()
    for word_start_ms, word_end_ms, count in [each for each in spoken if each[2]] or [
        (begin_ms, end_ms, total)
    ]:
        first_ms = min(max(word_start_ms, begin_ms), end_ms)
        begin_ms = min(max(word_end_ms, first_ms), end_ms)
        letters.add(count, first_ms, begin_ms)
    times: list[tuple[int, int]] = []
    begin = 0
    for end in itertools.accumulate(map(len, words)):
        first, beyond = begin * letters.count // total, end * letters.count // total
        start_ms = max(letters.start_ms(first), times[-1][1] if times else 0)
        times.append((start_ms, max(start_ms, letters.end_ms(max(first, beyond - 1)))))
        begin = end
    return times


class Letters:
    """When each letter of timed words is said: those of a word share its time evenly."""

    def __init__(self) -> None:
        self.count = 0
        self._firsts: list[int] = []
        self._spans: list[tuple[int, int, int]] = []

    def add(self, count: int, start_ms: int, end_ms: int) -> None:
        """Append the letters of the word that follows."""
        self._firsts.append(self.count)
        self._spans.append((count, start_ms, end_ms - start_ms))
        self.count += count

    def start_ms(self, letter: int) -> int:
        return self._until_ms(letter, 0)

    def end_ms(self, letter: int) -> int:
        return self._until_ms(letter, 1)

    def _until_ms(self, letter: int, more: int) -> int:
        word = bisect.bisect_right(self._firsts, letter) - 1
        count, start_ms, length_ms = self._spans[word]
        return start_ms + length_ms * (letter - self._firsts[word] + more) // count


def cut(words: Sequence[str], times: Sequence[tuple[int, int]], lead: int) -> list[tuple[int, int]]:
    """Say from which to which word each cue goes: the cheapest way through the turn.

    The first `lead` words are a label, which stays with the word after it.
    """
    costs = [0.0] + [math.inf] * len(words)
    begins = [0] * (len(words) + 1)
    breaks, weights = Breaks(words), Weights(words, times)
    for end in range(lead + 1, len(words) + 1):
        for begin in range(end - 1, -1, -1):
            if 0 < begin <= lead:
                continue
            is_long = (
                breaks.length(begin, end) > LETTERS_MAX or times[end - 1][1] - times[begin][0] > CUE_MS_MAX
            )
            if is_long and begin < end - 1 and end > lead + 1:
                break
            cost = weights.cost_of(begin, end, breaks.length(begin, end))
            # Where the lines are broken is asked last: most cues cost too much without it.
            if costs[begin] + cost < costs[end]:
                cost += breaks.best(begin, end)[0]
                if costs[begin] + cost < costs[end]:
                    costs[end], begins[end] = costs[begin] + cost, begin
    cuts = [(begins[-1], len(words))]
    while cuts[-1][0]:
        cuts.append((begins[cuts[-1][0]], cuts[-1][0]))
    return cuts[::-1]


class Weights:
    """What a cue costs but for its break; sums are taken once, for a turn may have 100,000 words."""

    def __init__(self, words: Sequence[str], times: Sequence[tuple[int, int]]) -> None:
        self._times = times
        self._pauses_ms = [after[0] - word[1] for word, after in itertools.pairwise(times)]
        self._ends_sentence = [bool(SENTENCE_END.search(word)) for word in words]
        self._ends_clause = [word.endswith((",", ";", ":")) for word in words]
        self._long_ms = _sums(max(0, pause_ms - PAUSE_MS_MAX) for pause_ms in self._pauses_ms)
        self._sentences = _sums(self._ends_sentence)

    def cost_of(self, begin: int, end: int, length: int) -> float:
        """Weigh a cue: few of them, ended where people stop, neither torn by a pause nor gone in a blink."""
        last, times = end - 1, self._times
        shown_ms = (times[end][0] if end < len(times) else times[-1][1] + LINGER_MS) - times[begin][0]
        cost = 5 + max(0, CUE_MS_MIN - shown_ms) / 100 + max(0, 20 - length) / 4
        if end < len(times) and not self._ends_sentence[last]:
            cost += 3 if self._pauses_ms[last] > 300 or self._ends_clause[last] else 10
        cost += (self._long_ms[last] - self._long_ms[begin]) / 100
        cost += 2 * (self._sentences[last] - self._sentences[begin])
        return cost


class Breaks:
    """Where words are broken into two lines."""

    def __init__(self, words: Sequence[str]) -> None:
        self._letters = _sums(len(word) + 1 for word in words)
        self._is_stop = [word.endswith((".", "?", "!", "…", ",", ";", ":")) for word in words]
        self._is_number = [word.isdecimal() for word in words]

    def length(self, begin: int, end: int) -> int:
        """Return how long some words are in one line."""
        return self._letters[end] - self._letters[begin] - 1

    def best(self, begin: int, end: int) -> tuple[float, int]:
        """Return how bad the best break is, infinitely where none fits, and before which word it comes."""
        if self.length(begin, end) <= LINE_CHARACTERS_MAX:
            return 0.0, end
        best = (math.inf, end)
        # The first from which on the second line fits.
        first_fit = bisect.bisect_left(
            self._letters, self._letters[end] - 1 - LINE_CHARACTERS_MAX, begin + 1, end
        )
        for at in range(first_fit, end):
            first, second = self.length(begin, at), self.length(at, end)
            if first > LINE_CHARACTERS_MAX:
                break
            cost = abs(first - second) / 10 + (first > second) / 2
            cost += not self._is_stop[at - 1]
            # pysubs2 takes a number alone in the last line for the next cue's.
            cost += 1000 * (at == end - 1 and self._is_number[at])
            best = min(best, (cost, at))
        return best


def _sums(numbers: Iterable[int]) -> list[int]:
    """Return the sums of the first 0, 1, 2 … numbers."""
    return [*itertools.accumulate(numbers, initial=0)]


def layout(words: Sequence[str]) -> str:
    """Set words in one line, or in two where the break is best."""
    _, at = Breaks(words).best(0, len(words))
    return "\n".join(filter(None, (" ".join(words[:at]), " ".join(words[at:]))))
