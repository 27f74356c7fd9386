"""What systemd hears of a run whose processes are well, and of one whose are not."""

import socket

import pytest

from minuted.supervision.liveness import Seen
from minuted.supervision.roster import Roster
from minuted.supervision.telling import Teller


class Watched:
    """What a watcher has seen."""

    def __init__(self):
        self.statuses = {}
        self.seen = {}
        self.ago_s = 0.0

    def looked_ago_s(self, now_s):
        return self.ago_s


@pytest.fixture
def systemd(runtime_dir, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(runtime_dir / "notify"))
        bound.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(runtime_dir / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "20000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)

        def told():
            lines = []
            while True:
                try:
                    lines.append(bound.recv(1000).decode())
                except BlockingIOError:
                    return lines

        yield told


@pytest.fixture
def made(systemd, make_settings):
    stages = {"transcription": ["t"], "capture": ["c"]}
    roster, watched = Roster(make_settings('room = "attic"\n'), lambda _: stages), Watched()
    for child in roster:
        child.become("ready")
        child._process = Process()
    return Teller(roster, watched), watched


class Process:
    pid = 7


def test_a_line_is_told_once(made, systemd):
    teller, watched = made
    teller.tell("running")
    teller.tell("running")
    assert systemd() == ["STATUS=attic: recording, no sinks"]
    watched.statuses = {"transcription": {"pid": 7, "state": "live"}}
    teller.tell("running")
    assert systemd() == ["STATUS=attic: recording, live, no sinks"]
    assert teller.told == "attic: recording, live, no sinks"
    teller.tell("running", is_ready=True)
    assert systemd() == ["READY=1\nSTATUS=attic: recording, live, no sinks"]


def test_the_watchdog_is_calmed_in_time_and_not_more(made, systemd):
    teller, _ = made
    for quarter_s in range(80):
        teller.pat(quarter_s / 4, is_stopping=False)
    assert systemd() == ["WATCHDOG=1"] * 4


@pytest.mark.parametrize(("silent_s", "ago_s"), [(20.0, 0.0), (0.0, 20.0)])
def test_the_watchdog_bites_when_nobody_answers_or_nobody_asks(made, systemd, silent_s, ago_s):
    """systemd is the last who can help."""
    teller, watched = made
    watched.seen, watched.ago_s = {7: Seen(7, silent_s)}, ago_s
    teller.pat(100.0, is_stopping=False)
    assert systemd() == []
    teller.pat(100.0, is_stopping=True)
    assert systemd() == ["WATCHDOG=1"], "a stop has bounds of its own"
