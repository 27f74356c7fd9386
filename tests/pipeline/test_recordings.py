"""A folder of recordings, as a user has it: real speech, real processes, texts beside each."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import srt
import webvtt
from moonshine_voice.utils import get_assets_path

from pipeline.conftest import Daemon, clean_environment
from pipeline_reference import normal
from waiting import until

CONFIG = """
[engine]
service = "local"
[sinks.file_log]
path = "@output/turns.jsonl"
"""
WAIT_S = 90


def cut(path: Path, begin_s: float, end_s: float) -> Path:
    """Make a recording of a part of the speech, in the format that its name says."""
    samples, rate = soundfile.read(get_assets_path() / "two_cities.wav", dtype="int16")
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples[int(begin_s * rate) : int(end_s * rate)], rate)
    return path


def take(daemon: Daemon, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        daemon.command("run", "--pace", "fast", *options),
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
        env=clean_environment(),
    )


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    """Two good recordings of one name, one that is none, and one that cannot be read."""
    folder = tmp_path / "talks"
    cut(folder / "mon" / "talk.mp3", 0, 4.5)
    cut(folder / "tue" / "talk.flac", 4.5, 8)
    (folder / "broken.wav").write_bytes(os.urandom(2000))
    (folder / "phone.m4a").write_bytes(os.urandom(2000))
    (folder / "notes.txt").write_text("mine")
    return folder


def test_a_folder_is_worked_off_and_taken_again_goes_on(make_daemon: Callable, talks: Path) -> None:
    """Each recording has its own words in every format, a broken one stops nothing, nothing is done twice."""
    daemon = make_daemon(CONFIG)
    ended = take(daemon, "--input", str(talks))

    assert ended.returncode == 1
    assert "2 of 4 recordings done, 2 failed" in ended.stderr
    assert f"{talks}/broken.wav: not a recording that can be read" in ended.stderr
    assert f"{talks}/phone.m4a: not a recording that can be read" in ended.stderr
    said = {name: text_of(talks / name / "talk") for name in ("mon", "tue")}
    assert "it was the best of times" in said["mon"]
    assert "wisdom" not in said["mon"]
    assert "it was the age of wisdom" in said["tue"]
    assert "times" not in said["tue"]
    assert len({turn["meeting_id"] for turn in daemon.turns}) == 2
    assert [turn["seq"] for turn in daemon.turns] == list(range(1, len(daemon.turns) + 1))
    made = sorted(path.name for path in talks.rglob("*") if path.is_file())
    assert len(made) == 5 + 2 * 4, "nothing half written is left"

    (talks / "tue" / "talk.vtt").unlink()
    (talks / "mon" / "talk.flac").write_bytes(b"")
    again = take(daemon, "--input", str(talks / "mon" / "talk.mp3"), str(talks / "tue"))
    assert again.returncode == 0
    assert "1 of 2 recordings done, 1 passed over as done before" in again.stderr
    assert "from the journal" in again.stderr
    assert text_of(talks / "tue" / "talk") == said["tue"]
    assert len({turn["meeting_id"] for turn in daemon.turns}) == 2


def text_of(base: Path) -> str:
    """Give a recording's words, after comparing all four texts."""
    texts = {
        form: base.with_suffix(f".{form}").read_text(encoding="utf-8") for form in ("srt", "vtt", "json")
    }
    subtitles = normal(" ".join(cue.content for cue in srt.parse(texts["srt"])))
    assert normal(" ".join(caption.text for caption in webvtt.from_string(texts["vtt"]))) == subtitles
    assert normal(" ".join(turn["text"] for turn in json.loads(texts["json"])["records"])) == subtitles
    lines = base.with_suffix(".txt").read_text(encoding="utf-8").splitlines()[2:]
    assert normal(" ".join(line.partition("  ")[2] for line in lines)) == subtitles
    return subtitles


def test_ctrl_c_ends_in_order_and_the_next_time_goes_on(make_daemon: Callable, tmp_path: Path) -> None:
    """What was begun is taken again as a whole, and what was not reached is said."""
    recordings = [cut(tmp_path / "a.wav", 0, 8), cut(tmp_path / "b.wav", 0, 2)]
    daemon = make_daemon(CONFIG)
    options = ["--input", *map(str, recordings), "--write", "txt"]
    with subprocess.Popen(
        daemon.command("run", *options), stderr=subprocess.PIPE, text=True, env=clean_environment()
    ) as process:
        until(lambda: daemon.status().get("stages", {}).get("capture", {}).get("position_s", 0) >= 1)
        process.send_signal(signal.SIGINT)
        seen = process.communicate(timeout=WAIT_S)[1]
        assert process.returncode == 1
    assert "0 of 2 recordings done; 1 not reached" in seen
    assert "a.wav: stopped before its end; taken again next time" in seen
    assert not list(tmp_path.glob("*.txt"))

    again = take(daemon, *options)
    assert again.returncode == 0
    assert "2 of 2 recordings done" in again.stderr
    assert "wisdom" in (tmp_path / "a.txt").read_text()
    assert "wisdom" not in (tmp_path / "b.txt").read_text()


AWAY = """
[sinks.webhook]
url = "http://127.0.0.1:1/nobody-is-there"
"""


def test_a_file_of_somebody_else_is_not_written_over(make_daemon: Callable, tmp_path: Path) -> None:
    """Hand-made subtitles are worth more than ours; --overwrite says otherwise.

    And a sink that could not be reached makes the exit status 1, but takes nobody's texts away.
    """
    recording = cut(tmp_path / "a.wav", 0, 2)
    (tmp_path / "a.srt").write_text("mine")
    daemon = make_daemon(f"stop_timeout_s = 5\n{CONFIG}{AWAY}")
    options = ["--input", str(recording), "--write", "srt,md"]
    refused = take(daemon, *options)
    assert refused.returncode == 1
    assert "a.srt is there already; --overwrite writes it anew" in refused.stderr
    assert (tmp_path / "a.srt").read_text() == "mine"
    assert not daemon.turns

    written = take(daemon, *options, "--overwrite")
    assert written.returncode == 1
    assert "but not everything was finished: " in written.stderr
    assert "best" in (tmp_path / "a.srt").read_text()
    assert "best" in (tmp_path / "a.md").read_text()
    assert take(daemon, *options).returncode == 0
