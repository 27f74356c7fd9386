"""Other users, for tests of who may do what."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

NOBODY = 65534
"""A user no service has: not in the group, and in no other."""

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can act as other users: run `sudo make test` to have this tested"
)


def as_user(script: str, *words: str, groups: Sequence[int] = ()) -> str:
    """Run a script as NOBODY, in these groups too; give what it prints. Only root can.

    It becomes that user by itself: the interpreter may lie where only root can start it.
    """
    become = f"import os\nos.setgroups({list(groups)})\nos.setgid({NOBODY})\nos.setuid({NOBODY})\n"
    head, _, rest = script.partition("\n\n")
    done = subprocess.run(
        [sys.executable, "-c", f"{head}\n{become}{rest}", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr
