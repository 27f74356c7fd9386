import datetime as dt
import enum
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from re import Pattern
from typing import Any, Literal

import pytest

from minuted import Sink, Turn
from minuted.options import ConfigError, build, docstrings, options, sample_of, value_of


class Postcard(Sink):
    """Any sink: its annotated attributes are its options."""

    address: str
    """Where it goes."""
    stamps: int = 1
    """How many.

    More for abroad."""
    wait_s: float = 1.5
    colours: tuple[str, ...] = ("blue",)
    places: list[str] = field(default_factory=list)
    album: Path | None = None
    size: Literal["small", "large"] = "small"
    headers: dict[str, str] = field(default_factory=dict)
    limit: int | Literal["none"] = 5
    _sent: int = 0

    def write(self, turn: Turn) -> None:
        self._sent += 1


@dataclass(kw_only=True)
class Picky:
    count: int

    def __post_init__(self) -> None:
        if self.count > 3:
            raise ValueError("more than 3 is too many")


def made(table: dict[str, Any]) -> Postcard:
    return build(Postcard, table, "sinks.postcard", hidden=("name", "room", "checkpoint"))


def test_a_table_makes_an_object_of_the_right_types() -> None:
    postcard = made(
        {
            "address": "here",
            "wait_s": 3,
            "colours": ["red", "green"],
            "places": ["a"],
            "album": "~/cards",
            "headers": {"X": "1"},
            "limit": "none",
        }
    )

    assert (postcard.address, postcard.stamps) == ("here", 1)
    assert type(postcard.wait_s) is float
    assert (postcard.colours, postcard.places) == (("red", "green"), ["a"])
    assert postcard.album == Path.home() / "cards"
    assert (postcard.headers, postcard.limit) == ({"X": "1"}, "none")


NAMES = "address, stamps, wait_s, colours, places, album, size, headers, limit"
WRONG: list[tuple[dict[str, Any], str | None]] = [
    ({}, "[sinks.postcard]: 'address' is missing and has no default"),
    ({"address": 1}, "sinks.postcard.address is a string, not 1"),
    ({"address": "x", "stamp": 1}, "[sinks.postcard]: unknown key 'stamp'; did you mean 'stamps'?"),
    ({"address": "x", "zzz": 1}, f"[sinks.postcard]: unknown key 'zzz'; it has {NAMES}"),
    ({"address": "x", "_sent": 1}, None),
    ({"address": "x", "name": "y"}, None),
    ({"address": "x", "stamps": True}, "sinks.postcard.stamps is a whole number, not true"),
    ({"address": "x", "stamps": 1.0}, "sinks.postcard.stamps is a whole number, not 1.0"),
    ({"address": "x", "wait_s": "1"}, 'sinks.postcard.wait_s is a number, not "1"'),
    ({"address": "x", "colours": "red"}, 'sinks.postcard.colours is a list, not "red"'),
    ({"address": "x", "colours": ["red", 2]}, "sinks.postcard.colours[1] is a string, not 2"),
    ({"address": "x", "size": "huge"}, 'sinks.postcard.size is "small" or "large", not "huge"'),
    ({"address": "x", "headers": []}, "sinks.postcard.headers is a table, not []"),
    ({"address": "x", "limit": 1.5}, "sinks.postcard.limit cannot be 1.5"),
    ({"address": "x" * 50, "stamps": "y" * 50}, f'sinks.postcard.stamps is a whole number, not "{"y" * 36}…'),
]


@pytest.mark.parametrize(("table", "said"), WRONG)
def test_what_is_wrong_is_said(table: dict[str, Any], said: str | None) -> None:
    with pytest.raises(ConfigError) as refused:
        made(table)

    assert said in (None, str(refused.value))


def test_what_the_class_itself_refuses_is_said() -> None:
    assert build(Picky, {"count": 3}, "picky") == Picky(count=3)
    with pytest.raises(ConfigError, match=r"^\[picky\]: more than 3 is too many$"):
        build(Picky, {"count": 4}, "picky")


def test_a_name_that_was_given_up_says_what_came_of_it() -> None:
    with pytest.raises(ConfigError, match=r"^picky\.number is called count now$"):
        build(Picky, {"number": 1}, "picky", known_names={"picky.number": "is called count now"})


def test_options_are_the_public_fields() -> None:
    assert [option.name for option in options(Picky)] == ["count"]
    assert "_sent" not in [option.name for option in options(Postcard)]


def test_a_value_from_the_command_line_is_held_to_the_same_type() -> None:
    assert value_of(Postcard, "size", "large", "--size") == "large"
    with pytest.raises(ConfigError, match=r"^--size is "):
        value_of(Postcard, "size", "huge", "--size")


