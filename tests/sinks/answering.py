"""A receiver that answers with bytes: what no HTTP library would send."""

import socket
import ssl
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass
class Answer:
    """What is sent, and how the connection ends: kept for a next request where nothing else is said."""

    data: bytes = b""
    after: str = "body"
    """What of the request is read first: "nothing", "head" or all with its "body"."""
    end: str = "keep"
    """"keep", "close" or "reset"."""
    drip: bytes = b""
    """Sent again and again until the other side has had enough."""

    @property
    def name(self) -> str:
        return f"{self.data[:50]!r} after {self.after}, {self.end}"


NO_CONTENT = Answer(b"HTTP/1.1 204 No Content\r\n\r\n")


@dataclass
class Asked:
    connection: int
    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers request by request as scripted, then with 204; `trusted` makes it speak TLS."""

    answers: list[Answer] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self.has_had_enough = threading.Event()
        """Set once a drip was refused."""
        self._stopped = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/turns"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError):
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            while self._answer(connection, number):
                pass

    def _answer(self, connection: socket.socket, number: int) -> bool:
        """Read a request and answer it; return whether another may follow."""
        answer = self.answers[0] if self.answers else NO_CONTENT
        read = b""
        while answer.after != "nothing" and b"\r\n\r\n" not in read:
            if not (piece := connection.recv(65_536)):
                return False
            read += piece
        head, _, body = read.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
        while answer.after == "body" and len(body) < int(headers.get("content-length", 0)):
            if not (piece := connection.recv(65_536)):
                return False
            body += piece
        if self.answers:
            self.answers.pop(0)
        self.asked.append(Asked(number, line, headers, body))
        with suppress(OSError):
            connection.sendall(answer.data)
        while answer.drip:
            try:
                connection.sendall(answer.drip)
            except OSError:
                self.has_had_enough.set()
                return False
            self._stopped.wait(0.01)
        if answer.end == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        if answer.end != "keep":
            connection.close()
        return answer.end == "keep"
