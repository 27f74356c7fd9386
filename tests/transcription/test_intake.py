"""Sound comes in once and in order, and every hole in it is told of once."""

import json
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
from minuted.journal.turns import TurnJournal
from minuted.messages import FRAME_BYTES, FRAME_MS, AudioEnd, AudioFrame, AudioGap
from minuted.transcription import intake as intake_module
from minuted.transcription.holes import Hole
from minuted.transcription.intake import (
    RECORDS_MAX,
    UNPACED_FRAMES_MAX,
    Frames,
    Intake,
    JournalIntake,
    MemoryIntake,
    intake_of,
)

WAIT_S = 10
FIRST = 1000
SEGMENT_FRAMES = 10
SEGMENT_S = SEGMENT_FRAMES * FRAME_MS / 1000
HEARD = 10**9
"""A session has been sent all there is."""


def frame(number: int, source: str = "microphone", *, paced: bool = True) -> AudioFrame:
    pcm = number.to_bytes(4, "little") * (FRAME_BYTES // 4)
    return AudioFrame(
        number=number, captured_at_ms=7 + number * FRAME_MS, pcm=pcm, source=source, paced=paced
    )


def gap(begins: int, ends: int, reason: str = "device-lost") -> AudioGap:
    return AudioGap(from_number=begins, to_number=ends, reason=reason)


def end(number: int) -> AudioEnd:
    return AudioEnd(next_number=number, reason="stopped")


def state_of(intake: Intake) -> Any:
    """Give its state as the turn journal would."""
    return json.loads(json.dumps(intake.to_state()))


def numbers(frames: Frames) -> list[int]:
    """Read on as far as there is anything."""
    found = []
    while (each := frames.peek()) is not None:
        assert each.pcm == frame(each.number).pcm or each.source != "microphone"
        assert frames.peek() is each
        found.append(each.number)
        frames.advance()
    return found


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
def socket(settings: Settings) -> Iterator[FramesIn]:
    with FramesIn(settings.frames_endpoint) as socket:
        yield socket


@pytest.fixture
def capture(settings: Settings, socket: FramesIn) -> Iterator[FramesOut]:
    with FramesOut(settings.frames_endpoint) as capture:
        yield capture


# From the journal.


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


def frames(begins: int, ends: int) -> list[AudioFrame]:
    return [frame(number) for number in range(begins, ends)]


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


def paused(number: int) -> AudioEnd:
    return AudioEnd(next_number=number, reason="paused")


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


# From the socket alone.


@pytest.fixture
def receive(socket: FramesIn, capture: FramesOut) -> Callable[..., list[Hole]]:
    """Send something and have an intake take it."""

    def send(intake: MemoryIntake, *sent: AudioFrame | AudioEnd, reached: int = HEARD) -> list[Hole]:
        holes = []
        for message in sent:
            assert capture.send(message, wait_s=WAIT_S)
            before = (intake.next_number, intake.has_ended)
            until_s = time.monotonic() + WAIT_S
            while (intake.next_number, intake.has_ended) == before:
                assert socket.pollable().poll(WAIT_S * 1000)
                holes += intake.take(reached)
                assert time.monotonic() < until_s
        return holes

    return send


@pytest.fixture
def remembered(socket: FramesIn) -> Callable[..., MemoryIntake]:
    def make(frames_max: int = 100, state: Any = None) -> MemoryIntake:
        return MemoryIntake(socket, frames_max, state)

    return make


def test_sound_comes_in_from_the_socket(
    remembered: Callable[..., MemoryIntake], receive: Callable[..., list[Hole]]
) -> None:
    intake = remembered()
    assert (intake.first_number, intake.next_number) == (0, -1)
    assert intake.frames(0).peek() is None

    assert receive(intake, *frames(FIRST, FIRST + 5)) == []
    assert (intake.first_number, intake.next_number, intake.has_ended) == (FIRST, FIRST + 5, False)
    assert numbers(intake.frames(0)) == list(range(FIRST, FIRST + 5))
    assert numbers(intake.frames(FIRST + 3)) == [FIRST + 3, FIRST + 4]
    assert receive(intake, end(FIRST + 5)) == []
    assert intake.has_ended


def test_in_memory_a_jump_is_a_hole_too(
    remembered: Callable[..., MemoryIntake], receive: Callable[..., list[Hole]]
) -> None:
    intake = remembered()
    assert receive(intake, *frames(FIRST, FIRST + 2), frame(FIRST + 9)) == [
        Hole(FIRST + 2, FIRST + 9, "not-captured")
    ]
    assert numbers(intake.frames(FIRST + 1)) == [FIRST + 1, FIRST + 9]
    assert receive(intake, end(FIRST + 10), frame(FIRST + 20)) == [Hole(FIRST + 10, FIRST + 20, "")]
    reading = intake.frames(FIRST + 5)
    assert numbers(reading) == [FIRST + 9, FIRST + 20]
    receive(intake, frame(FIRST + 21))
    assert numbers(reading) == [FIRST + 21]


def test_in_memory_a_pause_and_a_gap_are_told_of_too(
    remembered: Callable[..., MemoryIntake], receive: Callable[..., list[Hole]]
) -> None:
    """Also to a process that was not there when it began."""
    intake = remembered()
    assert receive(intake, frame(FIRST), paused(FIRST + 1)) == []
    assert intake.is_paused
    for each in (intake, remembered(state=state_of(intake))):
        assert each.is_paused
    assert receive(intake, frame(FIRST + 9)) == [Hole(FIRST + 1, FIRST + 9, "paused")]
    missing = gap(FIRST + 10, FIRST + 16, "overflow")
    assert receive(intake, missing, frame(FIRST + 16)) == [Hole(FIRST + 10, FIRST + 16, "overflow")]


def test_of_a_microphone_the_oldest_goes_first(
    remembered: Callable[..., MemoryIntake], receive: Callable[..., list[Hole]]
) -> None:
    """Whoever speaks does not wait."""
    intake = remembered(frames_max=5)
    receive(intake, *frames(FIRST, FIRST + 8), reached=FIRST)

    assert not intake.is_full(FIRST)
    assert (intake.first_number, intake.next_number) == (FIRST + 3, FIRST + 8)
    assert numbers(intake.frames(FIRST)) == list(range(FIRST + 3, FIRST + 8))
    assert intake.why_gone(FIRST) == "overflow"


def test_a_recording_is_made_to_wait(
    remembered: Callable[..., MemoryIntake],
    receive: Callable[..., list[Hole]],
    capture: FramesOut,
    socket: FramesIn,
) -> None:
    """It has time. But not for what would make it safe: what is sent already holds up nothing."""
    intake = remembered(frames_max=3)
    receive(intake, *[frame(number, "talk.wav") for number in range(FIRST, FIRST + 3)], reached=FIRST)
    assert capture.send(frame(FIRST + 3, "talk.wav"), wait_s=WAIT_S)
    assert socket.pollable().poll(WAIT_S * 1000)

    assert intake.is_full(FIRST + 2)
    assert intake.take(FIRST + 2) == []
    assert (intake.next_number, intake.has_more) == (FIRST + 3, False)
    assert not intake.is_full(FIRST + 3)
    intake.take(FIRST + 3)
    assert intake.next_number == FIRST + 4
    intake.release(FIRST + 2)
    assert not intake.is_full(FIRST)


def test_an_unpaced_recording_waits_sooner(
    remembered: Callable[..., MemoryIntake],
    receive: Callable[..., list[Hole]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It comes as fast as the disk reads, and would fill all there is."""
    monkeypatch.setattr(intake_module, "UNPACED_FRAMES_MAX", 3)
    intake = remembered(frames_max=2 * UNPACED_FRAMES_MAX)
    receive(intake, *[frame(number, "talk.wav", paced=False) for number in range(FIRST, FIRST + 3)])

    assert intake.is_full(FIRST)


def test_what_a_killed_process_held_is_gone_and_says_so(
    remembered: Callable[..., MemoryIntake], receive: Callable[..., list[Hole]]
) -> None:
    """That is the price of keeping no sound on the disk."""
    before = remembered()
    receive(before, *frames(FIRST, FIRST + 5))
    intake = remembered(state=state_of(before))

    assert intake.first_number == intake.next_number == FIRST + 5
    assert intake.why_gone(FIRST) == "restart"
    holes = receive(intake, frame(FIRST + 9), frame(FIRST + 12))
    assert holes == [Hole(FIRST + 5, FIRST + 9, "restart"), Hole(FIRST + 10, FIRST + 12, "not-captured")]
    assert intake.why_gone(FIRST + 9) == "overflow"


def test_a_process_that_had_drained_lost_nothing(
    remembered: Callable[..., MemoryIntake], receive: Callable[..., list[Hole]]
) -> None:
    before = remembered()
    receive(before, *frames(FIRST, FIRST + 5), end(FIRST + 5))

    assert receive(remembered(state=state_of(before)), frame(FIRST + 90)) == [Hole(FIRST + 5, FIRST + 90, "")]


def test_sound_time_goes_on_under_a_clock_that_was_set_back(
    remembered: Callable[..., MemoryIntake], receive: Callable[..., list[Hole]]
) -> None:
    """Numbers come from the time of day; a mark must not wait for the clock to catch up."""
    intake = remembered()
    receive(intake, *frames(FIRST, FIRST + 3))
    assert receive(intake, frame(10), frame(11), frame(15)) == [Hole(FIRST + 5, FIRST + 8, "not-captured")]

    reading = intake.frames(FIRST + 2)
    found = []
    while (each := reading.peek()) is not None:
        found.append((each.number, each.pcm))
        reading.advance()
    assert found == [
        (FIRST + 2, frame(FIRST + 2).pcm),
        (FIRST + 3, frame(10).pcm),
        (FIRST + 4, frame(11).pcm),
        (FIRST + 8, frame(15).pcm),
    ]


# Which of the two.


@pytest.mark.parametrize(("where", "kind"), [("disk", JournalIntake), ("memory", MemoryIntake)])
def test_the_settings_say_where_sound_is_kept(
    make_settings: Callable[..., Settings], socket: FramesIn, where: str, kind: type
) -> None:
    """And where there is to be none on the disk, there is not even a folder for it."""
    settings = make_settings(f'[journal]\naudio = "{where}"')
    journal = TurnJournal(settings.state_dir / "turns.db")
    journal.keep({"intake": {"next_number": 5, "has_ended": False, "stretches": []}})
    intake = intake_of(settings, socket, journal)
    journal.close()

    assert isinstance(intake, kind)
    assert intake.next_number == (5 if where == "memory" else -1)
    assert (settings.state_dir / "audio").exists() == (where == "disk")
