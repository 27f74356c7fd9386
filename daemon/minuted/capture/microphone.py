"""The microphone: PortAudio's devices, and one of them read on a thread that does nothing else.

The only module that imports sounddevice, and only when a device is asked for: importing it starts
PortAudio, which takes its list of devices then, and again only when it is started anew.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import structlog

from minuted.capture.backlog import Item
from minuted.capture.cards import listed_as
from minuted.capture.framing import Framer
from minuted.capture.timeline import Timeline
from minuted.config import ConfigError
from minuted.journal.sound_clock import SoundClock
from minuted.messages import FRAME_MS, SAMPLE_RATE_HZ, AudioGap
from minuted.runtime import clock

OPEN_S_MAX: Final = 10.0
"""A sound server that hangs makes PortAudio hang: by then there must have been a first block."""
STALL_S_MAX: Final = 0.9
"""Without sound for longer, the stream is dead, whatever PortAudio says: noticed within a second."""
SILENCE_S_MAX: Final = 10.0
"""Nothing but digital silence for so long is no room that is quiet."""
SILENCE_STEPS_MAX: Final = 2
"""Samples that differ by no more, -90 dBFS, are digital silence: exact zeros, or a converter's last bit."""
SILENCE_LIFE_S_MIN: Final = 60.0
"""A stream is left for its zeros only when it is as old as that, and once had others: see Microphone."""
LOOK_S_MAX: Final = 0.25
"""More than this between two looks at a microphone is time in which we did not run ourselves."""
RETRY_S: Final = 1.0
"""How often a patient microphone looks for its device, which takes 50 to 90 ms."""
_SILENT: Final = "hearing only digital silence: is the microphone muted, or dead?"
CARD_CHANNELS_MAX: Final = 16
"""A device that claims more is no card but a sound server, which mixes by itself."""

log = structlog.get_logger(__name__)


class NoDeviceError(ConfigError):
    """No input device answers to the name in the configuration, for now at least."""


