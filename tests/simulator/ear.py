"""What one session hears in coded sound: in steps of 10 ms, whether it is loud and which words are whole.

A word counts only when all its blocks arrived, each exactly after the one before; of any other there
is a fragment.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .coded import BLOCK_SAMPLES, LOUD_MIN, SAMPLE_RATE_HZ, Label, Samples, find_block, read_block, text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A word or a fragment of one; times in milliseconds of this session's sound."""

    number: int
    text: str
    start_ms: int
    end_ms: int
    speaker: int
    whole: bool
    true_start_ms: int
    """Where it stands in the recording, by its own account."""


@dataclass(frozen=True, slots=True)
class Step:
    """10 ms of sound, and what was complete at their end."""

    start_ms: int
    end_ms: int
    loud: bool
    words: tuple[Heard, ...] = ()


@dataclass(slots=True)
class _Word:
    """A word on its way: its first block heard, and the last."""

    first: Label
    last: Label
    start: int


class Ear:
    """Takes a session's bytes as they come, in pieces of any size."""

    def __init__(self, half_words: Literal["nothing", "mangled"] = "nothing") -> None:
        self._half_words = half_words
        self._odd = b""
        self._samples: Samples = np.zeros(0, np.int16)
        self._at = 0
        """The number of the first sample kept."""
        self._next = 0
        """Where the next block is looked for."""
        self._stepped = 0
        self._word: _Word | None = None
        self._heard: list[tuple[int, Heard]] = []

    def hear(self, pcm: bytes) -> list[Step]:
        """Take sound in; give the steps that are complete with it."""
        pcm = self._odd + pcm
        self._odd = pcm[len(pcm) & ~1 :]
        new = np.frombuffer(pcm[: len(pcm) & ~1], np.int16)
        self._samples = np.concatenate([self._samples, new])
        self._read_blocks()
        steps = self._steps()
        kept = min(self._next, self._stepped)
        self._samples = self._samples[kept - self._at :]
        self._at = kept
        return steps

    def end(self) -> list[Heard]:
        """Give what was heard but is in no step: the sound stops here, perhaps within a word."""
        self._break_off()
        left = [heard for _, heard in self._heard]
        self._heard = []
        return left

    def _read_blocks(self) -> None:
        while True:
            start = self._next - self._at
            if start + BLOCK_SAMPLES > len(self._samples):
                return
            label = read_block(self._samples[start : start + BLOCK_SAMPLES])
            if label is not None:
                self._take(label)
                self._next += BLOCK_SAMPLES
                continue
            self._break_off()
            found = find_block(self._samples, start + 1)
            if found < 0:
                # A block may have begun in what is left.
                found = max(start + 1, len(self._samples) - BLOCK_SAMPLES + 1)
            self._next = self._at + found

    def _take(self, label: Label) -> None:
        word = self._word
        if word is None or not _follows(word.last, label):
            self._break_off()
            word = self._word = _Word(label, label, self._next)
        word.last = label
        if label.index == label.count - 1:
            self._finish(whole=word.first.index == 0)

    def _break_off(self) -> None:
        if self._word is not None:
            self._finish(whole=False)

    def _finish(self, *, whole: bool) -> None:
        word = self._word
        assert word is not None
        self._word = None
        if not whole and self._half_words == "nothing":
            return
        blocks = word.last.index - word.first.index + 1
        end = word.start + blocks * BLOCK_SAMPLES
        heard = Heard(
            number=word.first.number,
            text=text_of(word.first.number, ends_sentence=word.first.ends_sentence)
            if whole
            else _mangled(word.first, word.last),
            start_ms=_ms(word.start),
            end_ms=_ms(end),
            speaker=word.first.speaker,
            whole=whole,
            true_start_ms=word.first.position * 10,
        )
        self._heard.append((end, heard))

    def _steps(self) -> list[Step]:
        steps = []
        count = (self._at + len(self._samples) - self._stepped) // BLOCK_SAMPLES
        first = self._stepped - self._at
        grid = self._samples[first : first + count * BLOCK_SAMPLES].astype(np.int32)
        peaks = np.abs(grid.reshape(count, BLOCK_SAMPLES)).max(axis=1, initial=0)
        for peak in peaks:
            end = self._stepped + BLOCK_SAMPLES
            words = tuple(heard for at, heard in self._heard if at <= end)
            self._heard = self._heard[len(words) :]
            steps.append(Step(_ms(self._stepped), _ms(end), bool(peak >= LOUD_MIN), words))
            self._stepped = end
        return steps


def _follows(last: Label, label: Label) -> bool:
    """Say whether `label` is the next block; that it lies directly behind is the caller's knowledge."""
    return (label.number, label.count, label.index, label.position) == (
        last.number,
        last.count,
        last.index + 1,
        last.position + 1,
    )


def _mangled(first: Label, last: Label) -> str:
    head = f"word{first.number:04d}" if first.index == 0 else f"…ord{first.number:04d}"
    return head if last.index == last.count - 1 else f"{head}…"


def _ms(samples: int) -> int:
    return samples * 1000 // SAMPLE_RATE_HZ
