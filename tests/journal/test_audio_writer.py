"""Appending, syncing, recovering, and keeping within a bound."""

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.audio_process import KILLED, REPORT_BYTES, ROOM_BYTES
from journal.failing_disk import Disk, FailingFolder, Killed
from journal.sound import ROOMY_HOURS, SEGMENT_FRAMES, SEGMENT_S, end, frame, frames, gap, read_all
from minuted.journal.audio import name_of, pack, segment_numbers
from minuted.journal.audio_writer import FRAME_RECORD_BYTES, AudioWriter, JournalFullError
from minuted.journal.folder import Folder, FolderInUseError
from minuted.messages import FRAME_MS, AudioFrame

TESTS = Path(__file__).parents[1]
KILLS = 1000 if os.environ.get("MINUTED_TEST_PROFILE") == "long" else 40


def open_writer(folder: Folder, hours_max: float = ROOMY_HOURS) -> AudioWriter:
    return AudioWriter(folder, hours_max=hours_max, segment_s=SEGMENT_S)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def writer(folder: Folder) -> Iterator[AudioWriter]:
    writer = open_writer(folder)
    yield writer
    writer.close()


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def append(writer: AudioWriter, count: int) -> None:
    for _ in range(count):
        writer.append(frame(writer.next_number))


def test_numbers_go_on_where_they_ended(folder: Folder) -> None:
    """A number is never given twice, even if the clock is set back meanwhile."""
    for record, following in [(frame(7), 8), (gap(8, 20), 20), (end(20), 20), (frame(35), 36)]:
        writer = open_writer(folder)
        writer.append(record)
        writer.close()
        writer = open_writer(folder)
        assert writer.next_number == following
        writer.close()


def test_numbers_never_go_back(writer: AudioWriter) -> None:
    writer.append(gap(3, 9))

    for record in (frame(8), gap(8, 20), gap(20, 9), end(8)):
        with pytest.raises(ValueError, match="comes before"):
            writer.append(record)


def test_a_negative_number_is_refused(writer: AudioWriter) -> None:
    with pytest.raises(ValueError, match="-1 comes before 0"):
        writer.append(frame(-1))


def test_a_segment_holds_so_much_sound_and_is_named_after_its_first_number(
    folder: Folder, writer: AudioWriter
) -> None:
    writer.append(frame(10))
    append(writer, 2 * SEGMENT_FRAMES)
    writer.append(frame(100))

    assert segment_numbers(folder) == (10, 10 + SEGMENT_FRAMES, 10 + 2 * SEGMENT_FRAMES, 100)


def test_an_end_stands_apart_from_the_sound(folder: Folder, writer: AudioWriter) -> None:
    """The newest segment is never deleted; with the end alone in it, no sound stays behind."""
    append(writer, 2)
    writer.append(end(2))
    writer.append(end(2))
    append(writer, 1)

    assert segment_numbers(folder) == (0, 2)


def test_a_segment_can_be_left_early_once(folder: Folder, writer: AudioWriter) -> None:
    append(writer, 2)
    writer.rotate()
    writer.rotate()
    append(writer, 1)

    assert segment_numbers(folder) == (0, 2)


def test_a_second_writer_is_refused(folder: Folder, writer: AudioWriter) -> None:
    """Two would write over each other."""
    with pytest.raises(FolderInUseError):
        open_writer(Folder(folder.path))


@given(st.lists(st.binary(max_size=3000), max_size=3), st.integers(0, 99))
def test_whatever_lies_in_the_folder_a_writer_starts_and_is_heard(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes], cut: int
) -> None:
    """Start-up never fails for what a crash left behind."""
    folder = Folder(tmp_path_factory.mktemp("audio"))
    for number, content in enumerate(contents):
        (folder.path / name_of(number * 5)).write_bytes(content + pack(frame(number * 5))[:cut] + content)

    writer = open_writer(folder)
    record = frame(writer.next_number)
    writer.append(record)
    writer.close()

    assert read_all(folder)[-1] == record


def test_a_torn_record_is_cut_off_and_what_stands_before_it_stays(disk: Disk) -> None:
    for written in (0, 1, 19, 20, 21, 700, len(pack(frame(0))) - 1):
        folder = FailingFolder(disk)
        writer = open_writer(folder)
        number = writer.next_number
        append(writer, 1)
        disk.dies_after = written
        with suppress(Killed):
            append(writer, 1)
        folder.die()

        folder = FailingFolder(disk)
        writer = open_writer(folder)
        assert (writer.next_number, writer.cut_bytes) == (number + 1, written)
        folder.die()
    assert read_all(FailingFolder(disk)) == frames(0, 7)


def test_good_records_behind_damage_are_not_cut_off(folder: Folder) -> None:
    """One bad sector must not cost what came after it."""
    damage = bytes(600)
    (folder.path / name_of(0)).write_bytes(pack(frame(0)) + damage + pack(frame(2)) + damage)

    writer = open_writer(folder)
    append(writer, 1)
    writer.close()

    assert writer.cut_bytes == len(damage)
    assert read_all(folder) == [frame(0), frame(2), frame(3)]


def test_when_the_disk_is_full_the_journal_is_as_it_was(disk: Disk) -> None:
    """And it goes on when there is room again."""
    folder = FailingFolder(disk)
    writer = open_writer(folder)
    append(writer, SEGMENT_FRAMES - 1)
    for room in (900, 0):
        disk.room = room
        with pytest.raises(JournalFullError, match="No space left"):
            append(writer, 1)
        assert read_all(folder) == frames(0, SEGMENT_FRAMES - 1)
    disk.room = None
    append(writer, 1)
    disk.room = 0
    for no_room_for_a_new_file in (lambda: append(writer, 1), writer.rotate):
        with pytest.raises(JournalFullError, match="No space left"):
            no_room_for_a_new_file()
    disk.room = None
    append(writer, 2)

    assert read_all(folder) == frames(0, SEGMENT_FRAMES + 2)
    assert writer.sync() == SEGMENT_FRAMES + 2
    folder.die()


def test_a_limit_of_the_kernel_is_met_as_a_full_disk(folder: Folder) -> None:
    """No simulation: the kernel writes a part of the record, then nothing."""
    with run("fill", folder.path) as filler:
        output = filler.stdout.read().decode().splitlines()

    record_bytes = len(pack(frame(0)))
    whole = ROOM_BYTES // record_bytes * record_bytes
    assert output == [f"JournalFullError {errno.ENOSPC} {whole}", f"JournalFullError {errno.EFBIG} {whole}"]
    assert read_all(folder) == frames(0, 10)


@pytest.mark.parametrize("what", ["sync", "write"])
def test_a_failure_of_the_disk_is_final(disk: Disk, what: str) -> None:
    """The kernel reports a lost write once; a second sync would say that all is well."""
    folder = FailingFolder(disk)
    writer = open_writer(folder)
    append(writer, SEGMENT_FRAMES + 1)
    disk.fails_to_sync, disk.fails_to_write = what == "sync", what == "write"
    with pytest.raises(OSError, match="Input/output error"):
        writer.sync() if what == "sync" else append(writer, 1)
    disk.fails_to_sync = disk.fails_to_write = False

    for again in (writer.sync, lambda: append(writer, 1)):
        with pytest.raises(OSError, match="Input/output error"):
            again()
    writer.close()
    folder.die()


def test_a_closed_journal_takes_nothing_more(folder: Folder) -> None:
    """Another process may be writing by now."""
    writer = open_writer(folder)
    append(writer, 1)
    writer.close()
    writer.close()

    with pytest.raises(OSError, match="closed"):
        append(writer, 1)


def test_a_segment_finished_during_a_sync_is_synced_by_the_next(disk: Disk) -> None:
    folder = FailingFolder(disk)
    writer = open_writer(folder)
    append(writer, 1)

    def finish_segments() -> None:
        disk.during_sync = lambda: None
        append(writer, 2 * SEGMENT_FRAMES)

    disk.during_sync = finish_segments
    assert writer.sync() == 1
    assert writer.sync() == 1 + 2 * SEGMENT_FRAMES
    folder.die()
    disk.cut_power(lambda versions: versions[0])

    assert read_all(FailingFolder(disk)) == frames(0, 1 + 2 * SEGMENT_FRAMES)


