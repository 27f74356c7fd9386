"""A recording in the microphone's place: read in small blocks, played in real time or faster."""

import ctypes
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, NamedTuple

import numpy as np
import soundfile
import structlog

from minuted.capture import parts
from minuted.capture.conversion import RATES_HZ, Block, Converter, Uncancelled, check_channel
from minuted.capture.framing import Framer
from minuted.capture.media import ENDINGS, MediaError, MediaStream, is_installed
from minuted.capture.playing import DamagedError, Playing, playing_anew
from minuted.capture.view import Part, View
from minuted.messages import FRAME_MS, AudioFrame
from minuted.options import ConfigError, InputError
from minuted.runtime.clock import wall_ms
from minuted.runtime.durations import brief

FRAME_S: Final = FRAME_MS / 1000
LATE_S_MAX: Final = 1.0
"""More delay than this is not caught up with: everything after it comes that much later."""
LENGTH_S_MAX: Final = 1e7
"""More than this is no length, but what a library says where it knows none."""
SHORT_S_MAX: Final = 0.1
"""What may be missing of what a header states, as coders fill up and cut off blocks."""
ERRORS_MAX: Final = 200
"""So many reads without sound, and the decoder finds no way on behind what is damaged."""

log = structlog.get_logger(__name__)


class _Fault(NamedTuple):
    """What is wrong with a part of a recording."""

    reason: str
    breaks_off: bool


