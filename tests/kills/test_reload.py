"""Real processes and the simulated service: the configuration changes, a process hangs, no word is lost."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from kills.daemon import WELL, Daemon
from kills.outputs import TIME_ERROR_MS_MAX
from simulator.coded import compose
from simulator.oracle import from_file_log, judge
from simulator.process import Process

CONFIG = """
[engine]
service = "assemblyai"
url = "{url}"
[session]
min_turn_silence = {silence}
[sinks.file_log]
path = "{folder}/turns.jsonl"
"""
ANOTHER = """
[sinks.late]
use = "file_log"
path = "{folder}/late.jsonl"
"""
WAIT_S = 60.0


@pytest.fixture
def folders(tmp_path: Path):
    runtime_dir = Path(tempfile.mkdtemp(prefix="m-", dir="/tmp"))
    yield tmp_path, runtime_dir
    shutil.rmtree(runtime_dir, ignore_errors=True)


def reload(daemon: Daemon) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "minuted", "reload", "--config", str(daemon.folder / "minuted.toml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )


@pytest.mark.timeout(200)
def test_no_word_is_lost_by_a_reload_nor_by_a_hanging_process(folders, capsys) -> None:
    """In the middle of speech: the session changes, a sink is added, the new process is stopped for good."""
    folder, runtime_dir = folders
    said = compose(18, seed=5)
    with Process() as service:
        texts = [CONFIG.format(url=service.url, silence=silence, folder=folder) for silence in (200, 300)]
        with Daemon(folder, runtime_dir, texts[0]) as daemon:
            file = folder / "minuted.toml"
            daemon.start(said.save(folder / "talk.wav"))
            daemon.wait_for(lambda _: daemon.played_ms() > 6000, WAIT_S)
            before = {name: row["pid"] for name, row in daemon.stages().items()}

            file.write_text(file.read_text().replace(texts[0], "[session]\nmin_turn = 1\n"))
            bad = reload(daemon)
            head = file.read_text().partition("[session]")[0]
            file.write_text(head + texts[1] + ANOTHER.format(folder=folder))
            good = reload(daemon)

            after = {name: row["pid"] for name, row in daemon.stages().items()}
            pid = after["transcription"]
            os.kill(pid, signal.SIGSTOP)
            began_s = time.monotonic()
            daemon.wait_for(lambda stages: stages["transcription"]["pid"] not in (pid, None), WAIT_S)
            noticed_s = time.monotonic() - began_s
            assert daemon.wait(WAIT_S) == WELL, daemon.log
        sessions = [connection.query["min_turn_silence"] for connection in service.sessions]

    assert (bad.returncode, good.returncode) == (1, 0), (bad, good)
    assert good.stdout == "transcription restarted, late added\n"
    assert after["capture"] == before["capture"]
    assert after["transcription"] != before["transcription"]
    assert sessions[0] == ["200"]
    assert set(map(tuple, sessions[1:])) == {("300",)}
    assert [entry["child"] for entry in daemon.log if entry.get("event") == "hung"] == ["transcription"]
    with capsys.disabled():
        print(f"\na stopped transcription was replaced after {noticed_s:.1f} s")
    verdict = judge(said.words, from_file_log((folder / "turns.jsonl").read_text()))
    assert verdict.is_perfect(TIME_ERROR_MS_MAX), verdict
    late = from_file_log((folder / "late.jsonl").read_text())
    assert late.words, "a sink that was added hears what is said from then on"
