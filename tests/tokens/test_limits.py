"""So many a minute, by a table of times."""

import pytest

from minuted.tokens import limits
from minuted.tokens.limits import Limits


def test_a_minute_s_worth_may_come_at_once_and_no_more() -> None:
    bucket = Limits(3)

    assert [bucket.take("room", 100.0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take("room", 100.0) == pytest.approx(20.0)


def test_after_the_wait_it_named_there_is_one_again() -> None:
    """A client that keeps to Retry-After must not be refused once more."""
    bucket = Limits(3)
    for _ in range(3):
        bucket.take("room", 100.0)
    wait_s = bucket.take("room", 105.0)

    assert bucket.take("room", 105.0 + wait_s + 0.001) == 0
    assert bucket.take("room", 105.0 + wait_s + 0.001) > 0


def test_nothing_is_saved_up_for_later() -> None:
    bucket = Limits(2)
    bucket.take("room", 0.0)

    assert [bucket.take("room", 86_400.0) > 0 for _ in range(3)] == [False, False, True]


def test_one_client_takes_nothing_from_another() -> None:
    bucket = Limits(1)
    bucket.take("greedy", 0.0)

    assert bucket.take("greedy", 0.0) > 0
    assert bucket.take("modest", 0.0) == 0


def test_names_beyond_the_bound_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "NAMES_MAX", 2)
    bucket = Limits(1)
    for name in ("one", "two", "three"):
        bucket.take(name, 0.0)

    assert bucket.take("three", 0.0) > 0
    assert bucket.take("one", 0.0) == 0
