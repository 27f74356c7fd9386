"""When the recogniser looks."""

import pytest

from minuted.engine.pace import IDLE_STEP_MS, QUIET_LOOKS_MS, UNHEARD_MS_MAX, Pace

LOUD, QUIET = 0.2, 0.001


@pytest.fixture
def pace() -> Pace:
    pace = Pace(0.7, now_s=100.0)
    pace.looked(100.0, took_s=0.0)
    return pace


def test_while_nobody_speaks_a_look_is_due_every_tenth_of_a_second(pace: Pace) -> None:
    """It costs a millisecond, and the sooner speech is noticed the sooner its first partial comes."""
    pace.add(IDLE_STEP_MS - 50, QUIET)
    assert not pace.is_due(100.05, line_is_open=False)
    pace.add(50, QUIET)
    assert pace.is_due(100.05, line_is_open=False)


def test_while_somebody_speaks_a_look_is_due_at_the_interval(pace: Pace) -> None:
    pace.add(650, LOUD)
    assert not pace.is_due(100.69, line_is_open=True)
    assert pace.is_due(100.7, line_is_open=True)


def test_a_look_that_took_long_puts_the_next_one_off(pace: Pace) -> None:
    """A long line must not make the recogniser fall behind."""
    pace.looked(101.0, took_s=0.6)
    assert not pace.is_due(101.59, line_is_open=True)
    assert pace.is_due(101.61, line_is_open=True)


def test_sound_that_comes_fast_does_not_pile_up(pace: Pace) -> None:
    pace.add(UNHEARD_MS_MAX - 1, LOUD)
    assert not pace.is_due(100.01, line_is_open=True)
    pace.add(1, LOUD)
    assert pace.is_due(100.01, line_is_open=True)


def test_quiet_after_speech_brings_a_look_forward_twice(pace: Pace) -> None:
    """A final is not to wait for the interval; and in a long pause the interval is enough."""
    pace.add(50, LOUD)
    looks_ms = []
    for quiet_ms in range(50, 600, 50):
        pace.add(50, QUIET)
        if pace.is_due(100.1, line_is_open=True):
            looks_ms.append(quiet_ms)
            pace.looked(100.1, took_s=0.0)
    assert looks_ms == list(QUIET_LOOKS_MS)
    pace.add(50, LOUD)
    pace.add(QUIET_LOOKS_MS[0], QUIET)
    assert pace.is_due(100.1, line_is_open=True)


def test_a_steady_noise_is_no_quiet(pace: Pace) -> None:
    for _ in range(50):
        pace.add(50, QUIET)
        assert not pace.is_due(100.1, line_is_open=True)
