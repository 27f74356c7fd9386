"""What phones and meeting programs record (M4A, MP4, WebM …), by ffmpeg's libraries in the package av.

libsndfile reads none of these; av is a hundred megabytes, so it is an extra: `minuted[media]`.
"""

import importlib.util
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from minuted.capture.conversion import Block
from minuted.capture.view import Part, View

ENDINGS: Final = frozenset(
    ".m4a .m4b .mp4 .aac .mov .wma .webm .mkv .mka .amr .3gp .avi .flv .spx".split()  # noqa: SIM905
)
"""How such files are called."""
OPENED: Final = {
    # A file is data: a playlist in it must not lead to other files or to the network.
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,aac,matroska,webm,asf,amr,avi,mpegts,mpeg,flv,ogg,flac,wav,"
    "w64,aiff,au,caf,mp3",
}
GUESSED: Final = frozenset("aac amr mp3 mpegts mpeg avi flac ogg".split())  # noqa: SIM905
"""Formats that state no length: ffmpeg's libraries reckon one from the bit rate."""
INEXACT_S: Final = 1.0
"""By how much the length that such a file states may be off."""


class MediaError(Exception):
    """There is no sound to be had, or no more."""


def is_installed() -> bool:
    return importlib.util.find_spec("av") is not None


class MediaStream:
    """The first sound in a part of a file, read from front to back. Raises MediaError."""

    def __init__(self, file: BinaryIO, part: Part) -> None:
        import av  # noqa: PLC0415  # it is not everywhere

        self.damage = ""
        """What could not be decoded in the middle, and was passed over."""
        self._av = av
        self._error: type[Exception] = av.error.FFmpegError
        self._view = View(file, part)
        try:
            container: Any = av.open(self._view, options=OPENED)
        except (self._error, ValueError) as error:
            raise MediaError(_reason(error)) from None
        self._container = container
        try:
            sounds = self._container.streams.audio
            if not sounds:
                raise MediaError("there is no sound in it")
            if sounds[0].codec_context is None:
                raise MediaError("its sound is coded in a way that is not known here")
            self._sound = sounds[0]
            self.rate_hz: int = sounds[0].rate or 0
            self.channels: int = sounds[0].codec_context.channels
            length_us = self._container.duration or 0
            self.length_s: float | None = length_us / 1_000_000 if length_us > 0 else None
            self.is_guess = self.length_s is None or self._container.format.name in GUESSED
        except BaseException:
            self._container.close()
            raise

    @property
    def least_s(self) -> float:
        """With less it has broken off."""
        return 0.0 if self.is_guess else (self.length_s or 0.0) - INEXACT_S

    def blocks(self) -> Iterator[tuple[int, Block]]:
        """Return the sound, each block with its rate, which may change.

        Raises MediaError where it breaks off.
        """
        kind, resampler = None, None
        for frame in self._frames():
            if kind != (frame.sample_rate, frame.layout.name, frame.format.name):
                kind = (frame.sample_rate, frame.layout.name, frame.format.name)
                resampler = self._av.AudioResampler(format="flt", layout=frame.layout, rate=frame.sample_rate)
            assert resampler is not None
            # Nothing but the sample's format changes, so nothing is held back.
            for part in resampler.resample(frame):
                block: Any = part.to_ndarray()
                yield part.sample_rate, block.reshape(-1, part.layout.nb_channels)
        if self._view.error:
            raise MediaError(self._view.error.strerror)

    def close(self) -> None:
        self._container.close()

    def _frames(self) -> Iterator[Any]:
        """Return what can be decoded, also behind what cannot. Raises MediaError where it breaks off."""
        packets, trouble = self._container.demux(self._sound), ""
        while True:
            try:
                packet = None
                packet = next(packets, None)
                frames = packet.decode() if packet else ()
            except self._error as error:
                if packet is None:
                    raise MediaError(_reason(error)) from None
                trouble = trouble or _reason(error)
                continue
            if packet is None:
                break
            if trouble and frames:
                self.damage, trouble = trouble, ""
            yield from frames
        if trouble:
            raise MediaError(trouble)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__)
