"""Who may be connected to a server: so many in all, so many from one address, and nobody who only sits there.

`Connections` is pure: time comes in as an argument. `Listener` is a listening socket that keeps to it from
the accept on, before a TLS handshake, a head or a thread has cost anything.
"""

import socket
import time
from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

SURPLUS_AT_ONCE_MAX: Final = 100
"""Connections refused in one go; a server has others to see to."""


@dataclass(slots=True)
class _Connection:
    address: str
    since_s: float
    is_idle: bool = True


class Connections:
    """The connections that are open. One is idle until it has asked for something."""

    def __init__(self, count_max: int, per_address_max: int, idle_s_max: float, s_max: float) -> None:
        self.refused = 0
        """Connections that were ended for another's sake, or were one too many."""
        self._count_max, self._per_address_max = count_max, per_address_max
        self._idle_s_max, self._s_max = idle_s_max, s_max
        self._open: dict[Hashable, _Connection] = {}

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, key: Hashable, address: str, now_s: float) -> Hashable | None:
        """Take in a connection; return the one that is to be ended for it, which may be itself.

        That is the oldest idle one from its own address where that has its fill, else from the address
        with the most.
        """
        self._open[key] = _Connection(address, now_s)
        counts = Counter(each.address for each in self._open.values())
        if counts[address] <= self._per_address_max and len(self._open) <= self._count_max:
            return None
        crowd = address if counts[address] > self._per_address_max else counts.most_common(1)[0][0]
        idle = (each for each, its in self._open.items() if its.address == crowd and its.is_idle)
        ended = next((each for each in idle if each != key), key)
        del self._open[ended]
        self.refused += 1
        return ended

    def asks(self, key: Hashable) -> None:
        """Note that a connection has asked for something: it is not idle any more."""
        if key in self._open:
            self._open[key].is_idle = False

    def ended(self, key: Hashable) -> None:
        self._open.pop(key, None)

    def late(self, now_s: float) -> list[Any]:
        """Return those whose time is over: to ask, or in all."""
        return [
            key
            for key, its in self._open.items()
            if now_s - its.since_s >= (self._idle_s_max if its.is_idle else self._s_max)
        ]


class Accepted(socket.socket):
    """An accepted connection that says when it is closed."""

    on_close: Callable[["Accepted"], None] | None = None

    def close(self) -> None:
        if self.on_close is not None:
            self.on_close(self)
            self.on_close = None
        super().close()


class Listener(socket.socket):
    """A listening socket that admits, by `connections`, whoever connects."""

    def __init__(
        self, listening: socket.socket, connections: Connections, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(listening.family, listening.type, listening.proto, fileno=listening.detach())
        self.connections = connections
        self._now_s = now_s

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept the next connection that may stay. Raises ConnectionAbortedError after many that may not."""
        for _ in range(SURPLUS_AT_ONCE_MAX):
            descriptor, address = self._accept()  # type: ignore[attr-defined]  # as socket.accept has it
            accepted = Accepted(self.family, self.type, self.proto, fileno=descriptor)
            ended = self.connections.admit(accepted, str(address[0]), self._now_s())
            if ended is accepted:
                accepted.close()
                continue
            if isinstance(ended, Accepted):
                end(ended)
            accepted.on_close = self.connections.ended
            return accepted, address
        raise ConnectionAbortedError("too many connections")

    def end_late(self) -> None:
        """End the connections whose time is over; call it now and then."""
        for each in self.connections.late(self._now_s()):
            self.connections.ended(each)
            end(each)


def end(connection: socket.socket) -> None:
    """End a connection: whoever serves it reads its end, and closes it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
