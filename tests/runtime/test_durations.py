"""Lengths are for people: days, hours and minutes, and never an exponent."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted.runtime.durations import brief, duration, rough

DAY_S = 86_400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (7200, "2 h"),
        (7260, "2 h 1 min"),
        (200_000, "2 d 7 h"),
        (2 * DAY_S, "2 d"),
        (241_920_000, "2800 d"),
    ],
)
def test_a_length_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "1 s"), (9, "9 s"), (59, "50 s"), (119, "1 min"), (7250, "2 h"), (7300, "2 h 1 min")],
)
def test_a_rough_one_changes_seldom(seconds: float, text: str) -> None:
    assert rough(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (4.2, "4.2 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (90, "1.5 min"),
        (2715, "45.2 min"),
        (3599, "1 h"),
        (12_000, "3 h 20 min"),
        (200_000, "2 d 7 h"),
        (4.032e6 * 60, "2800 d"),
    ],
)
def test_a_brief_one_has_tenths_while_it_is_short(seconds: float, text: str) -> None:
    assert brief(seconds) == text


@given(st.floats(min_value=-1e12, max_value=1e15))
def test_none_has_an_exponent(seconds: float) -> None:
    for form in (duration, rough, brief):
        assert re.fullmatch(r"\d+(\.\d)? (s|min|h|d)( \d+ (s|min|h))?", form(seconds))
