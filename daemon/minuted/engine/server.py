"""The engine's loopback server: who may open a session, the token and health pages, the figures."""

import asyncio
import hmac
import json
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import structlog
from websockets import http11
from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from minuted.engine import protocol, tokens
from minuted.engine.parameters import Parameters, Refusal, parse_query
from minuted.engine.protocol import SESSION_S_MAX
from minuted.engine.recogniser import Model
from minuted.engine.session import Session, turn_away
from minuted.engine.worker import Said, Worker
from minuted.runtime import clock

log = structlog.get_logger(__name__)

SESSION_PATHS: Final = ("/v3/ws", "/")
HEALTH_PATHS: Final = ("/v3/ws/health", "/v3/health")
TOKEN_PATH: Final = "/v3/token"  # noqa: S105  # a path
SESSIONS_MAX: Final = 8
"""Sessions at a time; one more is refused with 3009. Two cores keep up with four."""
SAMPLE_S: Final = 10.0
QUERY_BYTES_MAX: Final = 1 << 16
"""A hundred key terms and a prompt do not fit into the 8 kB that websockets takes by itself."""
FRAME_BYTES_MAX: Final = 1 << 20
"""Up to here too long a message gets its Error; beyond, websockets closes the connection with 1009."""


class Server:
    """Serves sessions on one loopback port. `key` is the only key accepted; empty: any is."""

    def __init__(
        self, model: Model, key: str, update_interval_s: float, session_s_max: float = SESSION_S_MAX
    ) -> None:
        self.url = ""
        self._model = model
        self._key = key
        self._interval_s = update_interval_s
        self._session_s_max = session_s_max
        self._secret = secrets.token_bytes(32)
        self._sessions: set[Session] = set()
        self._listener: WebSocketServer | None = None
        self._figures = _Figures()

    async def open(self, host: str, port: int) -> None:
        """Listen; port 0 takes any free one. Raises OSError when the port is in use."""
        http11.MAX_LINE_LENGTH = QUERY_BYTES_MAX
        self._listener = await serve(
            self._serve,
            host,
            port,
            process_request=self._page,
            max_size=FRAME_BYTES_MAX,
            compression=None,
            server_header=None,
        )
        name = f"[{host}]" if ":" in host else host
        self.url = f"ws://{name}:{next(iter(self._listener.sockets)).getsockname()[1]}"
        self._sampling = asyncio.create_task(self._sample())

    async def close(self) -> None:
        """End all sessions with 1001, and the listening."""
        if self._listener is not None:
            self._sampling.cancel()
            self._listener.close()
            await self._listener.wait_closed()

    def status(self) -> dict[str, Any]:
        """Tell how things stand. May be asked from any thread."""
        workers = [session.worker for session in tuple(self._sessions)]
        behind_s = max((worker.behind_s for worker in workers), default=0.0)
        return {
            "state": "ready" if self.url else "starting",
            "url": self.url,
            "model": self._model.name,
            "sessions": len(workers),
            **self._figures.status(workers, behind_s, self._model.looks_s),
        }

    async def _sample(self) -> None:
        """Look at the figures even when nobody asks: days begin, and delays pass."""
        while True:
            self.status()
            await asyncio.sleep(SAMPLE_S)

    async def _serve(self, socket: ServerConnection) -> None:
        request = socket.request
        if request is None:
            return
        try:
            session_s_max = self._admit(request)
            parameters = parse_query(urlsplit(request.path).query)
            if len(self._sessions) >= SESSIONS_MAX:
                raise protocol.too_many()
        except Refusal as refusal:
            log.info("session_refused", code=refusal.code)
            await turn_away(socket, refusal)
            return
        session = Session(socket, parameters, session_s_max, self._worker)
        self._sessions.add(session)
        log.info("session_started", session_id=session.id, open=len(self._sessions))
        try:
            await session.run(self._model.name, request.headers.get("AssemblyAI-Version"))
        finally:
            audio_s = round(session.worker.received_ms / 1000, 1)
            log.info("session_ended", session_id=session.id, audio_s=audio_s, close_code=socket.close_code)
            self._figures.ended(session.worker)
            self._sessions.discard(session)

    def _worker(self, parameters: Parameters, say: Callable[[Said], None]) -> Worker:
        return Worker(self._model, self._interval_s, parameters, say)

    def _admit(self, request: Request) -> float:
        """Give the session's length in seconds. Raises Refusal for a missing, wrong or expired key."""
        given = request.headers.get("Authorization", "")
        token = parse_qs(urlsplit(request.path).query).get("token", [""])[-1]
        if not given and not token:
            raise protocol.unauthorised("Missing Authorization header")
        try:
            # The SDK for Python puts a token into the header, others into the query.
            allowed_s = tokens.session_s_max(self._secret, token or given, clock.boot_ms() / 1000)
        except tokens.TokenExpired:
            raise protocol.unauthorised("Signature has expired") from None
        if allowed_s is not None:
            return min(allowed_s, self._session_s_max)
        if token or not self._is_key(given):
            raise protocol.unauthorised("Invalid API key")
        return self._session_s_max

    def _is_key(self, given: str) -> bool:
        if not given.strip() or given.lower().startswith("bearer "):
            return False
        return not self._key or hmac.compare_digest(
            given.encode(errors="surrogateescape"), self._key.encode()
        )

    def _page(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer what is no session."""
        parts = urlsplit(request.path)
        if parts.path in SESSION_PATHS:
            return None
        if parts.path in HEALTH_PATHS:
            return _json(connection, HTTPStatus.OK, {"status": "ok"})
        if parts.path == TOKEN_PATH:
            return self._token(connection, request, parts.query)
        return _json(connection, HTTPStatus.NOT_FOUND, {"error": "Not Found"})

    def _token(self, connection: ServerConnection, request: Request, query: str) -> Response:
        given = request.headers.get("Authorization", "")
        # Unlike the sessions, the service's token page takes a Bearer key too.
        key = given[7:] if given.lower().startswith("bearer ") else given
        if not self._is_key(key):
            what = "Invalid API key" if given else "Missing Authorization header"
            return _json(connection, HTTPStatus.UNAUTHORIZED, {"error": what})
        try:
            expires_s, session_s = tokens.parse_request(query)
        except tokens.BadTokenRequest as error:
            return _json(connection, HTTPStatus.UNPROCESSABLE_ENTITY, {"detail": error.detail})
        token = tokens.mint(self._secret, clock.boot_ms() / 1000, expires_s, session_s)
        return _json(connection, HTTPStatus.OK, {"token": token, "expires_in_seconds": expires_s})


class _Figures:
    """Sums over the sessions, those that have ended and those that are open."""

    def __init__(self) -> None:
        self._ended_ms = 0
        self._sessions = 0
        self._behind_s_max = 0.0
        self._day = ""
        self._before_today_ms = 0

    def ended(self, worker: Worker) -> None:
        self._ended_ms += worker.received_ms
        self._behind_s_max = max(self._behind_s_max, worker.behind_s_max)
        self._sessions += 1

    def status(self, workers: list[Worker], behind_s: float, looks_s: float) -> dict[str, Any]:
        audio_ms = self._ended_ms + sum(worker.received_ms for worker in workers)
        today = time.strftime("%Y-%m-%d")
        if today != self._day:
            self._day, self._before_today_ms = today, audio_ms if self._day else 0
        self._behind_s_max = max(self._behind_s_max, *(worker.behind_s_max for worker in workers), behind_s)
        return {
            "sessions_total": self._sessions + len(workers),
            "audio_s": round(audio_ms / 1000, 1),
            "audio_today_s": round((audio_ms - self._before_today_ms) / 1000, 1),
            "behind_s": round(behind_s, 2),
            "behind_s_max": round(self._behind_s_max, 2),
            "realtime_factor": round(looks_s * 1000 / audio_ms, 3) if audio_ms else 0.0,
        }


def _json(connection: ServerConnection, status: HTTPStatus, body: dict[str, Any]) -> Response:
    response = connection.respond(status, json.dumps(body))
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json"
    return response
