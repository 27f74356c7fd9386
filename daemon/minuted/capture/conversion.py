"""Sound of any rate and channel count in, 16 kHz mono 16-bit PCM out."""

from typing import Final

import numpy as np
import numpy.typing as npt
import soxr

from minuted.config import ConfigError
from minuted.messages import SAMPLE_RATE_HZ

Block = npt.NDArray[np.float32]
"""A row per sampling instant, a column per channel, 1.0 is full scale."""

RATES_HZ: Final = range(1_000, 768_001)
CANCELLED_MAX: Final = 0.05
"""What is left of the power of sounds that have nothing in common, where channels cancel each other."""
TAKEN_MIN: Final = 0.25
"""The channel that was taken is taken again unless it has less of the loudest one's power."""
_FULL_SCALE: Final = 32768


class Converter:
    """Converts a stream of blocks: what the resampler holds back comes with later ones, or `finish`.

    16-bit sound at 16 kHz passes unchanged, bit by bit. Louder than full scale is clipped.
    """

    def __init__(self, rate_hz: int, channel: int) -> None:
        self._column = channel - 1
        self._resampler = (
            None
            if rate_hz == SAMPLE_RATE_HZ
            else soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        )

    def convert(self, block: Block) -> bytes:
        # A float recording can hold anything, and one NaN would spread through the resampler.
        if not np.isfinite(block).all():
            block = np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0)
        if block.shape[1] == 1 or self._column >= 0:
            mono = block[:, max(0, self._column)]
        else:
            mono = block @ np.full(block.shape[1], 1 / block.shape[1], np.float32)
        mono = np.clip(mono, -1.0, 1.0)
        return _to_pcm(mono if self._resampler is None else self._resampler.resample_chunk(mono))

    def convert_pcm(self, pcm: bytes, channels: int) -> bytes:
        """Convert interleaved 16-bit samples."""
        block = np.frombuffer(pcm, "<i2").reshape(-1, channels).astype(np.float32)
        return self.convert(block / np.float32(_FULL_SCALE))

    def finish(self) -> bytes:
        """Give what was held back. Nothing may be converted after it."""
        if self._resampler is None:
            return b""
        return _to_pcm(self._resampler.resample_chunk(np.empty(0, np.float32), last=True))


class Uncancelled:
    """Takes one channel where all of them, mixed, would cancel each other, as if one was inverted."""

    def __init__(self) -> None:
        self.has_taken = False
        self._taken = 0

    def pick(self, block: Block) -> Block:
        """Return a block as it is, or the one channel of it that is to be heard."""
        channels = block.shape[1]
        if channels == 1:
            return block
        bounded = np.clip(np.nan_to_num(block), -1.0, 1.0)
        powers, mixed = np.einsum("ij,ij->j", bounded, bounded), bounded.sum(axis=1)
        if mixed @ mixed >= CANCELLED_MAX * powers.sum():
            return block
        self.has_taken = True
        loudest = int(powers.argmax())
        if self._taken >= channels or powers[self._taken] < TAKEN_MIN * powers[loudest]:
            self._taken = loudest
        return block[:, [self._taken]]


def check_channel(channel: int, channels: int, where: str) -> None:
    """Raise ConfigError when `where`, which has that many channels, has none of that number."""
    if channel > channels:
        has = f"{channels} channel{'s' if channels > 1 else ''}"
        raise ConfigError(f"capture.channel = {channel}, but {where} has {has}")


def _to_pcm(mono: Block) -> bytes:
    return np.clip(np.rint(mono * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype("<i2").tobytes()
