"""A recording through the simulated service: late second thoughts about speakers reach every text of it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from pipeline.conftest import clean_environment
from simulator import Service
from simulator.coded import compose

CONFIG = """
[engine]
service = "assemblyai"
url = "@url"
[session]
speaker_labels = true
[sinks.srt]
directory = "@output/live"
[sinks.vtt]
use = "srt"
format = "vtt"
directory = "@output/live"
[sinks.txt]
directory = "@output/live"
[sinks.file_log]
path = "@output/turns.jsonl"
"""
SPEECH = compose(3, speakers=2, seed=5, words=(3, 4), word_ms=(400, 450), tail_ms=500)


def test_what_is_written_beside_a_recording_is_what_the_sinks_wrote_live(
    make_daemon: Callable, tmp_path: Path
) -> None:
    """After the service has named speakers anew: each turn once, in its place, under its last name."""
    recording = SPEECH.save(tmp_path / "talk.wav")
    with Service(mislabel_every=2) as service:
        daemon = make_daemon(CONFIG.replace("@url", service.url))
        ended = subprocess.run(
            daemon.command("run", "--input", str(recording), "--write", "srt,vtt,txt,json"),
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
            env=clean_environment(ASSEMBLYAI_API_KEY="any"),
        )
    assert ended.returncode == 0, ended.stderr
    assert {turn["type"] for turn in daemon.turns} == {"turn", "revision"}
    live = {file.suffix: file.read_bytes() for file in (daemon.output / "live").glob("boardroom-*")}
    assert live == {f".{form}": (tmp_path / f"talk.{form}").read_bytes() for form in ("srt", "vtt", "txt")}
    records = json.loads((tmp_path / "talk.json").read_text())["records"]
    said = [word["text"] for record in records for word in record["words"]]
    assert said == [word.text for word in SPEECH.words]
    assert [record["speaker"] for record in records] == ["A", "B", "A"]
    lines = (tmp_path / "talk.txt").read_text().splitlines()[2:]
    assert [line.split()[1] for line in lines] == ["A:", "B:", "A:"]