def test_docstrings_below_the_fields_are_found() -> None:
    assert docstrings(Postcard) == {"address": "Where it goes.", "stamps": "How many.\n\nMore for abroad."}


def test_a_sample_has_what_is_explained() -> None:
    assert sample_of(made({"address": "there"}), Postcard) == [
        "# Where it goes.",
        '#address = "there"',
        "",
        "# How many.",
        "# ",
        "# More for abroad.",
        "#stamps = 1",
        "",
    ]


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


@dataclass(kw_only=True)
class Inner:
    host: str
    port: int = 80


WHEN = dt.datetime(2026, 11, 30, 9, 0)  # noqa: DTZ001  # TOML has times without a zone
TAKEN: list[tuple[Any, Any, Any]] = [
    (bool, True, True),
    (int, 3, 3),
    (float, 3, 3.0),
    (str, "x", "x"),
    (Path, "/x", Path("/x")),
    (Any, [1], [1]),
    (list, [1, "a"], [1, "a"]),
    (list[str], ["a"], ["a"]),
    (list[Path], ["/a"], [Path("/a")]),
    (tuple, [1], (1,)),
    (tuple[int, ...], [1, 2], (1, 2)),
    (tuple[str, int], ["a", 2], ("a", 2)),
    (set[str], ["a", "a"], {"a"}),
    (frozenset[int], [1], frozenset([1])),
    (Sequence[str], ["a"], ("a",)),
    (typing.List[str], ["a"], ["a"]),  # noqa: UP006
    (dict, {"a": [1]}, {"a": [1]}),
    (dict[str, Path], {"a": "/a"}, {"a": Path("/a")}),
    (Mapping[str, int], {"a": 1}, {"a": 1}),
    (str | None, "x", "x"),
    (typing.Optional[int], 3, 3),  # noqa: UP045
    (int | str, "x", "x"),
    (Literal["a", 2], 2, 2),
    (Colour, "red", Colour.RED),
    (Colour, "BLUE", Colour.BLUE),
    (Colour, 2, Colour.BLUE),
    (dt.datetime, WHEN, WHEN),
    (dt.date, WHEN.date(), WHEN.date()),
    (dt.time, WHEN.time(), WHEN.time()),
    (Inner, {"host": "a"}, Inner(host="a", port=80)),
    (list[Inner], [{"host": "a", "port": 1}], [Inner(host="a", port=1)]),
    (typing.Annotated[int, "stamps"], 3, 3),
    (typing.NewType("Stamps", int), 3, 3),
    (bytes, b"x", b"x"),
]


@pytest.mark.parametrize(("annotation", "value", "option"), TAKEN, ids=lambda each: str(each)[:30])
def test_what_sinks_authors_write_is_taken(annotation: Any, value: Any, option: Any) -> None:
    cls = make_dataclass("Made", [("it", annotation)], kw_only=True)
    made = build(cls, {"it": value}, "sinks.made").it  # type: ignore[attr-defined]
    assert (made, type(made)) == (option, type(option))


REFUSED: list[tuple[Any, Any, str]] = [
    (tuple[str, int], ["a"], 'sinks.made.it is a list of 2, not ["a"]'),
    (list[int], ["a"], 'sinks.made.it[0] is a whole number, not "a"'),
    (dict[str, int], {"a": "b"}, 'sinks.made.it.a is a whole number, not "b"'),
    (Literal["a", 2], "b", 'sinks.made.it is "a" or 2, not "b"'),
    (Colour, "green", 'sinks.made.it is "red" or 2, not "green"'),
    (dt.datetime, "09:00", 'sinks.made.it is a date with a time, as 2026-11-30T09:00:00, not "09:00"'),
    (dt.date, WHEN, "sinks.made.it cannot be"),
    (Inner, {"prot": 1}, "[sinks.made.it]: unknown key 'prot'; did you mean 'port'?"),
    (
        dt.timedelta,
        30,
        "sinks.made.it cannot be set: a configuration holds no timedelta; let the option be",
    ),
    (bytes, "x", "sinks.made.it cannot be set: a configuration holds no bytes; let the option be"),
    (Pattern, "x", "sinks.made.it cannot be set: a configuration holds no Pattern; let the option be"),
]


@pytest.mark.parametrize(("annotation", "value", "reason"), REFUSED, ids=lambda each: str(each)[:30])
def test_what_does_not_fit_is_said_with_what_does(annotation: Any, value: Any, reason: str) -> None:
    cls = make_dataclass("Made", [("it", annotation)], kw_only=True)
    with pytest.raises(ConfigError) as raised:
        build(cls, {"it": value}, "sinks.made")
    assert str(raised.value).startswith(reason)
