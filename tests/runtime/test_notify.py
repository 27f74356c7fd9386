import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostile_texts import HOSTILE, MARKER, controls
from minuted.runtime import notify


@pytest.fixture
def receiver(runtime_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What systemd or the supervisor has at its end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(runtime_dir / "notify"))
        bound.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(runtime_dir / "notify"))
        yield bound


def test_ready_is_told_with_a_status(receiver: socket.socket) -> None:
    notify.ready("ready, local")
    assert receiver.recv(1000) == b"READY=1\nSTATUS=ready, local"
    notify.ready()
    assert receiver.recv(1000) == b"READY=1"


def test_a_status_is_one_line(receiver: socket.socket) -> None:
    """A second line would be another message to whoever reads it."""
    notify.status("bad configuration: no\nREADY=1")

    assert receiver.recv(1000) == b"STATUS=bad configuration: no READY=1"


def test_a_status_may_hold_what_is_no_text(receiver: socket.socket) -> None:
    """A recording's name is bytes."""
    notify.status("cannot read /tmp/caf\udce9.wav, said Zoë")

    assert receiver.recv(1000).decode() == "STATUS=cannot read /tmp/caf\ufffd.wav, said Zoë"


def test_a_status_drives_no_terminal_and_is_short_enough_to_be_taken(receiver: socket.socket) -> None:
    """`systemctl status` prints it as it is; systemd passes over more than 4096 bytes, READY and all."""
    notify.ready(f"{HOSTILE}{'語' * 4000}")
    told = receiver.recv(10_000)
    assert len(told) <= 4096
    ready, status = told.decode().split("\n")
    assert ready == "READY=1"
    assert MARKER in status
    assert controls(status) == []


def test_stopping_is_told(receiver: socket.socket) -> None:
    notify.stopping()

    assert receiver.recv(1000) == b"STOPPING=1"


def test_an_abstract_socket_is_reached_too(monkeypatch: pytest.MonkeyPatch, runtime_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(f"\0{runtime_dir.name}")
        bound.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{runtime_dir.name}")
        notify.ready()

        assert bound.recv(1000) == b"READY=1"


@pytest.mark.parametrize("address", [None, "", "relative", "/nowhere/notify"])
def test_with_nobody_to_tell_nothing_happens(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage may be run by hand."""
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)

    notify.ready("ready")


def test_a_receiver_that_does_not_read_holds_up_nobody(
    receiver: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hanging supervisor must not stop the recording too."""
    monkeypatch.setattr(notify, "SEND_S_MAX", 0.01)
    length = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())

    for number in range(length + 3):
        notify.status(f"number {number}")

    assert receiver.recv(1000) == b"STATUS=number 0"


def test_a_reload_is_told_with_its_time(receiver: socket.socket) -> None:
    """systemd takes a READY for this reload's end only if it knows when it began (sd_notify(3))."""
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify.reloading()
    first, second = receiver.recv(1000).decode().split("\n")

    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC="))


def test_a_stop_says_how_long_it_may_take(receiver: socket.socket) -> None:
    notify.stopping(25.0)

    assert receiver.recv(1000) == b"STOPPING=1\nEXTEND_TIMEOUT_USEC=25000000"


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({}, None),
        ({"WATCHDOG_USEC": "x"}, None),
    ],
)
def test_the_watchdog_s_time_is_ours_alone(environment: dict[str, str], watchdog_s: float | None) -> None:
    assert notify.watchdog_s(environment) == watchdog_s
