"""`minuted metrics --listen`: GET /metrics over HTTP, each time asked anew of the daemon."""

import socket
import sys
import threading
import time
from collections.abc import Iterable
from http import HTTPStatus
from http.server import HTTPServer
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from prometheus_client import MetricsHandler
from prometheus_client.core import Metric

from minuted import status
from minuted.config import Settings
from minuted.runtime import notify, signals
from minuted.runtime.connections import Connections, Listener

from .families import families

PATH: Final = "/metrics"
CONNECTIONS_MAX: Final = 16
"""Open at once, each with its thread; for one more the oldest is closed that has not asked for anything."""
HEAD_S_MAX: Final = 3.0
"""For a request's head."""
CONNECTION_S_MAX: Final = 10.0
"""From its first byte to its last, as long as Prometheus waits by itself; a connection serves one request."""
LOOK_S: Final = 0.5
"""How often connections are looked at, and whether it is to stop."""
SIGN_S: Final = 5.0
"""Between two signs of life to systemd."""

log = structlog.get_logger(__name__)


class Room:
    """Collects what the processes tell, as the library wants it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._answered = True

    def collect(self) -> Iterable[Metric]:
        found = status.collect(self._settings)
        answered = bool(found["stages"])
        if self._answered and not answered:
            log.warning("nothing_answers", reason=status.absence(self._settings))
        self._answered = answered
        return families(found, configured(self._settings))


def configured(settings: Settings) -> list[str]:
    """Name the stages there should be. An engine is only where it is wanted, which needs the key to know."""
    return [stage for stage in status.stage_names(settings) if stage != "engine"]


class Handler(MetricsHandler):
    timeout = CONNECTION_S_MAX

    def do_GET(self) -> None:  # noqa: N802  # the library's name
        self.server.connections.asks(self.request)  # type: ignore[attr-defined]  # it is ours
        if urlsplit(self.path).path == PATH:
            self.path = PATH
            super().do_GET()
        else:
            self.send_error(HTTPStatus.NOT_FOUND, f"there is only {PATH}")


class Server(ThreadingMixIn, HTTPServer):
    """Serves a room's metrics on one port; raises OSError where it cannot. Bounded in time and number."""

    daemon_threads = True
    allow_reuse_port = False
    request_queue_size = 128
    timeout = LOOK_S

    def __init__(self, settings: Settings, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.connections = Connections(CONNECTIONS_MAX, CONNECTIONS_MAX, HEAD_S_MAX, CONNECTION_S_MAX)
        try:
            super().__init__((host, port), Handler.factory(Room(settings)))
        except OSError as error:
            raise OSError(f"cannot listen on {_shown(host, port)}: {error.strerror}") from None

    @property
    def address(self) -> str:
        return _shown(*self.server_address[:2])

    def serve(self, stop: threading.Event) -> None:
        """Serve until `stop` is set."""
        sign_s = 0.0
        while not stop.is_set():
            self.handle_request()
            now_s = time.monotonic()
            self._listener.end_late()
            if now_s - sign_s >= SIGN_S:
                notify.alive()
                sign_s = now_s

    def server_bind(self) -> None:
        # HTTPServer's own asks a name server who we are, and waits for it.
        TCPServer.server_bind(self)
        self.socket = self._listener = Listener(self.socket, self.connections)

    def handle_error(self, *_: Any) -> None:
        # Who asked may be gone before there is an answer.
        if not isinstance(error := sys.exception(), OSError):
            log.error("scrape_failed", error=type(error).__name__)


def serve(settings: Settings, host: str, port: int) -> int:
    """Serve until SIGTERM or Ctrl-C; give the exit status. Raises OSError for a port in use."""
    stop = signals.stop_event()
    with Server(settings, host, port) as server:
        log.info("metrics_ready", listen=server.address)
        notify.ready(f"ready, listening on {server.address}")
        server.serve(stop)
    notify.stopping()
    return 0


def _shown(host: Any, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
