from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

import pytest

from minuted.runtime.shapes import MisshapenError, fitted


@dataclass
class Inner:
    text: str
    at_ms: int = 0


@dataclass
class Outer:
    id: int
    end: int | None = None
    inner: tuple[Inner, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)


class Pair(NamedTuple):
    name: str
    size: int = 1


class State(TypedDict):
    next: int
    ranges: list[Outer]
    reason: NotRequired[str]


RIGHT: list[tuple[Any, Any, Any]] = [
    (int, 5, 5),
    (float, 5, 5),
    (str | None, None, None),
    (list[int], [1, 2], [1, 2]),
    (tuple[float, int], [0.5, 2], [0.5, 2]),
    (dict[str, tuple[int, int]], {"A": [1, 2]}, {"A": [1, 2]}),
    (Literal["a", "b"], "b", "b"),
    (Pair, {"name": "x", "later": 1}, {"name": "x", "size": 1}),
    (Outer, {"id": 1, "new": 2}, {"id": 1, "end": None, "inner": (), "names": {}}),
    (
        Outer,
        {"id": 1, "end": None, "inner": [{"text": "a", "at_ms": 3, "new": 0}]},
        {"id": 1, "end": None, "inner": [{"text": "a", "at_ms": 3}], "names": {}},
    ),
    (State, {"next": 1, "ranges": [], "new": {}}, {"next": 1, "ranges": [], "new": {}}),
    (Any, object, object),
]
WRONG: list[tuple[Any, Any, str]] = [
    (int, True, "state cannot be bool"),
    (str, "\ud83d", "state cannot be str"),
    (int, 1 << 63, "state cannot be int"),
    (int, 1.5, "state cannot be float"),
    (float, float("nan"), "state cannot be float"),
    (list[int], {"a": 1}, "state cannot be dict"),
    (list[int], [1, "title"], r"state\[\] cannot be str"),
    (tuple[int, int], [1], "state cannot have 1 members"),
    (dict[str, int], {"secret": "title"}, r"state\.\* cannot be str"),
    (Literal["a"], "b", "state cannot be str"),
    (Outer, {"end": 1}, "state.id is missing"),
    (Outer, {"id": 1, "inner": [{"text": 5}]}, r"state.inner\[\].text cannot be int"),
    (State, {"next": "x", "ranges": []}, "state.next cannot be str"),
    (State, {"ranges": []}, "state.next is missing"),
    (State, [], "state cannot be list"),
]


@pytest.mark.parametrize(("shape", "value", "expected"), RIGHT)
def test_what_fits_comes_back_plain_without_unknown_fields(shape: Any, value: Any, expected: Any) -> None:
    assert fitted(shape, value) == expected


@pytest.mark.parametrize(("shape", "value", "reason"), WRONG)
def test_what_does_not_fit_is_named_by_its_place_and_never_by_its_value(
    shape: Any, value: Any, reason: str
) -> None:
    with pytest.raises(MisshapenError, match=f"^{reason}$") as caught:
        fitted(shape, value, "state")
    assert "title" not in str(caught.value)
    assert "secret" not in str(caught.value)
