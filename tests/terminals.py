"""A command in a terminal, and what it wrote there."""

import fcntl
import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

WAIT_S = 60
AGAIN_S = 5


def shown(command: Sequence[object], env: Mapping[str, str] | None = None) -> str:
    """Run a command whose standard output and error are a terminal; return what it wrote."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([*map(str, command)], stdin=theirs, stdout=theirs, stderr=theirs, env=env):
        os.close(theirs)
        written = b""
        with suppress(OSError):  # a terminal's end is EIO
            while part := os.read(ours, 4096):
                written += part
    os.close(ours)
    return written.decode(errors="surrogateescape").replace("\r\n", "\n")


class Conversation:
    """A command in a terminal of its own, whose questions are answered."""

    def __init__(self, command: Sequence[object], cwd: object, env: Mapping[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [*map(str, command)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=str(cwd),
            env=dict(env),
            start_new_session=True,
            # Its controlling terminal: Ctrl-C is a signal there, and a password is asked for on it.
            preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # one system call
        )
        os.close(theirs)
        self.written = ""
        self._read_to = 0

    def answer(self, question: str, answer: str) -> str:
        """Wait for a question and answer it; return what was written up to there."""
        said = self.wait_for(question)
        self.type(f"{answer}\n")
        return said

    def wait_for(self, text: str) -> str:
        """Wait until a text is written after what was waited for before; return all up to its end."""
        until_s = time.monotonic() + WAIT_S
        while (at := self.written.find(text, self._read_to)) < 0:
            assert time.monotonic() < until_s, self.written
            assert self._read(0.1), f"ended without {text!r}: {self.written}"
        said = self.written[self._read_to : at + len(text)]
        self._read_to = at + len(text)
        return said

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def end(self, again: str = "") -> int:
        """Return the exit status, once all that is written was read; `again` is typed where nothing comes.

        A Ctrl-C between a prompt and the wait for its answer is seen by Python with the next key only.
        """
        while True:
            if again and not select.select([self._ours], [], [], AGAIN_S)[0]:
                self.type(again)
            elif not self._read(WAIT_S):
                break
        return self._process.wait(WAIT_S)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def _read(self, timeout_s: float) -> bool:
        """Read what is there; False at the end."""
        if not select.select([self._ours], [], [], timeout_s)[0]:
            return True
        try:
            part = os.read(self._ours, 4096)
        except OSError:  # a terminal's end is EIO
            return False
        self.written += part.decode(errors="replace").replace("\r\n", "\n")
        return bool(part)
