"""Sinks loaded in a process of their own, where somebody only wants to know whether they load.

A sink's file may do anything while it is loaded: hang, print, fork, start threads, end the process.
"""

import json
import os
import pickle
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from minuted.config import SinkTable
from minuted.options import ConfigError

from .discovery import LOAD_S_MAX, LoadError, SinkFile, State, load, make

Asked = tuple[str, SinkTable, SinkFile]
"""A sink's name, its table and its file."""
Outcome = tuple[State, str]
"""What a sink is found to be, and why."""


def outcomes(asked: Sequence[Asked], load_s_max: float = LOAD_S_MAX) -> dict[str, Outcome]:
    """Return by their names how sinks load; one that takes longer than `load_s_max` is given up."""
    found: dict[str, Outcome] = {}
    while left := [each for each in asked if each[0] not in found]:
        found |= _outcomes_of_one_process(left, load_s_max)
    return found


def _outcomes_of_one_process(asked: Sequence[Asked], load_s_max: float) -> dict[str, Outcome]:
    """Return the outcomes up to the first sink that ends the process or has to be ended: one at least."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    found: dict[str, Outcome] = {}
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(pickle.dumps(list(asked)))
            process.stdin.flush()
        with selectors.DefaultSelector() as events, open(os.pidfd_open(process.pid)) as end:  # noqa: PTH123
            events.register(process.stdout, selectors.EVENT_READ)
            # What a sink has forked may keep the pipe open.
            events.register(end, selectors.EVENT_READ)
            rest = b""
            until_s = time.monotonic() + load_s_max
            for name, _, file in asked:
                while b"\n" not in rest:
                    ready = [key.fileobj for key, _ in events.select(max(0.0, until_s - time.monotonic()))]
                    data = os.read(process.stdout.fileno(), 1 << 16) if process.stdout in ready else b""
                    if not data:
                        reason = f"loading {file.path.name} takes longer than {load_s_max:g} s"
                        if ready:
                            reason = f"{file.path.name} ends the process that loads it"
                        return {**found, name: ("failed to load", reason)}
                    rest += data
                line, _, rest = rest.partition(b"\n")
                state, reason = json.loads(line)
                found[name] = (state, reason)
                until_s = time.monotonic() + load_s_max
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        process.wait()
    return found


def outcome(name: str, table: SinkTable, file: SinkFile) -> Outcome:
    """Load a sink here, and return what comes of it."""
    try:
        make(name, table, load(file), file)
    except ConfigError as error:
        return "bad config", str(error)
    except LoadError as error:
        return "failed to load", str(error)
    return "enabled", ""


def main() -> None:
    """Load what standard input names, and write a line for each to standard output."""
    asked: list[Asked] = pickle.load(sys.stdin.buffer)  # noqa: S301  # from the process that started this one
    told = os.dup(1)
    # What a sink prints is no answer.
    os.dup2(2, 1)
    own = os.getpid()
    threading.Thread(target=_end_with_asker, daemon=True).start()
    for each in asked:
        line = json.dumps(outcome(*each)).encode() + b"\n"
        if os.getpid() != own:  # the sink forked, and this is the other one
            os._exit(0)
        os.write(told, line)
    # Threads of sinks may never end.
    os._exit(0)


def _end_with_asker() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
