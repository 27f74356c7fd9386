"""Places at which a test has this very process killed, to see what its successor makes of it.

`MINUTED_CRASH_AT` is `NAME:COUNT:FILE`: the process that passes the place for the COUNTth time ends as
by `kill -9`, once in all: FILE must not exist, and is made to say that it happened.
"""

import os
import signal
from typing import Final

NAME: Final = "MINUTED_CRASH_AT"

_wanted, _, _rest = os.environ.get(NAME, "").partition(":")
_count, _, _file = _rest.partition(":")
_passed = 0


def reached(place: str) -> None:
    """Say that the process has come to a place; returns, but in a test."""
    if place == _wanted:
        _count_it()


def _count_it() -> None:
    global _passed  # noqa: PLW0603  # there is one process
    _passed += 1
    if _passed != int(_count):
        return
    try:
        os.close(os.open(_file, os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
