"""The count of samples against the clock: losses are declared, drift is put right, jitter is left alone."""

import random

import pytest

from minuted.capture.timeline import DRIFT_MS_MAX, Timeline

BLOCK_S = 0.05
WALL_S = 1_700_000_000.0


class Room:
    """A microphone and a clock; tells what was put right."""

    def __init__(self, ppm: float = 0.0, jitter_s: float = 0.0) -> None:
        self.now_s = 1000.0
        self.wall_ahead_s = WALL_S
        self.sound_s = 0.0
        self.skipped: list[tuple[str, float]] = []
        self.ahead_ms = 0
        self._rate = 1 - ppm / 1e6
        self._chance = random.Random(1)
        self._jitter_s = jitter_s
        self.timeline = Timeline(self.now_s, self.now_s + self.wall_ahead_s)

    def hear(self, seconds: float, *, overflowed: bool = False, at_once: bool = False) -> None:
        for place in range(round(seconds / BLOCK_S)):
            late_s = self._chance.uniform(0, self._jitter_s)
            at_s = self.now_s + late_s
            found = self.timeline.heard(
                at_s, at_s + self.wall_ahead_s, self.sound_s, overflowed=overflowed and not place
            )
            if found.reason:
                self.skipped.append((found.reason, found.skip_frames * BLOCK_S))
            self.ahead_ms += found.ahead_ms
            self.sound_s += BLOCK_S
            if not at_once:
                self.now_s += BLOCK_S / self._rate

    def lose(self, seconds: float) -> None:
        self.now_s += seconds

    @property
    def error_s(self) -> float:
        """How far the newest frame's time is behind the clock."""
        return self.now_s - 1000.0 - self.sound_s - sum(length_s for _, length_s in self.skipped)


@pytest.mark.parametrize("jitter_s", [0.0, 0.3])
def test_a_day_of_late_blocks_puts_nothing_right(jitter_s):
    """A false hole in the minutes is worse than none."""
    room = Room(jitter_s=jitter_s)
    room.hear(86_400 / 10)
    assert (room.skipped, room.ahead_ms) == ([], 0)


@pytest.mark.parametrize("lost_s", [0.12, 0.3, 5.0])
def test_after_an_overflow_the_hole_is_as_long_as_the_clock_says(lost_s):
    room = Room(jitter_s=0.02)
    room.hear(60)
    room.lose(lost_s)
    room.hear(1, overflowed=True)
    ((reason, length_s),) = room.skipped
    assert reason == "overflow"
    assert length_s == pytest.approx(lost_s, abs=0.05)
    assert abs(room.error_s) <= 0.05
    room.hear(60)
    assert len(room.skipped) == 1


def test_an_overflow_in_the_first_second_is_put_right_too():
    room = Room()
    room.hear(0.2)
    room.lose(1)
    room.hear(1, overflowed=True)
    assert room.skipped == [("overflow", pytest.approx(1.0, abs=0.06))]


def test_an_overflow_that_lost_next_to_nothing_makes_no_hole():
    room = Room()
    room.hear(60)
    room.lose(0.05)
    room.hear(60, overflowed=True)
    assert room.skipped == []


def test_sound_that_went_without_a_word_is_declared():
    """The machine slept; PortAudio knows nothing of it."""
    room = Room()
    room.hear(60)
    room.lose(3600)
    room.hear(21)
    assert room.skipped == [("not-captured", pytest.approx(3600.0, abs=0.06))]


def test_sound_that_comes_late_and_whole_is_no_loss():
    """The sound server was busy, and gives all of it at once."""
    room = Room()
    room.hear(60)
    room.lose(0.8)
    room.hear(0.8, at_once=True)
    room.hear(60)
    assert room.skipped == []


def test_a_slow_clock_is_followed_for_a_month_without_a_hole():
    """100 ppm make 4 minutes in a month; a word's time stays within a fifth of a second."""
    room = Room(ppm=100)
    for _ in range(30):
        room.hear(3600)
        assert 0 <= room.error_s * 1000 < DRIFT_MS_MAX + 10
    assert {reason for reason, _ in room.skipped} == {"drift"}
    assert room.ahead_ms == 0


def test_a_fast_clock_keeps_its_numbers_and_has_its_time_of_day_put_right():
    """Numbers may not go back, and sound is not thrown away."""
    room = Room(ppm=-200)
    room.hear(3 * 3600)
    assert room.skipped == []
    assert room.ahead_ms == pytest.approx(-2160, abs=1000)


@pytest.mark.parametrize("ahead_s", [86_400, -86_400])
def test_a_clock_that_is_set_changes_the_time_of_day_alone(ahead_s):
    """A machine without a battery learns the time only when its network is up."""
    room = Room()
    room.hear(30)
    room.wall_ahead_s += ahead_s
    room.hear(30)
    assert room.skipped == []
    assert room.ahead_ms == ahead_s * 1000
