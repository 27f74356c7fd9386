"""The way to the service and the ports, tried beforehand."""

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from minuted.commands import network
from minuted.config import ConfigError, Engine, Settings

SERVICE = Settings(engine=Engine(service="assemblyai"))


@pytest.fixture
def proxy() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture(autouse=True)
def no_exceptions(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_proxy_the_way_is_straight() -> None:
    assert network.way(SERVICE, {}) == "straight to wss://streaming.assemblyai.com"
    assert network.way(SERVICE, {"ftp": "http://127.0.0.1:9"}).startswith("straight")


@pytest.mark.parametrize("name", ["wss", "socks", "https", "all"])
def test_a_proxy_that_answers_is_named_without_its_password(proxy: socket.socket, name: str) -> None:
    address = f"http://me:secret@127.0.0.1:{proxy.getsockname()[1]}"
    said = network.way(SERVICE, {name: address})
    assert said == f"by the proxy http://127.0.0.1:{proxy.getsockname()[1]}, which answers"


@pytest.mark.parametrize("address", ["http://me:secret@127.0.0.1:9", "127.0.0.1:9", "http://127.0.0.1:nine"])
def test_a_proxy_that_does_not_is_refused_with_its_variable(address: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be reached .*: set HTTPS_PROXY right, or name") as refusal:
        network.way(SERVICE, {"https": address})
    assert "secret" not in str(refusal.value)


def test_a_proxy_that_is_passed_by_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "streaming.assemblyai.com")
    assert network.way(SERVICE, {"https": "http://127.0.0.1:9"}).startswith("straight")
    for engine in (Engine(service="local"), Engine(service="assemblyai", url="ws://127.0.0.1:1")):
        assert network.way(replace(SERVICE, engine=engine), {"https": "http://127.0.0.1:9"}).startswith(
            "no proxy"
        )


def test_a_sandbox_without_sockets_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(ConfigError, match=r"no AF_INET sockets here .*Families=AF_INET AF_INET6"):
        network.way(SERVICE, {})


def test_a_port_in_use_is_named_with_the_line_that_shows_by_whom(proxy: socket.socket) -> None:
    port = proxy.getsockname()[1]
    with pytest.raises(
        ConfigError, match=rf"port {port} of 127\.0\.0\.1 cannot be used: .*ss -ltnp 'sport = :"
    ):
        network.bind("127.0.0.1", port)
    network.bind("127.0.0.1", 0)
    network.bind("*", 0)
    network.bind("::1", 0)
