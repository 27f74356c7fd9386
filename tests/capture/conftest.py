"""The capture process as its users start it, a receiver for its frames, and microphones to hear."""

import json
import os
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capture.virtual_microphone import VirtualMicrophones
from journal.sound import read_all
from minuted.bus import FramesIn, Poller
from minuted.config import RUN_NAME, Settings, load
from minuted.control import status_of
from minuted.journal.folder import Folder
from minuted.messages import AudioEnd, AudioFrame, AudioGap
from minuted.runtime.signals import PARENT

WAIT_S = 30.0
STATUS_S = 10.0
"""A process that is busy answers late."""
CLEARED = ("NOTIFY_SOCKET", "SYSTEMD_EXEC_PID", "MINUTED_LOG", PARENT, RUN_NAME)


class Receiver:
    """Transcription's end of the frames socket."""

    def __init__(self, endpoint: str) -> None:
        self._frames_in = FramesIn(endpoint)
        self._poller = Poller(self._frames_in)
        self.frames: list[AudioFrame] = []
        self.end: AudioEnd | None = None

    @property
    def pcm(self) -> bytes:
        return b"".join(frame.pcm for frame in self.frames)

    @property
    def numbers(self) -> list[int]:
        return [frame.number for frame in self.frames]

    def receive_one(self) -> None:
        match self._frames_in.receive():
            case AudioFrame() as frame:
                self.frames.append(frame)
            case AudioEnd() as end:
                self.end = end
            case None:
                self._poller.wait(0.05)

    def receive_until(self, is_enough: Callable[[], Any]) -> None:
        until_s = time.monotonic() + WAIT_S
        while not is_enough():
            assert time.monotonic() < until_s, f"only {len(self.frames)} frames within {WAIT_S:.0f} s"
            self.receive_one()

    def receive_all(self) -> None:
        """Take what a process that has ended left on its way."""
        self._poller.wait(0.5)
        while isinstance(record := self._frames_in.receive(), AudioFrame):
            self.frames.append(record)

    def close(self) -> None:
        self._frames_in.close()


class Process:
    """A `minuted capture` of its own."""

    def __init__(self, settings: Settings, environment: dict[str, str], words: tuple[str, ...]) -> None:
        self.settings = settings
        self._stderr = settings.state_dir / "stderr"
        clean = {name: value for name, value in os.environ.items() if name not in CLEARED}
        with self._stderr.open("ab") as stderr:
            self.popen = subprocess.Popen(
                [sys.executable, *(words or ("-m", "minuted", "capture", "--config", str(settings.path)))],
                stderr=stderr,
                env=clean | environment,
            )

    @property
    def stderr(self) -> str:
        return self._stderr.read_text(encoding="utf-8")

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stderr.splitlines() if line.startswith("{")]

    @property
    def has_ended(self) -> bool:
        return self.popen.poll() is not None

    @property
    def journal(self) -> list[AudioFrame | AudioGap | AudioEnd]:
        """All that stands in the audio journal."""
        return read_all(Folder(self.settings.state_dir / "audio"))

    def status(self) -> dict[str, Any]:
        return status_of(self.settings, "capture", STATUS_S) or {}

    def wait_for(self, is_so: Callable[[], Any]) -> None:
        until_s = time.monotonic() + WAIT_S
        while not is_so():
            assert time.monotonic() < until_s, self.stderr
            time.sleep(0.02)

    def end(self) -> int:
        return self.popen.wait(WAIT_S)

    def stop(self) -> int:
        self.popen.terminate()
        return self.end()


@pytest.fixture
def configure(runtime_dir: Path) -> Callable[[str], Settings]:
    """Write a minuted.toml with this [capture] table and give its settings."""

    def write(capture: str, more: str = "") -> Settings:
        state_dir = runtime_dir / "state"
        state_dir.mkdir(exist_ok=True)
        file = runtime_dir / "minuted.toml"
        file.write_text(
            f'state_dir = "{state_dir}"\nruntime_dir = "{runtime_dir}"\n{more}\n[capture]\n{capture}\n',
            encoding="utf-8",
        )
        return load(file)

    return write


@pytest.fixture
def receiver(configure: Callable[[str], Settings]) -> Iterator[Receiver]:
    made = Receiver(configure("").frames_endpoint)
    yield made
    made.close()


@pytest.fixture
def noise() -> bytes:
    """A minute of it."""
    return np.random.default_rng(1).integers(-20000, 20000, 16000 * 60, np.int16).tobytes()


@pytest.fixture
def record(tmp_path: Path) -> Callable[[bytes], Path]:
    """Make a recording of 16 kHz mono 16-bit PCM."""

    def write(pcm: bytes) -> Path:
        with wave.open(str(tmp_path / "meeting.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(pcm)
        return tmp_path / "meeting.wav"

    return write


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Start capture processes; those that are left at the end are killed."""
    made: list[Process] = []

    def begin(settings: Settings, environment: dict[str, str] | None = None, *words: str) -> Process:
        made.append(Process(settings, environment or {}, words))
        return made[-1]

    yield begin
    for process in made:
        process.popen.kill()
        process.popen.wait()


@pytest.fixture
def microphones(runtime_dir: Path) -> Iterator[VirtualMicrophones]:
    """Two microphones, `table_front` and `ceiling`, on a sound server of our own."""
    made = VirtualMicrophones(runtime_dir, "table_front", "ceiling")
    yield made
    made.stop()
