"""Write subtitles while people speak: one file a meeting, in time order, every word exactly once.

A turn is cut into cues once; each cue is placed by the one before it alone.

Source of 2 lines, their columns, 5/6 to 7 s, 2 frames between cues, and how fast each language is read:
Netflix's rules for timed text. WebVTT: W3C, section 4 (escapes) and 7.4 (direction).
"""

import bisect
import html
import itertools
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, NamedTuple

from minuted import Gap, Meeting, MeetingFiles, Passage, Turn, alignment, directions, text_layout

LINE_COLUMNS_MAX: Final = 42
WIDE_COLUMNS_MAX: Final = 32
"""Sixteen ideographs."""
CUE_MS_MIN: Final = 833
CUE_MS_MAX: Final = 7000
LINGER_MS: Final = 500
"""How long a cue stays after its last word, where nothing follows."""
SPACE_MS: Final = 83
"""Between two cues, where there is room for it."""
EARLY_END_MS_MAX: Final = 50
"""How much of its last word a cue leaves to that space."""
LABEL_COLUMNS_MAX: Final = 20
PAUSE_MS_MAX: Final = 700
"""Within a cue; a longer one costs by its length."""
# In Latin, ideographs, Arabic, Indic, Armenian, Ethiopic, Burmese, Khmer and Mongolian.
# A full stop after a letter alone ends no sentence: "z. B.", "J. Smith".
SENTENCE_END: Final = re.compile(
    r"(?:(?<!\b[^\W\d_])\.|[?!…‼‽⁇⁈⁉。！？｡．؟۔।॥։።፧፨။។៕᠃᠉])\W*$"  # noqa: RUF001
)
CLAUSE_END: Final = re.compile(
    r"[,;:、，；：､،؛፣፤፥၊᠂][\"'”’»)\]）」』]*\s*$"  # noqa: RUF001
    # Where words are not parted by blanks, a blank parts clauses.
    r"|(?<=[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]) $|\u3000$"
)
_MARKUP: Final = re.compile(r"[<>{}\\&]|\d:\d")
_LOOK_ALIKES: Final = str.maketrans("<>{}\\", "‹›()/")  # noqa: RUF001


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
        if isinstance(record, Gap):
            return passage_of_gap(record, self.format)
        return passage_of(record, self.format)

    def compose(self, passages: Sequence[Passage], meeting: Meeting) -> tuple[bytes, Meeting, bytes | None]:
        return compose(passages, meeting, self.format)


class Cue(NamedTuple):
    """Words shown at once, in milliseconds from the meeting's start."""

    start_ms: int
    spoken_ms: int
    """When its last word ends: no other cue begins before."""
    until_ms: int
    """How long it would stay where nothing follows, were there no bounds."""
    text: str
    right_to_left: bool = False
    """Whether its turn is written so."""


def compose(
    passages: Sequence[Passage], meeting: Meeting, form: str = "srt"
) -> tuple[bytes, Meeting, bytes | None]:
    """Return the blocks of passages that follow, the meeting with them, and the end of the cue before them.

    Where hours get a third digit, that end no longer fits its place.
    """
    comma = "." if form == "vtt" else ","
    before = Cue(*meeting.last, "") if meeting.last else None
    label = meeting.label
    cues: list[Cue] = []
    for passage in passages:
        shown = passage.label if passage.label and passage.label != label else ""
        label = label if passage.label is None or not passage.cues else passage.label
        for cue in itertools.starmap(Cue, passage.cues):  # lists, where they were read back
            last = cues[-1] if cues else before
            if passage.label is None and last and last.spoken_ms >= cue.until_ms:
                continue  # what was said before reaches beyond this gap
            cues.append(place(cue._replace(text=lines_of(cue, shown, form)), last))
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
    """Return when a cue goes: after 5/6 to 7 s, in time for the next one, never after its start."""
    end_ms = min(max(cue.until_ms, cue.start_ms + CUE_MS_MIN), cue.start_ms + CUE_MS_MAX)
    if following is None:
        return end_ms
    needed_ms = max(cue.start_ms + CUE_MS_MIN, cue.spoken_ms - EARLY_END_MS_MAX)
    return min(end_ms, max(following.start_ms - SPACE_MS, min(following.start_ms, needed_ms)))


def stamp(time_ms: int, comma: str = ",") -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{comma}{milliseconds:03}"


