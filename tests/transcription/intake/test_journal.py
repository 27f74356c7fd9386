"""Sound comes in once and in order, and every hole in it is told of once."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from minuted.bus import FramesIn, FramesOut
from minuted.config import Settings
from minuted.journal.audio import name_of, segment_numbers
from minuted.journal.audio_reader import AudioReader
from minuted.journal.audio_writer import AudioWriter
from minuted.journal.folder import Folder
from minuted.messages import FRAME_MS, AudioEnd, AudioFrame, AudioGap
from minuted.transcription.holes import Hole
from minuted.transcription.intake import (
    RECORDS_MAX,
    JournalIntake,
)
from transcription.intake.sound import FIRST, WAIT_S, end, frame, frames, gap, numbers, paused, state_of

SEGMENT_FRAMES = 10
SEGMENT_S = SEGMENT_FRAMES * FRAME_MS / 1000


@pytest.fixture
def folder(settings: Settings) -> Folder:
    return Folder(settings.state_dir / "audio")


@pytest.fixture
def writer(folder: Folder) -> Iterator[AudioWriter]:
    writer = AudioWriter(Folder(folder.path), hours_max=1, segment_s=SEGMENT_S)
    yield writer
    writer.close()


@pytest.fixture
def journalled(socket: FramesIn, folder: Folder, writer: AudioWriter) -> Callable[..., JournalIntake]:
    """Make an intake on the journal, as each new process does."""

    def make(state: Any = None) -> JournalIntake:
        return JournalIntake(socket, AudioReader(Folder(folder.path)), state)

    return make


def store(writer: AudioWriter, *records: AudioFrame | AudioGap | AudioEnd) -> None:
    for record in records:
        writer.append(record)


def test_sound_comes_in_from_the_journal(
    journalled: Callable[..., JournalIntake], writer: AudioWriter
) -> None:
    intake = journalled()
    assert (intake.take(0), intake.next_number, intake.has_ended) == ([], -1, True)
    store(writer, *frames(FIRST, FIRST + 25))

    assert intake.take(0) == []
    assert (intake.next_number, intake.first_number, intake.has_ended) == (FIRST + 25, FIRST, False)
    assert (intake.is_recording, intake.is_paced, intake.has_more) == (False, True, False)
    assert numbers(intake.frames(FIRST + 7)) == list(range(FIRST + 7, FIRST + 25))
    assert intake.stretches.at(FIRST * FRAME_MS).wall_offset_ms == 7


def test_the_socket_only_rings(
    journalled: Callable[..., JournalIntake], writer: AudioWriter, socket: FramesIn, capture: FramesOut
) -> None:
    """What it brings is in the journal already, and must not wait in its queue."""
    intake = journalled()
    for each in frames(FIRST, FIRST + 5):
        store(writer, each)
        assert capture.send(each, wait_s=WAIT_S)
    assert socket.pollable().poll(WAIT_S * 1000)
    until_s = time.monotonic() + WAIT_S
    while socket.pollable().poll(100):
        assert intake.take(0) == []
        assert time.monotonic() < until_s

    assert intake.next_number == FIRST + 5


def test_much_is_taken_in_bit_by_bit(journalled: Callable[..., JournalIntake], writer: AudioWriter) -> None:
    """After an hour without this process there are other things to do in between."""
    store(writer, *frames(FIRST, FIRST + RECORDS_MAX + 1))
    intake = journalled()

    intake.take(0)
    assert (intake.has_more, intake.next_number) == (True, FIRST + RECORDS_MAX)
    intake.take(0)
    assert (intake.has_more, intake.next_number) == (False, FIRST + RECORDS_MAX + 1)


def test_a_jump_is_a_hole_that_is_told_of_once(
    journalled: Callable[..., JournalIntake], writer: AudioWriter
) -> None:
    """Whatever becomes of the process that tells."""
    intake = journalled()
    store(writer, *frames(FIRST, FIRST + 3), *frames(FIRST + 9, FIRST + 12))

    assert intake.take(0) == [Hole(FIRST + 3, FIRST + 9, "not-captured")]
    assert intake.take(0) == []
    after = journalled(state_of(intake))
    store(writer, frame(FIRST + 12), frame(FIRST + 20))
    assert after.take(0) == [Hole(FIRST + 13, FIRST + 20, "not-captured")]


def test_a_hole_whose_record_was_not_stored_is_told_of_again(
    journalled: Callable[..., JournalIntake], writer: AudioWriter
) -> None:
    """The process was killed between finding and committing it."""
    intake = journalled()
    store(writer, *frames(FIRST, FIRST + 3))
    intake.take(0)
    before = state_of(intake)
    store(writer, frame(FIRST + 9))

    assert intake.take(0) == journalled(before).take(0) == [Hole(FIRST + 3, FIRST + 9, "not-captured")]


def test_an_end_before_a_jump_was_announced(
    journalled: Callable[..., JournalIntake], writer: AudioWriter
) -> None:
    """minuted was stopped for the night: nothing was promised for it, also when this process began anew."""
    intake = journalled()
    store(writer, *frames(FIRST, FIRST + 3), end(FIRST + 3))
    assert intake.take(0) == []
    assert intake.has_ended
    after = journalled(state_of(intake))
    store(writer, frame(FIRST + 500))
    hole = Hole(FIRST + 3, FIRST + 500, "")

    assert intake.take(0) == after.take(0) == [hole]
    assert not intake.has_ended


def test_capture_says_why_there_is_no_sound(
    journalled: Callable[..., JournalIntake], writer: AudioWriter
) -> None:
    intake = journalled()
    store(writer, *frames(FIRST, FIRST + 3), gap(FIRST + 3, FIRST + 9, "paused"), frame(FIRST + 9))

    assert intake.take(0) == [Hole(FIRST + 3, FIRST + 9, "paused")]
    assert intake.next_number == FIRST + 10


def test_a_pause_is_told_of_when_there_is_sound_again(
    journalled: Callable[..., JournalIntake], writer: AudioWriter
) -> None:
    """Then its length is known; whoever takes over in the middle of it knows of it too."""
    intake = journalled()
    store(writer, *frames(FIRST, FIRST + 3), paused(FIRST + 3))
    assert (intake.take(0), intake.is_paused) == ([], True)
    for after in (journalled(state_of(intake)), journalled({**state_of(intake), "reason": ""})):
        after.take(0)
        assert after.is_paused
    store(writer, frame(FIRST + 90))
    assert (intake.take(0), intake.is_paused) == ([Hole(FIRST + 3, FIRST + 90, "paused")], False)
    store(writer, end(FIRST + 91), frame(FIRST + 95))
    assert intake.take(0) == [Hole(FIRST + 91, FIRST + 95, "")]


def test_a_pause_that_ends_without_a_device_is_told_apart_from_its_loss(
    journalled: Callable[..., JournalIntake], writer: AudioWriter
) -> None:
    """It was unplugged in the meantime: who reads the minutes must not take that for a pause."""
    intake = journalled()
    store(writer, *frames(FIRST, FIRST + 3), paused(FIRST + 3))
    store(writer, gap(FIRST + 3, FIRST + 50, "paused"), gap(FIRST + 50, FIRST + 50))
    assert (intake.take(0), intake.is_paused) == ([Hole(FIRST + 3, FIRST + 50, "paused")], False)
    assert (intake.next_number, intake.sound_before) == (FIRST + 50, FIRST + 3)
    store(writer, frame(FIRST + 70))
    assert intake.take(0) == [Hole(FIRST + 50, FIRST + 70, "device-lost")]


def test_a_microphone_s_slow_clock_makes_no_hole(
    journalled: Callable[..., JournalIntake], writer: AudioWriter
) -> None:
    """The numbers go on, and nothing was missed."""
    intake = journalled()
    store(writer, frame(FIRST), gap(FIRST + 1, FIRST + 5, "drift"), frame(FIRST + 5))
    assert intake.take(0) == [Hole(FIRST + 1, FIRST + 5, "")]


def test_a_gap_that_was_told_of_in_part_is_not_told_of_again(
    journalled: Callable[..., JournalIntake], writer: AudioWriter
) -> None:
    """A cursor gives a gap to whoever begins inside it."""
    intake = journalled()
    store(writer, *frames(FIRST, FIRST + 3))
    intake.take(0)
    store(writer, gap(FIRST + 3, FIRST + 9, "paused"))
    state = {**state_of(intake), "next_number": FIRST + 5}
    writer.append(frame(FIRST + 9))

    assert journalled(state).take(0) == [Hole(FIRST + 5, FIRST + 9, "paused")]


@pytest.mark.parametrize("restarts", [False, True])
def test_an_empty_gap_says_why_a_hole_is_to_come(
    journalled: Callable[..., JournalIntake], writer: AudioWriter, restarts: bool
) -> None:
    """Capture that lost its device cannot know for how long."""
    intake = journalled()
    store(writer, *frames(FIRST, FIRST + 3))
    intake.take(0)
    store(writer, gap(FIRST + 3, FIRST + 3))
    assert intake.take(0) == []
    if restarts:
        intake = journalled(state_of(intake))
    store(writer, frame(FIRST + 9), frame(FIRST + 20))

    assert intake.take(0) == [
        Hole(FIRST + 3, FIRST + 9, "device-lost"),
        Hole(FIRST + 10, FIRST + 20, "not-captured"),
    ]


def damage(folder: Folder, number: int) -> None:
    """Flip a bit of the one segment there is in the record of a frame."""
    path = folder.path / name_of(segment_numbers(folder)[0])
    content = bytearray(path.read_bytes())
    content[content.index(frame(number).pcm)] ^= 1
    path.write_bytes(content)


def test_damaged_sound_is_told_of_as_such(
    journalled: Callable[..., JournalIntake], writer: AudioWriter, folder: Folder
) -> None:
    store(writer, *frames(FIRST, FIRST + 5))
    damage(folder, FIRST + 2)
    intake = journalled()

    assert intake.take(0) == [Hole(FIRST + 2, FIRST + 3, "damaged")]
    assert numbers(intake.frames(FIRST)) == [FIRST, FIRST + 1, FIRST + 3, FIRST + 4]


def test_damage_that_a_session_reads_over_explains_no_later_hole(
    journalled: Callable[..., JournalIntake], writer: AudioWriter, folder: Folder
) -> None:
    """Each session comes upon it again."""
    store(writer, *frames(FIRST, FIRST + 5))
    damage(folder, FIRST + 2)
    intake = journalled()
    intake.take(0)
    numbers(intake.frames(FIRST))
    store(writer, frame(FIRST + 9))

    assert intake.take(0) == [Hole(FIRST + 5, FIRST + 9, "not-captured")]


def test_sound_that_the_bound_took_before_it_was_read_is_told_of(
    journalled: Callable[..., JournalIntake], writer: AudioWriter, folder: Folder
) -> None:
    """This process was away for longer than the journal holds."""
    intake = journalled()
    store(writer, *frames(FIRST, FIRST + 3))
    intake.take(0)
    store(writer, *frames(FIRST + 3, FIRST + 3 * SEGMENT_FRAMES))
    after = journalled(state_of(intake))
    AudioReader(folder).release(FIRST + 2 * SEGMENT_FRAMES)

    assert after.first_number == FIRST + 2 * SEGMENT_FRAMES
    assert after.take(0) == [Hole(FIRST + 3, FIRST + 2 * SEGMENT_FRAMES, "overflow")]
    assert after.why_gone(FIRST) == "overflow"


def test_a_journal_that_lost_its_end_with_the_power_gives_those_numbers_again(
    journalled: Callable[..., JournalIntake], writer: AudioWriter
) -> None:
    """The turn journal was synced and knows of frames that are not there any more."""
    store(writer, *frames(FIRST, FIRST + 5))
    intake = journalled()
    intake.take(0)
    state = {**state_of(intake), "next_number": FIRST + 30}
    after = journalled(state)
    assert after.next_number == FIRST + 5
    store(writer, *frames(FIRST + 5, FIRST + 8), frame(FIRST + 40))

    assert after.take(0) == [Hole(FIRST + 8, FIRST + 40, "not-captured")]
    assert after.next_number == FIRST + 41


def test_a_journal_that_is_gone_makes_whatever_comes_new(
    journalled: Callable[..., JournalIntake], writer: AudioWriter
) -> None:
    """Somebody deleted it; what is missing then nobody can say."""
    intake = journalled({"next_number": 50 * FIRST, "has_ended": False, "stretches": []})
    assert (intake.next_number, intake.has_ended) == (-1, True)
    store(writer, *frames(FIRST, FIRST + 3))

    assert intake.take(0) == []
    assert intake.next_number == FIRST + 3


def test_a_first_gap_is_told_of(journalled: Callable[..., JournalIntake], writer: AudioWriter) -> None:
    """And a process that begins after it goes on."""
    store(writer, gap(FIRST, FIRST + 9, "paused"))
    intake = journalled()
    assert intake.take(0) == [Hole(FIRST, FIRST + 9, "paused")]
    after = journalled(state_of(intake))
    store(writer, frame(FIRST + 9))

    assert after.take(0) == []
    assert after.stretches.at((FIRST + 9) * FRAME_MS).wall_offset_ms == 7


def test_what_is_safe_is_deleted(journalled: Callable[..., JournalIntake], writer: AudioWriter) -> None:
    store(writer, *frames(FIRST, FIRST + 3 * SEGMENT_FRAMES))
    intake = journalled()
    intake.take(0)
    intake.release(FIRST + 2 * SEGMENT_FRAMES + 3)

    assert intake.first_number == FIRST + 2 * SEGMENT_FRAMES
    assert not intake.is_full(0)


def test_sessions_read_at_their_own_places(
    journalled: Callable[..., JournalIntake], writer: AudioWriter
) -> None:
    store(writer, *frames(FIRST, FIRST + 3), gap(FIRST + 3, FIRST + 5), frame(FIRST + 5), end(FIRST + 6))
    intake = journalled()
    behind, live = intake.frames(FIRST), intake.frames(FIRST + 4)

    assert numbers(live) == [FIRST + 5]
    assert numbers(behind) == [FIRST, FIRST + 1, FIRST + 2, FIRST + 5]
    store(writer, frame(FIRST + 6))
    assert numbers(live) == [FIRST + 6]
    for each in (behind, live):
        each.close()


def test_each_hole_has_its_own_reason_though_one_of_them_is_damage(
    journalled: Callable[..., JournalIntake], writer: AudioWriter, folder: Folder
) -> None:
    """Records are read many at a time: the damage behind a hole is no reason of it."""
    store(writer, *frames(FIRST, FIRST + 2))
    store(writer, *frames(FIRST + 4, FIRST + 8))
    writer.sync()
    name = name_of(segment_numbers(folder)[0])
    file = folder.path / name
    data = bytearray(file.read_bytes())
    size = len(data) // 6
    data[5 * size - 40] ^= 0xFF  # in the fifth record
    file.write_bytes(data)

    assert journalled().take(0) == [
        Hole(FIRST + 2, FIRST + 4, "not-captured"),
        Hole(FIRST + 6, FIRST + 7, "damaged"),
    ]


def test_damage_at_the_end_of_a_segment_is_the_reason_of_the_hole_before_the_next(
    journalled: Callable[..., JournalIntake], writer: AudioWriter, folder: Folder
) -> None:
    store(writer, *frames(FIRST, FIRST + SEGMENT_FRAMES + 3))
    writer.sync()
    file = folder.path / name_of(segment_numbers(folder)[0])
    file.write_bytes(file.read_bytes()[:-10])

    last = FIRST + SEGMENT_FRAMES - 1
    assert journalled().take(0) == [Hole(last, last + 1, "damaged")]


def test_how_far_sound_was_taken_in_is_known_when_its_journal_is_gone(
    journalled: Callable[..., JournalIntake], writer: AudioWriter, folder: Folder
) -> None:
    store(writer, *frames(FIRST, FIRST + 3))
    intake = journalled()
    intake.take(0)
    for number in segment_numbers(folder):
        folder.unlink(name_of(number))

    again = journalled(state_of(intake))
    assert (intake.gone_before, again.gone_before) == (-1, FIRST + 3)
    assert (again.next_number, journalled(None).gone_before) == (-1, -1)


def spoil(folder: Folder, segment: int, keep: int) -> None:
    """Leave the first records of a segment, a frame each, and a piece of the next."""
    file = folder.path / name_of(segment_numbers(folder)[segment])
    size = len(file.read_bytes()) // SEGMENT_FRAMES
    file.write_bytes(file.read_bytes()[: size * keep + 10])


def test_sound_that_was_taken_in_and_is_damaged_before_it_is_heard_is_told_of_once(
    journalled: Callable[..., JournalIntake], writer: AudioWriter, folder: Folder
) -> None:
    """A session would pass over it, and nobody would know."""
    store(writer, *frames(FIRST, FIRST + 3 * SEGMENT_FRAMES))
    intake = journalled()
    assert intake.take(0) == []
    writer.sync()
    spoil(folder, 1, keep=4)
    again = journalled(state_of(intake))
    for start in (FIRST, FIRST + 12):  # a session that is lost is followed by another
        numbers(again.frames(start))
    hole = Hole(FIRST + 14, FIRST + 20, "damaged")
    assert (again.missing(), again.missing()) == ([hole], [])
    third = journalled(state_of(again))
    numbers(third.frames(FIRST))
    assert third.missing() == [], "also where another process comes"


def test_sound_that_is_missing_at_the_end_is_not_waited_for(
    journalled: Callable[..., JournalIntake], writer: AudioWriter, folder: Folder
) -> None:
    store(writer, *frames(FIRST, FIRST + SEGMENT_FRAMES), end(FIRST + SEGMENT_FRAMES))
    intake = journalled()
    intake.take(0)
    writer.sync()
    spoil(folder, 0, keep=4)
    again = journalled(state_of(intake))
    again.take(0)
    assert numbers(again.frames(FIRST)) == [FIRST, FIRST + 1, FIRST + 2, FIRST + 3]
    assert again.missing() == [Hole(FIRST + 4, FIRST + 10, "damaged")]
    assert again.sound_before == FIRST + 4


def test_an_end_tells_of_the_sound_before_it_that_is_not_there(
    journalled: Callable[..., JournalIntake], writer: AudioWriter, folder: Folder
) -> None:
    """No frame comes after it by which anybody would know."""
    store(writer, *frames(FIRST, FIRST + 3))
    intake = journalled()
    intake.take(0)
    store(writer, *frames(FIRST + 3, FIRST + SEGMENT_FRAMES), end(FIRST + SEGMENT_FRAMES))
    writer.sync()
    spoil(folder, 0, keep=3)
    again = journalled(state_of(intake))
    assert again.take(0) == [Hole(FIRST + 3, FIRST + SEGMENT_FRAMES, "damaged")]
    assert (again.next_number, again.has_ended) == (FIRST + SEGMENT_FRAMES, True)


def test_jumps_that_were_declared_are_no_damage(
    journalled: Callable[..., JournalIntake], writer: AudioWriter
) -> None:
    store(writer, *frames(FIRST, FIRST + 2), gap(FIRST + 2, FIRST + 5), *frames(FIRST + 9, FIRST + 11))
    intake = journalled()
    intake.take(0)
    for start in (FIRST, FIRST + 2, FIRST + 5):
        numbers(intake.frames(start))
    assert intake.missing() == []


def test_damage_in_a_recording_does_not_make_another_sound_of_the_rest(
    journalled: Callable[..., JournalIntake], writer: AudioWriter, folder: Folder
) -> None:
    """Its meeting would be divided."""
    store(writer, *(frame(number, "talk.wav") for number in range(FIRST, FIRST + 2 * SEGMENT_FRAMES)))
    writer.sync()
    spoil(folder, 0, keep=4)
    intake = journalled()
    assert intake.take(0) == [Hole(FIRST + 4, FIRST + 10, "damaged")]
    assert intake.stretches.at((FIRST + 12) * FRAME_MS).sound_ms == FIRST * FRAME_MS
