"""Frames on their way into the journal: whatever the receiver and the disk do, none goes missing unsaid."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zmq
from structlog.testing import capture_logs

from capture.scripted import FIRST, LOUD, WAIT_S, Run, Script
from journal.failing_disk import Disk, FailingFolder
from journal.sound import read_all
from minuted.bus import FramesOut
from minuted.capture.backlog import Backlog
from minuted.capture.microphone import MicrophoneError
from minuted.capture.outlets import UNREAD_FRAMES_MAX, Journalled
from minuted.capture.sender import LOST
from minuted.journal.audio_reader import AudioReader
from minuted.journal.audio_writer import FRAME_RECORD_BYTES, AudioWriter
from minuted.journal.folder import Folder
from minuted.messages import AudioEnd, AudioFrame, AudioGap

PRUNED_HOURS = 100 * 50 / 3_600_000
"""A bound of 100 frames."""


@pytest.fixture
def audio(runtime_dir: Path) -> Path:
    """The folder of the audio journal."""
    return runtime_dir / "state" / "audio"


@pytest.fixture
def disk(audio: Path) -> Disk:
    audio.mkdir(parents=True)
    return Disk(audio)


@pytest.fixture
def endpoint(configure) -> str:
    return configure("").frames_endpoint


@pytest.fixture
def send(audio: Path, endpoint: str) -> Iterator[Callable[..., Run]]:
    """Send a source's frames into the journal and the socket."""
    made: list[Run] = []

    def begin(
        source: Script,
        backlog: Backlog | None = None,
        *,
        folder: Folder | None = None,
        hours_max: float = 1.0,
        segment_s: float = 60.0,
        played_from: int | None = None,
        is_heard: bool = False,
    ) -> Run:
        writer = AudioWriter(folder or Folder(audio), hours_max=hours_max, segment_s=segment_s)

        def outlet(stop: threading.Event) -> Journalled:
            out = FramesOut(endpoint)
            # A busy machine connects late, and nobody is waited for.
            assert not is_heard or out._socket.poll(WAIT_S * 1000, zmq.POLLOUT)
            return Journalled(writer, Folder(audio), out, stop, played_from=played_from)

        if backlog is None:
            backlog = Backlog(100_000, when_full="drop")
        made.append(Run(source, backlog, outlet, stop_timeout_s=20.0))
        return made[-1]

    yield begin
    for run in made:
        run.stop.set()
        run.end()


def stored(audio: Path) -> list[AudioFrame | AudioGap | AudioEnd]:
    return read_all(Folder(audio))


def numbers(audio: Path) -> list[int]:
    return [record.number for record in stored(audio) if isinstance(record, AudioFrame)]


def end(number: int, reason="drained") -> AudioEnd:
    return AudioEnd(next_number=number, reason=reason)


def test_frames_and_their_end_are_in_the_journal_and_in_the_socket(send, audio, receiver):
    run = send(Script(50, stays=True), is_heard=True)
    receiver.receive_until(lambda: receiver.frames)
    run.stop.set()
    receiver.receive_until(lambda: receiver.end)
    assert run.end() == 0
    assert numbers(audio) == list(range(FIRST, FIRST + 50))
    assert {record.pcm for record in stored(audio)[:-1]} == {LOUD}
    assert stored(audio)[-1] == receiver.end == end(FIRST + 50, "stopped")
    unpushed = run.sender.status()["unpushed"]
    assert receiver.numbers == numbers(audio)[unpushed:]


def test_nobody_is_waited_for(send, audio, receiver):
    """The receiver is there and takes nothing: sound goes on into the journal, and the end is no hold-up."""
    run = send(Script(2000), Backlog(20, when_full="wait"))
    assert run.end() == 0
    assert not receiver.frames
    assert numbers(audio) == list(range(FIRST, FIRST + 2000))
    assert stored(audio)[-1] == end(FIRST + 2000)
    status = run.sender.status()
    assert (status["frames"], status["dropped"]) == (2000, 0)
    assert status["unpushed"] > 1000


def test_where_no_receiver_is_every_frame_is_unpushed(send, audio):
    run = send(Script(100))
    assert run.end() == 0
    assert run.sender.status()["unpushed"] == 100
    assert numbers(audio) == list(range(FIRST, FIRST + 100))


def test_an_end_is_stored_once(send, audio):
    """A process that comes after one that had stored it has nothing to add."""
    assert send(Script(10)).end() == 0
    before = stored(audio)
    assert send(Script(0)).end() == 0
    assert stored(audio) == before


