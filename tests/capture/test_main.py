"""`minuted capture` with recordings, as a process of its own."""

import socket
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from minuted.messages import FRAME_BYTES


@pytest.fixture
def noise() -> bytes:
    return np.random.default_rng(1).integers(-20000, 20000, 16000 * 60, np.int16).tobytes()


@pytest.fixture
def record(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(pcm: bytes) -> Path:
        with wave.open(str(tmp_path / "meeting.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(pcm)
        return tmp_path / "meeting.wav"

    return write


def test_a_recording_arrives_whole_and_the_process_leaves(configure, receiver, start, record, noise):
    """Two minutes are far more than the sockets hold: the receiver sets the pace."""
    process = start(configure(f'source = "{record(noise * 2)}"\npace = "fast"'))
    receiver.receive_until(lambda: receiver.end)
    assert process.end() == 0
    assert receiver.pcm == noise * 2
    assert receiver.end.reason == "drained"
    assert receiver.end.next_number == receiver.numbers[-1] + 1
    assert {(frame.source, frame.paced) for frame in receiver.frames} == {("meeting.wav", False)}


def test_the_process_stays_until_the_receiver_has_the_last_frame(configure, receiver, start, record, noise):
    """What waits in a socket dies with its process, whatever its linger says."""
    process = start(configure(f'source = "{record(noise[: 300 * FRAME_BYTES])}"\npace = "fast"'))
    process.wait_for(lambda: process.status().get("frames") == 300)
    assert not receiver.frames
    receiver.receive_until(lambda: receiver.end)
    assert process.end() == 0
    assert receiver.pcm == noise[: 300 * FRAME_BYTES]


def test_a_recording_is_played_in_real_time_and_tells_how_far_it_is(
    configure, receiver, start, record, noise
):
    process = start(configure(f'source = "{record(noise)}"'))
    receiver.receive_until(lambda: len(receiver.frames) == 20)
    heard_s = time.time() - receiver.frames[0].captured_at_ms / 1000
    status = process.status()
    assert heard_s >= 1.0
    assert status["duration_s"] == 60.0
    assert 0.95 <= status["position_s"] < 60
    assert status["level_dbfs"] == pytest.approx(-9.1, abs=0.5)
    assert process.stop() == 0
    receiver.receive_until(lambda: receiver.end)
    assert receiver.end.reason == "stopped"
    assert receiver.numbers == list(range(receiver.numbers[0], receiver.end.next_number))


def test_whoever_started_it_is_told_when_the_first_frame_has_left(configure, receiver, start, record, noise):
    """A supervisor waits for this, and systemd for the supervisor."""
    settings = configure(f'source = "{record(noise)}"')
    path = settings.runtime_dir / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(path))
        notices.settimeout(20)
        process = start(settings, {"NOTIFY_SOCKET": str(path)})
        assert notices.recv(4096) == b"READY=1\nSTATUS=hearing meeting.wav"
        receiver.receive_until(lambda: receiver.frames)
        assert process.stop() == 0
        assert notices.recv(4096) == b"STOPPING=1"


def test_a_damaged_recording_is_drained_and_the_run_has_failed(configure, receiver, start, tmp_path, noise):
    """Its first words are worth having, but nobody should take them for the whole."""
    path = tmp_path / "meeting.flac"
    soundfile.write(path, np.frombuffer(noise, np.int16), 16000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    process = start(configure(f'source = "{path}"\npace = "fast"'))
    receiver.receive_until(lambda: receiver.end)
    assert process.end() == 1
    assert receiver.end.reason == "drained"
    assert len(receiver.pcm) > len(noise) // 3
    failed = next(line for line in process.log if line["event"] == "source_failed")
    assert "breaks off after " in failed["reason"]


def test_a_recording_that_cannot_be_played_is_a_configuration_error(configure, start, runtime_dir: Path):
    """A new try would fail the same way, so nobody should make one."""
    process = start(configure(f'source = "{runtime_dir}/nothing.wav"'))
    assert process.end() == 78
    assert process.stderr == f"minuted: the recording {runtime_dir}/nothing.wav does not exist\n"


def test_a_second_capture_on_the_same_folder_is_refused(configure, receiver, start, record, noise):
    """Two microphones' frames must not be mixed into one stream."""
    settings = configure(f'source = "{record(noise)}"')
    first = start(settings)
    receiver.receive_until(lambda: receiver.frames)
    second = start(settings)
    assert second.end() == 1
    assert f"already in use by another minuted (process {first.popen.pid})" in second.stderr
    assert first.stop() == 0
