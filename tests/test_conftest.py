"""The tests begin alike, whoever starts them."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import conftest, os, signal
print(signal.getsignal(signal.SIGHUP) is signal.SIG_DFL, signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
print(signal.pthread_sigmask(signal.SIG_BLOCK, ()), {*conftest.OF_OTHERS} & {*os.environ})
print(os.umask(0))
"""


def test_what_whoever_starts_the_tests_hands_down_changes_nothing() -> None:
    """As `nohup make test &` does it, from a service, with a closed umask."""
    shell = 'trap "" HUP INT; umask 077; exec "$@"'
    done = subprocess.run(
        ["bash", "-c", shell, "bash", sys.executable, "-c", SCRIPT],
        env={
            **os.environ,
            "NOTIFY_SOCKET": "/run/somewhere",
            "MINUTED_LOG": "error",
            "http_proxy": "http://x",
        },
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["True False", "set() set()", "18"]
