"""A user who swaps names for links, again and again, while root runs commands in that user's folder."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from minuted import keys
from minuted.commands.export import write_whole
from minuted.config import ConfigError, Settings, parse
from minuted.tokens import clients
from rights import NOBODY, needs_root

pytestmark = needs_root

ROUNDS = 150
SWAPPER = """
# Whatever appears in the folder gives way to a link to a file of root's.
import os
import sys

folder, aim, user = sys.argv[1:]
# By itself: the interpreter may lie where only root can start it.
os.setgroups([])
os.setgid(int(user))
os.setuid(int(user))
os.chdir(folder)
print("ready", flush=True)
while True:
    for name in os.listdir("."):
        try:
            if not (os.path.islink(name) or os.path.isdir(name)):
                os.rename(name, "../away")
                os.symlink(aim, name)
        except OSError:
            pass
"""


@contextmanager
def swapping(folder: Path, aim: Path) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", SWAPPER, str(folder), str(aim), str(NOBODY)], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def secret(runtime_dir: Path) -> Path:
    runtime_dir.chmod(0o755)
    file = runtime_dir / "secret"
    file.write_text("only root's")
    file.chmod(0o600)
    return file


@pytest.fixture
def theirs(runtime_dir: Path) -> Path:
    """A state folder of the other user, who may put things beside it too."""
    folder = runtime_dir / "theirs" / "state"
    (folder / "keys/clients").mkdir(parents=True)
    for place in (folder.parent, folder, *folder.rglob("*")):
        os.chown(place, NOBODY, NOBODY)
    return folder


@pytest.fixture
def settings(theirs: Path) -> Settings:
    return parse(
        f'state_dir = "{theirs}"\nruntime_dir = "{theirs}"\n[publish]\nturns = "tcp://127.0.0.1:5555"'
    )


def judge(secret: Path) -> None:
    status = secret.stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o600)
    assert secret.read_text() == "only root's"


def test_the_list_of_clients_gives_nothing_of_root_s_away(theirs: Path, secret: Path) -> None:
    """The new list was a file that root made by name, and then gave to the folder's owner by name."""
    with swapping(theirs, secret):
        for number in range(ROUNDS):
            try:
                clients.new(theirs / "token-clients", f"room-{number}")
            except ConfigError:
                (theirs / "token-clients").unlink(missing_ok=True)
            judge(secret)


@pytest.mark.parametrize("where", ["keys", "keys/clients"])
def test_nor_do_clients_keys(
    settings: Settings, theirs: Path, secret: Path, tmp_path: Path, where: str
) -> None:
    with swapping(theirs / where, secret):
        for number in range(ROUNDS // 3):
            try:
                keys.new(settings, f"tablet-{number}", tmp_path)
                keys.revoke(settings, f"tablet-{number}")
            except ConfigError:
                for file in (theirs / "keys").glob("server.key*"):
                    file.unlink()
            judge(secret)
    assert os.geteuid() == 0


def test_nor_does_what_is_exported(theirs: Path, secret: Path) -> None:
    with swapping(theirs, secret):
        for _ in range(ROUNDS):
            try:
                write_whole(theirs / "minutes.txt", b"what was said")
            except OSError:
                (theirs / "minutes.txt").unlink(missing_ok=True)
            judge(secret)
    assert [file for file in theirs.iterdir() if not file.is_symlink() and file.lstat().st_uid == 0] == []
