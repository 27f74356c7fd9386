"""One client's session, from Begin to the close: messages in, messages out, and the clocks beside."""

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from json import dumps
from typing import Any, Final

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from minuted.engine import protocol
from minuted.engine.parameters import Parameters, Refusal, update
from minuted.engine.worker import Done, Said, Worker

log = structlog.get_logger(__name__)

HEARTBEAT_S: Final = 5.0
OUTGOING_MAX: Final = 2_000
"""Messages that may wait for a client that does not read; beyond that its session is broken off."""


@dataclass(frozen=True, slots=True)
class _Close:
    code: int
    reason: str


class Session:
    """Serves one accepted client. `make_worker` starts its recogniser, which is told whom to tell."""

    def __init__(
        self,
        socket: ServerConnection,
        parameters: Parameters,
        session_s_max: float,
        make_worker: Callable[[Parameters, Callable[[Said], None]], Worker],
    ) -> None:
        self.id = str(uuid.uuid4())
        self._socket = socket
        self._parameters = parameters
        self._session_s_max = session_s_max
        self._loop = asyncio.get_running_loop()
        self._outgoing: asyncio.Queue[dict[str, Any] | Refusal | _Close] = asyncio.Queue()
        self._started_s = self._message_s = time.monotonic()
        self._ending = False
        self.worker = make_worker(parameters, self._say)

    async def run(self, model_name: str, api_version: str | None) -> None:
        """Serve until the client, a failure or the engine ends the session."""
        expires_at_s = int(time.time() + self._session_s_max)
        self._outgoing.put_nowait(protocol.begin(self.id, expires_at_s, model_name, api_version))
        self._warn()
        tasks = [asyncio.create_task(self._or_fail(work())) for work in (self._read, self._watch)]
        try:
            with suppress(ConnectionClosed):
                await self._write()
        finally:
            for task in tasks:
                task.cancel()
            self.worker.abandon()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(self.worker.join)

    async def _or_fail(self, work: Coroutine[Any, Any, None]) -> None:
        """End the session by whatever ends its work."""
        try:
            await work
        except Exception:  # one session's failure is not the engine's
            log.exception("session_failed", session_id=self.id)
            self._outgoing.put_nowait(protocol.failed())

    async def _write(self) -> None:
        while True:
            item = await self._outgoing.get()
            if isinstance(item, _Close):
                await self._socket.close(item.code, item.reason)
                return
            if isinstance(item, Refusal):
                await refuse(self._socket, item)
                log.info("session_refused", session_id=self.id, code=item.code)
                return
            await self._socket.send(dumps(item))

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for message in self._socket:
                self._message_s = time.monotonic()
                # What still comes is read all the same: the close's answer is behind it.
                if not self._ending:
                    self._take(message)
        # The client has gone, with a Terminate or without, or the engine stops.
        self._outgoing.put_nowait(_Close(1000, ""))

    def _take(self, message: str | bytes) -> None:
        try:
            self._obey(message)
        except Refusal as refusal:
            self._ending = True
            self._outgoing.put_nowait(refusal)

    def _obey(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self.worker.add(message, self._session_s())
            return
        kind, values = protocol.parse_message(message)
        if kind == "UpdateConfiguration":
            before, self._parameters = self._parameters, update(self._parameters, values)
            self.worker.configure(self._parameters)
            if set(self._parameters.without_effect) - set(before.without_effect):
                self._warn()
        elif kind == "ForceEndpoint":
            self.worker.end_turn()
        elif kind == "Terminate":
            self._ending = True
            self.worker.terminate()

    async def _watch(self) -> None:
        """Send heartbeats; end the session when it expires or the client has been quiet for too long."""
        beat_s, taken_ms = self._started_s, 0
        while True:
            now_s = time.monotonic()
            timeout_s = None if self._ending else self._parameters.inactivity_timeout
            if now_s >= self._started_s + self._session_s_max:
                return self._outgoing.put_nowait(protocol.expired())
            if timeout_s and now_s >= self._message_s + timeout_s:
                return self._outgoing.put_nowait(protocol.inactive(timeout_s))
            if now_s >= beat_s + HEARTBEAT_S:
                self._beat((self.worker.taken_ms - taken_ms) / 1000 / (now_s - beat_s))
                beat_s, taken_ms = now_s, self.worker.taken_ms
            next_s = min(beat_s + HEARTBEAT_S, self._started_s + self._session_s_max)
            if timeout_s:
                next_s = min(next_s, self._message_s + timeout_s)
            await asyncio.sleep(max(0.001, next_s - now_s))

    def _beat(self, realtime_factor: float) -> None:
        heard = self.worker.take_heard_speech()
        if self._parameters.session_heartbeat:
            self._outgoing.put_nowait(
                protocol.heartbeat(
                    self.worker.taken_ms, int(self._session_s() * 1000), realtime_factor, heard=heard
                )
            )

    def _warn(self) -> None:
        if warning := protocol.warning(self._parameters):
            self._outgoing.put_nowait(warning)

    def _say(self, said: Said) -> None:
        """Take what the worker says, from its thread."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._said, said)

    def _said(self, said: Said) -> None:
        if isinstance(said, Done):
            audio_ms = self.worker.received_ms
            self._outgoing.put_nowait(protocol.termination(audio_ms, self._session_s()))
            self._outgoing.put_nowait(_Close(1000, "Session Ended"))
            return
        self._outgoing.put_nowait(said)
        if self._outgoing.qsize() > OUTGOING_MAX:
            log.warning("client_does_not_read", session_id=self.id)
            self._socket.transport.abort()

    def _session_s(self) -> float:
        return time.monotonic() - self._started_s


async def refuse(socket: ServerConnection, refusal: Refusal) -> None:
    """Send the Error and close with its code, as the service does. Somebody must go on reading."""
    with suppress(ConnectionClosed):
        await socket.send(dumps(protocol.error(refusal)))
        await socket.close(refusal.code, protocol.CLOSE_REASON)


async def turn_away(socket: ServerConnection, refusal: Refusal) -> None:
    """Refuse a client that never got a session; it may already be sending."""
    reading = asyncio.create_task(_ignore(socket))
    await refuse(socket, refusal)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def _ignore(socket: ServerConnection) -> None:
    async for _ in socket:
        pass
