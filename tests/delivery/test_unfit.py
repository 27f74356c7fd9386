"""Classes that are no sinks, and the sentence about each."""

from typing import Any

import pytest

from minuted import MeetingFiles, Sink
from minuted.delivery import unfit


def of(**methods: Any) -> type[Sink]:
    return type("Mine", (Sink,), {"write": lambda self, turn: None, **methods})


async def is_async(self: Any, turn: Any) -> None: ...


def waits(self: Any, turn: Any) -> Any:
    yield turn


def takes_nothing(self: Any) -> None: ...


def takes_more(self: Any, turn: Any, more: Any) -> None: ...


def takes_any(*args: Any, **kwargs: Any) -> None: ...


@pytest.mark.parametrize(
    ("methods", "reason"),
    [
        ({}, ""),
        ({"write": takes_any}, ""),
        ({"write": staticmethod(takes_nothing)}, ""),
        ({"open": takes_nothing, "close": takes_nothing}, ""),
        (
            {"write": is_async},
            "write is async, and nobody would await it: write `def write(self, turn)`, with",
        ),
        ({"partial": is_async}, "partial is async"),
        ({"write": waits}, "write has a `yield`, so that a call of it would do nothing: write it without"),
        ({"gap": takes_nothing}, "gap does not take what it is called with: write `def gap(self, gap)`"),
        ({"write": takes_more}, "write does not take what it is called with: write `def write(self, turn)`"),
    ],
)
def test_methods_that_would_do_nothing_or_fail_for_ever(methods: dict[str, Any], reason: str) -> None:
    said = unfit.methods(of(**methods))
    assert said.startswith(reason)
    assert bool(said) == bool(reason)
    assert not reason or "(test_unfit.py:" in said


def test_what_is_left_to_define() -> None:
    assert unfit.methods(type("Mine", (Sink,), {})) == "Mine does not define write(self, turn)"
    assert (
        unfit.methods(type("Mine", (MeetingFiles,), {}))
        == "Mine does not define compose and passage and suffix"
    )


def test_every_method_of_the_contract_is_looked_at() -> None:
    own = {name for name, value in vars(Sink).items() if callable(value) and not name.startswith("_")}
    assert own == set(unfit.METHODS)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["A"], ""),
        ([], "defines no sink: it needs one class that is derived from Sink"),
        (["A", "B"], "defines 2 sinks, A and B: keep one in each file"),
    ],
)
def test_a_file_has_one_sink(names: list[str], reason: str) -> None:
    assert unfit.classes(names).startswith(reason)
    assert bool(unfit.classes(names)) == bool(reason)
