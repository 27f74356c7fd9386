"""One of minuted's processes, for real, and its memory as the kernel counts it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from waiting import until

TESTS: Final = Path(__file__).parents[1]
KIB: Final = 1024


class Process:
    """`minuted COMMAND` with a configuration of its own."""

    def __init__(self, folder: Path, command: str, text: str = "") -> None:
        state_dir = folder / "state"
        state_dir.mkdir(exist_ok=True)
        self.folder = folder
        self.log = folder / "log"
        config = folder / "minuted.toml"
        config.write_text(f'state_dir = "{state_dir}"\nruntime_dir = "{folder}"\nsink_dirs = []\n{text}')
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "minuted", *command.split(), "--config", str(config)],
                env={**os.environ, "ASSEMBLYAI_API_KEY": "the-planted-key"},
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def wait_for(self, event: str) -> None:
        until(lambda: self.is_up and f'"event": "{event}"' in self.log.read_text(), f"{event} in the log")

    @property
    def is_up(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()[-2000:]
        return True

    def count(self, event: str) -> int:
        return self.log.read_text().count(f'"event": "{event}"')

    def memory_bytes(self, what: str = "VmRSS") -> int:
        """Return what it takes now, or with VmHWM the most it ever took."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) * KIB


@contextmanager
def flooding(call: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `call`, of floods.wire, in a process of its own: whoever floods is told apart by it."""
    code = f"from floods.wire import *\n{call}"
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(TESTS)})
    try:
        yield process
    finally:
        process.kill()
        process.wait()
