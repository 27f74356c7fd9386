"""The Moonshine recogniser: sound in, lines out. The only module that imports moonshine_voice.

Facts of release 0.1.0, read in its sources and measured: a look (`transcribe_stream`) runs the
detector over the sound added since the last, then transcribes the open line anew, and blocks for up
to a second; the detector averages over 0.5 s and puts 512 ms before its first yes in front of a line;
after 10 s it cuts. With "return_audio_data" on, every look copies all sound since the start.
The detector's memory is one for the whole process, so a stream that comes after another's look first
plays its own last second to a stream that only detects; without that, two sessions spoil each
other's lines. Its Python classes take sound as lists and hand out every line each time, so this module
calls the same C functions with arrays, and reads only the lines that may have changed.
"""

import ctypes
import math
import os
import re
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from minuted.config import ConfigError, Engine
from minuted.engine.pace import Pace
from minuted.engine.turns import Line

if TYPE_CHECKING:
    from collections.abc import Iterator

Samples = NDArray[np.float32]

RATE_HZ: Final = 16_000
HOP: Final = 512
LOOK_BEHIND_MS: Final = 544
"""A line begins at most so long before the sound that has been heard: the detector's 512 ms and a hop."""
LEAD_MS: Final = 224
"""Quiet at a line's beginning; measured: 210 to 280 ms."""
LAG_MS: Final = 320
"""Quiet at the end of a line that a pause has ended; measured: 340 to 430 ms."""
CUT_MS: Final = 10_000
"""A line of this length was cut in the middle of speech."""
PIECE_MS: Final = 50
MEMORY_MS: Final = 1_000
"""Sound kept to bring the detector's memory back, and to begin a new stream with."""
RENEW_MS: Final = 300_000
RENEW_QUIET_MS: Final = 1_500
"""A stream that is older than RENEW_MS gives way to a new one in the first pause of this length."""
LOWEST_PRIORITY: Final = 19
_FORCE: Final = 1
_FILES: Final = ("tokenizer.bin",)
_WARNING: Final = re.compile(rb"(?:\[W:onnxruntime:|(?=Error in cpuinfo: ))(.*?)(?:\x1b|$)")

log = structlog.get_logger(__name__)


class RecogniserError(RuntimeError):
    """The recogniser's library has failed; this session cannot go on."""


class Model:
    """The loaded model, shared by all sessions; one of them at a time may look."""

    def __init__(self, settings: Engine) -> None:
        """Raise ConfigError where the library is not installed or the folder holds no model."""
        try:
            # An extra: this is where it is missed.
            from moonshine_voice.errors import MoonshineError  # noqa: PLC0415
            from moonshine_voice.moonshine_api import ModelArch, TranscriptC  # noqa: PLC0415
            from moonshine_voice.transcriber import Transcriber  # noqa: PLC0415
            from moonshine_voice.utils import get_assets_path  # noqa: PLC0415
        except ImportError as error:
            raise ConfigError(
                f"the local engine is not installed ({error}): pip install 'minuted[local]'"
            ) from None
        folder = settings.model_dir or Path(get_assets_path(), "tiny-en")
        self.name = settings.model_dir.name if settings.model_dir else "moonshine-tiny-en"
        _check_folder(folder)
        arch = ModelArch[settings.model_arch.upper().replace("-", "_")]
        options = {"return_audio_data": "false", "transcription_interval": "0.01"}
        threads = _threads()
        try:
            with _warnings_logged():
                self._transcriber = Transcriber(str(folder), arch, options=options)
                self._detector = Transcriber(
                    str(folder), arch, options={**options, "skip_transcription": "true"}
                )
        except MoonshineError as error:
            raise ConfigError(
                f"engine.model_dir: {folder} cannot be loaded as a {settings.model_arch} model: {error}"
            ) from None
        _give_way(_threads() - threads)
        self.transcript_type = TranscriptC
        self.lock = threading.Lock()
        self.last_user: object = None
        self.looks_s = 0.0
        """Seconds all looks together took."""

    def stream(self) -> "_Stream":
        """Begin a stream. The caller holds the lock, here and when it is closed."""
        return _Stream(self._transcriber, self.transcript_type)

    def remind(self, sound: "deque[Samples]", rate_hz: int) -> None:
        """Bring the detector's memory to where it was after this sound. The caller holds the lock."""
        stream = _Stream(self._detector, self.transcript_type)
        for samples in sound:
            stream.add(samples, rate_hz)
        stream.look()
        stream.close()

    def close(self) -> None:
        with self.lock:
            self._transcriber.close()
            self._detector.close()


