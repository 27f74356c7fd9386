"""A whole daemon's metrics, scraped as Prometheus does it."""

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from pipeline.conftest import Daemon, clean_environment
from scraped import Samples, samples
from simulator.coded import compose
from simulator.process import Process
from waiting import until

KEY = "planted-key-of-the-metrics"
CONFIG = """
[engine]
service = "assemblyai"
url = "{service}"
idle_after_s = 1
[cost]
per_hour = 3600
daily_limit = 5000
[sinks.file_log]
path = "@output/turns.jsonl"
"""


@pytest.fixture
def scraper() -> Iterator[Callable[[Daemon], str]]:
    """Serve a daemon's metrics; give the page's address."""
    started: list[subprocess.Popen[str]] = []

    def serve(daemon: Daemon) -> str:
        log = daemon.output / "metrics.jsonl"
        with log.open("w") as err:
            command = daemon.command("metrics", "--listen", "127.0.0.1:0")
            started.append(subprocess.Popen(command, stderr=err, text=True, env=clean_environment()))
        found = until(lambda: re.search(r'"listen": ?"([^"]+)"', log.read_text()))
        return f"http://{found[1]}/metrics"

    yield serve
    for process in started:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def scraped(page: str) -> str:
    return httpx.get(page, trust_env=False).text


def if_whole(text: str) -> str:
    """Give it where every process has answered in time, which a busy machine's may not."""
    up = [value for name, value in samples(text).items() if name.startswith("minuted_stage_up ")]
    return text if up == [1, 1, 1] else ""


def is_idle(found: Samples) -> bool:
    """Whether the session has ended, and all it said is delivered."""
    is_delivered = 0 < found.get("minuted_sink_seq sink=file_log", 0) == found.get("minuted_last_seq")
    return found.get("minuted_idle") == 1 and not found["minuted_sessions_open"] and is_delivered


def whole_status(daemon: Daemon) -> dict[str, Any]:
    stages = dict(daemon.status()["stages"])
    return stages if all("uptime_s" in values for values in stages.values()) else {}


def test_what_is_scraped_is_what_the_status_tells_and_the_bill_is_at_its_price(
    make_daemon: Callable[[str], Daemon], scraper: Callable[[Daemon], str]
) -> None:
    """While nobody speaks the figures stand still, so that the two can be held against each other."""
    with Process(options={"keys": [KEY]}) as service:
        daemon = make_daemon(CONFIG.format(service=service.url))
        recording = compose(1, words=(6, 6), tail_ms=120_000)
        daemon.start("--input", str(recording.save(daemon.output / "talk.wav")), ASSEMBLYAI_API_KEY=KEY)
        page = scraper(daemon)
        until(lambda: is_idle(samples(scraped(page))))

        told = until(lambda: whole_status(daemon))
        text = until(lambda: if_whole(scraped(page)))
        printed = until(lambda: if_whole(daemon.ask("metrics").stdout))
        daemon.stop()
        gone = samples(scraped(page))

    found, own, sink = samples(text), told["transcription"], told["delivery/file_log"]
    assert own["session_s_today"] > 0
    assert {name: found[f"minuted_{name}"] for name in ("cost_today", "cost_month", "last_seq")} == {
        name: own[name] for name in ("cost_today", "cost_month", "last_seq")
    }
    assert found["minuted_session_today_seconds"] == own["session_s_today"]
    assert found["minuted_session_month_seconds"] == own["session_s_month"]
    assert found["minuted_cost_today"] == pytest.approx(own["session_s_today"], abs=0.1), "3600 an hour"
    assert (found["minuted_cost_daily_limit"], found["minuted_cost_limit_reached"]) == (5000, 0)
    assert found["minuted_final_turns_total"] == own["finals"] >= 1
    assert found["minuted_sink_seq sink=file_log"] == sink["seq"]
    assert found["minuted_sink_lag_records sink=file_log"] == 0
    assert found["minuted_capture_frames_total"] >= told["capture"]["frames"] > 0
    assert {f"minuted_stage_up stage={stage}" for stage in told} <= found.keys()
    assert samples(printed).keys() == found.keys()
    assert not [word.text for word in recording.words if word.text in text]
    assert KEY not in text
    assert (gone["minuted_up"], gone["minuted_stage_up stage=delivery/file_log"]) == (0, 0)
