"""Reading, waiting, skipping and deleting."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from journal.sound import (
    ROOMY_HOURS,
    SEGMENT_FRAMES,
    SEGMENT_S,
    drain,
    end,
    frame,
    frames,
    gap,
    read_all,
)
from minuted.journal.audio import name_of, pack, segment_numbers
from minuted.journal.audio_reader import AudioReader
from minuted.journal.audio_writer import AudioWriter
from minuted.journal.folder import Folder
from minuted.messages import AudioEnd, AudioFrame, Heartbeat, encode

FIRST = 100


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "audio")


@pytest.fixture
def writer(folder: Folder) -> Iterator[AudioWriter]:
    writer = AudioWriter(Folder(folder.path), hours_max=ROOMY_HOURS, segment_s=SEGMENT_S)
    yield writer
    writer.close()


@pytest.fixture
def reader(folder: Folder) -> Iterator[AudioReader]:
    reader = AudioReader(folder)
    yield reader
    reader.close()


def append(writer: AudioWriter, count: int) -> None:
    start = max(writer.next_number, FIRST)
    for number in range(start, start + count):
        writer.append(frame(number))


def test_a_cursor_begins_at_any_number(writer: AudioWriter, reader: AudioReader) -> None:
    """The mark may stand anywhere in a segment, before the first or behind the last."""
    append(writer, 10)

    for number in range(FIRST - 2, FIRST + 12):
        assert read_all(reader._folder, number) == frames(max(number, FIRST), FIRST + 10)


def test_a_cursor_goes_on_when_there_is_more(writer: AudioWriter, reader: AudioReader) -> None:
    with reader.cursor(0) as cursor:
        assert cursor.next() is None
        for number in range(FIRST, FIRST + 3 * SEGMENT_FRAMES):
            append(writer, 1)
            assert cursor.next() == frame(number)
            assert cursor.next() is None
            assert cursor.number == number + 1


def test_each_cursor_has_its_own_place(writer: AudioWriter, reader: AudioReader) -> None:
    """The live session and the backfill read at the same time."""
    append(writer, 10)

    with reader.cursor(FIRST) as backfill, reader.cursor(FIRST + 8) as live:
        assert [backfill.next(), live.next(), backfill.next()] == [frame(100), frame(108), frame(101)]


def test_a_gap_is_told_to_whoever_begins_inside_it(writer: AudioWriter, reader: AudioReader) -> None:
    append(writer, 2)
    writer.append(gap(FIRST + 2, FIRST + 20))
    writer.append(frame(FIRST + 20))
    expected = [*frames(FIRST, FIRST + 2), gap(FIRST + 2, FIRST + 20), frame(FIRST + 20)]

    for number in range(FIRST, FIRST + 22):
        skipped = min(number - FIRST, 2) + (number >= FIRST + 20) + (number > FIRST + 20)
        assert read_all(reader._folder, number) == expected[skipped:]


def test_an_end_is_told_to_whoever_begins_behind_the_last_frame(
    writer: AudioWriter, reader: AudioReader
) -> None:
    """A process that is restarted when all is safe must still learn that the recording is over."""
    append(writer, 3)
    writer.append(end(FIRST + 3))

    with reader.cursor(FIRST + 3) as at, reader.cursor(FIRST + 4) as behind:
        assert drain(at) == [end(FIRST + 3)]
        assert drain(behind) == []


def test_a_gap_of_no_length_is_told_too(writer: AudioWriter, reader: AudioReader) -> None:
    """It gives the reason of a hole whose end is not known yet."""
    append(writer, 2)
    with reader.cursor(FIRST) as cursor:
        assert len(drain(cursor)) == 2
        lost = gap(FIRST + 2, FIRST + 2, "device-lost")
        writer.append(lost)
        writer.append(frame(FIRST + 50))
        assert drain(cursor) == [lost, frame(FIRST + 50)]
    assert read_all(reader._folder, FIRST + 2) == [lost, frame(FIRST + 50)]
    assert read_all(reader._folder, FIRST + 3) == [frame(FIRST + 50)]


def test_a_hole_in_the_numbers_is_seen_as_it_is(writer: AudioWriter, reader: AudioReader) -> None:
    append(writer, 1)
    writer.append(frame(FIRST + 50))

    with reader.cursor(FIRST + 20) as cursor:
        assert drain(cursor) == [frame(FIRST + 50)]


def test_a_damaged_record_is_skipped_and_counted(writer: AudioWriter, reader: AudioReader) -> None:
    append(writer, 3)
    path = reader._folder.path / name_of(FIRST)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with reader.cursor(FIRST) as cursor:
        assert drain(cursor) == [frame(FIRST), frame(FIRST + 2)]
    assert reader.corrupt == 1


def test_damage_at_the_very_end_may_be_a_record_on_its_way(writer: AudioWriter, reader: AudioReader) -> None:
    append(writer, 2)
    path = reader._folder.path / name_of(FIRST)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    with reader.cursor(FIRST) as cursor:
        assert drain(cursor) == [frame(FIRST)]
        assert reader.corrupt == 0
        append(writer, 1)
        assert drain(cursor) == [frame(FIRST + 2)]
        assert reader.corrupt == 1


def test_damage_at_the_end_of_a_finished_segment_is_damage(writer: AudioWriter, reader: AudioReader) -> None:
    append(writer, SEGMENT_FRAMES + 1)
    path = reader._folder.path / name_of(FIRST)
    path.write_bytes(path.read_bytes()[:-1])

    with reader.cursor(FIRST) as cursor:
        assert drain(cursor) == [*frames(FIRST, FIRST + 3), frame(FIRST + 4)]
    assert reader.corrupt == 1


def test_a_message_of_a_kind_unknown_here_is_skipped_and_counted(
    monkeypatch: pytest.MonkeyPatch, writer: AudioWriter, reader: AudioReader
) -> None:
    """A newer minuted may have written it, before it was replaced by this one."""
    append(writer, 1)
    with monkeypatch.context() as patch:
        patch.setattr("minuted.journal.audio.encode", lambda _: encode(Heartbeat(epoch="e", last_seq=1)))
        append(writer, 1)
    append(writer, 1)

    with reader.cursor(FIRST) as cursor:
        assert drain(cursor) == [frame(FIRST), frame(FIRST + 2)]
    assert reader.corrupt == 1


def test_a_cursor_survives_that_its_segment_is_deleted(writer: AudioWriter, reader: AudioReader) -> None:
    """It reads on in the file it has open, and goes on at the next there is."""
    append(writer, 3 * SEGMENT_FRAMES)

    with reader.cursor(FIRST) as reading, reader.cursor(FIRST) as waiting:
        assert reading.next() == frame(FIRST)
        assert reader.release(FIRST + 2 * SEGMENT_FRAMES) == 2

        second = FIRST + 2 * SEGMENT_FRAMES
        assert drain(reading) == [
            *frames(FIRST + 1, FIRST + SEGMENT_FRAMES),
            *frames(second, second + SEGMENT_FRAMES),
        ]
        assert drain(waiting) == frames(second, second + SEGMENT_FRAMES)


def test_a_segment_deleted_just_before_it_is_opened_is_passed_over(
    folder: Folder, writer: AudioWriter
) -> None:
    append(writer, 3 * SEGMENT_FRAMES)

    class Racing(Folder):
        def open(self, name: str, *, writing: bool = False) -> int:
            if name != name_of(FIRST + 2 * SEGMENT_FRAMES):
                self.unlink(name)
            return super().open(name, writing=writing)

    assert read_all(Racing(folder.path)) == frames(FIRST + 2 * SEGMENT_FRAMES, FIRST + 3 * SEGMENT_FRAMES)


def test_what_was_written_just_before_a_segment_was_left_is_not_missed(
    folder: Folder, writer: AudioWriter
) -> None:
    """Between looking at the end of a segment and looking for the next one, both may have changed."""

    class Racing(Folder):
        def names(self) -> tuple[str, ...]:
            append(writer, 3)
            return super().names()

    append(writer, 1)
    with AudioReader(Racing(folder.path)).cursor(FIRST) as cursor:
        given = [cursor.next() for _ in range(40)]

    assert given == frames(FIRST, FIRST + 40)


def test_what_is_safe_is_deleted_and_nothing_else(writer: AudioWriter, reader: AudioReader) -> None:
    """Sound is kept no longer than needed, and never less long."""
    append(writer, 3 * SEGMENT_FRAMES)
    second = FIRST + SEGMENT_FRAMES

    assert reader.release(second - 1) == 0
    assert reader.release(second) == 1
    assert reader.release(second) == 0
    assert reader.first_number == second
    assert read_all(reader._folder) == frames(second, FIRST + 3 * SEGMENT_FRAMES)


def test_the_newest_segment_is_never_deleted(writer: AudioWriter, reader: AudioReader) -> None:
    """It tells the next capture process where the numbers go on."""
    append(writer, 2)

    assert reader.release(10**12) == 0
    assert reader.newest_number == FIRST + 1


@pytest.mark.parametrize("is_over", [True, False])
def test_no_sound_is_left_when_all_is_safe_and_nothing_is_recorded(
    writer: AudioWriter, reader: AudioReader, is_over: bool
) -> None:
    """At a recording's end, and in a pause, the last minute must not stay on the disk."""
    append(writer, 2)
    if is_over:
        writer.append(end(FIRST + 2))
    else:
        writer.rotate()

    reader.release(FIRST + 2)

    assert not any(isinstance(record, AudioFrame) for record in read_all(reader._folder))
    assert reader.newest_number == FIRST + 1


