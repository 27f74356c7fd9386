import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from minuted.runtime.signals import LEAVE, PARENT

WAIT_S = 20

STOPPABLE = """
import os
from minuted.runtime import signals
woken = []
stop = signals.stop_event(on_stop=lambda: woken.append(1))
print("ready", flush=True)
stop.wait()
print("stopped", len(woken) > 0, flush=True)
"""
CHILD = """
import time
from minuted.runtime import signals
signals.die_with_parent()
print("alive", flush=True)
time.sleep(60)
"""
PARENT_OF_CHILD = f"""
import os, subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, "-c", {CHILD!r}],
    stdout=subprocess.PIPE,
    env={{**os.environ, {PARENT!r}: str(os.getpid())}},
)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


@contextmanager
def running(script: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """A process with its first line read; killed in the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_sets_the_event_and_wakes(number: int) -> None:
    """systemd sends the one, a person at a terminal the other."""
    with running(STOPPABLE) as process:
        assert said(process) == "ready"
        process.send_signal(number)

        assert said(process) == "stopped True"
        assert process.wait(WAIT_S) == 0


def test_a_process_that_is_stopping_does_not_mind_another_signal() -> None:
    """An impatient Ctrl-C must not cut the drain short."""
    drain = STOPPABLE + "input()\nprint('drained', flush=True)\n"
    with subprocess.Popen(
        [sys.executable, "-c", drain], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert said(process) == "ready"
        process.send_signal(signal.SIGTERM)
        assert said(process) == "stopped True"
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        process.stdin.write("\n")
        process.stdin.flush()

        assert said(process) == "drained"
        assert process.wait(WAIT_S) == 0


def test_a_child_dies_with_its_parent() -> None:
    """However the supervisor ends, nothing of it goes on listening to the room."""
    with running(PARENT_OF_CHILD) as parent:
        child = os.pidfd_open(int(said(parent)))
        ends = select.poll()
        ends.register(child, select.POLLIN)
        try:
            assert not ends.poll(0)
            parent.kill()
            assert ends.poll(WAIT_S * 1000), "the child outlived its parent"
        finally:
            os.close(child)


def test_a_child_whose_parent_is_gone_already_leaves_at_once() -> None:
    """It may die between the fork and the child's first words."""
    with running(CHILD, **{PARENT: "1"}) as orphan:
        assert said(orphan) == ""
        assert orphan.wait(WAIT_S) == 1


def test_a_process_nobody_supervises_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PARENT, raising=False)
    with running(CHILD) as process:
        assert said(process) == "alive"
        assert process.poll() is None


def test_a_child_goes_on_while_its_parent_does() -> None:
    with running(CHILD, **{PARENT: str(os.getpid())}) as process:
        assert said(process) == "alive"
        assert process.poll() is None


ASKED = """
import os, signal, socket
from minuted.runtime import signals
heard = []
ours, theirs = socket.socketpair()
theirs.setblocking(False)
with signals.waking(theirs.fileno(), lambda number, _frame: heard.append(number)):
    print("ready", flush=True)
    while not heard:
        ours.recv(1)
    print(signal.Signals(heard[0]).name, signals.has_terminal(os.environ), flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_signal_wakes_a_loop_that_sleeps(number: signal.Signals) -> None:
    with running(ASKED) as process:
        assert said(process) == "ready"
        process.send_signal(number)

        assert said(process).startswith(number.name)


@pytest.mark.parametrize(("environment", "closes"), [({}, True), ({"NOTIFY_SOCKET": "/run/n"}, False)])
def test_a_hang_up_is_a_terminal_s_end_only_where_there_is_one(
    environment: dict[str, str], closes: bool
) -> None:
    """A service is asked by it to read its configuration again; a closed terminal ends a run."""
    code = "import os\nfrom minuted.runtime import signals\nprint(signals.has_terminal(os.environ))"
    ours, theirs = os.openpty()
    kept = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    for stdin, expected in ((theirs, closes), (subprocess.DEVNULL, False)):
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdin=stdin,
            capture_output=True,
            text=True,
            check=True,
            env={**kept, **environment},
        )
        assert done.stdout == f"{expected}\n"
    os.close(ours)
    os.close(theirs)


def test_a_child_does_not_mind_a_hang_up_that_is_meant_for_its_supervisor() -> None:
    """`systemctl kill -s HUP` reaches every process of a service."""
    # A signal that is not blocked is delivered before the process goes on reading.
    script = CHILD.replace("time.sleep(60)", "input()\nprint('goes on', flush=True)\ntime.sleep(60)")
    with running(script, **{PARENT: str(os.getpid())}) as process:
        assert said(process) == "alive"
        process.send_signal(signal.SIGHUP)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()

        assert said(process) == "goes on"


def test_a_process_that_is_to_leave_is_told_so() -> None:
    script = """
import threading
from minuted.runtime import signals
left = threading.Event()
signals.on_leave(left.set)
print("ready", flush=True)
left.wait()
print("left", flush=True)
"""
    with running(script) as process:
        assert said(process) == "ready"
        process.send_signal(LEAVE)

        assert said(process) == "left"
