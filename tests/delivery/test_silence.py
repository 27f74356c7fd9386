"""Why nothing comes from an address: each cause with a real socket."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from minuted.delivery import silence
from rights import as_user, needs_root
from test_doors import free_ports


@pytest.fixture
def listening(runtime_dir: Path) -> Iterator[Path]:
    path = runtime_dir / "turns.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield path


def test_a_path_that_is_wrong_or_left_behind(runtime_dir: Path, listening: Path) -> None:
    assert silence.reason(f"ipc://{runtime_dir}/turn.sock") == (
        f"there is no socket {runtime_dir}/turn.sock: start minuted, or name the one in its runtime_dir"
    )
    left = runtime_dir / "left.sock"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(left))
    assert silence.reason(f"ipc://{left}") == f"nobody listens at {left}: minuted does not run"
    assert silence.reason(f"ipc://{listening}") == f"nothing comes from {listening}: ask minuted status"
    assert silence.reason(f"ipc:///{'x' * 200}").endswith("cannot be connected to: AF_UNIX path too long")


@needs_root
def test_a_user_outside_the_group(listening: Path) -> None:
    """The folder says which group that is."""
    listening.parent.chmod(0o750)
    script = f"from minuted.delivery import silence\n\nprint(silence.reason('ipc://{listening}'))"
    group = listening.parent.group()
    assert as_user(script) == f"{listening} is closed to this user; run: usermod -aG {group} nobody\n"


def test_an_address_of_the_network() -> None:
    port = free_ports()
    assert silence.reason(f"tcp://127.0.0.1:{port}").startswith(f"nobody listens at 127.0.0.1:{port}: ")
    assert silence.reason("tcp://no-such.invalid:5555").startswith("nobody knows the name no-such.invalid: ")
    assert silence.reason("tcp://127.0.0.1:x").startswith("127.0.0.1:x cannot be reached: ")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert silence.reason(f"tcp://{address}") == (
            f"{address} answers, and tells nothing without a key: make one there by minuted keys new"
        )
        assert silence.reason(f"tcp://{address}", "tablet.key.json").startswith(
            f"{address} answers, and does not take the key in tablet.key.json: it was revoked there"
        )
