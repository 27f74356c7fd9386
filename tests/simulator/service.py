"""The simulated service: sessions on real sockets, in a thread of its own.

with Service(script=[Fault(name="reset", at_audio_ms=5000)], heartbeat_s=0.2) as service:
    ...  # a client on service.url
    service.fault("stall")
    service.wait_until(lambda: len(service.sessions) == 2)
"""

import asyncio
import json
import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from .doorkeeper import Doorkeeper
from .faults import BEFORE_UPGRADE, Fault, Script
from .link import Link
from .options import Options
from .parameters import Parameters, Refused, from_query
from .record import WAIT_S_MAX, Event, Observed, Record, now_s
from .session import Session

HOST: Final = "127.0.0.1"
MESSAGE_BYTES_MAX: Final = 128 * 1024
"""A larger message is answered by close 1009."""

_log = logging.getLogger("simulator")
_log.addHandler(logging.NullHandler())
_log.propagate = False


class Service(Observed):
    """Listens on 127.0.0.1 from `start` to `stop`, then again on the same port; a context manager.

    Keyword arguments beyond these are those of Options.
    """

    def __init__(
        self,
        script: Iterable[Fault] = (),
        *,
        port: int = 0,
        options: Options | None = None,
        keep_audio: bool = True,
        on_event: Callable[[Event], None] | None = None,
        **changes: Any,
    ) -> None:
        self.options = options or Options(**changes)
        self.record = Record()
        self._script = Script(script)
        self._keep_audio = keep_audio
        self._on_event = on_event
        self._door = Doorkeeper(self.options)
        self._links: dict[ServerConnection, Link] = {}
        self._open: set[ServerConnection] = set()
        """All TCP connections, with a session or without."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._errors: list[BaseException] = []
        # Bound and never listening: it keeps the port ours while nobody listens.
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._holder.bind((HOST, port))
        except OSError:
            self._holder.close()
            raise
        self.port: int = self._holder.getsockname()[1]
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        assert self._thread is None, "it is already running"
        outcome: list[OSError | None] = []
        started = threading.Event()
        main = partial(self._main, outcome, started)
        self._thread = threading.Thread(target=lambda: asyncio.run(main()), name="simulator", daemon=True)
        self._thread.start()
        started.wait(WAIT_S_MAX)
        if error := outcome[0]:
            self._thread.join()
            self._thread = None
            raise error

    def stop(self) -> None:
        """Cut every connection and stop listening, as if killed. Raises what went wrong in the simulator."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join(WAIT_S_MAX)
        assert not thread.is_alive(), "the simulator does not stop"
        if self._errors:
            raise RuntimeError("the simulator failed") from self._errors[0]

    def close(self) -> None:
        """Stop, and let the port go."""
        try:
            self.stop()
        finally:
            self._holder.close()

    def fault(self, name: str, **details: Any) -> None:
        """Let something go wrong: at the moment `details` name, else now, in every open session.

        It has happened when this returns; `http` and `unanswered` await the next attempt to connect.
        """
        fault = Fault(name=name, **details)
        assert self._loop is not None, "it was never started"
        asyncio.run_coroutine_threadsafe(self._strike(fault), self._loop).result(WAIT_S_MAX)

    async def _strike(self, fault: Fault) -> None:
        if fault.name in BEFORE_UPGRADE or not fault.is_immediate:
            self._script.add(fault)
            for link in list(self._links.values()):
                link.run()
            return
        if fault.name == "refuse":
            self._refuse(fault)
            return
        if fault.name == "heal":
            await self._listen()
        for link in list(self._links.values()):
            if fault.session in (None, link.number):
                link.session.strike(fault, now_s())
                link.run()

    def _note(self, kind: str, **details: Any) -> None:
        event = {"at_s": now_s(), "event": kind, **details}
        self.record.add(event)
        if self._on_event:
            self._on_event(event)

    async def _main(self, outcome: list[OSError | None], started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._failed)
        self._stopping = asyncio.Event()
        self._listener = None
        try:
            await self._listen()
            outcome.append(None)
        except OSError as error:
            outcome.append(error)
            return
        finally:
            started.set()
        await self._stopping.wait()
        self._stop_listening()
        for task in self._tasks:
            task.cancel()
        async with asyncio.timeout(WAIT_S_MAX):
            # One that was just being accepted comes when the others are gone.
            while self._open or len(asyncio.all_tasks()) > 1:
                for connection in list(self._open):
                    connection.transport.abort()
                await asyncio.sleep(0.001)

    def _failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._errors.append(context.get("exception") or RuntimeError(context["message"]))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self) -> None:
        if self._listener is not None:
            return
        self._listener = await serve(
            self._keep,
            HOST,
            self.port,
            process_request=self._answer,
            compression=None,
            max_size=MESSAGE_BYTES_MAX,
            max_queue=None,
            ping_interval=None,
            open_timeout=None,
            close_timeout=2,
            logger=_log,
            create_connection=partial(_Tracked, self._open, self._lost),
        )
        self._note("listening", port=self.port)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            # Only the listening socket: `Server.close` would close the sessions as well.
            self._listener.server.close()
            self._listener = None

    def _refuse(self, fault: Fault) -> None:
        self._stop_listening()
        self._note("refusing", for_s=fault.for_s)
        if fault.for_s is not None:
            self._spawn(self._listen_after(fault.for_s))

    async def _listen_after(self, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        await self._listen()

    async def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a request's HTTP part; None lets the upgrade go on."""
        url = urlsplit(request.path)
        headers = dict(request.headers.raw_items())
        if url.path == "/v3/token":
            status, body = self._door.token(url.query, request.headers.get("Authorization"), time.time())
            self._note("token", status=status, query=url.query)
            return _json(status, body)
        if url.path != "/v3/ws":
            return _json(404, {"error": "Not Found"})
        attempt = len(self.record.connections)
        self._note("asked", attempt=attempt, path=url.path, query=parse_qs(url.query), headers=headers)
        fault = self._script.before_upgrade(len(self.record.sessions), attempt)
        if fault is None:
            self._links[connection] = self._link(connection, attempt, url.query, request.headers)
            self._note("answered", attempt=attempt, status=101)
            return None
        self._note("fault", attempt=attempt, name=fault.name)
        if fault.name == "unanswered":
            await connection.wait_closed()
            return _json(503, {})
        self._note("answered", attempt=attempt, status=fault.status)
        return _json(fault.status, {"error": fault.text}, fault.headers)

    def _link(self, connection: ServerConnection, attempt: int, query: str, headers: Headers) -> Link:
        parameters: Parameters | Refused
        session_s = None
        try:
            session_s = self._door.admit(query, headers.get("Authorization"), time.time())
            parameters = from_query(query, self.options.default_model)
        except Refused as refused:
            parameters = refused
        else:
            self._note("set", attempt=attempt, parameters=dict(parameters.values), ignored=parameters.ignored)
        number = len(self.record.sessions)
        session = Session(
            parameters,
            self.options,
            self._script,
            number=number,
            attempt=attempt,
            now_s=now_s(),
            session_id=str(uuid.uuid4()),
            api_version=headers.get("AssemblyAI-Version"),
            session_s=session_s,
        )
        return Link(
            connection,
            session,
            number=number,
            note=partial(self._note, attempt=attempt),
            beyond=self._refuse,
            keep_audio=self._keep_audio,
        )

    async def _keep(self, connection: ServerConnection) -> None:
        """Keep one session from its upgrade to its end."""
        link = self._links[connection]
        link.is_kept = True
        try:
            link.session.open(now_s(), time.time())
            link.run()
            with suppress(ConnectionClosed):
                async for message in connection:
                    link.take(message)
            await connection.wait_closed()
        except Exception as error:
            self._errors.append(error)
            link.cut(reset=False)
        finally:
            link.end()
            del self._links[connection]

    def _lost(self, connection: ServerConnection) -> None:
        """Note the end of a session whose client left during the upgrade."""
        link = self._links.get(connection)
        if link is not None and not link.is_kept:
            link.end()
            del self._links[connection]


class _Tracked(ServerConnection):
    """A connection that is in a set as long as it is open."""

    def __init__(
        self,
        opened: set[ServerConnection],
        lost: Callable[[ServerConnection], None],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._opened, self._lost = opened, lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._opened.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._opened.discard(self)
        self._lost(self)


def _json(status: int, body: dict[str, Any], more: dict[str, str] | None = None) -> Response:
    content = json.dumps(body).encode()
    headers = Headers(more or {})
    headers["Content-Type"] = "application/json"
    headers["Content-Length"] = str(len(content))
    headers["Connection"] = "close"
    return Response(status, HTTPStatus(status).phrase, headers, content)
