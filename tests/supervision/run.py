"""A supervisor over stages of a test's making, as its tests see it: started, watched, asked, ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minuted.config import Settings
from minuted.control import status_of

WAIT_S = 30
"""For what must come; a test that waits longer has failed."""


class Run:
    """A supervisor in a process of its own."""

    def __init__(self, folder: Path, stages, env=None, **spec) -> None:
        self.folder = folder
        self.settings = Settings(runtime_dir=folder / "run", state_dir=folder / "state")
        script = Path(__file__).with_name("supervised.py")
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, script, folder, json.dumps({"stages": stages, **spec})],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **(env or {})},
            )

    def stages(self):
        status = status_of(self.settings, "supervisor", timeout_s=1)
        return status["stages"] if status else {}

    def wait_for(self, condition):
        """Ask for the stages until they are as wanted."""
        give_up_s = time.monotonic() + WAIT_S
        while time.monotonic() < give_up_s:
            stages = self.stages()
            if stages and condition(stages):
                return stages
            time.sleep(0.03)
            if self.process.poll() is not None:
                break
        raise AssertionError(f"it did not come to that: {stages}\n{self.log()}")

    def wait_until_ready(self):
        return self.wait_for(lambda stages: all(stage["state"] == "ready" for stage in stages.values()))

    def end(self):
        out, _ = self.process.communicate(timeout=WAIT_S)
        assert out, self.log()
        return json.loads(out)

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def events(self, *kinds):
        path = self.folder / "events"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if not kinds or line.split()[-1] in kinds]

    def log(self):
        return (self.folder / "log").read_text()

    def logged(self, event):
        return [line for line in map(json.loads, self.log().splitlines()) if line["event"] == event]


@contextmanager
def starting(runtime_dir: Path) -> Iterator:
    """Give what starts runs in a folder; they are ended with it."""
    (runtime_dir / "run").mkdir()
    (runtime_dir / "state").mkdir()
    made = []

    def start(stages, **spec):
        made.append(Run(runtime_dir, stages, **spec))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()
        one.process.stdout.close()
