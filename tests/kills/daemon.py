"""A whole daemon as a round of the kill loop sees it: started, watched, struck, started again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from minuted.config import load
from minuted.control import ask
from minuted.messages import FRAME_MS, MalformedMessageError

WELL: Final = "well"
GONE_S_MAX: Final = 10.0
POLL_S: Final = 0.02
_OURS: Final = ("ASSEMBLYAI_API_KEY", "MINUTED_CRASH_AT", "CREDENTIALS_DIRECTORY")


class Daemon:
    """`minuted run` with folders and a log of its own; a context manager that leaves nothing running."""

    def __init__(self, folder: Path, runtime_dir: Path, config: str) -> None:
        self.folder = folder
        self._config = folder / "minuted.toml"
        self._config.write_text(
            f'room = "boardroom"\nstate_dir = "{folder}/state"\nruntime_dir = "{runtime_dir}"\n'
            f"sink_dirs = []\n{config}",
            encoding="utf-8",
        )
        self.settings = load(self._config)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_all()

    def start(self, recording: Path | None, *, crash_at: str = "") -> None:
        """Play a recording in real time; without one, those of the configuration."""
        ours = {name: value for name, value in os.environ.items() if name not in _OURS}
        ours |= {"ASSEMBLYAI_API_KEY": "a-key"} | ({"MINUTED_CRASH_AT": crash_at} if crash_at else {})
        command = [sys.executable, "-m", "minuted", "run", "--config", str(self._config)]
        played = ["--input", str(recording)] if recording else []
        with (self.folder / "log.jsonl").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *played, "--pace", "real-time"],
                stdout=log,
                stderr=log,
                env=ours,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait(self, timeout_s: float) -> str:
        """Wait for its end; say how it ended. Raises TimeoutError."""
        assert self.process is not None
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the run does not end within {timeout_s} s: {self.stages()}") from None
        reasons = [entry["text"] for entry in self.log if entry.get("text", "").startswith("minuted: ")]
        return WELL if status == 0 else f"{status} ({reasons[-1] if reasons else 'without a word'})"

    def stages(self) -> dict[str, dict[str, Any]]:
        """Ask the supervisor for its processes; none where it does not answer."""
        try:
            return dict(ask(self.settings, "supervisor", "status")["stages"])
        except (TimeoutError, ValueError, MalformedMessageError):
            return {}

    def wait_for(self, come: Callable[[dict[str, dict[str, Any]]], bool], timeout_s: float) -> None:
        """Wait for something to be so of the processes. Raises TimeoutError."""
        until_s = time.monotonic() + timeout_s
        while not come(self.stages()):
            if time.monotonic() > until_s or not self.is_running:
                raise TimeoutError(f"it does not come; there is: {self.stages()}")
            time.sleep(POLL_S)

    def kill(self, stage: str) -> bool:
        """SIGKILL a process that is ready, and see it gone; False where there was none."""
        row = self.stages().get(stage, {})
        if row.get("state") != "ready" or not row.get("pid"):
            return False
        return end(int(row["pid"]))

    def stop(self, stage: str) -> int | None:
        """SIGSTOP a process that is ready; give its pid, or None where there was none to stop."""
        row = self.stages().get(stage, {})
        if row.get("state") != "ready" or not row.get("pid"):
            return None
        pid = int(row["pid"])
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            if wait_until(lambda: state_of(pid) != "R" and state_of(pid) != "S") and state_of(pid) == "T":
                return pid
        return None

    def played_ms(self, capture: str = "capture") -> int:
        """Say how much of the recording has surely been journalled; 0 where nobody can tell."""
        try:
            noted = json.loads((self.settings.state_dir / "audio-run.json").read_bytes())
            next_number = ask(self.settings, capture, "status", timeout_s=0.3)["next_number"]
        except (OSError, TimeoutError, ValueError, KeyError, MalformedMessageError):
            return 0
        return max(0, int(next_number) - int(noted["first_number"])) * FRAME_MS

    def kill_supervisor(self) -> bool:
        """SIGKILL the supervisor; its processes have to follow. False where one stayed."""
        pids = [int(row["pid"]) for row in self.stages().values() if row.get("pid")]
        assert self.process is not None
        self.process.kill()
        self.process.wait(GONE_S_MAX)
        return wait_until(lambda: not any(is_alive(pid) for pid in pids))

    def kill_all(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill_supervisor()

    @property
    def log(self) -> list[dict[str, Any]]:
        """What it logged; lines that are no JSON are kept under "text"."""
        lines = (self.folder / "log.jsonl").read_text(errors="replace").splitlines()
        return [json.loads(line) if line.startswith("{") else {"text": line} for line in lines]

    def killed(self) -> Counter[str]:
        """Count the ends by SIGKILL that the supervisor saw."""
        return Counter(
            entry["child"]
            for entry in self.log
            if entry.get("event") in ("ended", "failed", "gave_up") and "SIGKILL" in str(entry.get("reason"))
        )


def end(pid: int) -> bool:
    """SIGKILL; False where nobody was there."""
    if not is_alive(pid):
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return wait_until(lambda: not is_alive(pid))


def is_alive(pid: int) -> bool:
    return state_of(pid) not in ("", "Z", "X")


def state_of(pid: int) -> str:
    """Give the kernel's letter for a process's state; "" where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def wait_until(come: Callable[[], bool]) -> bool:
    until_s = time.monotonic() + GONE_S_MAX
    while not come():
        if time.monotonic() > until_s:
            return False
        time.sleep(POLL_S)
    return True