class Recording:
    """An open recording. Raises InputError when there is no sound to be had from it.

    Reads what libsndfile reads: WAV of any width, FLAC, OGG, MP3, AIFF and more; with the package av
    M4A, MP4 and WebM, too. No length that a header states is believed: each of the recordings that a file
    turns out to have in it is decoded until there is no more. What a growing file gets later is not heard.
    """

    def __init__(self, path: Path, channel: int = 0) -> None:
        self._path = path
        self._channel = channel
        self._file, self._bytes = _opened(path)
        self.name = os.fsencode(path.name).decode(errors="replace")
        self._decoder: _Decoder | None = None
        self._cancelled_logged = False
        try:
            self._parts = self._look()
            self._decoder = self._first_decoder()
            self.rate_hz: int = self._decoder.rate_hz
            check_channel(channel, self._decoder.channels, str(path))
            self._blocks = self._decoder.blocks()
            self._first = next(self._blocks, None)
            if self._first is None:
                raise InputError(f"{path}: there is no sound in it")
            self.duration_s, self.is_guess = self._length()
        except (soundfile.LibsndfileError, MediaError) as error:
            self.close()
            raise InputError(f"{path}: there is no sound that can be read: {_reason(error)}") from None
        except OSError as error:
            self.close()
            raise InputError(f"{path}: the recording cannot be read: {error.strerror}") from None
        except ConfigError:
            self.close()
            raise

    def close(self) -> None:
        if self._decoder:
            self._decoder.close()
        self._file.close()

    def pcm(self) -> Iterator[bytes]:
        """Return the sound as 16 kHz mono 16-bit PCM, a little at a time; once.

        Raises DamagedError where it breaks off, after all that could be read.
        """
        try:
            yield from self._pcm()
        finally:
            self.close()

    def _pcm(self) -> Iterator[bytes]:
        heard_s, kind, converter, faults = 0.0, None, None, list[_Fault]()
        uncancelled = Uncancelled()
        for rate_hz, block in self._sound(faults):
            channel = self._channel if self._channel <= block.shape[1] else 0
            if kind != (kind := (rate_hz, channel)):
                if converter:
                    yield converter.finish()
                converter = Converter(rate_hz, channel)
            assert converter is not None
            heard_s += len(block) / rate_hz
            yield converter.convert(block if channel else uncancelled.pick(block))
            self._log_cancelled(uncancelled)
        if converter:
            yield converter.finish()
        if faults:
            raise DamagedError(f"{self._path}: {self._told(faults, heard_s)}")
        if os.fstat(self._file.fileno()).st_size > self._bytes:
            grown = "it has grown since then, and what was added is not heard"
            raise DamagedError(f"{self._path}: breaks off after {brief(heard_s)}: {grown}")

    def _told(self, faults: "list[_Fault]", heard_s: float) -> str:
        """Return what is wrong with what was heard."""
        length_s = max(heard_s, self.duration_s)
        of = "" if self.is_guess or brief(length_s) == brief(heard_s) else f" of {brief(length_s)}"
        why = "; ".join(dict.fromkeys(fault.reason for fault in faults if fault.reason))
        broke_off = any(fault.breaks_off for fault in faults)
        what = f"breaks off after {brief(heard_s)}{of}" if broke_off else "is damaged within"
        return f"{what}{why and f': {why}'}"

    def _log_cancelled(self, uncancelled: Uncancelled) -> None:
        if uncancelled.has_taken and not self._cancelled_logged:
            self._cancelled_logged = True
            log.warning(
                "channels_cancelled",
                recording=self.name,
                reason="mixed, the channels are much quieter than each, as if one was inverted: one is taken",
            )

    def _sound(self, faults: "list[_Fault]") -> Iterator[tuple[int, Block]]:
        """Return the blocks of all parts; add to `faults` what could not be read."""
        decoder, blocks, first = self._decoder, self._blocks, self._first
        for number, part in enumerate(self._parts):
            part_s, reason, breaks_off = 0.0, "", part.is_cut
            try:
                if number:
                    decoder = self._decoder = self._decoder_of(part)
                    blocks, first = decoder.blocks(), None
                assert decoder is not None
                if first is not None:
                    part_s += len(first[1]) / first[0]
                    yield first
                for rate_hz, block in blocks:
                    part_s += len(block) / rate_hz
                    yield rate_hz, block
                reason = decoder.damage
                is_short = part_s < max(decoder.least_s, (part.claimed_s or 0.0) - SHORT_S_MAX)
                breaks_off = breaks_off or (is_short and not reason)
            except (soundfile.LibsndfileError, MediaError, ConfigError) as error:
                reason, breaks_off = _reason(error), True
            if reason or breaks_off:
                faults.append(_Fault(reason, breaks_off))
            if decoder:
                decoder.close()

    def _look(self) -> list[Part]:
        found = parts.look(self._file, self._bytes)
        self._is_media = found.is_media
        if found.trouble:
            raise InputError(f"{self._path}: not a recording that can be read: {found.trouble}")
        return list(found.parts)

    def _first_decoder(self) -> "_Decoder":
        """Return the first part's; what is before the first that can be read is passed over."""
        suffix = self._path.suffix.lower()
        try:
            return self._decoder_of(self._parts[0])
        except (soundfile.LibsndfileError, MediaError) as error:
            if suffix == ".raw":
                # Their rate would have to be told.
                raise InputError(f"{self._path}: raw samples cannot be played; make it a WAV file") from None
            if not is_installed() and (self._is_media or suffix in ENDINGS):
                what = f"{suffix} files need" if suffix in ENDINGS else "what is in it needs"
                raise InputError(
                    f"{self._path}: {what} one package more: pip install 'minuted[media]'; "
                    f"or make another file of it: ffmpeg -i {self._path.name} {self._path.stem}.flac"
                ) from None
            raise InputError(f"{self._path}: not a recording that can be read: {_reason(error)}") from None

    def _decoder_of(self, part: Part) -> "_Decoder":
        """Raises LibsndfileError, MediaError and ConfigError."""
        decoder: _Decoder | None = None
        if self._is_media and is_installed():
            decoder = MediaStream(self._file, part)
        else:
            try:
                decoder = _Stream(self._file, part)
            except soundfile.LibsndfileError:
                if not is_installed():
                    raise
                with suppress(MediaError):
                    decoder = MediaStream(self._file, part)
                if decoder is None:
                    if self._path.suffix.lower() in ENDINGS:
                        MediaStream(self._file, part)
                    raise
        if decoder.rate_hz not in RATES_HZ:
            decoder.close()
            raise InputError(f"{self._path}: a sampling rate of {decoder.rate_hz} Hz cannot be played")
        return decoder

    def _length(self) -> tuple[float, bool]:
        """Return how long it seems before it is decoded, and whether that is a guess."""
        length_s, is_guess = 0.0, False
        for number, part in enumerate(self._parts):
            if part.length_s is not None:
                length_s += max(part.length_s, part.claimed_s or 0.0)
                continue
            with suppress(soundfile.LibsndfileError, MediaError, ConfigError):
                decoder = self._decoder_of(part) if number else self._decoder
                assert decoder is not None
                length_s += decoder.length_s or 0.0
                is_guess = is_guess or decoder.is_guess
                if number:
                    decoder.close()
        return length_s, is_guess


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
            "duration_is_guess": self._recording.is_guess,
        }

    def _frames(self, framer: Framer) -> Iterator[AudioFrame]:
        try:
            for pcm in self._recording.pcm():
                yield from framer.cut(pcm)
        except DamagedError as error:
            self._damage = error
        yield from framer.finish()


