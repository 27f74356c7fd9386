"""An exception from what a session said is that session's failure, and never the process's."""

import sqlite3
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from minuted.config import ConfigError
from minuted.transcription.cost import SpentError
from minuted.transcription.lane import Lane
from minuted.transcription.turns import Taken

if TYPE_CHECKING:
    from minuted.transcription.minutes import Minutes

PASSING: Final = (ConfigError, SpentError, sqlite3.Error, OSError)
"""No session's doing: a full disk (TurnJournalFullError), a broken journal, a setting, the day's limit."""

log = structlog.get_logger(__name__)


@contextmanager
def containing(minutes: "Minutes", lane: Lane) -> Iterator[None]:
    """Turn an exception into the lane's session having failed, with its marks where they were before.

    Whoever runs the loop has to lose the lane then, before anything more is heard of it.
    """
    ranges, last_seq = list(minutes.marks.ranges), minutes.last_seq
    try:
        yield
    except PASSING:
        raise
    except Exception as error:
        if minutes.last_seq == last_seq:  # else what was committed stands
            minutes.marks.ranges[:] = ranges
        lane.turn_is_open = True  # nothing that follows moves the mark over it
        # Neither its text nor its values: words may be among them.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        name = type(error).__name__
        log.error("event_failed", error=name, place=f"{Path(frame.filename).name}:{frame.lineno}")
        lane.session.fail(f"{name} over what the service said", is_unreadable=True)


Commit = Callable[["Minutes", Lane, Taken], None]


def contained(commit: Commit) -> Commit:
    """Wrap what commits a lane's final: a failed lane commits nothing more, and fails alone."""

    @wraps(commit)
    def commit_alone(minutes: "Minutes", lane: Lane, taken: Taken) -> None:
        if lane.session.failed is None:
            with containing(minutes, lane):
                commit(minutes, lane, taken)

    return commit_alone
