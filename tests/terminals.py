"""A command in a terminal, and what it wrote there."""

import os
import pty
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress


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
