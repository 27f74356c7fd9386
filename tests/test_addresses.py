import pytest

from minuted.addresses import after, check_socket, check_tcp, check_url, shown_url
from minuted.options import ConfigError


@pytest.mark.parametrize(
    "endpoint", ["tcp://0.0.0.0:5555", "tcp://*:1", "tcp://[::]:65534", "tcp://eth0:5555"]
)
def test_an_address_on_the_network_has_a_port_and_one_after_it(endpoint: str) -> None:
    check_tcp("publish.turns", endpoint)
    port = int(endpoint.rpartition(":")[2])
    assert after(endpoint) == f"{endpoint.removesuffix(str(port))}{port + 1}"


@pytest.mark.parametrize(
    "endpoint", ["tcp://", "tcp://host", "tcp://:1", "tcp://h:0", "tcp://h:65535", "tcp://h:²"]
)
def test_what_is_no_port_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"^publish\.turns: .* is not tcp://ADDRESS:PORT"):
        check_tcp("publish.turns", endpoint)


@pytest.mark.parametrize(
    "endpoint", ["inproc://x", "udp://1.2.3.4:5", "x", "ipc://relative", f"ipc:///{'x' * 108}"]
)
def test_only_sockets_of_this_machine_are_sockets(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"^runtime_dir: "):
        check_socket("runtime_dir", endpoint)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://user:pa/ss@host/v3?token=abc#x", "wss://host/v3"),
        ("wss://user:pass@host:1/v3?token=abc", "wss://host:1/v3"),
        ("wss://host", "wss://host"),
        ("token?abc", "token"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize("url", ["ftp://me:hush@host?key=hush", "wss://me:hush@host:x?key=hush", "hush?hush"])
def test_a_bad_address_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^engine\.url: ") as raised:
        check_url(url, local=False)
    assert "hush" not in str(raised.value).replace("'hush'", "")
