"""A receiver of posts, as a webhook's far end."""

import base64
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sinks.samples import load

webhook = load("webhook")


def new_secret(length_bytes: int = 32) -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(length_bytes)).decode()}"


SECRET = new_secret()


@dataclass
class Answer:
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang_up: bool = False
    """Close the connection instead of answering."""
    wait_for: threading.Event | None = None
    """Answer only once this is set."""


@dataclass
class Post:
    path: str
    headers: dict[str, str]
    body: bytes
    connection: tuple[str, int]


class Receiver(ThreadingHTTPServer):
    """Answers each POST as it is told, then with 204, and remembers what came."""

    daemon_threads = True

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.posts: list[Post] = []
        self.connections: set[tuple[str, int]] = set()
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *_: object) -> None:
        """A client that has left in the middle is what some tests are about."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/turns"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.posts.append(
            Post(self.path, {k.lower(): v for k, v in self.headers.items()}, body, self.client_address)
        )
        answer = self.server.answers.pop(0) if self.server.answers else Answer()
        if answer.wait_for:
            answer.wait_for.wait(10)
        if answer.hang_up:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "content-length" not in answer.headers:
            self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        try:
            self.wfile.write(answer.body)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def receiving() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()
