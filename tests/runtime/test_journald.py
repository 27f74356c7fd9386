import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostile_texts import HOSTILE, MARKER, controls
from minuted.runtime import journald
from minuted.runtime.journald import Journal, datagram, is_stderr, message

EVENT = {
    "event": "session_started",
    "level": "warning",
    "stage": "capture",
    "room": "attic",
    "session_id": "abc",
}


@pytest.fixture
def receiver(runtime_dir: Path) -> Iterator[socket.socket]:
    """What journald has at its end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(runtime_dir / "journal"))
        bound.settimeout(10)
        yield bound


def fields(data: bytes) -> dict[str, str]:
    """Read a datagram as journald does."""
    found = {}
    while data:
        line, _, data = data.partition(b"\n")
        key, is_short, value = line.partition(b"=")
        if not is_short:
            length = int.from_bytes(data[:8], "little")
            value, data = data[8 : 8 + length], data[8 + length + 1 :]
        found[key.decode()] = value.decode()
    return found


def test_an_event_keeps_its_fields_and_its_weight() -> None:
    """`journalctl MINUTED_EVENT=hung` and `-p warning` find it."""
    assert fields(datagram(EVENT)) == {
        "MESSAGE": "capture: session_started session_id=abc",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "minuted",
        "MINUTED_EVENT": "session_started",
        "MINUTED_STAGE": "capture",
        "MINUTED_ROOM": "attic",
        "MINUTED_SESSION_ID": "abc",
    }


def test_a_value_cannot_pass_for_another_field() -> None:
    """Reasons come from other programs."""
    found = fields(datagram({"event": "lost", "level": "error", "reason": "one\nPRIORITY=0\n"}))

    assert found["MINUTED_REASON"] == "one\nPRIORITY=0\n"
    assert found["PRIORITY"] == "3"
    assert "\n" not in found["MESSAGE"]


def test_a_message_drives_no_terminal_and_its_field_keeps_the_text() -> None:
    """`journalctl -o cat` prints a message as it is, and `journalctl` hides one with controls."""
    event = {"event": "lost", "reason": HOSTILE, "exception": f"Traceback\nValueError: {HOSTILE}"}
    found = fields(datagram(event))
    assert controls(found["MESSAGE"]) == []
    assert found["MESSAGE"].count(MARKER) == 2
    assert found["MINUTED_REASON"] == HOSTILE


@pytest.mark.parametrize("name", ["Größe", "a b", "=", "x" * 200, "_PID"])
def test_every_name_becomes_a_field_s(name: str) -> None:
    """journald leaves out an entry's fields whose names are none, and takes those with _ for forged."""
    (key,) = fields(datagram({name: "value"})).keys() - {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER"}

    assert key.startswith("MINUTED_")
    assert len(key) <= 64
    assert set(key) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


def test_a_traceback_stands_below_its_line() -> None:
    text = message({"event": "crashed", "stage": "engine", "exception": "Traceback\n  ZeroDivisionError"})

    assert text == "engine: crashed\nTraceback\n  ZeroDivisionError"


def test_an_event_is_one_datagram(receiver: socket.socket, runtime_dir: Path) -> None:
    journal = Journal(str(runtime_dir / "journal"))

    assert journal.send(EVENT)
    assert fields(receiver.recv(10_000))["MINUTED_SESSION_ID"] == "abc"
    journal.close()


def test_a_journal_that_does_not_read_holds_up_nobody(
    receiver: socket.socket, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sound waits for no log. What was lost is counted, and told once there is room."""
    monkeypatch.setattr(journald, "SEND_S_MAX", 0.01)
    journal = Journal(str(runtime_dir / "journal"))
    length = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
    while not journal.lost:
        assert journal.send(EVENT)
    for _ in range(length):
        receiver.recv(10_000)
    journal.send(EVENT)

    assert fields(receiver.recv(10_000)).get("MINUTED_LOST_EVENTS") in ("1", None)
    assert journal.lost == 0
    journal.close()


def test_without_a_journal_events_go_another_way(runtime_dir: Path) -> None:
    journal = Journal(str(runtime_dir / "nobody"))

    assert not journal.send(EVENT)
    journal.close()


def test_stderr_is_the_journal_s_only_if_it_is_the_very_file(tmp_path: Path) -> None:
    """The variable is passed on to shells whose stderr is something else."""
    found = os.fstat(2)

    assert is_stderr({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
    assert not is_stderr({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"})
    assert not is_stderr({})


SCRIPT = """
import logging, os, sys
found = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
from minuted.runtime import journald, logs
journald.Journal.__init__.__defaults__ = (sys.argv[1],)
logs.set_up("capture", "attic")
import structlog
structlog.get_logger().info("session_started", session_id="abc")
logging.getLogger("some.library").warning("disk %s", "full")
try: 1 / 0
except Exception: structlog.get_logger().exception("crashed")
"""


def test_a_process_of_ours_writes_to_the_journal(receiver: socket.socket, runtime_dir: Path) -> None:
    """Other libraries' lines and tracebacks too, and nothing twice."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(runtime_dir / "journal")],
        capture_output=True,
        check=True,
        text=True,
    )
    found = [fields(receiver.recv(100_000)) for _ in range(3)]

    assert done.stderr == ""
    assert [each["MINUTED_EVENT"] for each in found] == ["session_started", "disk full", "crashed"]
    assert [each["PRIORITY"] for each in found] == ["6", "4", "3"]
    assert all(each["MINUTED_ROOM"] == "attic" for each in found)
    assert "ZeroDivisionError" in found[2]["MESSAGE"]


def test_a_process_whose_journal_is_gone_writes_lines(runtime_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(runtime_dir / "nobody")],
        capture_output=True,
        check=True,
        text=True,
    )

    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == [
        "session_started",
        "disk full",
        "crashed",
    ]
