"""The real model, loaded once, and the real server on a loop of its own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import soundfile
import soxr
from moonshine_voice.utils import get_assets_path
from structlog.testing import capture_logs

from minuted.config import Engine
from minuted.engine.recogniser import Model
from minuted.engine.server import Server
from simulator.client import Client
from waiting import until

RATE_HZ = 16_000
INTERVAL_S = 0.7
WAIT_S_MAX = 30.0


@pytest.fixture(scope="module", autouse=True)
def logged() -> Iterator[list[Any]]:
    """What is logged; no test may leave an error in it."""
    with capture_logs() as events:
        yield events
    assert [event for event in events if event["log_level"] == "error"] == []


@pytest.fixture(scope="session")
def speech() -> Callable[..., bytes]:
    """Cut PCM out of the recording: 53 s of A Tale of Two Cities; any rate."""
    samples, rate_hz = soundfile.read(get_assets_path() / "two_cities.wav", dtype="int16")

    def cut(from_s: float, to_s: float, wanted_hz: int = RATE_HZ) -> bytes:
        part = samples[int(from_s * rate_hz) : int(to_s * rate_hz)]
        return bytes(soxr.resample(part, rate_hz, wanted_hz).astype("<i2").tobytes())

    return cut


@pytest.fixture(scope="session")
def model() -> Iterator[Model]:
    model = Model(Engine())
    yield model
    model.close()


class Loop:
    """An event loop on a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S_MAX)

    def close(self) -> None:
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def serve(model: Model, loop: Loop) -> Iterator[Callable[..., Server]]:
    """Start servers, each on a port of its own: `key`, `session_s_max`."""
    servers = []

    def start(key: str = "", **options: Any) -> Server:
        server = Server(model, key, INTERVAL_S, **options)
        loop.run(server.open("127.0.0.1", 0))
        servers.append(server)
        return server

    yield start
    for server in servers:
        loop.run(server.close())


@pytest.fixture(scope="module")
def plain_engine(model: Model, loop: Loop) -> Iterator[Server]:
    server = Server(model, "", INTERVAL_S)
    loop.run(server.open("127.0.0.1", 0))
    yield server
    loop.run(server.close())


@pytest.fixture
def engine(plain_engine: Server) -> Iterator[Server]:
    """A server with nothing special about it; a test's sessions end with the test."""
    yield plain_engine
    until(lambda: plain_engine.status()["sessions"] == 0)


@pytest.fixture
def connect(engine: Server) -> Iterator[Callable[..., Client]]:
    """Open sessions on the engine and read Begin."""
    clients = []

    def open_session(**parameters: Any) -> Client:
        client = Client(engine.url, **parameters).__enter__()
        clients.append(client)
        client.read_until("Begin")
        return client

    yield open_session
    for client in clients:
        client.__exit__(None, None, None)


def messages_of(pcm: bytes, message_bytes: int = RATE_HZ // 10 * 2) -> list[bytes]:
    """Cut PCM into messages of 100 ms; the last may be shorter."""
    return [pcm[start : start + message_bytes] for start in range(0, len(pcm), message_bytes)]


def silence(duration_s: float) -> bytes:
    return bytes(int(duration_s * RATE_HZ) * 2)
