"""A recording that something happens to while it is heard: its texts have all that was there."""

import json
from collections.abc import Callable
from pathlib import Path

from simulator import Service
from simulator.coded import compose
from waiting import until

CONFIG = """
[engine]
service = "assemblyai"
url = "@url"
[sinks.file_log]
path = "@output/turns.jsonl"
"""


def test_another_meeting_is_begun_and_the_file_grows_and_goes(make_daemon: Callable, tmp_path: Path) -> None:
    """Words after the cut would be in no text; what has come to the file since would be taken for heard."""
    talk = compose(4, words=(3, 3), turn_pause_ms=(1500, 1500))
    recording = talk.save(tmp_path / "talk.wav")
    size_bytes = recording.stat().st_size
    with Service() as service:
        daemon = make_daemon(CONFIG.replace("@url", service.url))
        daemon.start("--input", str(recording), "--write", "txt,json", ASSEMBLYAI_API_KEY="a-key")
        until(lambda: daemon.turns)
        until(lambda: daemon.ask("meeting", "start", "--title", "Budget").returncode == 0)
        with recording.open("ab") as growing:
            growing.write(b"more of it")
        recording.unlink()
        # What has come to it since is missing in the texts.
        assert daemon.wait() == 1

    assert len({turn["meeting_id"] for turn in daemon.turns}) == 2
    text = (tmp_path / "talk.txt").read_text()
    assert [word for word in text.split() if word.startswith("word")] == [word.text for word in talk.words]
    records = json.loads((tmp_path / "talk.json").read_text())["records"]
    begins = [word["start_ms"] for record in records for word in record["words"]]
    assert all(abs(begin_ms - word.start_ms) < 500 for begin_ms, word in zip(begins, talk.words, strict=True))
    (note,) = json.loads((daemon.output / "state" / "recordings.json").read_text()).values()
    assert note["bytes"] == size_bytes
