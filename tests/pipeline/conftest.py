"""Whole daemons, as their users start them: real processes, real sockets, the real recogniser."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from capture.virtual_microphone import VirtualMicrophones

ENDED_S_MAX = 90
"""A run that has not ended by then hangs; nothing here takes half as long."""


@pytest.fixture
def microphones(runtime_dir: Path) -> Iterator[VirtualMicrophones]:
    (runtime_dir / "sound").mkdir()
    made = VirtualMicrophones(runtime_dir / "sound", "ceiling")
    yield made
    made.stop()


class Daemon:
    """A `minuted run` and the folders it works in."""

    def __init__(self, runtime_dir: Path, output: Path, config: str) -> None:
        self.runtime_dir = runtime_dir
        self.output = output
        self.config = output / "minuted.toml"
        self.process: subprocess.Popen[str] | None = None
        self.config.write_text(
            f'room = "boardroom"\nstate_dir = "{output}/state"\nruntime_dir = "{runtime_dir}"\n'
            f"sink_dirs = []\n{config}",
            encoding="utf-8",
        )

    @property
    def turns_endpoint(self) -> str:
        return f"ipc://{self.runtime_dir}/turns.sock"

    @property
    def replay_endpoint(self) -> str:
        return f"ipc://{self.runtime_dir}/replay.sock"

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "minuted", *words, "--config", str(self.config)]

    def start(self, *options: str, **environment: str) -> "Daemon":
        with (self.output / "log.jsonl").open("a") as log:
            self.process = subprocess.Popen(
                self.command("run", *options),
                stderr=log,
                text=True,
                env=clean_environment(**environment),
            )
        return self

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(ENDED_S_MAX)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            env=clean_environment(),
        )

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.ask("status", "--json").stdout or "{}"))

    @property
    def log(self) -> list[dict[str, Any]]:
        """What it logged: every line must be one JSON object."""
        return [json.loads(line) for line in (self.output / "log.jsonl").read_text().splitlines()]

    @property
    def turns(self) -> list[dict[str, Any]]:
        """The file log, where `[sinks.file_log]` writes to `self.output`."""
        file = self.output / "turns.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def clean_environment(**more: str) -> dict[str, str]:
    """Give this process's environment without a key."""
    kept = {name: value for name, value in os.environ.items() if name != "ASSEMBLYAI_API_KEY"}
    return {**kept, **more}


@pytest.fixture
def make_daemon(runtime_dir: Path, tmp_path: Path) -> Iterator[Callable[[str], Daemon]]:
    """Make daemons that are stopped at the test's end, whatever happens."""
    made: list[Daemon] = []

    def make(config: str) -> Daemon:
        output = tmp_path / f"daemon{len(made)}"
        output.mkdir()
        made.append(Daemon(runtime_dir, output, config.replace("@output", str(output))))
        return made[-1]

    yield make
    for daemon in made:
        if daemon.process and daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()
