"""A configuration, a publisher in this process, and sinks as processes of their own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from fake_publisher import FakePublisher
from minuted.config import Settings, load
from minuted.control import status_of

WAIT_S = 60.0


class Room:
    """A configuration, a publisher, and sinks as processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sinks = folder / "own"
        self.sinks.mkdir(mode=0o755)
        self.out = folder / "out.txt"
        self.processes: list[subprocess.Popen[str]] = []
        self.publisher: FakePublisher | None = None

    @property
    def settings(self) -> Settings:
        return load(self.folder / "minuted.toml")

    def save(self, name: str, text: str) -> None:
        (self.sinks / f"{name}.py").write_text(text)
        (self.sinks / f"{name}.py").chmod(0o644)

    def configure(self, tables: str) -> None:
        (self.folder / "minuted.toml").write_text(
            f'state_dir = "{self.folder}/state"\nruntime_dir = "{self.folder}"\n'
            f'sink_dirs = ["{self.sinks}"]\nstop_timeout_s = 10\n{tables}'
        )

    def publish_from_here(self, records: int = 0) -> FakePublisher:
        settings = self.settings
        self.publisher = FakePublisher(settings.turns_endpoint, settings.replay_endpoint, records=records)
        return self.publisher

    def start(self, name: str, **environment: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "minuted", "--config", str(self.folder / "minuted.toml")]
        process = subprocess.Popen(
            [*command, "delivery", name],
            env={**os.environ, **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def status(self, name: str) -> dict[str, Any]:
        return status_of(self.settings, f"delivery/{name}", timeout_s=5.0) or {}

    def lines(self) -> list[str]:
        return self.out.read_text().splitlines() if self.out.exists() else []

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()
        if self.publisher:
            self.publisher.close()


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait for a process's end; give its exit status and what it logged."""
    _, log = process.communicate(timeout=WAIT_S)
    return process.returncode, log
