"""The way to a service that is not on this machine: a web proxy that knows its names, and TLS before it.

    with TlsFront(service.port, cert, key) as front, WebProxy({"service.example:443": front.port}) as proxy:
        os.environ["https_proxy"] = proxy.url

Only the proxy resolves the names: nothing leaves the machine, and nothing arrives that did not pass it.
"""

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

HOST: Final = "127.0.0.1"
WAIT_S_MAX: Final = 10.0
CHUNK_BYTES: Final = 16 * 1024


class _Listener:
    """Takes connections on any free port of 127.0.0.1, in a thread of its own."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self._context = context

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(started)), daemon=True)
        self._thread.start()
        assert started.wait(WAIT_S_MAX)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(WAIT_S_MAX)

    async def _main(self, started: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        # Those who leave without a word are none of a test's business.
        self._loop.set_exception_handler(lambda *_: None)
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, HOST, 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._stopping.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def _pass(self, near: Any, port: int, head: bytes = b"") -> None:
        """Pass on what either side says until one of them has no more to say."""
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            writer.write(head)
            ways = [
                asyncio.create_task(_pump(near[0], writer)),
                asyncio.create_task(_pump(reader, near[1])),
            ]
            _, left = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in left:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            writer.transport.abort()


class TlsFront(_Listener):
    """Speaks TLS, and passes what is inside on to 127.0.0.1:`target`."""

    def __init__(self, target: int, cert: Path, key: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        super().__init__(context)
        self._target = target

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._pass((reader, writer), self._target)


class WebProxy(_Listener):
    """Knows the way to `routes`: "host:port" to a port of 127.0.0.1; `asked` are its requests."""

    def __init__(self, routes: Mapping[str, int]) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.allowed = True
        self._routes = routes

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line, rest = head.split(b"\r\n", 1)
        method, target, version = line.decode().split(" ")
        self.asked.append(f"{method} {target.partition('?')[0]}")
        is_tunnel = method == "CONNECT"
        place, slash, path = target.removeprefix("http://").partition("/")
        port = self._routes.get(place if ":" in place else f"{place}:80")
        if port is None or not self.allowed:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            writer.write_eof()
            await reader.read()
        elif is_tunnel:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await self._pass((reader, writer), port)
        else:
            await self._pass((reader, writer), port, f"{method} {slash}{path} {version}\r\n".encode() + rest)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(CHUNK_BYTES):
        writer.write(piece)
        await writer.drain()


def certificate(folder: Path, names: Sequence[str]) -> tuple[Path, Path]:
    """Make a certificate for these names that is its own authority; give it and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subject = "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    more = ["-addext", subject, "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*make.split(), *more], check=True, capture_output=True)
    return cert, key
