"""`minuted capture` with recordings, as a process of its own."""

import json
import resource
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from minuted.journal.folder import Folder
from minuted.messages import FRAME_BYTES, AudioEnd, AudioFrame

MEMORY = '[journal]\naudio = "memory"'


def pcm_of(journal) -> bytes:
    return b"".join(record.pcm for record in journal if isinstance(record, AudioFrame))


def test_a_recording_is_in_the_journal_whole_though_nobody_takes_it(configure, start, record, noise):
    """Whoever transcribes it may come later, or again."""
    process = start(configure(f'source = "{record(noise * 2)}"\npace = "fast"'))
    assert process.end() == 0
    assert pcm_of(process.journal) == noise * 2
    last = process.journal[-2]
    assert process.journal[-1] == AudioEnd(next_number=last.number + 1, reason="drained")


def test_a_frame_is_in_the_journal_before_anyone_hears_of_it(
    configure, receiver, start, record, noise, tmp_path
):
    """What transcription has seen must be there when it comes again."""
    crash = {"MINUTED_CRASH_AT": f"frame-journalled:5:{tmp_path}/crashed"}
    process = start(configure(f'source = "{record(noise)}"'), crash)
    assert process.end() == -9
    frames = process.journal
    assert len(frames) == 5
    receiver.receive_all()
    assert receiver.frames == frames[4 - len(receiver.frames) : 4]


def test_a_disk_without_room_holds_a_recording_up(configure, start, record, noise):
    """A limit on the size of files stands for a full disk here: the process is told the same."""
    settings = configure(f'source = "{record(noise)}"\npace = "fast"')
    limited = (
        "import resource, sys; from minuted import cli\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n"
        'sys.exit(cli.main(["capture", "--config", sys.argv[1]]))'
    )
    process = start(settings, {}, "-c", limited, str(settings.path))
    process.wait_for(lambda: process.status().get("state") == "disk-full")
    assert process.status()["reason"].startswith("no room for the audio journal: ")
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE, unlimited)
    assert process.end() == 0
    assert pcm_of(process.journal) == noise


def test_a_journal_that_another_process_keeps_is_refused_in_one_line(configure, start, record, noise):
    settings = configure(f'source = "{record(noise)}"')
    folder = Folder(settings.state_dir / "audio")
    folder.claim()
    process = start(settings)
    assert process.end() == 1
    folder.close()
    assert process.stderr == (
        f"minuted: the audio journal {folder.path} is already in use by another minuted\n"
    )


def test_a_journal_that_cannot_be_opened_is_a_failure_with_its_reason(configure, start, record, noise):
    settings = configure(f'source = "{record(noise)}"')
    (settings.state_dir / "audio").touch()
    process = start(settings)
    assert process.end() == 1
    (failed,) = map(json.loads, process.stderr.splitlines())
    assert failed["event"] == "journal_failed"
    assert "File exists" in failed["reason"]


def test_a_recording_arrives_whole_and_the_process_leaves(configure, receiver, start, record, noise):
    """With no journal on the disk the receiver sets the pace: two minutes are more than the sockets hold."""
    process = start(configure(f'source = "{record(noise * 2)}"\npace = "fast"', MEMORY))
    receiver.receive_until(lambda: receiver.end)
    assert process.end() == 0
    assert receiver.pcm == noise * 2
    assert receiver.end.reason == "drained"
    assert receiver.end.next_number == receiver.numbers[-1] + 1
    assert {(frame.source, frame.paced) for frame in receiver.frames} == {("meeting.wav", False)}


def test_the_process_stays_until_the_receiver_has_the_last_frame(configure, receiver, start, record, noise):
    """What waits in a socket dies with its process, whatever its linger says."""
    process = start(configure(f'source = "{record(noise[: 300 * FRAME_BYTES])}"\npace = "fast"', MEMORY))
    process.wait_for(lambda: process.status().get("frames") == 300)
    assert not receiver.frames
    receiver.receive_until(lambda: receiver.end)
    assert process.end() == 0
    assert receiver.pcm == noise[: 300 * FRAME_BYTES]
    assert not (process.settings.state_dir / "audio").exists()


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


def test_a_damaged_recording_is_drained_and_the_run_has_failed(configure, start, tmp_path, noise):
    """Its first words are worth having, but nobody should take them for the whole."""
    path = tmp_path / "meeting.flac"
    soundfile.write(path, np.frombuffer(noise, np.int16), 16000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    process = start(configure(f'source = "{path}"\npace = "fast"'))
    assert process.end() == 1
    assert process.journal[-1].reason == "drained"
    assert len(pcm_of(process.journal)) > len(noise) // 3
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
    assert second.end() == 78
    assert "already in use by another minuted" in second.stderr
    assert first.stop() == 0
