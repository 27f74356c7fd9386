"""Whole daemons and their bill: at the limit, and after a kill."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minuted.journal.turns import TurnJournal
from simulator.coded import compose
from simulator.process import Process

WAIT_S = 60
CONFIG = """
[engine]
service = "assemblyai"
url = "{service}"
[sinks.file_log]
path = "@output/turns.jsonl"
"""
LIMIT = "[cost]\nper_hour = 3600\ndaily_limit = 3\n"


@pytest.fixture
def service() -> Iterator[Process]:
    with Process() as process:
        yield process


def sound(daemon: Any) -> str:
    return str(compose(6).save(Path(daemon.output) / "talk.wav"))


def test_a_recording_that_reaches_the_limit_ends_with_1_and_says_so(
    service: Process, make_daemon: Callable[[str], Any], capfd: pytest.CaptureFixture[str]
) -> None:
    """What was heard until then is delivered; nobody waits for a new day."""
    daemon = make_daemon(CONFIG.format(service=service.url) + LIMIT)
    daemon.start("--input", sound(daemon), ASSEMBLYAI_API_KEY="a-key")
    status = daemon.wait()

    log = (daemon.output / "log.jsonl").read_text()
    last = log.splitlines()[-1]
    assert status == 1
    assert last.startswith("minuted: the recording broke off: the daily limit of $3.00 is reached")
    assert '"daily_limit_reached"' in log
    journal = TurnJournal(daemon.output / "state/turns.db")
    state = journal.state("cost")
    journal.close()
    assert sum(session_s for session_s, _ in state["days"].values()) >= 3
    assert state["open"] == 0
    assert len(service.sessions) == 1


def test_after_a_kill_the_bill_goes_on_where_it_was(
    service: Process, make_daemon: Callable[[str], Any]
) -> None:
    """And the table shows it, in words and in dollars."""
    daemon = make_daemon(CONFIG.format(service=service.url) + "[cost]\nper_hour = 3600\n")
    daemon.start("--input", sound(daemon), ASSEMBLYAI_API_KEY="a-key")
    told: dict[str, Any] = {}
    until_s = time.monotonic() + WAIT_S
    while not told.get("session_s_today") and time.monotonic() < until_s:
        told = daemon.status().get("stages", {}).get("transcription", {})
    table = daemon.ask("status").stdout
    daemon.process.kill()
    daemon.process.wait()
    assert told["cost_today"] == pytest.approx(told["session_s_today"], abs=0.1)
    assert "today" in table
    while service_is_open(service) and time.monotonic() < until_s:
        time.sleep(0.05)

    daemon.start("--input", sound(daemon), ASSEMBLYAI_API_KEY="a-key")
    after: dict[str, Any] = {}
    while not after.get("cut_today") and time.monotonic() < until_s:
        after = daemon.status().get("stages", {}).get("transcription", {})
    assert after["cut_today"] == 1
    daemon.process.kill()
    daemon.process.wait()


def service_is_open(service: Process) -> bool:
    return any(session.ended_at_s is None for session in service.sessions)
