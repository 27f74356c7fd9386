"""The clocks of this machine, and whether two readings can be compared.

Lengths are measured by the boot clock: it cannot be set, and goes on while the machine sleeps. It begins anew
with each boot, so a reading that is stored has the boot's id with it. The wall clock names moments; it may be
set at any time, forwards or back.
"""

import ctypes
import os
import secrets
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
BOOT_ID_NAME: Final = "MINUTED_BOOT_ID"
"""The environment variable that has it where the unit's sandbox hides /proc/sys (`%b` of systemd.unit(5))."""
SYNCHRONISED: Final = Path("/run/systemd/timesync/synchronized")
"""There once systemd-timesyncd has set the clock in this boot."""
UNKNOWN: Final = "unknown-"
"""The id of a boot that cannot be known begins with it."""
TIME_ERROR: Final = 5
"""What adjtimex(2) returns for a clock that is not synchronised."""
_TIMEX_BYTES: Final = 1024
"""More than struct timex has anywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Both clocks at one moment."""

    boot_id: str
    boot_ms: int
    wall_ms: int


def read() -> Reading:
    """Return both clocks as they are now."""
    return Reading(boot_id=boot_id(), boot_ms=boot_ms(), wall_ms=wall_ms())


def boot_ms() -> int:
    """Return milliseconds since the machine was booted, its sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def wall_ms() -> int:
    """Return epoch milliseconds."""
    return time.time_ns() // 1_000_000


@cache
def boot_id() -> str:
    """Return the id of this boot; where it cannot be known, one that no other process has."""
    try:
        found = BOOT_ID.read_text(encoding="ascii")
    except (OSError, ValueError):
        found = os.environ.get(BOOT_ID_NAME, "")
    return found.strip().replace("-", "") or UNKNOWN + secrets.token_hex(8)


def are_two_boots(one: str, other: str) -> bool:
    """Return whether two ids are surely of different boots. Pure."""
    return one != other and not any(each.startswith(UNKNOWN) or not each for each in (one, other))


def kernel_state() -> int:
    """Return what adjtimex(2) says of the clock; negative where it is not allowed."""
    return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))


def is_set() -> bool:
    """Return whether the wall clock is known to have been set by a time server."""
    return SYNCHRONISED.exists() or 0 <= kernel_state() < TIME_ERROR
