"""One connection's socket: brings a session what arrives, and does on the socket what it wants done."""

import asyncio
import json
import math
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from .actions import Action, Close, Say
from .faults import Fault
from .record import now_s
from .session import Session
from .wire import dumps

UNSENT_BYTES_MAX: Final = 16 << 20
"""What may wait for a client that does not read; beyond it the connection is cut."""
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Link:
    """Belongs to the event loop's thread. `note` records an event, `beyond` takes the listener's faults."""

    def __init__(
        self,
        connection: ServerConnection,
        session: Session,
        *,
        number: int,
        note: Callable[..., None],
        beyond: Callable[[Fault], None],
        keep_audio: bool,
    ) -> None:
        self.session = session
        self.number = number
        """Which session this is, or would be if it began."""
        self.is_kept = False
        """The upgrade is done, and somebody waits for what arrives."""
        self._connection = connection
        self._note = note
        self._beyond = beyond
        self._keep_audio = keep_audio
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None

    def take(self, message: bytes | str) -> None:
        """Take what the client sent."""
        if isinstance(message, bytes):
            self._note("audio", size=len(message), **({"pcm": message} if self._keep_audio else {}))
        else:
            self._note("control", message=_parsed(message))
        self.session.take(message, now_s())
        self.run()

    def run(self) -> None:
        """Do what is due, and come back when there is more."""
        for action in self.session.due(now_s()):
            self._do(action)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake_at_s = self.session.wake_at_s()
        if wake_at_s < math.inf:
            # The loop's clock is the monotonic one.
            self._timer = self._loop.call_at(wake_at_s, self.run)

    def cut(self, *, reset: bool) -> None:
        """End the connection without a close frame."""
        transport = self._connection.transport
        if reset and (raw := transport.get_extra_info("socket")) is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()

    def end(self) -> None:
        """The connection is over: note how."""
        if self._timer is not None:
            self._timer.cancel()
        self.session.over = True
        protocol = self._connection.protocol
        by = "nobody"
        if protocol.close_rcvd is not None and protocol.close_rcvd_then_sent:
            by = "client"
        elif protocol.close_sent is not None:
            by = "service"
        self._note("ended", code=protocol.close_code, reason=protocol.close_reason, by=by)

    def _do(self, action: Action) -> None:
        if isinstance(action, Say):
            self._say(action)
        elif isinstance(action, Close):
            if self._closing is None:
                self._closing = self._loop.create_task(self._close(action))
        else:
            self._note("fault", name=action.fault.name)
            self._suffer(action.fault)

    def _say(self, action: Say) -> None:
        connection = self._connection
        if connection.protocol.state is not State.OPEN:
            return
        # Without waiting for a slow reader: what is said stays in order with a reset that follows.
        connection.protocol.send_text(dumps(action.message).encode())
        # Noted first: what a client has heard is in the record, whoever looks there next.
        self._note("sent", message=action.message)
        connection.send_data()
        if connection.transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self.cut(reset=True)

    async def _close(self, action: Close) -> None:
        with suppress(ConnectionClosed):
            await self._connection.close(action.code, action.reason)

    def _suffer(self, fault: Fault) -> None:
        match fault.name:
            case "reset" | "drop":
                self.cut(reset=fault.name == "reset")
            case "black_hole":
                self._stop_reading()
                if fault.for_s is not None:
                    self._loop.call_later(fault.for_s, self._read_again)
            case "heal":
                self._read_again()
            case "refuse":
                self._beyond(fault)

    def _stop_reading(self) -> None:
        # The library would read on as soon as its queue has room.
        self._connection.recv_messages.resume = lambda: None
        self._connection.transport.pause_reading()

    def _read_again(self) -> None:
        transport = self._connection.transport
        self._connection.recv_messages.resume = transport.resume_reading
        if not transport.is_closing():
            transport.resume_reading()


def _parsed(text: str) -> Any:
    try:
        message = json.loads(text)
    except ValueError:
        return text
    return message if isinstance(message, dict) else text