@contextmanager
def _warnings_logged() -> "Iterator[None]":
    """Keep the library's warnings out of standard error, and in the log for who debugs.

    onnxruntime warns, in colours, of a graphics card or a /proc/cpuinfo that a sandbox hides: nothing comes
    of either, as measured. All else it writes is handed on.
    """
    stderr, said = os.dup(2), os.memfd_create("said")
    os.dup2(said, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        with os.fdopen(said, "rb") as written:
            written.seek(0)
            for line in written:
                if found := _WARNING.search(line):
                    log.debug("library_warned", reason=found[1].decode(errors="replace"))
                else:
                    os.write(2, line)


def _check_folder(folder: Path) -> None:
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise ConfigError(f"engine.model_dir: {folder} holds no Moonshine model: no {', '.join(missing)}")


def _threads() -> set[int]:
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


def _give_way(helpers: set[int]) -> None:
    """Let the library's helper threads run only where a core is idle.

    They and the caller wait for each other in busy loops. On a busy machine a look takes three times as
    long when it has to wait for a helper that is not running; by itself the caller does all the work.
    """
    for thread in helpers:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, LOWEST_PRIORITY)


class _Stream:
    """A stream of the library's, by its C functions."""

    def __init__(self, transcriber: Any, transcript_type: type[ctypes.Structure]) -> None:
        self._lib = transcriber._lib  # noqa: SLF001  # the release is pinned; see the module's docstring
        self._model = transcriber._handle  # noqa: SLF001
        self._result = ctypes.POINTER(transcript_type)
        self._handle = self._lib.moonshine_create_stream(self._model, 0)
        self._check(self._handle)
        self._check(self._lib.moonshine_start_stream(self._model, self._handle))

    def add(self, samples: Samples, rate_hz: int) -> None:
        data = samples.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        self._check(
            self._lib.moonshine_transcribe_add_audio_to_stream(
                self._model, self._handle, data, len(samples), rate_hz, 0
            )
        )

    def look(self) -> Any:
        """Give the library's transcript, good until the next call."""
        result = self._result()
        self._check(
            self._lib.moonshine_transcribe_stream(self._model, self._handle, _FORCE, ctypes.byref(result))
        )
        return result.contents

    def stop(self) -> None:
        """Complete the open line. Sound that was not looked at would be lost."""
        self._check(self._lib.moonshine_stop_stream(self._model, self._handle))

    def close(self) -> None:
        self._lib.moonshine_free_stream(self._model, self._handle)

    def _check(self, code: int) -> None:
        if code < 0:
            text = self._lib.moonshine_error_to_string(code)
            raise RecogniserError(text.decode(errors="replace") if text else f"error {code}")


