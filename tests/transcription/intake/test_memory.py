"""Sound kept in memory alone: what is held, what goes first, what a kill costs."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from minuted.bus import FramesIn, FramesOut
from minuted.messages import AudioEnd, AudioFrame
from minuted.transcription import intake as intake_module
from minuted.transcription.holes import Hole
from minuted.transcription.intake import (
    UNPACED_FRAMES_MAX,
    MemoryIntake,
)
from transcription.intake.sound import FIRST, WAIT_S, end, frame, frames, gap, numbers, paused, state_of

HEARD = 10**9
"""A session has been sent all there is."""


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