def test_a_first_sync_covers_what_a_killed_predecessor_left_unsynced(disk: Disk) -> None:
    folder = FailingFolder(disk)
    append(open_writer(folder), 3 * SEGMENT_FRAMES)
    folder.die()
    folder = FailingFolder(disk)
    writer = open_writer(folder)
    folder.unlink(name_of(0))  # safe meanwhile, and deleted by the reader
    assert writer.sync() == 3 * SEGMENT_FRAMES
    folder.die()
    disk.cut_power(lambda versions: versions[0])

    assert read_all(FailingFolder(disk), SEGMENT_FRAMES) == frames(SEGMENT_FRAMES, 3 * SEGMENT_FRAMES)


def test_an_append_does_not_wait_for_the_disk(folder: Folder) -> None:
    """A sync was seen to take 16 s on an overloaded disk; the microphone goes on meanwhile."""
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Folder):
        def sync(self, descriptor: int) -> None:
            begun.set()
            go_on.wait()
            super().sync(descriptor)

    writer = open_writer(Slow(folder.path))
    append(writer, 1)
    syncing = threading.Thread(target=writer.sync)
    syncing.start()
    begun.wait()
    append(writer, 3 * SEGMENT_FRAMES)
    assert syncing.is_alive()
    go_on.set()
    syncing.join()
    writer.close()

    assert read_all(folder) == frames(0, 1 + 3 * SEGMENT_FRAMES)


def test_nothing_is_synced_when_nothing_was_appended(disk: Disk) -> None:
    """A paused room leaves the disk alone."""
    folder = FailingFolder(disk)
    writer = open_writer(folder)
    append(writer, 1)
    writer.sync()
    before = disk.syncs

    assert writer.sync() == 1
    assert disk.syncs == before
    writer.close()
    folder.die()


def test_beyond_the_bound_the_oldest_sound_goes_and_it_is_told_which(folder: Folder) -> None:
    bound_frames = 3 * SEGMENT_FRAMES
    writer = open_writer(folder, hours_max=bound_frames * FRAME_MS / 3_600_000)
    went = []
    for number in range(20 * SEGMENT_FRAMES):
        writer.append(AudioFrame(number=number, captured_at_ms=1 << 41, pcm=frame(number).pcm))
        if pruned := writer.prune():
            went += [*range(pruned.from_number, pruned.to_number)]
            assert pruned.frames == SEGMENT_FRAMES
        kept = sum(folder.size(name) for name in folder.names())
        assert kept <= (bound_frames + SEGMENT_FRAMES) * FRAME_RECORD_BYTES
    writer.close()

    left = [record.number for record in read_all(folder) if isinstance(record, AudioFrame)]
    assert went + left == list(range(20 * SEGMENT_FRAMES))
    assert len(left) > bound_frames - SEGMENT_FRAMES


def test_what_no_sound_was_in_is_not_told(folder: Folder) -> None:
    writer = open_writer(folder, hours_max=0)
    writer.append(gap(0, 100))
    writer.append(gap(100, 200))
    writer.append(gap(200, 300))

    assert writer.prune() is None
    assert segment_numbers(folder) == (200,)
    writer.close()


def test_a_kill_at_any_moment_loses_nothing_that_was_appended(folder: Folder) -> None:
    """Real processes and kill -9: a reader in a third process sees every frame once, in order."""
    random = Random(11)
    reported = -1
    with run("read", folder.path) as reader, run("breed", folder.path, subprocess.PIPE) as breeder:
        for _ in range(KILLS):
            breeder.stdin.write(b".")
            writer = int(breeder.stderr.readline())
            until_kill = random.randint(1, 150)
            while (report := breeder.stdout.read(REPORT_BYTES)) != KILLED:
                assert report, "the writer ended by itself"
                reported = int.from_bytes(report, "big")
                reader.stdin.write(b".")
                until_kill -= 1
                if until_kill == 0:
                    os.kill(writer, signal.SIGKILL)
        breeder.stdin.close()
        journal = open_writer(folder)
        reader.stdin.write(b".")
        reader.stdin.close()
        summary = reader.stdout.read().decode()

    assert journal.next_number > reported > KILLS
    assert summary == f"{journal.next_number} corrupt 0\n"
    assert read_all(folder) == frames(0, journal.next_number)
    journal.close()


def run(what: str, path: Path, stderr: int | None = None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "journal.audio_process", what, str(path)],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
