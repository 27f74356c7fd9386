"""The microphone, heard through a real sound server: what is said into it must come out the same."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from capture.cards import CHANGED
from minuted.messages import FRAME_SAMPLES
from minuted.runtime.signals import PARENT

SERVICE = {"SYSTEMD_EXEC_PID": str(os.getpid()), PARENT: str(os.getpid())}
"""What a capture process sees whose supervisor, here this test, was started by systemd."""


def test_without_portaudio_the_error_names_the_package_and_a_recording_still_plays(tmp_path):
    """Only who wants a microphone needs the library."""
    script = (
        "import ctypes.util, sys; ctypes.util.find_library = lambda name: None\n"
        "from minuted.capture import __main__, recording, microphone\n"
        "assert 'sounddevice' not in sys.modules\n"
        "microphone.devices()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "Debian package libportaudio2" in done.stderr.splitlines()[-1]
    assert "ConfigError" in done.stderr.splitlines()[-1]


def test_what_is_said_is_captured_sample_by_sample(microphones, configure, receiver, start):
    """The device is found by a part of its name, and each frame tells when it was heard."""
    said = np.random.default_rng(1).integers(-20000, 20000, 16000 * 2, np.int16).tobytes()
    began_at_ms = time.time() * 1000
    process = start(configure('device = "TABLE"'), microphones.environment)
    receiver.receive_until(lambda: receiver.frames)
    microphones.speak("table_front", said)
    receiver.receive_until(lambda: said in receiver.pcm)
    ended_at_ms = time.time() * 1000
    status = process.status()
    assert process.stop() == 0
    receiver.receive_until(lambda: receiver.end)
    assert receiver.numbers == list(range(receiver.numbers[0], receiver.end.next_number))
    assert receiver.end.reason == "stopped"
    assert (status["state"], status["device"], status["rate_hz"]) == ("hearing", "table_front", 16000)
    assert {(frame.source, frame.paced) for frame in receiver.frames} == {("microphone", True)}
    first, last = receiver.frames[0], receiver.frames[-1]
    assert first.number == first.captured_at_ms // 50
    assert last.captured_at_ms - first.captured_at_ms == 50 * (last.number - first.number)
    # A busy machine may hear of the first block late, but not by seconds.
    assert began_at_ms <= first.captured_at_ms <= last.captured_at_ms <= ended_at_ms + 3000


def test_one_channel_of_several_is_taken_and_numpy_only_then(microphones, configure, receiver, start):
    said = np.random.default_rng(1).integers(-20000, 20000, 16000, np.int16).tobytes()
    process = start(configure('device = "table"\nchannel = 2'), microphones.environment)
    receiver.receive_until(lambda: receiver.frames)
    microphones.speak("table_front", said)
    receiver.receive_until(lambda: said in receiver.pcm)
    opened = next(line for line in process.log if line["event"] == "microphone_opened")
    assert (opened["rate_hz"], opened["channels"]) == (16000, 2)


def is_loud(pcm: bytes) -> np.ndarray:
    return np.abs(np.frombuffer(pcm, "<i2").astype(int)) > 100


def test_a_device_that_refuses_a_rate_is_opened_at_another_and_resampled(
    microphones, configure, receiver, start
):
    """No virtual device refuses 16 kHz, so this one is first asked for what it does refuse."""
    times_s = np.arange(16000 * 2) / 16000
    said = (16384 * np.sin(2 * np.pi * 440 * times_s)).astype(np.int16).tobytes()
    change = "microphone.openings = lambda device, channel: [(900_000, 1), (44_100, 2)]"
    settings = configure('device = "ceiling"')
    start(settings, microphones.environment, "-c", CHANGED.format(change=change), str(settings.path))
    receiver.receive_until(lambda: receiver.frames)
    microphones.speak("ceiling", said)
    receiver.receive_until(lambda: np.count_nonzero(is_loud(receiver.pcm)) > 31_000)
    assert {len(frame.pcm) for frame in receiver.frames} == {2 * FRAME_SAMPLES}
    begins = int(np.argmax(is_loud(receiver.pcm)))
    stretch = np.frombuffer(receiver.pcm, "<i2")[begins + 8000 : begins + 24_000]
    spectrum = np.abs(np.fft.rfft(stretch * np.hanning(16000)))
    assert np.argmax(spectrum) == 440
    assert np.sqrt(np.mean(stretch.astype(float) ** 2)) == pytest.approx(16384 / np.sqrt(2), rel=0.02)


def test_a_name_that_is_not_there_ends_a_run_by_hand_with_the_list(microphones, configure, start):
    process = start(configure('device = "Yeti"'), microphones.environment)
    assert process.end() == 78
    assert process.stderr.startswith('minuted: capture.device: no input device is called "Yeti"; there are ')
    assert '"table_front"' in process.stderr
    assert len(process.stderr.splitlines()) == 1


def test_a_service_waits_for_its_microphone(microphones, configure, receiver, start):
    """A room's machine may boot before its card is there, and nobody is there to start it again."""
    microphones.stop()
    process = start(configure('device = "ceiling"'), microphones.environment | SERVICE)
    process.wait_for(lambda: process.status().get("state") == "no-device")
    assert process.status()["reason"]
    microphones.start()
    microphones.plug_in("ceiling")
    receiver.receive_until(lambda: len(receiver.frames) > 5)
    process.wait_for(lambda: process.status().get("state") == "hearing")
    assert process.stop() == 0
    assert all(line.startswith("{") for line in process.stderr.splitlines())


def test_a_service_that_waits_for_its_microphone_can_be_stopped(microphones, configure, start):
    process = start(configure('device = "Yeti"'), microphones.environment | SERVICE)
    process.wait_for(lambda: process.status().get("state") == "no-device")
    assert process.stop() == 0
