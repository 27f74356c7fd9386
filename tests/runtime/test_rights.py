"""What is closed to somebody is said in one sentence, with the line that opens it."""

import errno
import os
from pathlib import Path

import pytest

from minuted.runtime.rights import refusal, sentence
from rights import NOBODY, as_user, needs_root

AUDIO = 29
"""A group that every Debian has, and that nobody is in here."""
ASK = """
import os
import pwd
import sys
from minuted.runtime import rights
from pathlib import Path

path = Path(sys.argv[1])
print(rights.refusal(path, getattr(os, sys.argv[2])))
try:
    path.open("r+").close()
except OSError as error:
    print(rights.sentence(error))
"""
LET_IN = "to be let in, run: sudo usermod -aG audio nobody, and log in again"


def ask(path: Path, mode: str = "R_OK", groups: tuple[int, ...] = (), script: str = ASK) -> list[str]:
    return as_user(script, str(path), mode, groups=groups).split("\n")


@pytest.fixture
def file(runtime_dir: Path) -> Path:
    runtime_dir.chmod(0o755)
    folder = runtime_dir / "etc"
    folder.mkdir(mode=0o755)
    (folder / "minuted.toml").write_text("room = 'attic'\n")
    (folder / "minuted.toml").chmod(0o640)
    os.chown(folder / "minuted.toml", 0, AUDIO)
    return folder / "minuted.toml"


@needs_root
def test_who_is_outside_the_group_is_told_which_and_the_line_that_lets_them_in(file: Path) -> None:
    said = f"{file} is for root and the group audio; {LET_IN}"
    assert ask(file)[:2] == [said, said]


@needs_root
def test_a_closed_folder_is_told_as_the_file_that_was_asked_for(file: Path) -> None:
    """Nobody asks for the folder."""
    file.parent.chmod(0o750)
    os.chown(file.parent, 0, AUDIO)
    said = f"{file} is for root and the group audio; {LET_IN}"
    assert ask(file)[:2] == [said, said]


@needs_root
def test_a_member_may_read_and_is_told_who_may_write(file: Path) -> None:
    said = f"{file} may be changed by root alone: put sudo before the command"
    assert ask(file, groups=(AUDIO,))[:2] == ["", said]
    assert ask(file, "W_OK", (AUDIO,))[0] == said


@needs_root
def test_what_is_one_user_s_alone_is_said_to_be_so(file: Path) -> None:
    """No group would help: advice to join one leads nowhere."""
    file.chmod(0o600)
    assert ask(file)[0] == f"{file} is for root alone: put sudo before the command"
    os.chown(file, 1, AUDIO)
    assert ask(file)[0] == f"{file} is for daemon and root alone: put sudo before the command"


@needs_root
def test_who_was_let_in_since_the_login_is_told_to_log_in_again(file: Path) -> None:
    """The user database has them in the group, and this process was begun before."""
    database = f"entry = pwd.struct_passwd(('nobody', 'x', {NOBODY}, {AUDIO}, '', '/', ''))\n"
    script = ASK.replace("path = Path", f"{database}pwd.getpwuid = lambda uid: entry\npath = Path")
    said = f"{file} is for the group audio, which you are in since this session began: log in again"
    assert ask(file, script=script)[0] == said


def test_what_this_process_may_use_and_what_is_not_there_are_in_order(tmp_path: Path) -> None:
    (tmp_path / "own").touch()
    assert refusal(tmp_path / "own") == refusal(tmp_path / "own", os.W_OK) == ""
    assert refusal(tmp_path / "missing") == refusal(tmp_path / "missing/deeper", os.W_OK) == ""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("all of it is said"), "all of it is said"),
        (OSError(errno.ENOENT, "No such file or directory", "/a/b"), "/a/b is not there"),
        (OSError(errno.ENOENT, "No such file or directory", b"/a/b"), "/a/b is not there"),
        (OSError(errno.ENOSPC, "No space left on device", "/a"), "/a: there is no room left on the disk"),
        (OSError(errno.EIO, "Input/output error", "/a"), "/a: Input/output error"),
        (OSError(errno.ETIMEDOUT, "it is locked by another process"), "it is locked by another process"),
        (PermissionError(errno.EACCES, "Permission denied", "/"), "/ may not be used by"),
    ],
)
def test_every_failure_of_the_system_is_a_sentence(error: OSError, said: str) -> None:
    """Neither a number nor a class's name is for people."""
    assert sentence(error).startswith(said)
    assert "Errno" not in sentence(error)
