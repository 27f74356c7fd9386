"""A recording in the microphone's place: read in small blocks, played in real time or faster."""

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import soundfile

from minuted.capture.conversion import RATES_HZ, Block, Converter, check_channel
from minuted.capture.framing import Framer
from minuted.capture.media import ENDINGS, MediaError, MediaStream, is_installed
from minuted.capture.playing import Playing, playing_anew
from minuted.config import ConfigError
from minuted.messages import FRAME_MS, AudioFrame
from minuted.runtime.clock import wall_ms
from minuted.runtime.durations import brief

FRAME_S: Final = FRAME_MS / 1000
LATE_S_MAX: Final = 1.0
"""More delay than this is not caught up with: everything after it comes that much later."""


class DamagedError(OSError):
    """The recording broke off; what came before was good."""


class Recording:
    """An open recording. Raises ConfigError when there is no sound to be had from it.

    Reads what libsndfile reads: WAV of any width, FLAC, OGG, MP3, AIFF and more; with the package av
    M4A, MP4 and WebM, too.
    """

    def __init__(self, path: Path, channel: int = 0) -> None:
        self._path = path
        self._file = _open(path)
        self.name = os.fsencode(path.name).decode(errors="replace")
        self.rate_hz: int = self._file.samplerate
        self.duration_s: float = self._file.frames / self.rate_hz
        try:
            if self.rate_hz not in RATES_HZ:
                raise ConfigError(f"{path}: a sampling rate of {self.rate_hz} Hz cannot be played")
            check_channel(channel, self._file.channels, str(path))
            self._converter = Converter(self.rate_hz, channel)
            self._first = self._read()
            if not len(self._first):
                raise ConfigError(f"{path}: there is no sound in it")
        except (soundfile.LibsndfileError, MediaError) as error:
            self.close()
            raise ConfigError(f"{path}: there is no sound that can be read: {_reason(error)}") from None
        except ConfigError:
            self.close()
            raise

    def close(self) -> None:
        self._file.close()

    def pcm(self) -> Iterator[bytes]:
        """Give the sound as 16 kHz mono 16-bit PCM, a little at a time; once.

        Raises DamagedError where it breaks off, after all that could be read.
        """
        block, read, damage = self._first, 0, ""
        while len(block):
            read += len(block)
            yield self._converter.convert(block)
            try:
                block = self._read()
            except (soundfile.LibsndfileError, MediaError) as error:
                damage = _reason(error)
                break
        yield self._converter.finish()
        if damage or read < self._file.least_frames:
            at_s = f"{brief(read / self.rate_hz)} of {brief(self.duration_s)}"
            raise DamagedError(f"{self._path}: breaks off after {at_s}{damage and f': {damage}'}")

    def _read(self) -> Block:
        block = np.empty((math.ceil(self.rate_hz * FRAME_S), self._file.channels), np.float32)
        # With `out`, no length stated in the file is believed.
        read: Block = self._file.read(dtype="float32", always_2d=True, out=block)
        return read


class Pacer:
    """Says how long each frame of a recording has yet to wait, by deadlines that do not drift.

    A frame is due when its last sample would have been heard. Seconds are of any one clock.
    """

    def __init__(self, started_s: float) -> None:
        self._started_s = started_s
        self._count = 0

    def next_wait_s(self, now_s: float) -> float:
        """Count one frame more, and give how long from `now_s` it has to wait."""
        self._count += 1
        wait_s = self._started_s + self._count * FRAME_S - now_s
        if wait_s < -LATE_S_MAX:
            self._started_s -= wait_s
        return max(0.0, wait_s)


class Player:
    """Plays a recording into a function, as a microphone would speak: anew, or on from where `playing` says.

    What has been played is decoded again and passed over, so that not a sample differs.
    """

    def __init__(
        self,
        recording: Recording,
        pace: Literal["real-time", "fast"],
        clock: Callable[[], float] = time.monotonic,
        playing: Playing | None = None,
    ) -> None:
        self.name = recording.name
        self.missing = ""
        self.overflows = 0
        self.doubt = ""
        self._recording = recording
        self._paced = pace == "real-time"
        self._clock = clock
        self._playing = playing
        self._played = 0
        self._damage: DamagedError | None = None

    def run(self, put: Callable[[AudioFrame], bool], stop: threading.Event) -> None:
        """Play to the end, or until `put` wants no more. Raises DamagedError after what could be played."""
        playing = self._playing or playing_anew(now_ms := wall_ms(), now_ms // FRAME_MS)
        framer = Framer(playing.started_at_ms, playing.first_number, source=self.name, paced=self._paced)
        pacer = Pacer(self._clock())
        for frame in self._frames(framer):
            if frame.number < playing.from_number:
                if stop.is_set():
                    break
                self._played += 1
                pacer = Pacer(self._clock())
                continue
            if self._paced and (wait_s := pacer.next_wait_s(self._clock())):
                stop.wait(wait_s)
            if not put(frame):
                break
            self._played += 1
        self._recording.close()
        if self._damage:
            raise self._damage

    def fault(self, now_s: float) -> str:  # noqa: ARG002
        """Say what is wrong; nothing, as a file keeps nobody waiting."""
        return ""

    def status(self) -> dict[str, Any]:
        return {
            "position_s": round(self._played * FRAME_S, 2),
            "duration_s": round(self._recording.duration_s, 2),
        }

    def _frames(self, framer: Framer) -> Iterator[AudioFrame]:
        try:
            for pcm in self._recording.pcm():
                yield from framer.cut(pcm)
        except DamagedError as error:
            self._damage = error
        yield from framer.finish()


class _Stream(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A sound file read from front to back."""

    def seekable(self) -> bool:
        # soundfile seeks after each read where it can, which makes MP3 decoders stumble.
        return False

    @property
    def least_frames(self) -> int:
        """With fewer than these it has broken off."""
        return int(self.frames)


def _open(path: Path) -> _Stream | MediaStream:
    try:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "is not a file" if path.exists() else "does not exist"
            raise ConfigError(f"the recording {path} {what}")
        with path.open("rb") as file:
            if not file.read(1):
                raise ConfigError(f"{path}: the recording is empty")
    except OSError as error:
        raise ConfigError(f"{path}: the recording cannot be read: {error.strerror}") from None
    try:
        return _Stream(os.fsencode(path))
    except TypeError:
        # By its name it is raw samples, and their rate would have to be told.
        raise ConfigError(f"{path}: raw samples cannot be played; make it a WAV file") from None
    except soundfile.LibsndfileError as error:
        reason = _reason(error)
    if path.suffix.lower() not in ENDINGS:
        raise ConfigError(f"{path}: not a recording that can be read: {reason}")
    if not is_installed():
        raise ConfigError(
            f"{path}: {path.suffix} files need one package more: pip install 'minuted[media]'; "
            f"or make another file of it: ffmpeg -i {path.name} {path.stem}.flac"
        )
    try:
        return MediaStream(path)
    except MediaError as error:
        raise ConfigError(f"{path}: not a recording that can be read: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    if not isinstance(error, soundfile.LibsndfileError):
        return str(error)
    if "does not exist or is not a regular file" in error.error_string:
        # That is what libsndfile says of an MP3 file without any sound in it.
        return "no sound is found in it"
    return str(error.error_string).removeprefix("Error : ").rstrip(".")
