"""A webhook receiver on loopback: keeps every request and answers as scripted.

with Receiver([500, 500, 200]) as receiver:  # then 200 for ever
    ...  # something that posts to receiver.url
    receiver.wait_until(lambda: len(receiver.requests) == 3)
"""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Literal, Self

Answer = int | tuple[int, dict[str, str]] | Literal["hang", "reset"]
"""A status, a status with headers, no answer at all, or a reset connection."""
WAIT_S_MAX: Final = 60.0
BODY_BYTES_MAX: Final = 16 << 20
_NO_LINGER: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Request:
    at_s: float
    method: str
    path: str
    headers: dict[str, str]
    """Their names in lower case."""
    body: bytes
    answer: Answer
    peer_port: int
    """The same for requests on one connection."""

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def was_taken(self) -> bool:
        status = self.answer[0] if isinstance(self.answer, tuple) else self.answer
        return isinstance(status, int) and 200 <= status < 300


class Receiver:
    """Listens from `start` to `stop`, then again on the same port; a context manager."""

    def __init__(self, answers: Iterable[Answer] = (), *, always: Answer = 200, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.always: Answer = always
        """The answer when the scripted ones are used up."""
        self.port = port
        self._answers = list(answers)
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/turns"

    @property
    def taken(self) -> list[Request]:
        """The requests answered by a 2xx."""
        return [request for request in list(self.requests) if request.was_taken]

    def then(self, *answers: Answer) -> None:
        """Answer the next requests so."""
        with self._changed:
            self._answers += answers

    def wait_until(self, come: Callable[[], object], timeout_s: float = WAIT_S_MAX) -> None:
        """Wait until `come()` is true, looking after every request. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(come, timeout_s):
                raise TimeoutError(f"not within {timeout_s} s; {len(self.requests)} requests came")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._stopped.clear()
        self._server = _Server(("127.0.0.1", self.port), _handler(self))
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="receiver", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and end every connection, answered or not."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        self._stopped.set()
        server.shutdown()
        server.end_connections()
        server.server_close()
        self._thread.join(WAIT_S_MAX)

    def take(self, method: str, path: str, headers: dict[str, str], body: bytes, peer_port: int) -> Answer:
        """Keep a request; say how to answer it."""
        with self._changed:
            answer = self._answers.pop(0) if self._answers else self.always
            self.requests.append(Request(time.monotonic(), method, path, headers, body, answer, peer_port))
            self._changed.notify_all()
        return answer


class _Server(ThreadingHTTPServer):
    """Knows its connections, so that stopping ends them."""

    # Waited for in server_close: a thread of a test ends with it.
    daemon_threads = False
    allow_reuse_address = True

    def process_request(self, request: Any, client_address: Any) -> None:
        self._sockets.add(request)
        super().process_request(request, client_address)

    def close_request(self, request: Any) -> None:
        self._sockets.discard(request)
        super().close_request(request)

    def end_connections(self) -> None:
        for connection in list(self._sockets):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __init__(self, *args: Any) -> None:
        self._sockets: set[socket.socket] = set()
        super().__init__(*args)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            size = min(int(self.headers.get("Content-Length") or 0), BODY_BYTES_MAX)
            body = self.rfile.read(size)
            if len(body) < size:  # whoever sent it was killed in the middle
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._answer(receiver.take(self.command, self.path, headers, body, self.client_address[1]))

        do_GET = do_PUT = do_POST  # noqa: N815  # the names http.server looks for

        def _answer(self, answer: Answer) -> None:
            if answer == "hang":
                receiver._stopped.wait()
                self.close_connection = True
            elif answer == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                self.connection.close()
                self.close_connection = True
            else:
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing on stderr."""

    return Handler