class MicrophoneError(OSError):
    """The device is there and does not work, or has gone."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """An input device as PortAudio lists it."""

    index: int
    name: str
    host_api: str
    channels: int
    default_rate_hz: int
    is_default: bool


def devices() -> list[Device]:
    """List the input devices. Raises ConfigError where PortAudio is not installed."""
    sounddevice = _portaudio()
    apis = sounddevice.query_hostapis()
    default = sounddevice.default.device[0]
    if default < 0:
        default = next((api["default_input_device"] for api in apis if api["default_input_device"] >= 0), -1)
    return [
        Device(
            index=found["index"],
            name=found["name"],
            host_api=apis[found["hostapi"]]["name"],
            channels=found["max_input_channels"],
            default_rate_hz=round(found["default_samplerate"]),
            is_default=found["index"] == default,
        )
        for found in sounddevice.query_devices()
        if found["max_input_channels"] > 0
    ]


def choose(found: Sequence[Device], wanted: str) -> Device:
    """Choose by a substring of the name in any case; "" is the default device.

    `hw:CARD=ID` and `plughw:CARD=ID,DEV=0`, as ALSA has them, name a card by its id.

    Of several that match it takes the one of exactly that name, else one that begins with it, else
    the default, else the first. Raises NoDeviceError with a list of what there is.
    """
    if not found:
        raise NoDeviceError("there is no input device: is a microphone plugged in, and may we use it?")
    if not wanted:
        return next((device for device in found if device.is_default), found[0])
    place = listed_as(wanted)
    name = wanted.casefold() if place is None else place or wanted.casefold()
    matching = [device for device in found if name in device.name.casefold()]
    if not matching:
        names = ", ".join(f'"{device.name}"' for device in found)
        raise NoDeviceError(f'capture.device: no input device is called "{wanted}"; there are {names}')

    def rank(device: Device) -> tuple[bool, bool, bool]:
        called = device.name.casefold()
        return called != name, not called.startswith(name), not device.is_default

    return min(matching, key=rank)


def openings(device: Device, channel: int) -> list[tuple[int, int]]:
    """List the rates in Hz and channel counts to open a device with, what is wanted most first.

    Mono at 16 kHz wherever that is all there is to it; all channels of a card whose channels are to
    be mixed or chosen from. Raises ConfigError for a channel the device does not have.
    """
    if channel > device.channels:
        raise ConfigError(
            f'capture.channel = {channel}, but the input device "{device.name}" has {device.channels}'
        )
    if channel:
        counts = [channel, device.channels]
    elif device.channels <= CARD_CHANNELS_MAX:
        counts = [device.channels, 1]
    else:
        counts = [1, 2]
    rates_hz = (SAMPLE_RATE_HZ, device.default_rate_hz)
    return list(dict.fromkeys((rate_hz, count) for count in counts for rate_hz in rates_hz))


class Microphone:
    """One input device, read in blocks of 50 ms. Crash-only: what fails is not opened again here.

    A patient one waits for a device that is not there or does not open; of another, `run` raises
    NoDeviceError or MicrophoneError. Either way it raises ConfigError where PortAudio or the channel
    is missing. A sound server that hangs can hold `run` up for ever: that is what `fault` tells.
    `run` may be called again when it has returned, which looks for the devices anew.

    Digital silence for 10 s is what a device gives that has died or whose sound server has taken another
    source; and what one gives that has been muted at a switch: `doubt` tells of it. Of exact zeros only a
    fresh process can tell which: where there was sound before, they are a fault, and the process ends as it
    does for a stall. One that hears zeros from its beginning stays. So a switch costs one restart each time
    it is used, and at most one a minute: too few to be taken for a process that crashes
    again and again. The zeros themselves are frames as any others; a hole is only what no frame was heard of.
    """

    def __init__(
        self,
        device: str,
        channel: int,
        *,
        patient: bool = False,
        least_number: int = 0,
        sound_clock: SoundClock | None = None,
    ) -> None:
        """Number frames from `least_number` on, by `sound_clock` where it is further."""
        self.name = "microphone"
        self.missing = ""
        """Why there is no device yet, while a patient microphone waits for one."""
        self.overflows = 0
        self._wanted = device
        self._channel = channel
        self._patient = patient
        self._least_number = least_number
        self._sound_clock = sound_clock
        self._device = ""
        self._rate_hz = 0
        self._drift_ms = self._drifted_ms = 0
        self._silent_s = self._zero_s = 0.0
        self._has_sounded = False
        self._has_run = False
        self._began_s = time.monotonic()
        self._heard_s: float | None = None
        self._life: tuple[float, float | None] = (0.0, None)
        self._lifeless_s = 0.0
        self._looked_s = self._began_s
        self._stderr = os.dup(2)

    @property
    def doubt(self) -> str:
        """Why what is heard may be nothing."""
        return _SILENT if self._silent_s >= SILENCE_S_MAX else ""

    def run(self, put: Callable[[Item], bool], stop: threading.Event) -> None:
        """Open the device and put its frames until `put` wants no more; then it is closed."""
        sounddevice = _portaudio()
        self._began_s, self._heard_s = time.monotonic(), None
        self._silent_s = self._zero_s = 0.0
        self._has_sounded = False
        if self._has_run:
            _look_anew(sounddevice)
        self._has_run = True
        opened = self._wait_for_device(sounddevice, stop)
        if opened is None:
            return
        stream, convert = opened
        try:
            self._read(stream, convert, put)
        except sounddevice.PortAudioError as error:
            raise MicrophoneError(f'the input device "{self._device}" was lost: {error}') from error
        stream.abort()
        stream.close()

    def fault(self, now_s: float) -> str:
        """Say what is wrong, if anything; to be asked a few times a second of the monotonic clock."""
        life = (self._began_s, self._heard_s)
        self._lifeless_s = (
            0.0 if life != self._life else self._lifeless_s + min(now_s - self._looked_s, LOOK_S_MAX)
        )
        self._life, self._looked_s = life, now_s
        if self._heard_s is not None:
            if self._lifeless_s > STALL_S_MAX:
                return f"no sound for {self._lifeless_s:.1f} s"
            is_old = now_s - self._began_s >= SILENCE_LIFE_S_MIN
            is_dead = self._zero_s >= SILENCE_S_MAX and self._has_sounded and is_old
            return _SILENT if is_dead else ""
        if self._lifeless_s <= OPEN_S_MAX:
            return ""
        # It hangs where stderr is hushed, and this must be heard.
        os.dup2(self._stderr, 2)
        return f"the sound system has not answered for {OPEN_S_MAX:.0f} s"

    def status(self) -> dict[str, Any]:
        """Tell what only a microphone has.

        `drift_ms` is how far the count of samples is behind the clock now, `drifted_ms` what it was put
        right by, `silent_s` how long there has been nothing but digital silence, `silent` if too long.
        """
        return {
            "device": self._device,
            "rate_hz": self._rate_hz,
            "drift_ms": self._drift_ms,
            "drifted_ms": self._drifted_ms,
            "silent_s": round(self._silent_s, 1),
            "silent": bool(self.doubt),
        }

    def _wait_for_device(
        self, sounddevice: ModuleType, stop: threading.Event
    ) -> tuple[Any, Callable[[bytes], bytes]] | None:
        while True:
            self._began_s = time.monotonic()
            try:
                return self._open(sounddevice)
            except (NoDeviceError, MicrophoneError) as error:
                if not self._patient:
                    raise
                if str(error) != self.missing:
                    log.warning("microphone_missing", reason=str(error))
                self.missing = str(error)
            if stop.wait(RETRY_S):
                return None
            _look_anew(sounddevice)

    def _open(self, sounddevice: ModuleType) -> tuple[Any, Callable[[bytes], bytes]]:
        device = choose(devices(), self._wanted)
        refusals = []
        for rate_hz, channels in openings(device, self._channel):
            # Before the stream runs: loading a resampler takes longer than a few blocks.
            convert = _converter(rate_hz, channels, self._channel)
            try:
                with self._hushed():
                    stream = sounddevice.RawInputStream(
                        device=device.index,
                        samplerate=rate_hz,
                        channels=channels,
                        dtype="int16",
                        blocksize=rate_hz * FRAME_MS // 1000,
                    )
                    stream.start()
            except sounddevice.PortAudioError as error:
                refusals.append(str(error))
                continue
            self._device, self._rate_hz = device.name, rate_hz
            self.missing = ""
            log.info(
                "microphone_opened",
                device=device.name,
                api=device.host_api,
                rate_hz=rate_hz,
                channels=channels,
            )
            return stream, convert
        raise MicrophoneError(f'the input device "{device.name}" cannot be used: {refusals[0]}')

    @contextmanager
    def _hushed(self) -> Iterator[None]:
        """Keep the C libraries' own words out of the log, as sounddevice does while PortAudio starts."""
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(null, 2)
        os.close(null)
        try:
            yield
        finally:
            os.dup2(self._stderr, 2)

    def _read(self, stream: Any, convert: Callable[[bytes], bytes], put: Callable[[Item], bool]) -> None:
        block_samples = self._rate_hz * FRAME_MS // 1000
        framer: Framer | None = None
        timeline: Timeline | None = None
        read = 0
        wanted = True
        while wanted:
            block, overflowed = stream.read(block_samples)
            self._heard_s, wall_s = time.monotonic(), clock.wall_ms() / 1000
            at_s = clock.boot_ms() / 1000
            pcm = bytes(block)
            self.overflows += overflowed
            self._note_silence(pcm)
            if framer is None or timeline is None:
                framer = Framer(int(wall_s * 1000) - FRAME_MS, self._first_number(at_s))
                timeline = Timeline(at_s, wall_s)
            found = timeline.heard(at_s, wall_s, read / self._rate_hz, overflowed=overflowed)
            self._drift_ms = timeline.lag_ms
            read += block_samples
            if found.ahead_ms:
                log.warning("clock_was_set", ahead_ms=found.ahead_ms)
                framer.set_clock(found.ahead_ms)
            if found.skip_frames:
                wanted = put(self._skip(framer, found.skip_frames, found.reason))
            for frame in framer.cut(convert(pcm)):
                wanted = wanted and put(frame)
            self._least_number = framer.next_number

    def _first_number(self, at_s: float) -> int:
        """Return the number of a frame whose last sample was heard `at_s`, by the boot clock."""
        if self._sound_clock is None:
            return self._least_number
        return max(self._sound_clock.number_at(int(at_s * 1000) - FRAME_MS), self._least_number)

    def _skip(self, framer: Framer, frames: int, reason: str) -> AudioGap:
        begins = framer.next_number
        framer.skip(frames)
        if reason == "drift":
            self._drifted_ms += frames * FRAME_MS
        else:
            log.error("sound_missing", reason=reason, duration_s=frames * FRAME_MS / 1000)
        return AudioGap(from_number=begins, to_number=framer.next_number, reason=reason)

    def _note_silence(self, pcm: bytes) -> None:
        block_s = FRAME_MS / 1000
        if pcm.count(0) == len(pcm):
            self._zero_s, self._silent_s = self._zero_s + block_s, self._silent_s + block_s
            return
        self._zero_s, self._has_sounded = 0.0, True
        samples = memoryview(pcm).cast("h")
        is_silent = max(samples) - min(samples) <= SILENCE_STEPS_MAX
        self._silent_s = self._silent_s + block_s if is_silent else 0.0


def _converter(rate_hz: int, channels: int, channel: int) -> Callable[[bytes], bytes]:
    if (rate_hz, channels) == (SAMPLE_RATE_HZ, 1):
        return lambda pcm: pcm
    # Where nothing is converted, this process does without numpy and its 13 MB.
    from minuted.capture.conversion import Converter  # noqa: PLC0415

    converter = Converter(rate_hz, channel)
    return lambda pcm: converter.convert_pcm(pcm, channels)


def _look_anew(sounddevice: ModuleType) -> None:
    # PortAudio lists its devices when it starts, and only then.
    sounddevice._terminate()  # noqa: SLF001
    sounddevice._initialize()  # noqa: SLF001


def _portaudio() -> ModuleType:
    try:
        import sounddevice  # noqa: PLC0415  # it starts PortAudio, which a recording does without
    except OSError:
        raise ConfigError(
            "no microphone can be used: PortAudio is not installed (Debian package libportaudio2)"
        ) from None
    module: ModuleType = sounddevice
    return module