def test_the_end_that_a_killed_process_still_owed_is_stored(send, audio):
    with closing(AudioWriter(Folder(audio), hours_max=1.0)) as writer:
        writer.append(AudioFrame(number=7, captured_at_ms=0, pcm=LOUD))
    assert send(Script(0)).end() == 0
    assert stored(audio)[1:] == [end(8)]


def test_where_nothing_was_ever_heard_nothing_is_stored(send, audio):
    assert send(Script(0)).end() == 0
    assert list(audio.iterdir()) == []


# The device.


def test_a_lost_device_is_the_journal_s_last_word(send, audio):
    """Whoever reads it can say why there is a hole before the next frame."""
    run = send(Script(20, error=MicrophoneError("gone")))
    assert run.end() == LOST
    lost = AudioGap(from_number=FIRST + 20, to_number=FIRST + 20, reason="device-lost")
    assert stored(audio)[20:] == [lost]


def test_a_microphone_that_stalls_is_lost_too(send, audio):
    source = Script(20, stays=True)
    run = send(source)
    run.wait_for(lambda: run.sender.status()["frames"] == 20)
    source.broken = "no sound for 1.1 s"
    assert run.end() == LOST
    assert [record.reason for record in stored(audio)[20:]] == ["device-lost"]


# The disk.


def test_sound_waits_in_memory_while_the_disk_is_full(send, disk, audio):
    disk.room = 10 * FRAME_RECORD_BYTES
    with capture_logs() as logs:
        run = send(Script(50, stays=True), folder=FailingFolder(disk))
        run.wait_for(lambda: run.sender.status()["state"] == "disk-full")
        status = run.sender.status()
        assert status["reason"] == "no room for the audio journal: No space left on device"
        assert (status["frames"], status["dropped"]) == (10, 0)
        disk.room = None
        run.wait_for(lambda: run.sender.status()["frames"] == 50)
        assert (run.sender.status()["state"], run.sender.status()["reason"]) == ("hearing", "")
        run.stop.set()
        assert run.end() == 0
    assert numbers(audio) == list(range(FIRST, FIRST + 50))
    assert [log["event"] for log in logs if log["event"].startswith("journal")] == [
        "journal_full",
        "journal_has_room",
    ]


def test_what_the_memory_could_not_hold_is_a_gap_in_its_place(send, disk, audio):
    """A hole nobody knows the reason of would look like sound that was never there."""
    disk.room = 10 * FRAME_RECORD_BYTES
    source = Script(50, pauses_after=11, stays=True)
    run = send(source, Backlog(15, when_full="drop"), folder=FailingFolder(disk))
    run.wait_for(lambda: run.sender.status()["state"] == "disk-full")
    # Ten are stored, and the eleventh is in the sender's hand.
    source.go.set()
    run.wait_for(lambda: source.given == 50)
    assert run.sender.status()["dropped"] == 39 - 15
    disk.room = None
    run.wait_for(lambda: run.sender.status()["frames"] == 50 - 24)
    run.stop.set()
    assert run.end() == 0
    assert numbers(audio) == [*range(FIRST, FIRST + 11), *range(FIRST + 35, FIRST + 50)]
    assert stored(audio)[11] == AudioGap(from_number=FIRST + 11, to_number=FIRST + 35, reason="journal-full")


def test_a_recording_waits_until_there_is_room(send, disk, audio):
    disk.room = 10 * FRAME_RECORD_BYTES
    source = Script(200)
    run = send(source, Backlog(5, when_full="wait"), folder=FailingFolder(disk))
    run.wait_for(lambda: run.sender.status()["state"] == "disk-full")
    assert source.given < 20
    disk.room = None
    assert run.end() == 0
    assert numbers(audio) == list(range(FIRST, FIRST + 200))


def test_a_stop_does_not_wait_for_room_and_tells_what_is_lost(send, disk, audio):
    disk.room = 10 * FRAME_RECORD_BYTES
    with capture_logs() as logs:
        run = send(Script(50, stays=True), folder=FailingFolder(disk))
        run.wait_for(lambda: run.sender.status()["state"] == "disk-full")
        run.stop.set()
        assert run.end() == 1
    (abandoned,) = [log for log in logs if log["event"] == "frames_abandoned"]
    assert abandoned["count"] == 40
    assert abandoned["reason"].startswith("no room")
    assert len(stored(audio)) == 10


