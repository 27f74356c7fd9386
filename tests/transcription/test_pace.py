import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted.messages import FRAME_MS
from minuted.transcription.pace import BURST_MS, SPEED_MAX, Pace

STEPS = st.lists(
    st.tuples(
        st.one_of(st.just(0.0), st.floats(0, 0.2), st.floats(0, 30), st.just(100_000.0)), st.integers(0, 40)
    ),
    max_size=40,
)
"""Time passes, then so many frames are tried."""


def sent_at(steps: list[tuple[float, int]], start_s: float = 1000.0) -> list[float]:
    pace, now_s, sent = Pace(start_s), start_s, []
    for passed_s, tries in steps:
        now_s += passed_s
        sent += [now_s for _ in range(tries) if pace.allows(FRAME_MS, now_s)]
    return sent


@given(STEPS)
def test_no_stretch_of_time_sees_more_than_the_speed_and_a_burst(steps: list[tuple[float, int]]) -> None:
    """The service ends a session that is sent too fast, whenever it looks."""
    sent = sent_at(steps)
    for first, from_s in enumerate(sent):
        for last in range(first, len(sent)):
            audio_ms = (last - first + 1) * FRAME_MS
            assert audio_ms <= SPEED_MAX * (sent[last] - from_s) * 1000 + BURST_MS + 0.01


@given(st.lists(st.floats(0, 0.05), min_size=1, max_size=200))
def test_real_time_is_never_held_up(jitter: list[float]) -> None:
    """A frame each 50 ms, somewhat late now and then, goes out as it comes."""
    pace = Pace(0.0)
    for index, late_s in enumerate(jitter):
        assert pace.allows(FRAME_MS, (index + 1) * FRAME_MS / 1000 + late_s)


def test_a_backlog_is_worked_off_at_the_full_speed() -> None:
    pace, sent_ms = Pace(0.0), 0
    for tick in range(1, 60 * 20 + 1):
        while pace.allows(FRAME_MS, tick * 0.05):
            sent_ms += FRAME_MS

    assert sent_ms == pytest.approx(60_000 * SPEED_MAX + BURST_MS, abs=2 * FRAME_MS)


def test_time_without_sound_is_not_saved_up() -> None:
    """An hour of pause must not let an hour of sound out at once."""
    pace = Pace(0.0)
    sent = sum(pace.allows(FRAME_MS, 3600.0) for _ in range(1000))

    assert sent * FRAME_MS == BURST_MS


def test_what_was_refused_does_not_count() -> None:
    pace = Pace(0.0)
    while pace.allows(FRAME_MS, 0.0):
        pass
    for _ in range(1000):
        assert not pace.allows(FRAME_MS, 0.0)

    assert pace.allows(FRAME_MS, 0.05)


def test_the_speed_is_between_real_time_and_what_the_service_allows() -> None:
    assert 1 < SPEED_MAX <= 1.2
