"""Many commands by many users, in the box: `python -m systemd.asking PLAN`, as root.

The package is loaded once; each command is a fork that becomes its user, as `sudo -u` would have it.
"""

import grp
import importlib
import json
import os
import pkgutil
import pwd
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import minuted
from minuted import cli

AT_ONCE_MAX: Final = 8
END_S_MAX: Final = 10.0
LOOK_S: Final = 0.01


def ask(row: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    """Return what a command printed and its exit status; None for one that had to be ended."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        entry = pwd.getpwnam(row["user"])
        groups = [group.gr_gid for group in grp.getgrall() if row["user"] in group.gr_mem]
        began_s = time.monotonic()
        if (pid := os.fork()) == 0:
            become(entry, groups, environment, (out.fileno(), err.fileno()))
            run(row["words"])
        status = waited(pid, row["bound_s"])
        took_s = time.monotonic() - began_s
        for file in (out, err):
            file.seek(0)
        told, complained = (file.read().decode(errors="replace") for file in (out, err))
    return {**row, "status": status, "out": told, "err": complained, "took_s": round(took_s, 2)}


def become(
    entry: pwd.struct_passwd, groups: list[int], environment: dict[str, str], outputs: tuple[int, int]
) -> None:
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, output in enumerate(outputs, 1):
        os.dup2(output, number)
    os.setgroups([entry.pw_gid, *groups])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    home = Path("/srv/homes", entry.pw_name)
    os.chdir(home)
    os.environ.update(HOME=str(home), USER=entry.pw_name, **environment)


def run(words: list[str]) -> None:
    """End this process with a command's exit status."""
    sys.argv = ["minuted", *words]
    status = 1
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    try:
        status = cli.main(words)
    except BaseException as error:  # what Python itself would print
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def waited(pid: int, bound_s: float) -> int | None:
    until_s, number, has_ended = time.monotonic() + bound_s, signal.SIGINT, False
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return None if has_ended else os.waitstatus_to_exitcode(status)
        if time.monotonic() > until_s:
            os.killpg(pid, number)
            number, has_ended, until_s = signal.SIGKILL, True, time.monotonic() + END_S_MAX
        time.sleep(LOOK_S)


def main(plan: str) -> None:
    asked = json.loads(Path(plan).read_text(encoding="utf-8"))
    for found in pkgutil.walk_packages(minuted.__path__, "minuted."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    with ThreadPoolExecutor(AT_ONCE_MAX) as pool:
        for part in asked["parts"]:
            for row in pool.map(lambda row: ask(row, asked["environment"]), part):
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
