"""Options as annotated attributes: TOML tables in, dataclasses out, errors a person can act on.

Used for `minuted.toml`'s sections and for every sink's options alike.
"""

import ast
import collections.abc
import datetime as dt
import difflib
import enum
import inspect
import itertools
import json
import re
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path, PurePath
from typing import Any, Final, Literal, TypeVar


class ConfigError(ValueError):
    """The configuration must change before a new try makes sense: exit status 78."""


class InputError(ConfigError):
    """A recording that is to be heard is not there, or there is no sound to be had from it."""


_T = TypeVar("_T")


def build(
    cls: type[_T],
    table: Mapping[str, Any],
    where: str,
    *,
    hidden: Iterable[str] = (),
    known_names: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> _T:
    """Make a dataclass of options from a TOML table.

    `folder` is where relative paths begin; without one they are left as they are.

    `where` names the table in errors; `known_names` says of certain keys ("session.language_code") why
    they are not to be used. Raises ConfigError for an unknown key (with a did-you-mean),
    a wrong type or a missing option that has no default.
    """
    known = {option.name: option for option in options(cls) if option.name not in hidden}
    prefix = f"{where}." if where else ""
    for key in table:
        if key in known:
            continue
        if note := (known_names or {}).get(prefix + key):
            raise ConfigError(f"{prefix}{key} {note}")
        close = difflib.get_close_matches(key, known, 1, 0.6)
        hint = f"; did you mean {close[0]!r}?" if close else f"; it has {', '.join(known)}" if known else ""
        raise ConfigError(f"{f'[{where}]: ' if where else ''}unknown key {key!r}{hint}")
    for name, option in known.items():
        if name not in table and option.default is MISSING and option.default_factory is MISSING:
            raise ConfigError(f"[{where}]: {name!r} is missing and has no default")
    hints = typing.get_type_hints(cls)
    given = {
        key: _convert(hints[key], value, prefix + key, known_names, folder) for key, value in table.items()
    }
    try:
        return cls(**given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"[{where}]: {error}") from None


def not_toml(text: str, error: Exception) -> ConfigError:
    """Return the error for a text that is no TOML, with what to do where something stands twice."""
    if found := re.match(r"Cannot declare \((.*?),?\) twice", str(error)):
        name = ".".join(re.findall(r"'((?:[^'\\]|\\.)*)'", found[1]))
        header = re.compile(rf"\s*\[\s*{re.escape(name)}\s*\]")
        lines = [str(at) for at, line in enumerate(text.splitlines(), 1) if header.match(line)]
        where = f", in lines {' and '.join(lines)}" if len(lines) > 1 else ""
        return ConfigError(f"[{name}] stands twice{where}: put the keys of both under one of them")
    if found := re.match(r"Cannot overwrite a value \(at line (\d+)", str(error)):
        key = text.splitlines()[int(found[1]) - 1].partition("=")[0].strip()
        return ConfigError(f"{key} is set a second time in line {found[1]}: keep one of the two")
    return ConfigError(f"not TOML: {error}")


def options(cls: type) -> tuple["Field[Any]", ...]:
    """Give the options a dataclass declares: its public fields."""
    return tuple(option for option in fields(cls) if option.init and not option.name.startswith("_"))


def value_of(cls: type, name: str, value: Any, where: str) -> Any:
    """Give a value as the option `name` of `cls` wants it. Raises ConfigError."""
    return _convert(typing.get_type_hints(cls)[name], value, where)


def _convert(
    hint: Any,
    value: Any,
    where: str,
    known_names: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Any:
    """Give a TOML value as the option's type, or raise ConfigError in words a person understands."""
    hint = _bare(hint)
    origin = typing.get_origin(hint)
    if origin is typing.Union or origin is types.UnionType:
        inner = [member for member in typing.get_args(hint) if member is not types.NoneType]
        if len(inner) > 1:
            for member in inner:
                try:
                    return _convert(member, value, where, folder=folder)
                except ConfigError:
                    continue
            raise ConfigError(f"{where} cannot be {_shown(value)}")
        return _convert(inner[0], value, where, folder=folder)
    if is_dataclass(hint) and isinstance(hint, type):
        return build(hint, table_of(value, where), where, known_names=known_names, folder=folder)
    if origin is Literal:
        if value in typing.get_args(hint):
            return value
        raise ConfigError(f"{where} is {_choices(typing.get_args(hint))}, not {_shown(value)}")
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _member(hint, value, where)
    if collection := _COLLECTIONS.get(origin or hint):
        return _collected(collection, typing.get_args(hint), value, where, folder)
    if (origin or hint) in (dict, collections.abc.Mapping, collections.abc.MutableMapping):
        inner = [*typing.get_args(hint), Any, Any][1]
        return {
            key: _convert(inner, item, f"{where}.{key}", folder=folder)
            for key, item in table_of(value, where).items()
        }
    if hint not in _PLAIN:
        return _taken_as_it_is(hint, value, where)
    convert, wanted, accepted = _PLAIN[hint]
    if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where} is {wanted}, not {_shown(value)}")
    try:
        return path_of(str(value), folder) if hint in (Path, PurePath) else convert(value)
    except (RuntimeError, ValueError, OverflowError) as error:
        raise ConfigError(f"{where} cannot be {_shown(value)}: {error}") from None


def _bare(hint: Any) -> Any:
    """Return an annotation without what only type checkers read."""
    while True:
        if typing.get_origin(hint) in (typing.Annotated, typing.Final):
            hint = typing.get_args(hint)[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        else:
            return hint


def _collected(
    collection: Callable[[Any], Any], hints: tuple[Any, ...], value: Any, where: str, folder: Path | None
) -> Any:
    """Return a TOML list as the collection that an option wants; a tuple may name each of its members."""
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where} is a list, not {_shown(value)}")
    each_has_its_own = collection is tuple and len(hints) > 1 and hints[-1] is not Ellipsis
    if each_has_its_own and len(value) != len(hints):
        raise ConfigError(f"{where} is a list of {len(hints)}, not {_shown(value)}")
    inner = hints if each_has_its_own else itertools.repeat(hints[0] if hints else Any)
    pairs = zip(inner, value, strict=False)
    return collection(
        [_convert(hint, item, f"{where}[{n}]", folder=folder) for n, (hint, item) in enumerate(pairs)]
    )


def _member(cls: type[enum.Enum], value: Any, where: str) -> enum.Enum:
    """Return the member of an Enum that has this value, or this name."""
    for member in cls:
        if value in (member.value, member.name) and not isinstance(value, bool):
            return member
    raise ConfigError(f"{where} is {_choices(member.value for member in cls)}, not {_shown(value)}")


def _taken_as_it_is(hint: Any, value: Any, where: str) -> Any:
    """Return a value of a type that is not converted. Raises ConfigError where it is of another type."""
    if hint is Any or not isinstance(hint, type) or isinstance(value, hint):
        return value
    raise ConfigError(
        f"{where} cannot be set: a configuration holds no {hint.__name__}; let the option be a str, a "
        "number, a list or a table, and make it into one in open()"
    )


def _choices(values: Iterable[Any]) -> str:
    return " or ".join(json.dumps(value, default=str) for value in values if value != "")


def path_of(value: str | Path, folder: Path | None = None) -> Path:
    """Return a path as it was meant, beginning at `folder` where it is relative.

    Raises ValueError and RuntimeError for what would lead elsewhere.
    """
    text = str(value)
    if "\0" in text:
        raise ValueError("no path has a zero in it")
    if not text.strip():
        raise ValueError("it is empty")
    if variable := _VARIABLE.search(text):
        raise ValueError(
            f"{variable[0]} is not replaced by its value here: write the whole path, or begin it with ~/"
        )
    return Path(folder or "", Path(text).expanduser())


_VARIABLE: Final = re.compile(r"\$([A-Z_][A-Z0-9_]*\b|\{\w+\})")


def _same(value: Any) -> Any:
    return value


def _date(value: dt.date) -> dt.date:
    if isinstance(value, dt.datetime):
        raise ValueError("it has a time")  # noqa: TRY004  # the value, not the type, is wrong to a reader
    return value


_PLAIN: Final[dict[Any, tuple[Callable[[Any], Any], str, tuple[type, ...]]]] = {
    bool: (bool, "true or false", (bool,)),
    int: (int, "a whole number", (int,)),
    float: (float, "a number", (int, float)),
    str: (str, "a string", (str,)),
    Path: (path_of, "a path", (str, Path)),
    PurePath: (path_of, "a path", (str, Path)),
    # A date with a time is a date to Python, but not to a reader.
    dt.datetime: (_same, "a date with a time, as 2026-11-30T09:00:00", (dt.datetime,)),
    dt.date: (_date, "a date, as 2026-11-30", (dt.date,)),
    dt.time: (_same, "a time, as 09:00:00", (dt.time,)),
}
_COLLECTIONS: Final[dict[Any, Callable[[Any], Any]]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    collections.abc.Set: frozenset,
    **dict.fromkeys((collections.abc.Sequence, collections.abc.Collection, collections.abc.Iterable), tuple),
}


def table_of(value: Any, where: str) -> dict[str, Any]:
    """Give a TOML value that must be a table. Raises ConfigError."""
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is a table, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:37]}…"


def docstrings(cls: type) -> dict[str, str]:
    """Give the one-line docstring that stands below each field of a dataclass."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for before, after in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(before, ast.AnnAssign)
            and isinstance(before.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[before.target.id] = inspect.cleandoc(str(after.value.value))
    return found


def sample_of(values: Any, cls: type) -> list[str]:
    """Write a section's keys as a sample file has them: meaning, name and default, commented out."""
    lines = []
    notes = docstrings(cls)
    for option in options(cls):
        value = getattr(values, option.name)
        if option.name not in notes or is_dataclass(value):
            continue
        lines += [f"# {line}" for line in notes[option.name].splitlines()]
        lines += [f"#{option.name} = {_toml(value)}" if value is not None else f"#{option.name} =", ""]
    return lines


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
