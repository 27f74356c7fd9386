import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted.messages import FRAME_MS, AudioFrame
from minuted.transcription.clock import (
    CLOCK_SET_MS,
    STRETCHES_KEPT,
    STRETCHES_MAX,
    SessionClock,
    Stretch,
    Stretches,
)

RUNS = st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 6)), min_size=1, max_size=6)
"""Some frames are left out, then some come."""


def frame(number: int, source: str = "microphone", wall_ms: int = 0) -> AudioFrame:
    return AudioFrame(number=number, captured_at_ms=wall_ms, pcm=b"", source=source)


def numbers_of(runs: list[tuple[int, int]], first: int = 1000) -> list[int]:
    numbers: list[int] = []
    upcoming = first
    for missing, count in runs:
        upcoming += missing
        numbers += range(upcoming, upcoming + count)
        upcoming += count
    return numbers


def clock_of(numbers: list[int]) -> SessionClock:
    clock = SessionClock()
    for number in numbers:
        clock.sent(frame(number))
    return clock


@given(RUNS)
def test_every_millisecond_of_a_session_is_its_own_of_the_sound(runs: list[tuple[int, int]]) -> None:
    """A word's time is right on both sides of every jump."""
    numbers = numbers_of(runs)
    clock = clock_of(numbers)

    assert clock.sent_ms == len(numbers) * FRAME_MS
    for session_ms in range(clock.sent_ms):
        into = numbers[session_ms // FRAME_MS] * FRAME_MS + session_ms % FRAME_MS
        assert clock.start_ms(session_ms) == into, "where the millisecond begins"
        assert clock.end_ms(session_ms + 1) == into + 1, "where it ends"


@given(RUNS)
def test_at_a_jump_an_end_is_before_it_and_a_beginning_after(runs: list[tuple[int, int]]) -> None:
    numbers = numbers_of(runs)
    clock = clock_of(numbers)
    for index in range(1, len(numbers)):
        boundary_ms = index * FRAME_MS
        assert clock.end_ms(boundary_ms) == (numbers[index - 1] + 1) * FRAME_MS
        assert clock.start_ms(boundary_ms) == numbers[index] * FRAME_MS


@given(RUNS, st.integers(0, 3000))
def test_times_outside_of_what_was_sent_go_on_from_it(runs: list[tuple[int, int]], beyond_ms: int) -> None:
    """The service pads words: an end may lie beyond the sound, a beginning before it."""
    numbers = numbers_of(runs)
    clock = clock_of(numbers)

    assert clock.end_ms(clock.sent_ms + beyond_ms) == (numbers[-1] + 1) * FRAME_MS + beyond_ms
    assert clock.start_ms(-beyond_ms) == clock.end_ms(-beyond_ms) == numbers[0] * FRAME_MS


@given(RUNS)
def test_time_never_runs_backwards(runs: list[tuple[int, int]]) -> None:
    clock = clock_of(numbers_of(runs))
    for times in (
        [clock.start_ms(ms) for ms in range(clock.sent_ms + 100)],
        [clock.end_ms(ms) for ms in range(clock.sent_ms + 100)],
    ):
        assert times == sorted(times)


@st.composite
def heard(draw: st.DrawFn) -> list[AudioFrame]:
    """Frames of several sources with jumps between some of them, and a clock that is set now and then."""
    frames, number = [], 500
    for missing, count, source, offset_ms in draw(
        st.lists(
            st.tuples(
                st.one_of(st.just(0), st.integers(1, 50)),
                st.integers(1, 5),
                st.sampled_from(["microphone", "a.wav"]),
                st.integers(-(10**9), 10**9),
            ),
            min_size=1,
            max_size=8,
        )
    ):
        number += missing
        for _ in range(count):
            frames.append(frame(number, source, offset_ms + number * FRAME_MS))
            number += 1
    return frames


@given(heard())
def test_a_stretch_is_of_one_source_without_a_jump(frames: list[AudioFrame]) -> None:
    stretches = Stretches()
    expected: list[Stretch] = []
    before: AudioFrame | None = None
    for each in frames:
        stretches.received(each)
        is_next = before and each.number == before.number + 1 and each.source == before.source
        if not is_next or (each.source == "microphone" and clock_was_set(before, each)):
            sound_ms = each.number * FRAME_MS
            expected.append(Stretch(sound_ms, each.source, each.captured_at_ms - sound_ms))
        before = each
        for earlier in frames[: frames.index(each) + 1]:
            sound_ms = earlier.number * FRAME_MS
            wanted = max((s for s in expected if s.sound_ms <= sound_ms), key=lambda s: s.sound_ms)
            assert stretches.at(sound_ms) == wanted
            assert stretches.at(sound_ms + FRAME_MS - 1) == wanted


def clock_was_set(before: AudioFrame | None, after: AudioFrame) -> bool:
    return before is not None and abs(after.captured_at_ms - before.captured_at_ms - FRAME_MS) >= CLOCK_SET_MS


def test_a_clock_set_back_is_noticed_though_the_sound_goes_on() -> None:
    """Meetings that begin later must be dated by the clock as it is now."""
    stretches = Stretches()
    stretches.received(frame(100, wall_ms=1_700_003_600_000))
    stretches.received(frame(101, wall_ms=1_700_000_000_000))

    assert stretches.at(101 * FRAME_MS).wall_offset_ms + 101 * FRAME_MS == 1_700_000_000_000
    assert stretches.at(100 * FRAME_MS).wall_offset_ms + 100 * FRAME_MS == 1_700_003_600_000


def test_a_recording_is_one_stretch_whatever_the_clock_does() -> None:
    stretches = Stretches()
    stretches.received(frame(100, "a.wav", wall_ms=1_700_003_600_000))
    stretches.received(frame(101, "a.wav", wall_ms=1_700_000_000_000))

    assert stretches.at(101 * FRAME_MS).sound_ms == 5000


def test_what_was_before_everything_counts_from_the_oldest() -> None:
    stretches = Stretches()
    stretches.received(frame(100))

    assert stretches.at(0).sound_ms == 5000


def test_a_sound_in_a_gap_belongs_to_what_was_before_it() -> None:
    """There was no sound: such a time is a padded word's."""
    stretches = Stretches()
    stretches.received(frame(100))
    stretches.received(frame(200))

    assert stretches.at(101 * FRAME_MS + 10).sound_ms == 5000
    assert stretches.at(200 * FRAME_MS).sound_ms == 10_000


def test_stretches_have_a_bound() -> None:
    stretches = Stretches()
    for number in range(0, 3 * STRETCHES_MAX, 2):
        stretches.received(frame(number, wall_ms=number * FRAME_MS))

    assert len(stretches._stretches) == STRETCHES_MAX
    assert stretches.at(0) == stretches._stretches[0]


def test_a_wall_time_is_a_sound_time_and_an_offset() -> None:
    stretches = Stretches()
    stretches.received(frame(100, wall_ms=1_700_000_005_123))

    assert stretches.at(5000).wall_offset_ms + 5000 == 1_700_000_005_123


@pytest.mark.parametrize("source", ["microphone", "talk.wav"])
def test_one_source_without_a_jump_is_one_stretch(source: str) -> None:
    stretches = Stretches()
    for number in range(100, 1000):
        stretches.received(frame(number, source, number * FRAME_MS))

    assert len(stretches._stretches) == 1


# What a successor is told.


def test_stretches_go_on_in_another_process() -> None:
    """A meeting that began before the restart is dated as before."""
    stretches = Stretches()
    for number in (100, 101, 200):
        stretches.received(frame(number, wall_ms=1_700_000_000_000 + number * FRAME_MS))
    again = Stretches(json.loads(json.dumps(stretches.to_state())), 201)
    for each in (stretches, again):
        each.received(frame(201, wall_ms=1_700_000_000_000 + 201 * FRAME_MS))
        each.received(frame(300, "talk.wav"))

    assert list(again._stretches) == list(stretches._stretches)
    assert len(again._stretches) == 3


def test_a_successor_is_told_of_the_latest_stretches_only() -> None:
    """They are stored with every turn."""
    stretches = Stretches()
    for number in range(0, 4 * STRETCHES_KEPT, 2):
        stretches.received(frame(number))

    assert stretches.to_state() == [
        asdict(stretch) for stretch in list(stretches._stretches)[-STRETCHES_KEPT:]
    ]


def test_a_successor_that_knows_only_the_next_number_begins_a_stretch() -> None:
    """Its predecessor had seen a gap, and no frame."""
    stretches = Stretches([], 100)
    stretches.received(frame(100, wall_ms=7))

    assert stretches.at(5000) == Stretch(5000, "microphone", 7 - 5000)


def test_a_stretch_that_comes_again_is_not_known_twice() -> None:
    """The frames it began with were lost with the power, or are taken in anew."""
    stretches = Stretches()
    for number in (100, 200, 300):
        stretches.received(frame(number))
    again = Stretches(stretches.to_state(), 200)
    again.received(frame(200, "talk.wav"))

    assert [stretch.sound_ms for stretch in again._stretches] == [5000, 10_000]
    assert again.at(10_000).source == "talk.wav"


def test_a_recording_played_again_at_once_is_another_stretch() -> None:
    """Numbers of a fast one run ahead of the clock: the next may begin where it ended."""
    stretches = Stretches()
    stretches.received(frame(100, source="talk.wav"), anew=True)
    stretches.received(frame(101, source="talk.wav"))
    stretches.received(frame(102, source="talk.wav"), anew=True)

    assert [stretch["sound_ms"] for stretch in stretches.to_state()] == [100 * FRAME_MS, 102 * FRAME_MS]
