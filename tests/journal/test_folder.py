"""What the journals ask of the file system."""

import os
import stat
from pathlib import Path

import pytest

from minuted.journal.folder import SETTLED_NS, Folder, FolderInUseError


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_only_owner_and_group_can_read_what_was_said(tmp_path: Path, umask: int) -> None:
    """It is the sound of a meeting, whatever the umask the process was started with."""
    before = os.umask(umask)
    try:
        folder = Folder(tmp_path / "state" / "audio")
        folder.close_file(folder.create("a"))
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "state" / "audio").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "state" / "audio" / "a").stat().st_mode) == 0o640


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    """An administrator may have had a reason."""
    tmp_path.chmod(0o700)

    Folder(tmp_path)

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_only_one_process_can_claim_a_folder(tmp_path: Path) -> None:
    """Two writers would write over each other."""
    first, second = Folder(tmp_path), Folder(tmp_path)
    first.claim()

    with pytest.raises(FolderInUseError, match="in use by another process"):
        second.claim()

    first.close()
    second.claim()
    second.close()


def test_a_new_file_is_never_an_old_one(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.close_file(folder.create("a"))

    with pytest.raises(FileExistsError):
        folder.create("a")


def test_a_name_is_not_followed_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"secret")
    folder = Folder(tmp_path / "audio")
    (tmp_path / "audio" / "a").symlink_to(tmp_path / "elsewhere")

    assert folder.names() == ()
    with pytest.raises(OSError, match="symbolic"):
        folder.open("a")


def test_what_comes_and_goes_is_seen_at_once(tmp_path: Path) -> None:
    """Also when it comes within one tick of the file system's clock."""
    folder = Folder(tmp_path)
    seen, wanted = [], []

    for number in range(200):
        folder.close_file(folder.create(f"{number}"))
        wanted.append({f"{number}"})
        seen.append(set(folder.names()))
        folder.unlink(f"{number}")
        wanted.append(set())
        seen.append(set(folder.names()))

    assert seen == wanted


def test_a_folder_in_which_nothing_happens_is_not_listed_again(tmp_path: Path) -> None:
    """A reader asks twenty times a second, and an outage leaves hundreds of files."""
    folder = Folder(tmp_path)
    folder.close_file(folder.create("a"))
    now_ns = tmp_path.stat().st_mtime_ns
    os.utime(tmp_path, ns=(now_ns, now_ns - 2 * SETTLED_NS))

    first = folder.names()

    assert folder.names() is first
    folder.close_file(folder.create("b"))
    assert set(folder.names()) == {"a", "b"}


def test_a_file_that_is_gone_has_no_size_and_can_be_deleted_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path)

    folder.unlink("a")

    assert folder.size("a") == 0