def passage_of(turn: Turn, form: str = "srt") -> Passage:
    """Cut a turn into cues. Their text is the turn's text: nothing added, dropped or moved."""
    readable = PREPARED[form]
    text = readable(turn.text)
    name = text_layout.shortened(readable(MeetingFiles.speaker_of(turn)), LABEL_COLUMNS_MAX)
    if not text:
        return Passage(turn.id, turn.seq or 0, turn.start_ms, name and f"{name}:", [])
    label = f"{name}:" if name else ""
    style, right_to_left = style_of(text, turn.language), directions.is_right_to_left(text, turn.language)
    lead = style.pieces(f"{label} ") if label else []
    pieces = style.pieces(text)
    start_ms = max(0, turn.start_ms)
    words = [replace(word, text=readable(word.text)) for word in turn.words]
    stretches = alignment.stretches_of(text, words, start_ms, max(start_ms, turn.end_ms))
    ends = [*itertools.accumulate(map(len, pieces))]
    spans = [*zip([0, *ends], ends, strict=False)]
    times = alignment.times_of(spans, stretches, start_ms)
    times = times[:1] * len(lead) + times
    cues = []
    for begin, end in cut(lead + pieces, times, len(lead), style):
        begin_ms, end_ms = times[begin][0], times[end - 1][1]
        spoken_ms = min(max(end_ms, begin_ms + 1), begin_ms + CUE_MS_MAX)
        shown = "".join(pieces[max(0, begin - len(lead)) : end - len(lead)]).strip()
        until_ms = max(end_ms + LINGER_MS, begin_ms + style.reading_ms(shown))
        cues.append(Cue(begin_ms, spoken_ms, until_ms, shown, right_to_left))
    return Passage(turn.id, turn.seq or 0, cues[0].start_ms, label, cues)


def passage_of_gap(gap: Gap, form: str = "srt") -> Passage:
    """Say that there are no words here, why, and for how long."""
    start_ms = max(0, gap.start_ms)
    cue = Cue(start_ms, start_ms + 1, gap.end_ms, PREPARED[form](MeetingFiles.note_of(gap)))
    return Passage(f"gap-{gap.seq}", gap.seq or 0, start_ms, None, [cue])


def spoken(text: str) -> str:
    """Return a text as one line, without controls."""
    text = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cs"))
    return text_layout.one_line(directions.without_controls(text).replace("\ufeff", ""))


def without_markup(text: str) -> str:
    """Return a text as one line, freed of what readers of SRT take for something else.

    SRT has no escapes: arrows, tags, override codes, entities and full timestamps become look-alikes.
    """
    text = spoken(text)
    if not _MARKUP.search(text):
        return text
    text = text.replace("-->", "→").translate(_LOOK_ALIKES)
    text = re.sub(r"&(?=#?\w+;)", "＆", text)  # noqa: RUF001
    return re.sub(r"(?<=\d):(?=\d{1,2}:\d{1,2}[.,]\d)", "∶", text)  # noqa: RUF001


PREPARED: Final = {"srt": without_markup, "vtt": spoken}
"""What becomes of a text before it is cut; WebVTT has escapes, which take no room."""


class Style(NamedTuple):
    """How a language is set in subtitles."""

    columns: int
    """Of a line; an ideograph has two."""
    characters_per_s: float
    """How fast it is read; an ideograph is one character, and there a Latin letter half of one."""
    ambiguous: int = 1
    """Columns of signs that only fonts for ideographs make wide."""

    def pieces(self, text: str) -> list[str]:
        return text_layout.pieces(text, self.columns, self.ambiguous)

    def width(self, text: str) -> int:
        return text_layout.width(text, self.ambiguous)

    def reading_ms(self, text: str) -> int:
        """Return how long a cue stays to be read."""
        return round(self.width(text) / self.ambiguous / self.characters_per_s * 1000)


