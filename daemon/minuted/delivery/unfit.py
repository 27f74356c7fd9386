"""What keeps a class from being a sink, in a sentence that says what to write instead."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Final

from minuted.sink import Sink

METHODS: Final[Mapping[str, str]] = {
    "open": "self",
    "write": "self, turn",
    "prepare": "self, record",
    "revise": "self, turn",
    "revise_all": "self, turns",
    "partial": "self, turn",
    "gap": "self, gap",
    "close": "self",
    "check": "self",
}
"""The methods that are called, with their arguments."""


def classes(names: Sequence[str]) -> str:
    """Return what is wrong with the classes a file derives from Sink; "" where there is the one."""
    if not names:
        return "defines no sink: it needs one class that is derived from Sink, as `class TextLog(Sink):`"
    if len(names) > 1:
        return (
            f"defines {len(names)} sinks, {' and '.join(names)}: keep one in each file, "
            "or begin the name of one that is only a base with _"
        )
    return ""


def methods(cls: type[Sink]) -> str:
    """Return what is wrong with the methods of a sink, such that a call would do nothing or fail for ever."""
    if "write" in getattr(cls, "__abstractmethods__", ()):
        return f"{cls.__name__} does not define write(self, turn)"
    if missing := sorted(getattr(cls, "__abstractmethods__", ())):
        return f"{cls.__name__} does not define {' and '.join(missing)}"
    return next(filter(None, (_wrong(cls, name) for name in METHODS)), "")


def _wrong(cls: type[Sink], name: str) -> str:
    method = inspect.getattr_static(cls, name)
    if not inspect.isfunction(method) or method is inspect.getattr_static(Sink, name):
        return ""
    place = f" ({method.__code__.co_filename.rpartition('/')[2]}:{method.__code__.co_firstlineno})"
    wanted = f"def {name}({METHODS[name]})"
    if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
        return (
            f"{name} is async, and nobody would await it: write `{wanted}`, with asyncio.run() in it{place}"
        )
    if inspect.isgeneratorfunction(method):
        return f"{name} has a `yield`, so that a call of it would do nothing: write it without{place}"
    try:
        inspect.signature(method).bind(*METHODS[name].split(", "))
    except TypeError:
        return f"{name} does not take what it is called with: write `{wanted}`{place}"
    return ""
