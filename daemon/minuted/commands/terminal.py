"""The terminal kept for what a person came for: live captions or progress. The log goes to a file."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from minuted.config import HANDED_DOWN
from minuted.runtime import files, signals

LOG_BYTES_MAX: Final = 10_000_000
"""A log that is found longer is kept once, as minuted.log.1, and a new one is begun."""
WATCH_END_S: Final = 1.0
"""How long the captions may take to end by themselves after the run, and then when they are told to."""


@contextlib.contextmanager
def log_to(path: Path) -> Iterator[IO[str]]:
    """Send what this process and its children write to stderr to a log; give what stderr was before."""
    terminal = os.dup(2)
    sys.stderr.flush()
    with _log_file(path) as log:
        os.dup2(log.fileno(), 2)
    try:
        with open(terminal, "w", encoding=sys.stderr.encoding, errors="replace", closefd=False) as screen:
            yield screen
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)


@contextlib.contextmanager
def captions(log_path: Path, config: Path | None) -> Iterator[None]:
    """Keep the terminal for live captions, and send everything else to a log."""
    with log_to(log_path), watching(config):
        yield


@contextlib.contextmanager
def watching(config: Path | None) -> Iterator[None]:
    """Show live captions on the standard output."""
    watch = _start_watching(config)
    try:
        yield
    finally:
        _end(watch)


def _start_watching(config: Path | None) -> "subprocess.Popen[bytes]":
    options = ["--config", str(config)] if config else []
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "minuted", "watch", "--until-end", *options],
        stdin=subprocess.DEVNULL,
        # Captions need no key.
        env={name: value for name, value in os.environ.items() if name not in HANDED_DOWN}
        | {signals.PARENT: str(os.getpid())},
        # Ctrl-C is not for the captions: the last words are still to come.
        start_new_session=True,
    )


def _log_file(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_suffix(".log.1"))
    return os.fdopen(files.open_own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")


def _end(watch: "subprocess.Popen[bytes]") -> None:
    for number in (0, signal.SIGTERM, signal.SIGKILL):
        if number:
            watch.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            watch.wait(WATCH_END_S)
            return