_COUNT: Final = ctypes.c_int64
_CALLBACKS: Final[dict[str, Any]] = {
    "get_filelen": ctypes.CFUNCTYPE(_COUNT, ctypes.c_void_p),
    "seek": ctypes.CFUNCTYPE(_COUNT, _COUNT, ctypes.c_int, ctypes.c_void_p),
    "read": ctypes.CFUNCTYPE(_COUNT, ctypes.c_void_p, _COUNT, ctypes.c_void_p),
    "write": ctypes.CFUNCTYPE(_COUNT, ctypes.c_void_p, _COUNT, ctypes.c_void_p),
    "tell": ctypes.CFUNCTYPE(_COUNT, ctypes.c_void_p),
}
"""Libsndfile's SF_VIRTUAL_IO. Source: sndfile.h."""


class _Stream(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A part of a sound file read from front to back, by libsndfile."""

    damage = ""

    def __init__(self, file: BinaryIO, part: Part) -> None:
        self._view = View(file, part)
        super().__init__(self._view)
        self.rate_hz = int(self.samplerate)
        length_s = self.frames / self.samplerate
        self.length_s = None if part.is_endless or length_s > LENGTH_S_MAX else length_s
        self.is_guess = self.length_s is None

    def _init_virtual_io(self, view: View) -> Any:
        """Return the functions that libsndfile reads by.

        soundfile's own take memory that is written and run, which MemoryDenyWriteExecute= of the units
        forbids; those of ctypes do not (libffi 3.4).
        """

        def read(to: int, count: int, _: Any) -> int:
            data = view.read(count)
            ctypes.memmove(to, data, len(data))
            return len(data)

        functions = {
            "get_filelen": lambda _: view.length(),
            "seek": lambda offset, whence, _: view.seek(offset, whence),
            "read": read,
            "write": lambda *_: 0,
            "tell": lambda _: view.tell(),
        }
        # They have to live as long as the file.
        self._virtual_io = {name: _CALLBACKS[name](function) for name, function in functions.items()}
        ffi = soundfile._ffi  # noqa: SLF001  # there is no other way to have a pointer of its type
        addresses = {
            name: ctypes.cast(callback, ctypes.c_void_p).value for name, callback in self._virtual_io.items()
        }
        return ffi.new(
            "SF_VIRTUAL_IO*", {name: ffi.cast(f"sf_vio_{name}", at) for name, at in addresses.items()}
        )

    def seekable(self) -> bool:
        # soundfile seeks after each read where it can, which makes MP3 decoders stumble.
        return False

    @property
    def least_s(self) -> float:
        """With less it has broken off."""
        return 0.0

    def blocks(self) -> Iterator[tuple[int, Block]]:
        """Return the sound, also behind what is damaged. Raises LibsndfileError where it breaks off."""
        error: soundfile.LibsndfileError | None = None
        errors = 0
        while errors <= ERRORS_MAX:
            try:
                block = self._next()
            except soundfile.LibsndfileError as found:
                error, errors = error or found, errors + 1
                continue
            if not len(block):
                break
            if error:
                self.damage, error, errors = _reason(error), None, 0
            yield self.rate_hz, block
        if self._view.error:
            raise MediaError(self._view.error.strerror)
        if error:
            raise error

    def _next(self) -> Block:
        block = np.empty((math.ceil(self.rate_hz * FRAME_S), self.channels), np.float32)
        # With `out`, no length stated in the file is believed.
        read: Block = self.read(dtype="float32", always_2d=True, out=block)
        return read


_Decoder = _Stream | MediaStream


def _opened(path: Path) -> tuple[BinaryIO, int]:
    """Open a recording, and return its size as it is now."""
    try:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "is not a file" if path.exists() else "does not exist"
            raise InputError(f"the recording {path} {what}")
        file = path.open("rb", buffering=0)
        size = os.fstat(file.fileno()).st_size
        if not size:
            file.close()
            raise InputError(f"{path}: the recording is empty")
    except OSError as error:
        raise InputError(f"{path}: the recording cannot be read: {error.strerror}") from None
    return file, size


def _reason(error: Exception) -> str:
    if not isinstance(error, soundfile.LibsndfileError):
        return str(error)
    if "does not exist or is not a regular file" in error.error_string:
        # That is what libsndfile says of an MP3 file without any sound in it.
        return "no sound is found in it"
    return str(error.error_string).removeprefix("Error : ").rstrip(".")
