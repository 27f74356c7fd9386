"""Places at which a test has this very process killed, to see what its successor makes of it.

`MINUTED_CRASH_AT` is `NAME:COUNT:FILE`, or several parted by spaces: the process that passes the place for
the COUNTth time ends as by `kill -9`, once in all: FILE must not exist, and is made to say that it happened.
"""

import os
import signal
from collections import Counter
from typing import Final

NAME: Final = "MINUTED_CRASH_AT"

_wanted = {
    name: (int(count), file)
    for name, count, file in (each.split(":", 2) for each in os.environ.get(NAME, "").split())
}
_passed: Counter[str] = Counter()


def reached(place: str) -> None:
    """Say that the process has come to a place; returns, but in a test."""
    if place in _wanted:
        _count_it(place)


def _count_it(place: str) -> None:
    count, file = _wanted[place]
    _passed[place] += 1
    if _passed[place] != count:
        return
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
