"""Sockets' paths: their length, and that none is another's."""

from pathlib import Path

import pytest

from config.samples import DESIGN
from minuted.config import (
    SOCKET_PATH_BYTES_MAX,
    ConfigError,
    Settings,
    parse,
)

pytestmark = pytest.mark.usefixtures("no_key")


def test_a_socket_s_path_has_107_bytes_at_most(tmp_path: Path) -> None:
    """The kernel takes no more; ZeroMQ would say so only when binding."""
    assert SOCKET_PATH_BYTES_MAX == 107
    longest = max(
        len(endpoint.removeprefix("ipc://").rpartition("/")[2]) for endpoint in endpoints(parse(""))
    )
    fits = "/" + "x" * (107 - longest - 2)

    assert max(len(e.removeprefix("ipc://")) for e in endpoints(parse(f"runtime_dir = '{fits}'"))) == 107
    with pytest.raises(ConfigError, match=r"runtime_dir: the socket path /x+/.* is over 107 bytes"):
        parse(f"runtime_dir = '{fits}x'")


def test_a_socket_s_path_is_counted_in_bytes() -> None:
    folder = "/" + "é" * 50

    assert len(folder) < 107 - 40
    with pytest.raises(ConfigError, match="over 107 bytes"):
        parse(f"runtime_dir = '{folder}'")


def test_a_long_sink_s_name_makes_a_long_socket_path() -> None:
    name = "x" * 90
    with pytest.raises(
        ConfigError, match=r"runtime_dir: the socket path .*control-delivery-x+\.sock is over"
    ):
        parse(f"[sinks.{name}]")


@pytest.mark.parametrize(("length", "fits"), [(106, True), (107, False), (108, False)])
def test_a_turn_socket_s_path_leaves_room_for_the_replay_socket(length: int, fits: bool) -> None:
    """`replay.sock` beside `turns.sock` is one byte longer."""
    path = "/" + "x" * (length - len("//turns.sock")) + "/turns.sock"
    assert len(path) == length
    text = f"[publish]\nturns = 'ipc://{path}'"
    if fits:
        assert len(parse(text).replay_endpoint.removeprefix("ipc://")) == 107
    else:
        with pytest.raises(ConfigError, match=r"publish\.turns: .* is over 107 bytes"):
            parse(text)


STAGES = ("capture", "transcription", "engine", "supervisor")


def endpoints(settings: Settings) -> list[str]:
    return [
        settings.turns_endpoint,
        settings.replay_endpoint,
        settings.frames_endpoint,
        *(settings.control_endpoint(stage) for stage in STAGES),
        *(settings.control_endpoint(f"delivery/{name}") for name in settings.sinks),
    ]


def test_every_socket_has_its_own_path() -> None:
    all_of_them = endpoints(parse(DESIGN))

    assert len(set(all_of_them)) == len(all_of_them)
