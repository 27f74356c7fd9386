"""Readiness, life and status by systemd's notify protocol, to systemd or to our own supervisor alike.

Source: sd_notify(3): datagrams of `KEY=value` lines to the unix socket named in NOTIFY_SOCKET.
"""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from .texts import clean, shortened

SEND_S_MAX: Final = 2.0
"""A receiver whose queue stays full for so long misses the message."""
VALUE_BYTES_MAX: Final = 2000
"""systemd passes over a datagram of more than 4096 bytes, and with it the READY in it."""


def ready(status: str = "") -> None:
    """Say that start-up is over and the process does its work."""
    send(READY="1", **({"STATUS": status} if status else {}))


def status(text: str) -> None:
    """Say in one line what the process does."""
    send(STATUS=text)


def stopping(timeout_s: float = 0.0) -> None:
    """Say that the end has begun, and how long it may take where that is known."""
    send(STOPPING="1", **({"EXTEND_TIMEOUT_USEC": str(round(timeout_s * 1e6))} if timeout_s else {}))


def reloading() -> None:
    """Say that the configuration is read again; `ready` says when that is over."""
    send(RELOADING="1", MONOTONIC_USEC=str(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000))


def alive() -> None:
    """Say what systemd's watchdog wants to hear."""
    send(WATCHDOG="1")


def watchdog_s(environment: Mapping[str, str]) -> float | None:
    """Give the time within which systemd wants to hear from this process; None where it does not."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) else None


def send(**values: str) -> None:
    """Send values; without a NOTIFY_SOCKET, or with nobody behind it, nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    # `systemctl status` prints a status as it is.
    message = "\n".join(f"{key}={shortened(clean(value), VALUE_BYTES_MAX)}" for key, value in values.items())
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.settimeout(SEND_S_MAX)
        # A path may hold what is no text.
        out.sendto(message.encode(errors="replace"), address)
