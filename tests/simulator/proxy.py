"""A TCP proxy that spoils connections: in front of the simulated service, a broker or a webhook receiver.

    with Proxy(service.port) as proxy:
        proxy.latency_s = 0.2
        proxy.black_hole()
        proxy.heal()

Everything is set while connections are open. Bytes are never changed, reordered or invented: a black
hole keeps what it swallows and lets it go when healed, as TCP does after an outage.
"""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, Self

HOST: Final = "127.0.0.1"
WAYS: Final = ("up", "down")
CHUNK_BYTES: Final = 16 * 1024
PIECES_MAX: Final = 1000
"""What one direction may hold back; then its sender has to wait, as it would for a full window."""
WAIT_S_MAX: Final = 60.0
FLUSH_S_MAX: Final = 1.0
"""How long the last bytes of a connection may take; then it is cut."""
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Proxy:
    """Passes 127.0.0.1:`port` on to 127.0.0.1:`target`."""

    def __init__(self, target: int, *, port: int = 0, seed: int = 0) -> None:
        self.latency_s = 0.0
        self.jitter_s = 0.0
        """Up to so much more, different for each piece; the order stays."""
        self.bytes_per_s: float | None = None
        self.slow_close_s = 0.0
        """How much later an end is passed on."""
        self.bytes_max: int | None = None
        """After so many bytes in one direction a connection is closed."""
        self.accepted = 0
        self.passed_bytes = 0
        self.target = target
        self._chance = random.Random(seed)
        self._pairs: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind((HOST, port))
        self.port: int = self._holder.getsockname()[1]
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"ws://{HOST}:{self.port}"

    @property
    def connected(self) -> int:
        """Say how many connections are open."""
        return len(self._pairs)

    def __enter__(self) -> Self:
        ready = threading.Event()
        main = partial(self._main, ready)
        self._thread = threading.Thread(target=lambda: asyncio.run(main()), name="proxy", daemon=True)
        self._thread.start()
        assert ready.wait(WAIT_S_MAX), "the proxy does not start"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(WAIT_S_MAX)
        self._holder.close()

    def down(self) -> None:
        """Refuse new connections and end the open ones."""
        self._do(self._close_listener)
        self._do(partial(self._cut, reset=False))

    def up(self) -> None:
        """Listen again."""
        self._wait(self._listen())

    def reset(self) -> None:
        """Reset every open connection (RST, both ways)."""
        self._do(partial(self._cut, reset=True))

    def black_hole(self, *ways: str) -> None:
        """Let nothing through and close nothing, "up" (to the target), "down" or, unsaid, both.

        New connections are accepted and go nowhere.
        """
        for way in ways or WAYS:
            self._do(self._flowing[way].clear)

    def heal(self) -> None:
        """End a black hole and every slowness."""
        self.latency_s = self.jitter_s = self.slow_close_s = 0.0
        self.bytes_per_s = self.bytes_max = None
        for flowing in self._flowing.values():
            self._do(flowing.set)

    def _do(self, function: Callable[[], Any]) -> None:
        """Call on the loop's thread, and wait for it."""

        async def call() -> None:
            function()

        self._wait(call())

    def _wait(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S_MAX)

    async def _main(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._flowing = {way: asyncio.Event() for way in WAYS}
        for flowing in self._flowing.values():
            flowing.set()
        self._server: asyncio.Server | None = None
        await self._listen()
        ready.set()
        await self._stopping.wait()
        self._close_listener()
        tasks = list(self._pairs)
        self._cut(reset=False)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self.port)

    def _close_listener(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _cut(self, *, reset: bool) -> None:
        for task, writers in list(self._pairs.items()):
            for writer in writers:
                raw = writer.get_extra_info("socket")
                if reset and raw is not None:
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                writer.transport.abort()
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._pairs[task] = (writer,)
        try:
            await self._flowing["up"].wait()
            far_reader, far_writer = await asyncio.open_connection(HOST, self.target)
            self._pairs[task] = (writer, far_writer)
            async with asyncio.TaskGroup() as group:
                self._pass(group, "up", reader, far_writer)
                self._pass(group, "down", far_reader, writer)
        except* (OSError, asyncio.CancelledError):
            pass  # an end with a reset, or our own doing
        try:
            for end in self._pairs[task]:
                end.close()
            for end in self._pairs[task]:
                with suppress(OSError, TimeoutError):
                    async with asyncio.timeout(FLUSH_S_MAX):
                        await end.wait_closed()
        finally:
            # Also where the proxy is closed meanwhile, which waits for this task and cancels it.
            for end in self._pairs.pop(task):
                end.transport.abort()

    def _pass(
        self, group: asyncio.TaskGroup, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry one direction to its end."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(PIECES_MAX)
        group.create_task(self._read(reader, pieces))
        group.create_task(self._write(way, pieces, writer))

    async def _read(self, reader: asyncio.StreamReader, pieces: "asyncio.Queue[tuple[float, bytes]]") -> None:
        due_s = 0.0
        data = b"-"
        while data:
            data = await reader.read(CHUNK_BYTES)
            delay_s = self.latency_s + self._chance.uniform(0, self.jitter_s)
            due_s = max(due_s, self._loop.time() + delay_s)
            await pieces.put((due_s, data))

    async def _write(
        self, way: str, pieces: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter
    ) -> None:
        written = 0
        while True:
            due_s, data = await pieces.get()
            await asyncio.sleep(max(0.0, due_s - self._loop.time()))
            await self._flowing[way].wait()
            if not data:
                await asyncio.sleep(self.slow_close_s)
                writer.write_eof()
                return
            if self.bytes_max is not None:
                data = data[: max(0, self.bytes_max - written)]
            writer.write(data)
            await writer.drain()
            written += len(data)
            self.passed_bytes += len(data)
            if self.bytes_max is not None and written >= self.bytes_max:
                raise ConnectionAbortedError("as much as may pass")
            if self.bytes_per_s:
                await asyncio.sleep(len(data) / self.bytes_per_s)