class Ear:
    """Hears one session's sound and gives its lines on the session's clock.

    To be used by one thread, which may have to wait for another session's look.
    """

    def __init__(self, model: Model, rate_hz: int, encoding: str, interval_s: float) -> None:
        self._model = model
        self._rate_hz = rate_hz
        self._encoding = encoding
        self._sample_bytes = 1 if encoding == "pcm_mulaw" else 2
        # The library resamples every piece by itself: only whole ratios keep the clock right.
        unit = rate_hz // math.gcd(rate_hz, RATE_HZ)
        self._piece_samples = unit * max(1, round(rate_hz * PIECE_MS / 1000 / unit))
        self._rest = b""
        self._memory: deque[Samples] = deque(
            maxlen=math.ceil(MEMORY_MS * rate_hz / 1000 / self._piece_samples)
        )
        self._memory.append(np.zeros(rate_hz, np.float32))
        self._unheard: list[Samples] = []
        self._pace = Pace(interval_s, time.monotonic())
        with model.lock:
            self._stream = model.stream()
        self._origin_samples = 0
        self._added_samples = 0
        self._settled = 0
        self._number = 0
        self._line_end_ms = 0
        self._after_cut = False
        self.line_is_open = False
        self.heard_ms = 0
        """How far the detector has heard."""

    @property
    def safe_ms(self) -> int:
        """How far the sound can no more belong to a line that is yet to begin."""
        return max(0, self.heard_ms - LOOK_BEHIND_MS)

    def hear(self, data: bytes) -> "Iterator[list[Line]]":
        """Take sound; give the lines that changed after every look that was due."""
        data = self._rest + data
        size = self._piece_samples * self._sample_bytes
        whole = len(data) - len(data) % size
        self._rest = data[whole:]
        for start in range(0, whole, size):
            self._add(self._decoded(data[start : start + size]))
            if self._pace.is_due(time.monotonic(), line_is_open=self.line_is_open):
                yield self._look()

    def flush(self) -> list[Line]:
        """Complete the open line with all the sound there is."""
        size = self._piece_samples * self._sample_bytes
        if self._rest:
            samples = self._decoded(self._rest[: len(self._rest) // self._sample_bytes * self._sample_bytes])
            self._rest = b""
            self._add(np.pad(samples, (0, size // self._sample_bytes - len(samples))))
        lines = self._look()
        if not self.line_is_open:
            return lines
        with self._model.lock:
            self._stream.stop()
            ended = self._changed(self._stream.look(), stopped=True)
            self._renew(())
        return [line for line in lines if line.is_complete] + ended

    def close(self) -> None:
        with self._model.lock:
            self._stream.close()

    def _decoded(self, data: bytes) -> Samples:
        if self._encoding == "pcm_mulaw":
            return _MULAW[np.frombuffer(data, np.uint8)]
        return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32_768)

    def _add(self, samples: Samples) -> None:
        self._stream.add(samples, self._rate_hz)
        self._unheard.append(samples)
        self._added_samples += len(samples) * RATE_HZ // self._rate_hz
        self._pace.add(len(samples) * 1000 / self._rate_hz, float(np.sqrt(np.mean(samples * samples))))

    def _look(self) -> list[Line]:
        started_s = time.monotonic()
        with self._model.lock:
            if self._model.last_user is not self:
                self._model.remind(self._memory, self._rate_hz)
                self._model.last_user = self
            inside_s = time.monotonic()
            lines = self._changed(self._stream.look(), stopped=False)
            self._model.looks_s += time.monotonic() - inside_s
            self._memory.extend(self._unheard)
            self._unheard.clear()
            in_stream = self._added_samples - self._origin_samples
            heard_samples = self._origin_samples + in_stream - in_stream % HOP
            self.heard_ms = max(self.heard_ms, _ms(heard_samples))
            if self._is_old():
                self._renew(self._memory)
        now_s = time.monotonic()
        self._pace.looked(now_s, now_s - started_s)
        return lines

    def _is_old(self) -> bool:
        return (
            not self.line_is_open
            and self.heard_ms - _ms(self._origin_samples) >= RENEW_MS
            and self.heard_ms - self._line_end_ms >= RENEW_QUIET_MS
        )

    def _renew(self, sound: "deque[Samples] | tuple[()]") -> None:
        """Begin a new stream with `sound`, the last there was, in which there is no line."""
        self._stream.close()
        self._stream = self._model.stream()
        self._origin_samples = self._added_samples
        for samples in sound:
            self._stream.add(samples, self._rate_hz)
            self._origin_samples -= len(samples) * RATE_HZ // self._rate_hz
        self._settled = 0
        self.line_is_open = False

    def _changed(self, transcript: Any, *, stopped: bool) -> list[Line]:
        """Give the lines after the settled ones; `stopped` says that no pause has ended the last."""
        lines = []
        for index in range(self._settled, transcript.line_count):
            line = self._line(transcript.lines[index], stopped=stopped)
            lines.append(line)
            if line.is_complete:
                self._settled += 1
                self._number += 1
                self._line_end_ms = line.end_ms
        self.line_is_open = bool(lines) and not lines[-1].is_complete
        return lines

    def _line(self, found: Any, *, stopped: bool) -> Line:
        begins_ms, lasts_ms = round(found.start_time * 1000), round(found.duration * 1000)
        is_complete, after_cut = bool(found.is_complete), self._after_cut
        if is_complete:
            self._after_cut = lasts_ms >= CUT_MS and not stopped
        # What begins with the stream may lack the quiet before it.
        lead_ms = LEAD_MS if begins_ms > 0 and not after_cut else 0
        lag_ms = LAG_MS if is_complete and not (stopped or self._after_cut) else 0
        start_ms = max(self._line_end_ms, _ms(self._origin_samples) + begins_ms + lead_ms)
        end_ms = max(start_ms, _ms(self._origin_samples) + begins_ms + lasts_ms - lag_ms)
        return Line(
            number=self._number,
            text=ctypes.string_at(found.text).decode(errors="replace") if found.text else "",
            start_ms=start_ms,
            end_ms=end_ms,
            is_complete=is_complete,
            after_cut=after_cut,
        )


def _ms(samples: int) -> int:
    return samples * 1000 // RATE_HZ


def _mulaw_table() -> Samples:
    """Source: ITU-T G.711."""
    codes = ~np.arange(256, dtype=np.uint8)
    exponents = (codes >> 4 & 7).astype(np.int32)
    values = (((codes & 15).astype(np.int32) << 3) + 132 << exponents) - 132
    return (np.where(codes & 128, -values, values) / 32_768).astype(np.float32)


_MULAW: Final = _mulaw_table()
