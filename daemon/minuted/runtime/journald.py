"""Log events as journald keeps them: each with its fields and a priority, not as a line of JSON.

Source: systemd.io/JOURNAL_NATIVE_PROTOCOL: a datagram of `KEY=value` lines; a value with a newline
stands after its key and a newline, led by its length in eight bytes.
"""

import json
import os
import re
import socket
from collections.abc import Mapping
from typing import Any, Final

from .texts import clean

SOCKET: Final = "/run/systemd/journal/socket"
IDENTIFIER: Final = "minuted"
KEY_CHARACTERS_MAX: Final = 64
SEND_S_MAX: Final = 0.5
"""A journal that takes nothing for so long misses the event: a log must not hold up the sound."""
PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}

_NO_KEY: Final = re.compile("[^A-Z0-9_]")


def is_stderr(environment: Mapping[str, str]) -> bool:
    """Whether stderr is the journal's, as its variable says; a file or a pipe put in its place is not."""
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class Journal:
    """The way to journald, kept open."""

    def __init__(self, path: str = SOCKET) -> None:
        self.lost = 0
        """Events that it did not take; the next one says so."""
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(SEND_S_MAX)

    def send(self, event: Mapping[str, Any]) -> bool:
        """Send an event; False when it has to go another way.

        One that a busy journal does not take is lost: the other ways lead to the same journal.
        """
        lost = {"lost_events": self.lost} if self.lost else {}
        try:
            self._socket.sendto(datagram({**event, **lost}), self._path)
        except TimeoutError:
            self.lost += 1
            return True
        except OSError:
            return False
        self.lost = 0
        return True

    def close(self) -> None:
        self._socket.close()


def datagram(event: Mapping[str, Any]) -> bytes:
    """Put an event into the journal's form. Its fields are marked as ours, and cannot pass for others."""
    fields = {
        "MESSAGE": message(event),
        "PRIORITY": str(PRIORITIES.get(str(event.get("level")), PRIORITIES["info"])),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
    }
    for name, value in event.items():
        if name not in ("level", "timestamp"):
            key = f"MINUTED_{_NO_KEY.sub('_', name.upper())}"[:KEY_CHARACTERS_MAX]
            fields[key] = _text(value)
    return b"".join(_field(key, value.encode(errors="backslashreplace")) for key, value in fields.items())


def message(event: Mapping[str, Any]) -> str:
    """Write what `journalctl` shows of an event: its name and what belongs to it."""
    told = ("event", "level", "timestamp", "stage", "room", "exception")
    details = " ".join(f"{name}={_text(value)}" for name, value in event.items() if name not in told)
    first = " ".join(filter(None, [str(event.get("event", "")), details]))
    line = f"{event['stage']}: {first}" if event.get("stage") else first
    # `journalctl` hides a message with controls, and prints it as it is with `-o cat`.
    below = _text(event.get("exception", "")).split("\n")
    return "\n".join(filter(None, map(clean, [line, *below])))


def _text(value: object) -> str:
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _field(key: str, value: bytes) -> bytes:
    if b"\n" in value:
        return key.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
    return key.encode() + b"=" + value + b"\n"