OTHER: Final = Style(LINE_COLUMNS_MAX, 17)
STYLES: Final[dict[str, Style]] = {
    "ar": Style(LINE_COLUMNS_MAX, 20),
    "en": Style(LINE_COLUMNS_MAX, 20),
    "hi": Style(LINE_COLUMNS_MAX, 22),
    "ja": Style(WIDE_COLUMNS_MAX, 4, ambiguous=2),
    "ko": Style(WIDE_COLUMNS_MAX, 12, ambiguous=2),
    "th": Style(35, 17),
    "zh": Style(WIDE_COLUMNS_MAX, 9, ambiguous=2),
}
"""By the language; the others are as OTHER."""
SCRIPTS: Final = (
    # Kana first: Japanese has ideographs too.
    ("ja", re.compile(r"[\u3041-\u30ff\uff66-\uff9f]")),
    ("ko", re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
    ("ar", re.compile(r"[\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
)


def style_of(text: str, language: str | None) -> Style:
    """Return how a text is set, by its script: a language may be unknown or be that of another turn."""
    if not text.isascii():
        letters = sum(map(str.isalpha, text))
        wide = [len(script.findall(text)) for _, script in SCRIPTS[:3]]
        # A letter of theirs is as wide as two.
        if 3 * sum(wide) >= letters > 0:
            is_japanese = wide[0] > wide[1]
            return STYLES["ja" if is_japanese else "ko" if wide[1] >= wide[2] else "zh"]
        for name, script in SCRIPTS[3:]:
            if 2 * len(script.findall(text)) >= letters > 0:
                return STYLES[name]
    known = re.split(r"[-_]", (language or "en").lower())[0]
    style = STYLES.get(known, OTHER)
    return style if style.ambiguous == 1 and known != "th" else OTHER


def cut(
    pieces: Sequence[str], times: Sequence[tuple[int, int]], lead: int, style: Style = OTHER
) -> list[tuple[int, int]]:
    """Return from which to which piece each cue goes: the cheapest way through the turn.

    The first `lead` pieces are a label, which stays with the piece after it.
    """
    costs = [0.0] + [math.inf] * len(pieces)
    begins = [0] * (len(pieces) + 1)
    breaks, weights = Breaks(pieces, style), Weights(pieces, times)
    for end in range(lead + 1, len(pieces) + 1):
        for begin in range(end - 1, -1, -1):
            if 0 < begin <= lead:
                continue
            is_long = (
                breaks.length(begin, end) > 2 * style.columns + 1
                or times[end - 1][1] - times[begin][0] > CUE_MS_MAX
            )
            if is_long and begin < end - 1 and end > lead + 1:
                break
            cost = weights.cost_of(begin, end, breaks.length(begin, end))
            # Where the lines are broken is asked last: most cues cost too much without it.
            if costs[begin] + cost < costs[end]:
                cost += breaks.best(begin, end)[0]
                if costs[begin] + cost < costs[end]:
                    costs[end], begins[end] = costs[begin] + cost, begin
    cuts = [(begins[-1], len(pieces))]
    while cuts[-1][0]:
        cuts.append((begins[cuts[-1][0]], cuts[-1][0]))
    return cuts[::-1]


class Weights:
    """What a cue costs but for its break; sums are taken once, for a turn may have 100,000 words."""

    def __init__(self, pieces: Sequence[str], times: Sequence[tuple[int, int]]) -> None:
        self._times = times
        self._pauses_ms = [after[0] - word[1] for word, after in itertools.pairwise(times)]
        self._ends_sentence = [bool(SENTENCE_END.search(piece)) for piece in pieces]
        self._ends_clause = [bool(CLAUSE_END.search(piece)) for piece in pieces]
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
    """Where pieces are broken into two lines."""

    def __init__(self, pieces: Sequence[str], style: Style = OTHER) -> None:
        self._columns = style.columns
        self._until = _sums(style.width(piece) for piece in pieces)
        """Up to each piece, with the blank after the one before it."""
        self._ends = [0] + [
            until - style.width(piece[len(piece.rstrip()) :])
            for piece, until in zip(pieces, self._until[1:], strict=True)
        ]
        """The same without that blank."""
        self._stop_costs = [_stop_cost(piece) for piece in pieces]
        self._is_number = [piece.strip().isdecimal() for piece in pieces]

    def length(self, begin: int, end: int) -> int:
        """Return how many columns some pieces have in one line."""
        return self._ends[end] - self._until[begin]

    def best(self, begin: int, end: int) -> tuple[float, int]:
        """Return how bad the best break is, infinitely where none fits, and before which piece it comes."""
        if self.length(begin, end) <= self._columns:
            return 0.0, end
        best = (math.inf, end)
        # The first from which on the second line fits.
        first_fit = bisect.bisect_left(self._until, self._ends[end] - self._columns, begin + 1, end)
        for at in range(first_fit, end):
            first, second = self.length(begin, at), self.length(at, end)
            if first > self._columns:
                break
            cost = abs(first - second) / 10 + (first > second) / 2
            cost += self._stop_costs[at - 1]
            # pysubs2 takes a number alone in the last line for the next cue's.
            cost += 1000 * (at == end - 1 and self._is_number[at])
            best = min(best, (cost, at))
        return best


def _stop_cost(piece: str) -> float:
    """Return how bad a line's end is behind a piece: a sentence's end outweighs much of an imbalance."""
    if SENTENCE_END.search(piece):
        return 0.0
    return 1.0 if CLAUSE_END.search(piece) else 2.5


def _sums(numbers: Iterable[int]) -> list[int]:
    """Return the sums of the first 0, 1, 2 … numbers."""
    return [*itertools.accumulate(numbers, initial=0)]


def lines_of(cue: Cue, label: str, form: str) -> str:
    """Return a cue's lines, each as it must stand in the file to be shown as it is written."""
    right_to_left = cue.right_to_left or directions.is_right_to_left(cue.text)
    if label and style_of(cue.text, None) in (STYLES["zh"], STYLES["ja"]):
        label = f"{label[:-1]}："  # noqa: RUF001  # it has its blank within
    elif label:
        label += f"{directions.label_end(label, right_to_left=right_to_left)} "
    lines = layout(f"{label}{cue.text}")
    if right_to_left or directions.may_turn(label + cue.text):
        show = directions.embedded
        lines = [show(line, right_to_left=right_to_left) for line in lines]
    if form == "vtt":
        lines = [html.escape(line, quote=False) for line in lines]
    return "\n".join(lines)


def layout(text: str) -> list[str]:
    """Set a cue's text in one line, or in two where the break is best."""
    for style in (style_of(text, None), OTHER):
        pieces = style.pieces(text)
        cost, at = Breaks(pieces, style).best(0, len(pieces))
        if cost < math.inf:
            return [line for part in (pieces[:at], pieces[at:]) if (line := "".join(part).strip())]
    # Cut by an older version, which measured ideographs as letters.
    return [row.strip() for row in text_layout.rows(text, OTHER.columns)]