def test_first_and_newest_follow_the_journal(writer: AudioWriter, reader: AudioReader) -> None:
    assert (reader.first_number, reader.newest_number) == (0, -1)
    append(writer, 1)
    assert (reader.first_number, reader.newest_number) == (FIRST, FIRST)
    append(writer, 2 * SEGMENT_FRAMES)
    assert (reader.first_number, reader.newest_number) == (FIRST, FIRST + 2 * SEGMENT_FRAMES)
    writer.append(gap(writer.next_number, 500))
    assert reader.newest_number == 499
    writer.append(end(500))
    assert reader.newest_number == 499


def test_a_journal_that_was_cleared_by_hand_is_a_new_one(folder: Folder, reader: AudioReader) -> None:
    """An administrator may delete what was said."""
    (folder.path / name_of(FIRST)).write_bytes(pack(frame(FIRST)))
    assert reader.newest_number == FIRST
    (folder.path / name_of(FIRST)).unlink()

    assert (reader.first_number, reader.newest_number, read_all(folder)) == (0, -1, [])


def test_everything_arrives_while_it_is_written_synced_and_deleted(
    folder: Folder, writer: AudioWriter
) -> None:
    """As in real life: one process appends and syncs, the other reads at two places and deletes."""
    total = 1500
    changed = threading.Condition()
    over = threading.Event()

    def write() -> None:
        for number in range(FIRST, FIRST + total):
            writer.append(frame(number, pcm_bytes=300))
            with changed:
                changed.notify_all()
        writer.append(end(FIRST + total))
        over.set()
        with changed:
            changed.notify_all()

    def sync() -> None:
        while not over.is_set():
            writer.sync()
            writer.prune()

    def read(place: int) -> None:
        reader = AudioReader(Folder(folder.path))
        with reader.cursor(FIRST) as cursor:
            while not (given[place] and isinstance(given[place][-1], AudioEnd)):
                record = cursor.next()
                if record is not None:
                    given[place].append(record)
                    places[place] = cursor.number
                    reader.release(min(places))
                elif not over.is_set():
                    with changed:
                        changed.wait(0.1)
        assert reader.corrupt == 0

    given: list[list[object]] = [[], []]
    places = [FIRST, FIRST]
    targets = [(write, ()), (sync, ()), (read, (0,)), (read, (1,))]
    threads = [threading.Thread(target=target, args=args) for target, args in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    expected = [*(frame(number, pcm_bytes=300) for number in range(FIRST, FIRST + total)), end(FIRST + total)]
    assert given == [expected, expected]
    assert segment_numbers(folder) == (FIRST + total,)
