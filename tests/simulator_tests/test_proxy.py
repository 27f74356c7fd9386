import asyncio
import gc
import socket
import threading
import time
import warnings
from collections.abc import Iterator

import pytest

from simulator import Service
from simulator.client import Client
from simulator.coded import compose
from simulator.proxy import Proxy

RECORDING = compose(2, seed=71)
WAIT_S_MAX = 10.0


class Echo:
    """Sends back what it gets; a plain thread."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.received = 0
        self.ends: list[str] = []
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(WAIT_S_MAX)
                try:
                    while data := connection.recv(65536):
                        self.received += len(data)
                        connection.sendall(data)
                    self.ends.append("end")
                except OSError as error:
                    self.ends.append(type(error).__name__)
                self.ended.set()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(WAIT_S_MAX)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    echo = Echo()
    with Proxy(echo.port) as proxy:
        proxy.echo = echo
        yield proxy
    echo.close()


def call(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=WAIT_S_MAX)


def receive(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := client.recv(65536)):
        data += more
    return data


def echoed_in_s(client: socket.socket, data: bytes) -> float:
    started_s = time.monotonic()
    client.sendall(data)
    assert receive(client, len(data)) == data
    return time.monotonic() - started_s


def test_a_session_passes_unchanged():
    with Service() as service, Proxy(service.port) as proxy, Client(proxy.url) as client:
        client.send(RECORDING.frames())
        client.terminate()
        assert client.close_code == 1000
        assert [w["text"] for t in client.finals for w in t["words"]] == [w.text for w in RECORDING.words]
        assert bytes(service.sessions[0].pcm) == b"".join(RECORDING.frames())
        assert proxy.passed_bytes > len(RECORDING.pcm)


def test_latency_is_added_each_way(proxy):
    with call(proxy) as client:
        echoed_in_s(client, b"hello")
        proxy.latency_s = 0.1
        assert echoed_in_s(client, b"hello") >= 0.2


def test_jitter_changes_no_order(proxy):
    proxy.jitter_s = 0.02
    with call(proxy) as client:
        data = bytes(range(256)) * 400
        for at in range(0, len(data), 1000):
            client.sendall(data[at : at + 1000])
        assert receive(client, len(data)) == data


def test_bandwidth_is_bounded(proxy):
    proxy.bytes_per_s = 200_000
    with call(proxy) as client:
        assert echoed_in_s(client, bytes(40_000)) >= 0.15


def test_down_refuses_and_ends_and_up_serves_again(proxy):
    with call(proxy) as client:
        echoed_in_s(client, b"hello")
        proxy.down()
        with pytest.raises(ConnectionRefusedError):
            call(proxy)
        assert client.recv(1) == b""
    proxy.up()
    with call(proxy) as client:
        echoed_in_s(client, b"hello")
    assert proxy.accepted == 2


def test_a_reset_is_a_reset_on_both_sides(proxy):
    with call(proxy) as client:
        echoed_in_s(client, b"hello")
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert proxy.echo.ended.wait(WAIT_S_MAX)
    assert proxy.echo.ends == ["ConnectionResetError"]


def test_a_black_hole_swallows_and_gives_back(proxy):
    """As an outage does that ends before TCP gives up."""
    with call(proxy) as client:
        echoed_in_s(client, b"hello")
        proxy.black_hole()
        client.sendall(b"into the dark")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        with call(proxy) as late:
            late.sendall(b"me too")
            late.settimeout(0.1)
            with pytest.raises(TimeoutError):
                late.recv(1)
        client.settimeout(WAIT_S_MAX)
        proxy.heal()
        assert receive(client, 13) == b"into the dark"


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_black_hole_can_be_one_way(way):
    with (
        Service(heartbeat_s=0.05) as service,
        Proxy(service.port) as proxy,
        Client(proxy.url, session_heartbeat="true") as client,
    ):
        client.read_until("Heartbeat")
        proxy.black_hole(way)
        client.send([bytes(1600)] * 5)
        if way == "up":
            client.read_until("Heartbeat")
            assert service.sessions[0].audio_bytes == 0
        else:
            service.wait_until(lambda: service.sessions[0].audio_bytes == 8000)
            with pytest.raises(TimeoutError):
                while True:
                    client.read(timeout_s=0.2)
        proxy.heal()
        client.read_until("Heartbeat")
        service.wait_until(lambda: service.sessions[0].audio_bytes == 8000)


def test_an_end_can_come_slowly(proxy):
    proxy.slow_close_s = 0.15
    with call(proxy) as client:
        echoed_in_s(client, b"hello")
        started_s = time.monotonic()
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        assert time.monotonic() - started_s >= 0.3


def test_a_connection_can_end_after_so_many_bytes(proxy):
    proxy.bytes_max = 10_000
    with call(proxy) as client:
        client.sendall(bytes(30_000))
        assert len(receive(client, 30_000)) <= 10_000
    assert proxy.echo.ended.wait(WAIT_S_MAX)
    assert proxy.echo.received == 10_000


def test_nobody_behind_it_is_an_end_but_not_in_a_black_hole():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with Proxy(port) as proxy:
        with call(proxy) as client:
            assert client.recv(1) == b""
        proxy.black_hole()
        with call(proxy) as client:
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.recv(1)
            client.settimeout(WAIT_S_MAX)
            proxy.heal()
            assert client.recv(1) == b""


def test_a_proxy_closed_while_a_connection_ends_leaves_no_socket_open(monkeypatch):
    """One left to the garbage collector fails a test that has nothing to do with it."""
    ends = threading.Event()

    async def never_closed(_: asyncio.StreamWriter) -> None:
        ends.set()
        await asyncio.Event().wait()

    echo = Echo()
    monkeypatch.setattr(asyncio.StreamWriter, "wait_closed", never_closed)
    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always", ResourceWarning)
        with Proxy(echo.port) as proxy:
            with call(proxy) as client:
                echoed_in_s(client, b"hello")
            assert ends.wait(WAIT_S_MAX)
        gc.collect()
    echo.close()
    assert [str(each.message) for each in left if issubclass(each.category, ResourceWarning)] == []
