"""Plain values held to a declared shape: what was stored may be damaged, or another version's.

A shape is a type: `int`, `str | None`, `list[float]`, `tuple[int, ...]`, `dict[str, int]`, a Literal, a
TypedDict, a dataclass or a NamedTuple. What comes back is as plain as what came in. Pure.
"""

import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from math import isfinite
from typing import Any, Final, Literal

_TORN: Final = re.compile("[\ud800-\udfff]")
"""Halves of characters, which no file takes."""
INTEGER_MAX: Final = (1 << 63) - 1
"""What SQLite, msgpack and `struct` can hold."""


class MisshapenError(ValueError):
    """A value does not have its shape. The text names the place alone: values are private."""


def fitted(shape: Any, value: Any, where: str = "the value") -> Any:
    """Return a plain value as its shape has it. Raises MisshapenError.

    Unknown fields of a dataclass or NamedTuple are left out, missing ones with a default are filled in.
    """
    origin = typing.get_origin(shape)
    if shape is Any:
        return value
    if origin is typing.Union or origin is types.UnionType:
        return _one_of(typing.get_args(shape), value, where)
    if origin is Literal:
        if any(value == each and type(value) is type(each) for each in typing.get_args(shape)):
            return value
    elif origin in (list, tuple, Sequence):
        return _sequence(shape, value, where)
    elif origin in (dict, Mapping):
        key, member = typing.get_args(shape)
        if isinstance(value, dict):
            return {
                fitted(key, name, where): fitted(member, each, f"{where}.*") for name, each in value.items()
            }
    elif typing.is_typeddict(shape):
        if isinstance(value, dict):
            return value | _fields(
                _hints(shape), dict.fromkeys(shape.__optional_keys__, MISSING), value, where
            )
    elif is_dataclass(shape) or hasattr(shape, "_fields"):
        if isinstance(value, dict):
            return _fields(_hints(shape), _defaults(shape), value, where)
    elif _is_plain(shape, value):
        return value
    raise MisshapenError(f"{where} cannot be {type(value).__name__}")


def _is_plain(shape: Any, value: Any) -> bool:
    if shape is float and isinstance(value, float):
        return isfinite(value)
    if shape in (int, float):
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= INTEGER_MAX
    if isinstance(value, str) and shape is str:
        return value.isascii() or not _TORN.search(value)
    return value is None if shape is types.NoneType else isinstance(value, shape)


def _one_of(shapes: tuple[Any, ...], value: Any, where: str) -> Any:
    for shape in shapes:
        try:
            return fitted(shape, value, where)
        except MisshapenError:
            continue
    raise MisshapenError(f"{where} cannot be {type(value).__name__}")


def _sequence(shape: Any, value: Any, where: str) -> list[Any]:
    members = typing.get_args(shape)
    if not isinstance(value, list | tuple):
        raise MisshapenError(f"{where} cannot be {type(value).__name__}")
    if typing.get_origin(shape) is not tuple or members[-1] is Ellipsis:
        return [fitted(members[0], each, f"{where}[]") for each in value]
    if len(value) != len(members):
        raise MisshapenError(f"{where} cannot have {len(value)} members")
    return [fitted(member, each, f"{where}[]") for member, each in zip(members, value, strict=True)]


def _fields(
    hints: Mapping[str, Any], defaults: Mapping[str, Any], value: Mapping[str, Any], where: str
) -> dict[str, Any]:
    found = {}
    for name, hint in hints.items():
        if name in value:
            found[name] = fitted(hint, value[name], f"{where}.{name}")
        elif name not in defaults:
            raise MisshapenError(f"{where}.{name} is missing")
        elif defaults[name] is not MISSING:
            found[name] = defaults[name]
    return found


@cache
def _hints(shape: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(shape)
    names = [field.name for field in fields(shape)] if is_dataclass(shape) else hints
    return {name: hints[name] for name in names}


@cache
def _defaults(shape: Any) -> dict[str, Any]:
    if not is_dataclass(shape):
        return dict(shape._field_defaults)
    found = {}
    for field in fields(shape):
        if field.default is not MISSING:
            found[field.name] = field.default
        elif field.default_factory is not MISSING:
            found[field.name] = field.default_factory()
    return found
