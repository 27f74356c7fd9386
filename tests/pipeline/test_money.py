"""A whole daemon and its bill."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minuted.journal.turns import TurnJournal
from simulator.coded import compose
from simulator.process import Process

CONFIG = """
[engine]
service = "assemblyai"
url = "{service}"
[sinks.file_log]
path = "@output/turns.jsonl"
"""
LIMIT = '[session]\nspeech_model = "whisper-rt"\n[cost]\nper_hour = 3600\ndaily_limit = 1\n'


@pytest.fixture
def service() -> Iterator[Process]:
    with Process() as process:
        yield process


def sound(daemon: Any) -> str:
    return str(compose(3).save(Path(daemon.output) / "talk.wav"))


def test_a_recording_that_reaches_the_limit_ends_with_1_and_says_so(
    service: Process, make_daemon: Callable[[str], Any]
) -> None:
    """What was heard until then is delivered; nobody waits for a new day."""
    daemon = make_daemon(CONFIG.format(service=service.url) + LIMIT)
    daemon.start("--input", sound(daemon), ASSEMBLYAI_API_KEY="a-key")
    status = daemon.wait()

    log = (daemon.output / "log.jsonl").read_text()
    last = log.splitlines()[-1]
    assert status == 1
    assert last.startswith("minuted: the recording broke off: the daily limit of $1.00 is reached")
    assert log.count('"daily_limit_reached"') == 1
    assert log.count('"model_deprecated"') == 1, "once a start, not once a session"
    journal = TurnJournal(daemon.output / "state/turns.db")
    state = journal.state("cost")
    journal.close()
    assert sum(session_s for session_s, _ in state["days"].values()) >= 1
    assert state["open"] == 0
    assert len(service.sessions) == 1
