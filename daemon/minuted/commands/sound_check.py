"""`minuted devices --test`: two seconds of a microphone, a level meter, and what to make of them."""

import math
import os
import threading
import time
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from rich.live import Live
from rich.text import Text

from minuted.capture import microphone
from minuted.capture.framing import SILENCE_DBFS, level_dbfs
from minuted.config import ConfigError, Settings
from minuted.control import status_of
from minuted.messages import FRAME_MS, AudioFrame

from . import printing, styles

RECORD_S: Final = 2.0
OPEN_S_MAX: Final = 12.0
"""How long the sound system may take to give them, which may hang."""
LOOK_S: Final = 0.1
BAR_COLUMNS: Final = 40
FLOOR_DBFS: Final = -60.0
"""Where the meter begins."""
QUIET_DBFS: Final = -40.0
"""Speech in a room has peaks above this."""
FULL_SCALE: Final = 32767
CLIPPED_SAMPLES_MIN: Final = 10
"""So many samples at full scale are no chance."""


@dataclass(frozen=True, slots=True)
class Level:
    """How loud some sound was."""

    peak_dbfs: float
    rms_dbfs: float
    clipped_samples: int


def level_of(frames: Iterable[bytes]) -> Level:
    """Measure 16-bit PCM."""
    pcm = b"".join(frames)
    samples = array("h", pcm)
    highest = max(map(abs, samples), default=0)
    peak_dbfs = round(20 * math.log10(highest / (FULL_SCALE + 1)), 1) if highest else SILENCE_DBFS
    clipped = sum(abs(sample) >= FULL_SCALE for sample in samples)
    return Level(peak_dbfs, level_dbfs([pcm]) if samples else SILENCE_DBFS, clipped)


def verdict(level: Level) -> str:
    """Say in a line what to make of it."""
    if level.peak_dbfs <= SILENCE_DBFS:
        return "digital silence: nothing but zeros; muted at a switch, the wrong input, or dead"
    if level.clipped_samples >= CLIPPED_SAMPLES_MIN:
        return f"clipped: {level.clipped_samples} samples at full scale; turn the input down"
    if level.peak_dbfs < QUIET_DBFS:
        return "too quiet, if somebody spoke: turn the input up, or come nearer"
    return "fine"


def meter(level: Level) -> Text:
    """Draw a bar of the RMS level with a mark at the peak."""

    def column(dbfs: float) -> int:
        return max(0, min(BAR_COLUMNS, round((dbfs - FLOOR_DBFS) / -FLOOR_DBFS * BAR_COLUMNS)))

    filled, peak = column(level.rms_dbfs), column(level.peak_dbfs)
    bar = ["█" if place < filled else " " for place in range(BAR_COLUMNS)]
    if peak:
        bar[peak - 1] = "|"
    style = "red" if level.clipped_samples >= CLIPPED_SAMPLES_MIN else "green"
    figures = f"  peak {level.peak_dbfs:.1f} dBFS, RMS {level.rms_dbfs:.1f} dBFS"
    return styles.styled("[", ("".join(bar), style), "]", figures)


def run(settings: Settings, name: str) -> int:
    """Test the device or source that `name` names, else every source; 1 when nothing can be recorded."""
    sources = [source for source in settings.sources if not name or source.name == name]
    if not sources:
        return _test(settings, name, 0)
    return max([_test(settings, source.device, source.channel, source.name) for source in sources])


def _test(settings: Settings, wanted: str, channel: int, source: str = "") -> int:
    try:
        device = microphone.choose(microphone.devices(), wanted)
    except ConfigError as error:
        return _fail(f"{source}: {error}" if source else str(error), settings)
    printing.say(f"{f'{source}, ' if source else ''}{device.name}: recording {RECORD_S:.0f} s", flush=True)
    recorder = Recorder(wanted, channel, RECORD_S)
    recorder.show()
    if recorder.has_heard:
        level = level_of(recorder.frames)
        styles.console().print(meter(level))
        printing.say(verdict(level))
        status = 0
    else:
        status = _fail(recorder.failure, settings)
    if recorder.is_alive():
        # A sound system that hangs would hold up our own end as well.
        printing.flush()
        os._exit(status)
    return status


def _fail(reason: str, settings: Settings) -> int:
    printing.complain(f"minuted: {reason}{_holder(settings)}")
    return 1


def _holder(settings: Settings) -> str:
    """Say that the running daemon may be why."""
    told = (status_of(settings, source.stage) or {} for source in settings.sources)
    states = ("hearing", "silent", "waiting", "starting")
    held = next((held for held in told if held.get("state") in states and held.get("device")), None)
    if held is None:
        return ""
    return (
        f'; the running minuted (process {held.get("pid")}) has "{held["device"]}" open, and a card can be '
        "opened only once: pause it first (minuted pause), or share the card (deploy/audio.md)"
    )


class Recorder(threading.Thread):
    """Hears a device for some seconds. One that goes on living is held up by the sound system."""

    def __init__(self, wanted: str, channel: int, seconds: float) -> None:
        super().__init__(name="trial", daemon=True)
        self._seconds = seconds
        self.frames: list[bytes] = []
        self.error: Exception | None = None
        self._microphone = microphone.Microphone(wanted, channel)
        self._until_s = time.monotonic() + OPEN_S_MAX

    def show(self) -> None:
        """Record to the end, with a live meter in a terminal."""
        console = styles.console()
        self.start()
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while self.is_at_work:
                live.update(meter(level_of(self.recent)), refresh=console.is_terminal)
                time.sleep(LOOK_S)

    @property
    def has_heard(self) -> bool:
        return self.error is None and bool(self.frames)

    @property
    def recent(self) -> list[bytes]:
        return self.frames[-4:]

    @property
    def is_at_work(self) -> bool:
        return self.is_alive() and time.monotonic() < self._until_s

    @property
    def failure(self) -> str:
        return str(self.error) if self.error else "the sound system gives no sound"

    def run(self) -> None:
        try:
            self._microphone.run(self._put, threading.Event())
        except Exception as error:  # the other thread says it
            self.error = error

    def _put(self, item: object) -> bool:
        if isinstance(item, AudioFrame):
            self.frames.append(item.pcm)
        return len(self.frames) < self._seconds * 1000 / FRAME_MS
