"""Who speaks, through the whole line: labels, second thoughts and names in every output."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import srt

from simulator import Service
from simulator.coded import compose
from simulator.receiver import Receiver
from waiting import until

CONFIG = """
[engine]
service = "assemblyai"
url = "@service"
[session]
speaker_labels = true
language_detection = true
[sinks.file_log]
path = "@output/turns.jsonl"
[sinks.srt]
directory = "@output/srt"
[sinks.webhook]
url = "@url"
words = true
"""


def newest(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {record["id"]: record for record in records}


def test_names_and_second_thoughts_reach_every_output(make_daemon: Callable, tmp_path: Path) -> None:
    """Subtitles are rewritten, the file log appended to, the webhook told: all end with the same speakers."""
    talk = compose(5, words=(4, 5), speakers=2, seed=3, turn_pause_ms=(600, 800))
    recording = talk.save(tmp_path / "talk.wav")
    with Service(mislabel_every=3, bare_revisions=True) as service, Receiver() as receiver:
        daemon = make_daemon(CONFIG.replace("@service", service.url).replace("@url", receiver.url))
        daemon.start("--input", str(recording), "--pace", "real-time", ASSEMBLYAI_API_KEY="a-key")
        until(lambda: {"A", "B"} <= {turn["speaker"] for turn in daemon.turns})
        named = daemon.ask("speakers", "A=chair", "B=Anna Maier")
        assert named.returncode == 0, named.stderr
        assert [line.split("  ")[1] for line in named.stdout.splitlines()[2:]] == ["A", "B"]
        assert daemon.ask("speakers", "C=Carl").returncode == 1
        assert daemon.wait() == 0
        bodies = [json.loads(request.body) for request in receiver.requests]

    records = daemon.turns
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    people = {word.text: ("chair", "Anna Maier")[word.speaker] for word in talk.words}
    last = sorted(newest(records).values(), key=lambda record: record["start_ms"])
    assert [word["text"] for record in last for word in record["words"]] == list(people)
    for record in last:
        assert {word["speaker"] for word in record["words"]} == {record["speaker"]}
        assert record["speaker"] == people[record["words"][0]["text"]]
        assert record["language"] == "en"
    # Named once, and the wrong label of each third turn mended at the end.
    assert max(record["revision"] for record in records) >= 1
    assert [body["type"] for body in bodies] == [
        "turn.final" if record["type"] == "turn" else "turn.revised" for record in records
    ]
    assert [body["data"] for body in bodies] == records
    (subtitles,) = (daemon.output / "srt").glob("*.srt")
    speaker, shown = "", {}
    for cue in srt.parse(subtitles.read_text(encoding="utf-8")):
        label, found, text = cue.content.rpartition(": ")
        speaker = label if found else speaker
        shown.update(dict.fromkeys(text.split(), speaker))
    assert shown == people


def test_what_the_local_engine_has_not_is_told_once(make_daemon: Callable, tmp_path: Path) -> None:
    """It says so in each session; somebody who asked for labels should not wait for them."""
    config = '[engine]\nservice = "local"\n[session]\nspeaker_labels = true\n'
    recording = compose(1, tail_ms=500).save(tmp_path / "talk.wav")
    daemon = make_daemon(config)
    assert daemon.start("--input", str(recording), "--pace", "fast").wait() == 0
    (warning,) = [entry for entry in daemon.log if entry["event"] == "service_warning"]
    assert "speaker_labels" in warning["reason"]
    checked = daemon.ask("check", "--input", str(recording))
    (line,) = [line for line in checked.stdout.splitlines() if "speaker_labels" in line]
    assert line.startswith("!")
    assert "the local engine does not have it" in line
