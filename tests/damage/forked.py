"""A stage of minuted as a process of its own, forked from one that has loaded everything already."""

import os
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Self

import httpx  # noqa: F401  # loaded once for all that are forked

import minuted.capture.__main__
import minuted.capture.recording
import minuted.commands.check
import minuted.commands.export
import minuted.commands.replay
import minuted.delivery.__main__
import minuted.transcription.__main__  # noqa: F401
from minuted import cli
from minuted.runtime.signals import PARENT


class Forked:
    """A process that runs `minuted` with these arguments."""

    def __init__(self, folder: Path, *arguments: str, run: str = "", log: str = "log.jsonl") -> None:
        self.name = "/".join(arguments)
        self._status: int | None = None
        self._is_asked = False
        self._pid = os.fork()
        if self._pid == 0:
            _work(folder, arguments, run, folder / log)

    @classmethod
    def stage(cls, folder: Path, *arguments: str, run: str = "") -> Self:
        return cls(folder, *arguments, run=run)

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        if self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def stop(self) -> None:
        """Ask for its end, once: a second signal would meet it while it leaves."""
        if not self._is_asked:
            self._is_asked = True
            self.signal(signal.SIGTERM)

    def signal(self, number: int) -> None:
        if self.status is None:
            os.kill(self._pid, number)

    def end(self) -> None:
        """Leave nothing running."""
        self.signal(signal.SIGKILL)
        with suppress(ChildProcessError):
            if self._status is None:
                os.waitpid(self._pid, 0)


def _work(folder: Path, arguments: tuple[str, ...], run: str, log: Path) -> None:
    status = 99
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for descriptor in (1, 2):
            os.dup2(out, descriptor)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.environ |= {"ASSEMBLYAI_API_KEY": "a-key", PARENT: str(os.getppid())}
        if run:
            os.environ["MINUTED_RUN"] = run
        status = cli.main(["--config", str(folder / "minuted.toml"), *arguments])
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
