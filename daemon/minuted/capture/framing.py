"""Blocks of any size in, numbered frames of exactly 50 ms out."""

import math
from array import array
from collections.abc import Iterable
from operator import mul
from typing import Final

from minuted.messages import FRAME_BYTES, FRAME_MS, AudioFrame

SILENCE_DBFS: Final = -120.0
"""What `level_dbfs` says of exact zeros; the quietest sound above them is about -90."""


class Framer:
    """Cuts 16 kHz mono 16-bit PCM into frames; what is left over waits for the next block.

    `started_at_ms` is the wall clock, in epoch milliseconds, of the first sample. The times of all
    others follow from how many samples came before them, not from when they arrived; so do their numbers.
    """

    def __init__(
        self, started_at_ms: int, first_number: int, *, source: str = "microphone", paced: bool = True
    ) -> None:
        self._started_at_ms = started_at_ms
        self._first_number = first_number
        self._source = source
        self._paced = paced
        self._count = 0
        self._rest = bytearray()

    @property
    def next_number(self) -> int:
        return self._first_number + self._count

    def skip(self, frames: int) -> None:
        """Leave out so many numbers, and their time."""
        self._count += frames

    def set_clock(self, ahead_ms: int) -> None:
        """Have the times of the following frames be so much later; their numbers stay."""
        self._started_at_ms += ahead_ms

    def cut(self, block: bytes) -> list[AudioFrame]:
        """Give the frames that `block` completes."""
        self._rest += block
        whole = len(self._rest) // FRAME_BYTES * FRAME_BYTES
        frames = [
            self._frame(bytes(self._rest[at : at + FRAME_BYTES])) for at in range(0, whole, FRAME_BYTES)
        ]
        del self._rest[:whole]
        return frames

    def finish(self) -> list[AudioFrame]:
        """Give the last fragment as a frame filled up with silence; nothing when there is none."""
        return self.cut(bytes(-len(self._rest) % FRAME_BYTES))

    def _frame(self, pcm: bytes) -> AudioFrame:
        frame = AudioFrame(
            number=self.next_number,
            captured_at_ms=self._started_at_ms + self._count * FRAME_MS,
            pcm=pcm,
            source=self._source,
            paced=self._paced,
        )
        self._count += 1
        return frame


def level_dbfs(stretch: Iterable[bytes]) -> float:
    """Give the RMS level of some 16-bit PCM in dB of full scale, where a full-scale sine has -3.0."""
    samples = array("h", b"".join(stretch))
    power = sum(map(mul, samples, samples))
    if not power:
        return SILENCE_DBFS
    return round(10 * math.log10(power / len(samples) / 32768**2), 1)
