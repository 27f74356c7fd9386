"""Odd recordings through the whole line: what becomes of them stands in texts and exit status."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.conftest import Daemon, clean_environment
from pipeline_reference import normal
from waiting import until

CONFIG = """
[engine]
service = "local"
[sinks.file_log]
path = "@output/turns.jsonl"
"""
WAIT_S = 120


def speech(path: Path, begin_s: float, end_s: float, rate: int | None = None) -> Path:
    """Make a recording of a part of the speech, at another rate if one is given."""
    from capture.odd_recordings import SPEECH, ffmpeg

    more = ("-ar", rate, "-ac", 2) if rate else ()
    ffmpeg("-ss", begin_s, "-to", end_s, "-i", SPEECH, *more, path)
    return path


def take(daemon: Daemon, *options: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        daemon.command("run", "--pace", "fast", *map(str, options)),
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
        env=clean_environment(**environment),
    )


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nobody may set a file's mode, as on a network share of another user's."""
    (tmp_path / "real").mkdir()
    mounted = tmp_path / "share"
    mounted.mkdir()
    subprocess.run(["bindfs", "--chmod-deny", "--chown-deny", tmp_path / "real", mounted], check=True)
    yield mounted
    subprocess.run(["umount", mounted], check=True)


def test_what_became_of_each_is_said_and_written(make_daemon: Callable, tmp_path: Path, share: Path) -> None:
    """One that is joined has both its parts, one that is cut off says so, and so does one without a word."""
    talks = tmp_path / "talks"
    talks.mkdir()
    joined = talks / "joined.mp3"
    parts = [speech(tmp_path / "1.mp3", 0, 4.5), speech(tmp_path / "2.mp3", 4.5, 8, 22050)]
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    cut = speech(talks / "cut off.wav", 0, 8)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 4 // 7])
    soundfile.write(talks / "quiet.wav", np.zeros(16000, np.int16), 16000)
    daemon = make_daemon(CONFIG)

    ended = take(daemon, "--input", talks, "--output-dir", share, "--write", "srt,txt,json")

    assert ended.returncode == 1, ended.stderr
    assert "3 of 3 recordings done" in ended.stderr
    assert "cut off.wav: " in ended.stderr.split("3 of 3")[1]
    assert "but breaks off after 4.6 s of 8.0 s" in ended.stderr
    assert "no words were heard" in ended.stderr
    texts = {path.name: path.read_text() for path in share.iterdir()}
    assert len(texts) == 9
    assert "best of times" in normal(texts["joined.txt"])
    assert "age of wisdom" in normal(texts["joined.txt"])
    assert "breaks off" not in texts["joined.txt"] + texts["quiet.txt"]
    assert texts["cut off.txt"].startswith("boardroom: cut off, ")
    assert texts["cut off.txt"].endswith("[the recording breaks off here]\n")
    assert "[the recording breaks off here]" in texts["cut off.srt"]
    assert json.loads(texts["cut off.json"])["broke_off"].startswith("breaks off after 4.6 s of 8.0 s")
    assert "[no words were heard]" in texts["quiet.txt"]
    assert texts["quiet.srt"] == ""
    assert {turn["meeting_title"] for turn in daemon.turns} == {"joined", "cut off"}
    listed = daemon.ask("export", "--list").stdout.splitlines()
    assert sorted(line.split("  ")[-1].strip() for line in listed) == ["cut off", "joined"]

    again = take(daemon, "--input", talks, "--output-dir", share, "--write", "srt,txt,json")
    assert again.returncode == 1
    assert "cut off.wav: passed over, done before; but breaks off after" in again.stderr


def test_beside_another_run_it_has_folders_of_its_own(make_daemon: Callable, tmp_path: Path) -> None:
    """Nobody stops the room's minuted for a recording, and nothing of the one comes to the other.

    And captions of one recording do not keep its text from being written.
    """
    daemon = make_daemon(CONFIG)
    daemon.start("--input", str(speech(tmp_path / "long.wav", 4.5, 40)))
    until(lambda: daemon.status().get("stages", {}).get("capture", {}).get("position_s", 0) > 0.5)
    one = speech(tmp_path / "one.wav", 0, 4.5)
    state = tmp_path / "home"

    ended = take(daemon, "--input", one, "--watch", "--write", "txt", XDG_STATE_HOME=str(state))

    own = state / "minuted" / "recordings"
    assert ended.returncode == 0, ended.stderr
    assert "best of times" in ended.stdout.lower()
    assert f"this one keeps its own: the journal and the sinks' files are in {own}" in ended.stderr
    assert "1 of 1 recordings done" in ended.stderr
    assert "best of times" in normal((tmp_path / "one.txt").read_text())
    log = [json.loads(line) for line in (own / "turns.jsonl").read_text().splitlines()]
    assert {turn["meeting_title"] for turn in log} == {"one"}
    exported = subprocess.run(
        daemon.command("export", "--list"),
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment(MINUTED_STATE_DIR=str(own)),
    )
    assert exported.stdout.rstrip().endswith("  one")
    assert daemon.process
    daemon.process.send_signal(signal.SIGINT)
    assert daemon.wait() == 0
    assert not {turn["meeting_title"] for turn in daemon.turns} - {"long"}
    assert os.listdir(tmp_path / "home" / "minuted") == ["recordings"]  # noqa: PTH208
