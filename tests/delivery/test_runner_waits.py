"""How long a sink waits between two tries."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted import Retry
from minuted.delivery.runner import (
    AFTER_S_MAX,
    DRAIN_WAIT_S_MAX,
    FIRST_WAIT_S,
    WAIT_S_MAX,
    next_wait_s,
)


@given(st.integers(1, 5000))
def test_waits_double_from_a_fifth_of_a_second_to_half_a_minute(failures: int) -> None:
    """Half of each is chance, so that many sinks do not come back in step."""
    whole_s = min(FIRST_WAIT_S * 2 ** min(failures - 1, 30), WAIT_S_MAX)
    assert whole_s / 2 <= next_wait_s(failures, OSError(), draining=False) <= whole_s
    assert next_wait_s(failures, OSError(), draining=True) <= DRAIN_WAIT_S_MAX


@pytest.mark.parametrize(
    ("after_s", "wait_s"),
    [
        (5, 5.0),
        (0.5, 0.5),
        (1e9, AFTER_S_MAX),
        (float("inf"), AFTER_S_MAX),
        (-3, FIRST_WAIT_S),
        (0, FIRST_WAIT_S),
    ],
)
def test_a_retry_may_say_when(after_s: float, wait_s: float) -> None:
    """Within reason: a far end cannot make us hammer it, nor wait for ever."""
    assert next_wait_s(20, Retry(after_s=after_s), draining=False) == wait_s
    assert next_wait_s(20, Retry(after_s=after_s), draining=True) <= DRAIN_WAIT_S_MAX


@pytest.mark.parametrize("after_s", [None, float("nan"), "soon"])
def test_a_retry_that_does_not_say_when_waits_as_usual(after_s: Any) -> None:
    """Nonsense from a header is no crash."""
    assert next_wait_s(20, Retry(after_s=after_s), draining=False) >= WAIT_S_MAX / 2
