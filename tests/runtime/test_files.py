"""Files that no name somebody else can change leads away from."""

import os
import stat
from pathlib import Path

import pytest

from minuted.runtime import files
from minuted.runtime.files import UnsafeFileError
from rights import NOBODY, as_user, needs_root


@pytest.fixture
def secret(runtime_dir: Path) -> Path:
    """A file that only root may read, in a folder that everybody may pass."""
    runtime_dir.chmod(0o755)
    file = runtime_dir / "secret"
    file.write_text("only root's")
    file.chmod(0o600)
    return file


@pytest.fixture
def theirs(runtime_dir: Path) -> Path:
    folder = runtime_dir / "theirs"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_file_is_made_and_opened_again(tmp_path: Path) -> None:
    for _ in range(2):
        descriptor = files.open_own(tmp_path / "a", os.O_RDWR | os.O_CREAT, 0o600)
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)
    assert mode(tmp_path / "a") == 0o600


@pytest.mark.parametrize("there", ["a link", "a dangling link", "a pipe", "a folder"])
def test_what_is_no_file_is_refused_and_left_alone(tmp_path: Path, there: str) -> None:
    path, other = tmp_path / "a", tmp_path / "other"
    other.write_text("as it was")
    if there == "a pipe":
        os.mkfifo(path)
    elif there == "a folder":
        path.mkdir()
    else:
        path.symlink_to(other if there == "a link" else tmp_path / "nothing")
    for open_it in (lambda: files.open_own(path, os.O_RDWR | os.O_CREAT), lambda: files.make_private(path)):
        with pytest.raises(UnsafeFileError, match=r"a is (a link|no regular file): remove it"):
            open_it()
    assert other.read_text() == "as it was"
    assert not (tmp_path / "nothing").exists()


@needs_root
def test_another_user_s_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    os.chown(tmp_path / "a", NOBODY, -1)
    with pytest.raises(UnsafeFileError, match=r"a belongs to nobody: remove it"):
        files.open_own(tmp_path / "a", os.O_RDONLY)


@pytest.mark.parametrize("umask", [0, 0o077], ids=oct)
def test_a_mode_is_what_was_asked_for_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        files.make_private(tmp_path / "a")
        files.replace(tmp_path / "b", b"x", 0o640)
        files.create(tmp_path / "c", b"x")
    finally:
        os.umask(before)
    assert [mode(tmp_path / name) for name in "abc"] == [0o640, 0o640, 0o600]


def test_a_file_is_replaced_as_a_whole_and_a_link_by_it(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("as it was")
    (tmp_path / "a").symlink_to(other)
    files.replace(tmp_path / "a", b"new")
    assert not (tmp_path / "a").is_symlink()
    assert (tmp_path / "a").read_bytes() == b"new"
    assert other.read_text() == "as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "other"]


def test_a_new_file_takes_nothing_s_place(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "nothing")
    with pytest.raises(FileExistsError):
        files.create(tmp_path / "a", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert files.read_small(tmp_path / "a", 3) == b"123"
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UnsafeFileError):
        files.read_small(tmp_path / "b", 3)


@needs_root
def test_in_somebody_s_folder_root_has_that_user_s_rights(theirs: Path, secret: Path) -> None:
    (theirs / "link").symlink_to(secret)
    with files.acting_for(theirs / "below" / "that"):
        assert (os.geteuid(), os.getegid(), os.getgroups()) == (NOBODY, NOBODY, [])
        with pytest.raises(PermissionError):
            (theirs / "link").read_text()
        files.replace(theirs / "link", b"new")
    assert os.geteuid() == os.getegid() == 0
    assert (theirs / "link").stat().st_uid == NOBODY
    assert secret.read_text() == "only root's"


@needs_root
def test_where_several_have_a_hand_in_root_does_nothing(theirs: Path, tmp_path: Path) -> None:
    """A folder of root's behind a link of somebody's may be any."""
    (theirs / "link").symlink_to(tmp_path)
    with (
        pytest.raises(UnsafeFileError, match="in the hands of root and nobody"),
        files.acting_for(theirs / "link"),
    ):
        pass


@needs_root
def test_what_root_replaces_keeps_its_owner(tmp_path: Path) -> None:
    (tmp_path / "list").touch()
    os.chown(tmp_path / "list", NOBODY, NOBODY)
    files.replace(tmp_path / "list", b"x")
    assert ((tmp_path / "list").stat().st_uid, mode(tmp_path / "list")) == (NOBODY, 0o600)


@needs_root
def test_outside_of_that_root_stays_root(tmp_path: Path) -> None:
    with files.acting_for(tmp_path):
        assert os.geteuid() == 0


OTHERS = """
import sys
from pathlib import Path
from minuted.runtime import files

try:
    files.make_private(Path(sys.argv[1]))
except OSError as error:
    print(error)
"""


@needs_root
def test_a_file_that_root_has_left_is_named_with_what_gives_it_back(theirs: Path) -> None:
    """A run by root in the service's folder left the service with an error and no cure."""
    theirs.parent.chmod(0o755)
    (theirs / "turns.db").touch(0o600)
    assert (
        as_user(OTHERS, f"{theirs}/turns.db")
        == f"{theirs}/turns.db belongs to root; run: chown nobody {theirs}/turns.db\n"
    )


def test_where_nobody_may_set_a_mode_a_text_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share of another user's has modes of its own; a secret is not left there."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    for name in ("fchmod", "fchown"):
        monkeypatch.setattr(os, name, refuse)
    files.replace(tmp_path / "talk.txt", b"words", 0o640, strict=False)
    assert (tmp_path / "talk.txt").read_bytes() == b"words"
    files.try_out(tmp_path)
    with pytest.raises(PermissionError):
        files.replace(tmp_path / "secret", b"a", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["talk.txt"]
