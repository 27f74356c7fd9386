"""What a sink has started does not outlive the run, however it has detached itself."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from simulator.coded import compose
from waiting import until

SINK = """
import os
import subprocess
import sys
from pathlib import Path

from minuted import Sink

FOLDER = Path({folder!r})
SLEEP = "import sys, time; print(1, flush=True); time.sleep(1000)"


class Forking(Sink):
    def open(self):
        each = dict(child={{}}, session=dict(start_new_session=True), bare=dict(env={{}}))
        for name, options in each.items():
            process = subprocess.Popen([sys.executable, "-c", SLEEP], stdout=subprocess.PIPE, **options)
            process.stdout.readline()
            (FOLDER / name).write_text(str(process.pid))
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                (FOLDER / "daemon.new").write_text(str(os.getpid()))
                (FOLDER / "daemon.new").rename(FOLDER / "daemon")
                os.closerange(0, 1000)
                while True:
                    os.sched_yield() or __import__("time").sleep(1)
            os._exit(0)

    def write(self, turn):
        pass
"""
NAMES = ("child", "session", "bare", "daemon")
CONFIG = """
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
sink_dirs = ["{folder}/sinks"]
stop_timeout_s = 3
[engine]
service = "assemblyai"
url = "ws://127.0.0.1:9"
[sinks.forking]
"""


def is_there(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


@pytest.fixture
def folder(runtime_dir: Path) -> Path:
    for name in ("sinks", "pids"):
        (runtime_dir / name).mkdir()
    (runtime_dir / "sinks/forking.py").write_text(SINK.format(folder=str(runtime_dir / "pids")))
    (runtime_dir / "minuted.toml").write_text(CONFIG.format(folder=runtime_dir))
    compose(2).save(runtime_dir / "talk.wav")
    return runtime_dir


@pytest.fixture
def pids(folder: Path) -> Iterator[list[int]]:
    """The processes that the sink starts, killed in the end whatever comes of the test."""
    found: list[int] = []
    yield found
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, 9)


@pytest.mark.parametrize("impatient", [False, True], ids=["in order", "killed"])
def test_what_a_sink_forked_ends_with_the_run(folder: Path, pids: list[int], impatient: bool) -> None:
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "minuted",
            "run",
            "--input",
            folder / "talk.wav",
            "--config",
            folder / "minuted.toml",
        ],
        env={**os.environ, "ASSEMBLYAI_API_KEY": "a-key"},
        stderr=subprocess.DEVNULL,
    ) as run:
        until(lambda: run.poll() is not None or all((folder / "pids" / name).exists() for name in NAMES))
        pids += [int((folder / "pids" / name).read_text()) for name in NAMES]
        assert all(map(is_there, pids))
        run.terminate()
        if impatient:
            # Ctrl-C after a stop was asked for: all is killed.
            until(lambda: not Path(f"/proc/{run.pid}").exists() or _interrupted_twice(run), "the end")
        run.wait(60)
    assert [name for name, pid in zip(NAMES, pids, strict=True) if is_there(pid)] == []


def _interrupted_twice(run: "subprocess.Popen[bytes]") -> bool:
    run.send_signal(2)
    return run.poll() is not None


ADOPTING = """
import subprocess, sys, time
from minuted.supervision.orphans import Orphans

before = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
orphans = Orphans()
subprocess.run(["sh", "-c", "sleep 1000 >/dev/null 2>&1 & exit"], check=True)
orphans.reap(time.monotonic() + 60, ())
print(orphans.end(), before.poll())
before.kill()
before.wait()
"""


def test_only_what_came_since_is_ended() -> None:
    """Live captions are a process of the same parent, and end by themselves."""
    done = subprocess.run(
        [sys.executable, "-c", ADOPTING], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "1 None"


def test_known_ones_are_left_to_whom_they_belong() -> None:
    script = ADOPTING.replace("orphans.end()", "orphans.end({ours.pid}), ours.poll()").replace(
        "subprocess.run", 'ours = subprocess.Popen(["true"])\nsubprocess.run'
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "1 0 None"


TRYING = """
import os, sys, threading, time
from pathlib import Path
from types import SimpleNamespace
from minuted.config import ConfigError
from minuted.supervision.orphans import Orphans
from minuted.supervision.trial import try_sinks

folder, said = Path(sys.argv[1]), []


def attempt():
    try:
        try_sinks(SimpleNamespace(path=None), folder / "offered.toml", ["delivery/any"])
        said.append("accepted")
    except ConfigError as error:
        said.append(str(error))


def state():
    try:
        pid = (folder / "pid").read_text().strip()
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


orphans = Orphans()
sys.executable = str(folder / "refusing")
trial = threading.Thread(target=attempt)
trial.start()
while state() != "Z":
    time.sleep(0.01)
orphans.reap(time.monotonic() + 60, ())
(folder / "fifo").write_text("go on")
trial.join()
print(*said)
"""
REFUSING = """#!/bin/sh
cat {folder}/fifo &
echo "minuted: no such sink" >&2
echo $$ >{folder}/pid.new
mv {folder}/pid.new {folder}/pid
exit 78
"""


def test_a_trial_that_is_refused_stays_so_while_a_grandchild_holds_its_pipes(tmp_path: Path) -> None:
    """It has ended before it is waited for: its exit status is its trial's, whoever looks for orphans."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "refusing").write_text(REFUSING.format(folder=tmp_path))
    (tmp_path / "refusing").chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", TRYING, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "no such sink\n"
