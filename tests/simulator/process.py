"""The simulated service as a process of its own, which a test may stop, wake and kill.

with Process(options={"heartbeat_s": 0.2}) as service:
    service.pause()  # SIGSTOP: nothing answers, nothing closes
    service.resume()
    service.kill()
    service.start()  # on the same port
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Self

from .faults import Fault
from .record import WAIT_S_MAX, Observed, Record

_HERE: Final = Path(__file__).resolve().parents[1]


class Process(Observed):
    """Has the same record as a Service, but for the sound itself; it goes on over restarts."""

    def __init__(
        self,
        script: Iterable[Fault] = (),
        *,
        port: int = 0,
        lifelike: bool = False,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.record = Record()
        self.port = port
        self._script = [fault.to_map() for fault in script]
        self._lifelike = lifelike
        self._options = options or {}
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait until it listens; after the first time on the same port."""
        assert self._process is None, "it is already running"
        command = [sys.executable, "-m", "simulator", "--commands", "--port", str(self.port)]
        command += ["--options", json.dumps(self._options), "--script", json.dumps(self._script)]
        if self._lifelike:
            command.append("--lifelike")
        self._process = subprocess.Popen(
            command, cwd=_HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        heard = len(self.record.events)
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        try:
            self.wait_until(
                lambda: any(event["event"] == "listening" for event in self.record.events[heard:])
            )
        except TimeoutError:
            self.kill()
            raise
        self.port = next(
            event["port"] for event in self.record.events[heard:] if event["event"] == "listening"
        )

    def fault(self, name: str, **details: Any) -> None:
        """As Service.fault, but it happens a moment later."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(Fault(name=name, **details).to_map()) + "\n")
        self._process.stdin.flush()

    def pause(self) -> None:
        """SIGSTOP: the sockets stay and nobody is behind them."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait(WAIT_S_MAX)
        assert self._reader is not None
        self._reader.join(WAIT_S_MAX)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()

    def _read(self, process: "subprocess.Popen[str]") -> None:
        first = len(self.record.connections)
        assert process.stdout is not None
        for line in process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                continue  # cut short by a kill
            if "attempt" in event:
                event["attempt"] += first
            self.record.add(event)
