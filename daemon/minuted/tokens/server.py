"""`minuted token-server`: an HTTP service that mints tokens for the clients on its list.

POST (or GET) /token with `Authorization: Bearer SECRET` is answered by {"token": …, "expires_in_seconds": …};
GET /health by {"status": "ok"}, or "failing" where the service has given no token when it was last asked.
"""

import asyncio
import contextlib
import math
import socket
import time
from asyncio import sslproto
from collections.abc import Callable, Iterator
from typing import Any, Final

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from minuted.addresses import host_and_port
from minuted.config import ConfigError, Settings, TokenServer
from minuted.runtime import notify, signals
from minuted.runtime.connections import Connections, Listener

from .clients import List, listed, place
from .limits import Limits
from .minting import NoTokenError, Token, mint

CONNECTIONS_MAX: Final = 128
"""Open at once; for one more the oldest is closed that has not asked for anything yet."""
CONNECTIONS_PER_ADDRESS_MAX: Final = 64
HEAD_S_MAX: Final = 5.0
"""For the TLS handshake and a request's head together."""
CONNECTION_S_MAX: Final = 20.0
"""From its first byte to its last; a connection serves one request."""
TLS_BUFFER_BYTES: Final = 16 * 1024
"""Of each connection, from its accept on; asyncio's own choice, 256 KiB, is for those that transfer files."""
LATE_EVERY_S: Final = 0.25
"""How often it is looked whose time is over."""
FAILURES_LOGGED: Final = 1
"""Failures of connections that are logged a minute."""
HEAD_BYTES_MAX: Final = 16 * 1024
MINTING_MAX: Final = 16
"""Tokens being minted at once; one more is refused with 503."""
STRANGERS_LOGGED: Final = 10
"""Refused secrets that are logged a minute; the log is not for strangers to fill."""
STOP_S_MAX: Final = 5
TICKS_PER_SIGN: Final = 50
"""The loop ticks ten times a second; a sign of life to systemd each 5 s."""

log = structlog.get_logger(__name__)


class App:
    """Who asks, how often, and what they are given. `mint` takes the seconds to expiry and of a session."""

    def __init__(self, options: TokenServer, clients: List, mint: Callable[[int, int], Token]) -> None:
        self.asgi = Starlette(
            routes=[
                Route("/token", self._token, methods=["GET", "POST"]),
                Route("/health", self._health, methods=["GET"]),
            ]
        )
        self._options = options
        self._clients = clients
        self._mint = mint
        self._limits = Limits(options.per_minute)
        self._strangers = Limits(STRANGERS_LOGGED)
        self._minting = 0
        self._status = "ok"

    async def _health(self, _: Request) -> JSONResponse:
        # Never an error: who is taken out of service for the vendor's failure would never see it mended.
        return _answer(200, {"status": self._status})

    async def _token(self, request: Request) -> JSONResponse:
        try:
            client = self._clients.recognise(_secret(request))
        except ConfigError as error:
            log.error("clients_unreadable", reason=str(error))
            return _answer(500, {"error": "the list of clients cannot be read"})
        if client is None:
            if not self._strangers.take("", time.monotonic()):
                log.warning("client_unknown", address=request.client and request.client.host)
            return _answer(401, {"error": "unknown client"}, {"WWW-Authenticate": "Bearer"})
        if wait_s := self._limits.take(client.name, time.monotonic()):
            log.warning("client_limited", client=client.name)
            return _later(429, f"more than {self._options.per_minute} tokens a minute", wait_s)
        try:
            expires_s = _least(request, "expires_in_seconds", 1, self._options.expires_s)
            session_s = _least(request, "max_session_duration_seconds", 60, self._options.session_s_max)
        except ValueError as error:
            return _answer(400, {"error": str(error)})
        if self._minting >= MINTING_MAX:
            return _later(503, "too many tokens are being made", 1)
        return await self._give(client.name, expires_s, session_s)

    async def _give(self, name: str, expires_s: int, session_s: int) -> JSONResponse:
        self._minting += 1
        try:
            token = await run_in_threadpool(self._mint, expires_s, session_s)
        except NoTokenError as error:
            self._status = "failing"
            log.error("token_failed", client=name, reason=str(error))
            if error.status == 429:
                return _later(503, "the service gives no more tokens for now", 30)
            return _answer(502, {"error": str(error).removeprefix("no token: ")})
        finally:
            self._minting -= 1
        self._status = "ok"
        log.info("token_given", client=name, expires_s=token.expires_s, session_s_max=session_s)
        return _answer(200, {"token": token.text, "expires_in_seconds": int(token.expires_s)})


def _secret(request: Request) -> str:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _least(request: Request, name: str, low: int, high: int) -> int:
    """Give what the client asks for, where that is less than the most it may have. Raises ValueError."""
    given = request.query_params.get(name, str(high))
    if not (given.isascii() and given.isdigit() and len(given) <= 9 and int(given) >= low):
        raise ValueError(f"{name} is a whole number from {low} on")
    return min(int(given), high)


def _later(status: int, reason: str, wait_s: float) -> JSONResponse:
    return _answer(status, {"error": reason}, {"Retry-After": str(math.ceil(wait_s))})


def _answer(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(body, status, {"Cache-Control": "no-store", "Connection": "close", **(headers or {})})


class _Bounded(H11Protocol):
    """A connection that notes when its request's head has come."""

    admitted: Connections

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None:
            # asyncio hands out a wrapper of the socket that was accepted.
            self.admitted.asks(self.transport.get_extra_info("socket")._sock)  # noqa: SLF001


class _Server(uvicorn.Server):
    """Serves until it is told to stop; signals are the command's."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._failures = Limits(FAILURES_LOGGED)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._log_failure)
        await super().startup(sockets)
        for listener in sockets or ():
            if isinstance(listener, Listener):
                self._end_late(loop, listener)
            host, port = listener.getsockname()[:2]
            log.info("token_server_ready", listen=f"{host}:{port}")
            notify.ready(f"ready, listening on {host}:{port}")

    def _end_late(self, loop: asyncio.AbstractEventLoop, listener: Listener) -> None:
        listener.end_late()
        loop.call_later(LATE_EVERY_S, self._end_late, loop, listener)

    def _log_failure(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what became of a connection, an accept for instance; the log is not for strangers to fill."""
        if not self._failures.take("", time.monotonic()):
            error = context.get("exception")
            log.error("connection_failed", reason=str(context["message"]), error=type(error).__name__)

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_PER_SIGN == 0:
            notify.alive()
        return bool(await super().on_tick(counter))


def serve(settings: Settings) -> int:
    """Serve until SIGTERM; give the exit status. Raises ConfigError, and OSError for a port in use."""
    options, key = settings.token_server, settings.api_key()
    if not key:
        raise ConfigError("the token server mints with the AssemblyAI key, and none is found: see README")
    file = place(settings)
    if not listed(file):
        log.warning("no_clients", text="make one: minuted token-server clients new NAME")
    app = App(options, List(file), lambda *terms: mint(settings.service_url, key, *terms))
    server = _Server(_config(options, app))
    stop = signals.stop_event(on_stop=lambda: setattr(server, "should_exit", True))
    host, port = host_and_port(options.listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with bounded(socket.create_server((host, int(port)), family=family), server) as listener:
        asyncio.run(server.serve([listener]))
    notify.stopping()
    return 0 if stop.is_set() else 1


def bounded(listening: socket.socket, server: _Server) -> Listener:
    """Return the listening socket with the bounds of this server's connections."""
    connections = Connections(CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, HEAD_S_MAX, CONNECTION_S_MAX)
    server.config.http_protocol_class = type("_Admitted", (_Bounded,), {"admitted": connections})
    return Listener(listening, connections)


def _config(options: TokenServer, app: App) -> uvicorn.Config:
    sslproto.SSLProtocol.max_size = TLS_BUFFER_BYTES
    config = uvicorn.Config(
        app.asgi,
        loop="asyncio",
        http=_Bounded,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        timeout_graceful_shutdown=STOP_S_MAX,
        ssl_certfile=options.certificate,
        ssl_keyfile=options.private_key,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"token_server.certificate or private_key cannot be used: {error.strerror}"
        ) from None
    return config
