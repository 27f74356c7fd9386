"""Whether a process that ended is started again, and how long to wait before it."""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

FIRST_WAIT_S: Final = 0.2
WAIT_S_MAX: Final = 30.0
JITTER: Final = 0.25
"""The share of a wait that chance may take off, so that sinks of one cause do not return in step."""
HEALTHY_S: Final = 10.0
"""A process that was ready this long starts afresh: its earlier failures are forgotten."""
CRASHES_MAX: Final = 5
CRASHES_WITHIN_S: Final = 60.0
MISCONFIGURED: Final = 78
"""The exit status of a process that needs another configuration (sysexits.h: EX_CONFIG)."""

DEVICE_LOST: Final = 75
"""The exit status of capture whose device has gone or died: no crash, however often (EX_TEMPFAIL)."""
BROKE_OFF: Final = 65
"""The exit status of capture whose recording broke off, and was heard as far as that (EX_DATAERR)."""
SPENT: Final = 74
"""The exit status of a transcription that may spend no more today while a recording waits for it."""
CUT_OFF: Final = 124
"""The exit status of a sink whose call took too long; the next process waits by itself."""


class Kind(Enum):
    CORE = auto()
    """Without it nothing is transcribed: capture of a microphone, transcription, the engine."""
    RECORDING = auto()
    """Capture of a recording: its end is the run's end, and it is not played twice."""
    RESUMABLE = auto()
    """The same, but killed it is started again: the journal on the disk tells where it has to go on."""
    SINK = auto()


class Then(Enum):
    """What follows the end of a process."""

    AGAIN = auto()
    STAY_DOWN = auto()
    DRAIN = auto()
    GIVE_UP = auto()
    MISCONFIGURED = auto()


@dataclass(frozen=True)
class History:
    """How a process has fared."""

    failures: int = 0
    """In a row, each soon after it was ready, or before."""
    crashes_s: tuple[float, ...] = ()
    """When it crashed, within the last minute."""


def note_end(history: History, exit_status: int, healthy_s: float, now_s: float) -> History:
    """Add the end of a process that had been ready for `healthy_s`."""
    failures = 1 if healthy_s >= HEALTHY_S or exit_status == CUT_OFF else history.failures + 1
    if exit_status in (MISCONFIGURED, DEVICE_LOST):
        return replace(history, failures=failures)
    recent = tuple(then_s for then_s in history.crashes_s if now_s - then_s < CRASHES_WITHIN_S)
    return History(failures, (*recent, now_s)[-CRASHES_MAX:])


def after_end(kind: Kind, exit_status: int, history: History, *, first: bool, attended: bool) -> Then:
    """Say what follows an end.

    `first`: it never was ready, and this was its first start. `attended`: a recording is played and
    someone waits for its text. A room's core process that was well once and then finds itself
    misconfigured is tried again: its device may have been unplugged, its file half written.
    """
    if kind is Kind.SINK:
        if exit_status != MISCONFIGURED:
            return Then.AGAIN
        return Then.MISCONFIGURED if first else Then.STAY_DOWN
    if exit_status == MISCONFIGURED:
        if kind is Kind.RESUMABLE and not first:
            # It was there before: what has been heard is worth having.
            return Then.DRAIN
        return Then.MISCONFIGURED if first or attended else Then.AGAIN
    if exit_status == SPENT:
        return Then.DRAIN
    if kind is Kind.RECORDING or (kind is Kind.RESUMABLE and exit_status >= 0):
        return Then.DRAIN
    if exit_status == DEVICE_LOST:
        return Then.AGAIN
    return Then.GIVE_UP if len(history.crashes_s) >= CRASHES_MAX else Then.AGAIN


def wait_s(failures: int, chance: float, wait_s_max: float = WAIT_S_MAX) -> float:
    """Give the pause before the next start; `chance` is 0 to 1."""
    longest = min(wait_s_max, FIRST_WAIT_S * 2.0 ** min(failures - 1, 20))
    return longest * (1 - JITTER * chance)
