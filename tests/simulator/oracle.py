"""Judges what came out against what was said: words lost, doubled, in disorder, unknown, and their times.

verdict = judge(recording.words, from_file_log(path.read_text()))
print(HEADING, verdict.row("three resets"), sep="\\n")
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from .coded import Spoken

_WORD: Final = re.compile(r"word(\d{4,})[.?!,]?")
_CUE: Final = re.compile(r"(\d+):(\d\d):(\d\d)[,.](\d{3}) --> (\d+):(\d\d):(\d\d)[,.](\d{3})")


@dataclass(frozen=True, slots=True)
class Delivered:
    """A word as it was delivered. Its times are its own, or those of the turn or cue it stands in."""

    text: str
    start_ms: int
    end_ms: int
    own_times: bool = True
    first: bool = False
    """The first of its turn or cue: then the turn's start is the word's."""
    stream: str = "live"
    """Order is kept within a stream: what is heard again after an outage is another."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch that was declared to have no words."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Output:
    """What one sink, subscriber or receiver got."""

    words: tuple[Delivered, ...]
    gaps: tuple[Span, ...] = ()
    seqs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is wrong with an output; numbers are the words' own."""

    expected: int
    delivered: int
    lost: tuple[int, ...] = ()
    declared: tuple[int, ...] = ()
    """Lost as well, but a gap says so."""
    doubled: tuple[int, ...] = ()
    disordered: tuple[int, ...] = ()
    unknown: tuple[str, ...] = ()
    time_error_ms: int = 0
    seq_errors: int = 0
    """Sequence numbers that were skipped, repeated or out of order."""

    def is_perfect(self, time_error_ms_max: int = 0) -> bool:
        wrong = (self.lost, self.declared, self.doubled, self.disordered, self.unknown, self.seq_errors)
        return not any(wrong) and self.time_error_ms <= time_error_ms_max

    def row(self, label: str = "") -> str:
        """Give a line of the table HEADING stands over."""
        counts = (self.lost, self.declared, self.doubled, self.disordered, self.unknown)
        cells = [self.expected, self.delivered, *map(len, counts), self.seq_errors, self.time_error_ms]
        return f"{label:<28}" + "".join(f"{cell:>11}" for cell in cells)


HEADING: Final = f"{'':<28}" + "".join(
    f"{name:>11}"
    for name in (
        "expected",
        "delivered",
        "lost",
        "declared",
        "doubled",
        "disordered",
        "unknown",
        "seq errors",
        "error ms",
    )
)


def judge(said: Sequence[Spoken], output: Output, *, offset_ms: int = 0) -> Verdict:
    """Compare. `offset_ms` is where the recording's start lies in the output's time."""
    truth = {word.number: word for word in said}
    found: Counter[int] = Counter()
    unknown, disordered = [], []
    last: dict[str, int] = {}
    error_ms = 0
    for word in output.words:
        number = number_of(word.text)
        if number is None or number not in truth:
            unknown.append(word.text)
            continue
        found[number] += 1
        if number < last.get(word.stream, number):
            disordered.append(number)
        last[word.stream] = max(number, last.get(word.stream, number))
        error_ms = max(error_ms, _time_error_ms(word, truth[number], offset_ms))
    missing = [number for number in truth if not found[number]]
    declared = [number for number in missing if _is_declared(truth[number], output.gaps, offset_ms)]
    return Verdict(
        expected=len(truth),
        delivered=len(output.words),
        lost=tuple(number for number in missing if number not in declared),
        declared=tuple(declared),
        doubled=tuple(number for number, times in found.items() if times > 1),
        disordered=tuple(disordered),
        unknown=tuple(unknown),
        time_error_ms=error_ms,
        seq_errors=_seq_errors(output.seqs),
    )


def number_of(text: str) -> int | None:
    """Read a word's number; None for what is no whole word of a recording."""
    match = _WORD.fullmatch(text)
    return int(match[1]) if match else None


