import os
import socket
from pathlib import Path

import pytest

from minuted.runtime.pulse import Pulse


def test_a_loop_s_age_is_the_time_since_its_last_turn() -> None:
    pulse = Pulse({})
    assert pulse.age_s(5.0) is None
    pulse.beat(10.0)
    assert pulse.age_s(12.5) == 2.5
    assert pulse.age_s(9.0) == 0.0


@pytest.fixture
def systemd(runtime_dir: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(runtime_dir / "notify"))
        bound.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(runtime_dir / "notify"))
        yield bound


def count(systemd: socket.socket) -> int:
    counted = 0
    while True:
        try:
            assert systemd.recv(100) == b"WATCHDOG=1"
        except BlockingIOError:
            return counted
        counted += 1


def test_systemd_hears_of_a_turning_loop_a_few_times_in_its_time(systemd: socket.socket) -> None:
    """Not at every turn: there are twenty a second."""
    pulse = Pulse({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())})
    for turn in range(40):
        pulse.beat(turn * 0.1)
    assert count(systemd) == 8


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "often"},
    ],
)
def test_systemd_hears_nothing_where_it_does_not_ask(
    systemd: socket.socket, environment: dict[str, str]
) -> None:
    """The variable of another process is inherited by its children."""
    Pulse(environment).beat(1.0)
    assert count(systemd) == 0