@pytest.mark.parametrize("fails", ["fails_to_write", "fails_to_sync"])
def test_a_disk_that_fails_ends_the_process(send, disk, fails):
    """Nobody can know what reached the disk; a second try would not tell."""
    source = Script(10, stays=True)
    with capture_logs() as logs:
        setattr(disk, fails, True)
        run = send(source, folder=FailingFolder(disk))
        assert run.end() == 1
    assert run.sender.is_stuck
    (failed,) = [log for log in logs if log["event"] == "journal_failed"]
    assert failed["reason"] == "[Errno 5] Input/output error"


def test_a_disk_that_fails_at_the_very_end_is_not_taken_for_success(send, disk):
    source = Script(10, stays=True)
    run = send(source, folder=FailingFolder(disk))
    run.wait_for(lambda: disk.syncs)
    disk.fails_to_sync = True
    run.stop.set()
    assert run.end() == 1


def test_what_is_stored_is_soon_safe_from_a_power_cut(send, disk, audio):
    """Nobody asks for it: the thread beside the sending does it."""
    run = send(Script(10, stays=True), folder=FailingFolder(disk))
    run.wait_for(lambda: run.sender.status()["frames"] == 10 and disk.syncs)

    def is_durable() -> bool:
        return disk.durable.keys() == disk.now.keys() and all(
            len(file.sizes) == 1 for file in disk.open.values()
        )

    run.wait_for(is_durable)
    durable_bytes = sum(file.sizes[0] for file in disk.durable.values())
    assert durable_bytes == sum(file.stat().st_size for file in audio.iterdir()) > 0
    assert numbers(audio) == list(range(FIRST, FIRST + 10))


def test_beyond_its_bound_the_journal_loses_its_oldest_sound_and_says_so(send, audio):
    with capture_logs() as logs:
        run = send(Script(400, stays=True), hours_max=PRUNED_HOURS, segment_s=1.0)
        run.wait_for(lambda: run.sender.status()["pruned"])
        run.stop.set()
        assert run.end() == 0
    left = numbers(audio)
    assert left == list(range(left[0], FIRST + 400))
    pruned = [log for log in logs if log["event"] == "journal_pruned"]
    assert sum(log["frames"] for log in pruned) == run.sender.status()["pruned"] == 400 - len(left)
    assert (pruned[0]["from_number"], pruned[-1]["to_number"]) == (FIRST, left[0])
    assert {log["log_level"] for log in pruned} == {"error"}


# A recording ahead of its reader.


def test_a_recording_waits_for_its_words_and_goes_on_as_they_are_safe(send, audio):
    """A fast one of a whole day would otherwise fill the disk."""
    run = send(Script(20_000), Backlog(20, when_full="wait"), played_from=FIRST)
    run.wait_for(lambda: run.sender.status()["state"] == "waiting")
    assert run.sender.status()["frames"] == UNREAD_FRAMES_MAX
    assert AudioReader(Folder(audio)).release(FIRST + 1200) == 1
    run.wait_for(lambda: run.sender.status()["frames"] == UNREAD_FRAMES_MAX + 1200)
    AudioReader(Folder(audio)).release(FIRST + UNREAD_FRAMES_MAX)
    assert run.end() == 0
    assert stored(audio)[-1] == end(FIRST + 20_000)


def test_a_recording_that_waits_can_be_stopped(send, audio):
    run = send(Script(20_000), Backlog(20, when_full="wait"), played_from=FIRST)
    run.wait_for(lambda: run.sender.status()["state"] == "waiting")
    run.stop.set()
    assert run.end() == 0
    assert stored(audio)[-1].reason == "stopped"
    assert len(numbers(audio)) < UNREAD_FRAMES_MAX + 100


def test_what_an_earlier_run_left_holds_no_recording_up(send, audio):
    """Its numbers are far away: counted by them alone, the wait would never end."""
    with closing(AudioWriter(Folder(audio), hours_max=1.0)) as writer:
        writer.append(AudioFrame(number=1, captured_at_ms=0, pcm=LOUD))
        writer.append(end(2))
    source = Script(50, first=FIRST + 10 * UNREAD_FRAMES_MAX)
    run = send(source, Backlog(20, when_full="wait"), played_from=FIRST + 10 * UNREAD_FRAMES_MAX)
    assert run.end() == 0
    assert len(numbers(audio)) == 51
