"""What phones and meeting programs record (M4A, MP4, WebM …), by ffmpeg's libraries in the package av.

libsndfile reads none of these; av is a hundred megabytes, so it is an extra: `minuted[media]`.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from minuted.capture.conversion import Block

ENDINGS: Final = frozenset(".m4a .m4b .mp4 .aac .mov .wma .webm .mkv .mka .amr .3gp".split())  # noqa: SIM905
"""How such files are called."""
OPENED: Final = {
    # A file is data: a playlist in it must not lead to other files or to the network.
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,aac,matroska,webm,asf,amr",
}
INEXACT_S: Final = 1.0
"""By how much the length that such a file states may be off."""


class MediaError(Exception):
    """There is no sound to be had, or no more."""


def is_installed() -> bool:
    return importlib.util.find_spec("av") is not None


class MediaStream:
    """The first sound in a file, read from front to back. Raises MediaError."""

    def __init__(self, path: Path) -> None:
        import av  # noqa: PLC0415  # it is not everywhere

        self._error: type[Exception] = av.error.FFmpegError
        try:
            self._container = av.open(f"file:{path.absolute()}", options=OPENED)
        except self._error as error:
            raise MediaError(_reason(error)) from None
        try:
            sounds = self._container.streams.audio
            if not sounds:
                raise MediaError("there is no sound in it")
            if sounds[0].codec_context is None:
                raise MediaError("its sound is coded in a way that is not known here")
            self.samplerate: int = sounds[0].rate or 0
            self.channels: int = sounds[0].codec_context.channels
            length_us = self._container.duration or 0
            self.frames: int = max(0, length_us) * self.samplerate // 1_000_000
            self._resampler = av.AudioResampler(format="flt", layout=sounds[0].layout, rate=self.samplerate)
            self._blocks = self._decoded(sounds[0])
            self._left: Block = np.empty((0, self.channels), np.float32)
        except BaseException:
            self._container.close()
            raise

    @property
    def least_frames(self) -> int:
        """With fewer than these it has broken off."""
        return self.frames - int(INEXACT_S * self.samplerate)

    def read(self, out: Block, **_: Any) -> Block:
        """Fill `out` from the beginning; give as much of it as is filled."""
        filled = 0
        while filled < len(out):
            if not len(self._left):
                block = next(self._blocks, None)
                if block is None:
                    break
                self._left = block
            taken = self._left[: len(out) - filled]
            out[filled : filled + len(taken)] = taken
            self._left = self._left[len(taken) :]
            filled += len(taken)
        return out[:filled]

    def close(self) -> None:
        self._container.close()

    def _decoded(self, sound: Any) -> Iterator[Block]:
        try:
            for frame in self._container.decode(sound):
                for part in self._resampler.resample(frame):
                    yield self._rows(part)
            for part in self._resampler.resample(None):
                yield self._rows(part)
        except self._error as error:
            raise MediaError(_reason(error)) from None

    def _rows(self, part: Any) -> Block:
        rows: Block = part.to_ndarray().reshape(-1, self.channels)
        return rows


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__)