def from_turns(maps: Iterable[Mapping[str, Any]], *, origin_ms: int | None = None) -> Output:
    """Take turn maps as they were delivered: partials and revisions do not count, gaps are gaps.

    With `origin_ms` times are counted from that epoch millisecond instead of the meeting's start.
    """
    words: list[Delivered] = []
    gaps, seqs = [], []
    for item in maps:
        if item.get("seq") is not None:
            seqs.append(item["seq"])
        shift_ms = 0 if origin_ms is None else item["meeting_started_at_ms"] - origin_ms
        if item["type"] == "gap":
            gaps.append(Span(item["start_ms"] + shift_ms, item["end_ms"] + shift_ms))
        elif item["type"] == "turn" and item["final"]:
            words += _of_turn(item, shift_ms)
    return Output(tuple(words), tuple(gaps), tuple(seqs))


def from_file_log(text: str, *, origin_ms: int | None = None) -> Output:
    return from_turns((json.loads(line) for line in text.splitlines()), origin_ms=origin_ms)


def from_webhook(bodies: Iterable[bytes], *, origin_ms: int | None = None) -> Output:
    """Take webhook bodies; to drop a repeated `webhook-id` is the caller's part, as it is any receiver's."""
    return from_turns((json.loads(body)["data"] for body in bodies), origin_ms=origin_ms)


def from_srt(text: str, *, shift_ms: int = 0) -> Output:
    """Take an SRT file; `shift_ms` is where its zero lies."""
    words: list[Delivered] = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.split("\n")
        place = next((place for place, line in enumerate(lines) if _CUE.search(line)), None)
        if place is None:
            continue
        cue = _CUE.search(lines[place])
        assert cue is not None
        start_ms, end_ms = _clock_ms(cue.groups()[:4]) + shift_ms, _clock_ms(cue.groups()[4:]) + shift_ms
        # A speaker's name may stand before the words.
        said = " ".join(re.sub(r"^-? ?[^:]{1,40}: ", "", line) for line in lines[place + 1 :]).split()
        words += _spread(said, start_ms, end_ms, "live")
    return Output(tuple(words))


def _of_turn(turn: Mapping[str, Any], shift_ms: int) -> list[Delivered]:
    stream = "backfilled" if turn.get("backfilled") else "live"
    if not turn.get("words"):
        return _spread(turn["text"].split(), turn["start_ms"] + shift_ms, turn["end_ms"] + shift_ms, stream)
    words = [
        Delivered(word["text"], word["start_ms"] + shift_ms, word["end_ms"] + shift_ms, stream=stream)
        for word in turn["words"]
    ]
    told = [number_of(text) for text in turn["text"].split()]
    if told != [number_of(word.text) for word in words]:
        words.append(Delivered(f"text without its words: {turn['text']}", 0, 0, stream=stream))
    return words


def _spread(texts: Sequence[str], start_ms: int, end_ms: int, stream: str) -> list[Delivered]:
    return [
        Delivered(text, start_ms, end_ms, own_times=False, first=place == 0, stream=stream)
        for place, text in enumerate(texts)
    ]


def _time_error_ms(word: Delivered, truth: Spoken, offset_ms: int) -> int:
    start_ms, end_ms = truth.start_ms + offset_ms, truth.end_ms + offset_ms
    if word.own_times:
        return max(abs(word.start_ms - start_ms), abs(word.end_ms - end_ms))
    outside_ms = max(0, word.start_ms - start_ms, end_ms - word.end_ms)
    return max(outside_ms, abs(word.start_ms - start_ms)) if word.first else outside_ms


def _is_declared(word: Spoken, gaps: Iterable[Span], offset_ms: int) -> bool:
    start_ms, end_ms = word.start_ms + offset_ms, word.end_ms + offset_ms
    return any(gap.start_ms < end_ms and start_ms < gap.end_ms for gap in gaps)


def _seq_errors(seqs: Sequence[int]) -> int:
    return sum(after != before + 1 for before, after in pairwise(seqs))


def _clock_ms(groups: Sequence[str]) -> int:
    hours, minutes, seconds, thousandths = map(int, groups)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + thousandths
