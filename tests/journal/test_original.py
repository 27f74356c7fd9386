"""Which copy is noticed, and what is taken for one."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from journal.copies import age
from minuted.journal import original


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    mark = tmp_path / "state" / "turns.original"
    mark.parent.mkdir()
    assert original.leave(mark)
    return mark


def test_a_mark_that_was_left_is_none(mark: Path) -> None:
    assert not original.is_copied(mark)
    original.leave(mark)
    assert not original.is_copied(mark)
    assert mark.stat().st_mode & 0o777 == 0o640


def test_a_mark_is_left_anew_in_a_copy(mark: Path) -> None:
    age(mark)
    assert original.is_copied(mark)
    original.leave(mark)
    assert not original.is_copied(mark)


@pytest.mark.parametrize(
    "restore",
    [
        "cp -r {kept}/. {state}",
        "rm -r {state} && cp -a {kept} {state}",
        "tar -C {kept} -cf {kept}.tar . && tar -C {state} -xf {kept}.tar",
        "mv {state} {state}.old && mv {kept} {state}",
    ],
)
def test_a_copy_is_noticed_however_it_was_made(
    mark: Path, tmp_path: Path, restore: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place or not, with the times of its files or without."""
    kept = tmp_path / "kept"
    shutil.copytree(mark.parent, kept)
    # A backup of this very moment.
    monkeypatch.setattr(original, "COPIED_S", 0.0)
    monkeypatch.setattr(original, "_DATED_S", 0.0)
    original.leave(mark)
    command = restore.format(kept=kept, state=mark.parent)
    subprocess.run(["sh", "-c", command], check=True)
    assert original.is_copied(mark)


@pytest.mark.parametrize("change", ["chmod -R g+w {state}", "chown -R {uid} {state}"])
def test_a_change_of_owner_or_mode_is_no_copy(
    mark: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """README says `chown -R` where root's files are in the way; the numbers go on."""
    monkeypatch.setattr(original, "COPIED_S", 0.0)
    command = change.format(state=mark.parent, uid=os.getuid())
    subprocess.run(["sh", "-c", command], check=True)
    assert not original.is_copied(mark)


def test_a_mark_that_is_gone_was_not_in_the_backup(mark: Path) -> None:
    mark.unlink()
    assert original.is_copied(mark)


@pytest.mark.parametrize("text", ["", "x", "-1 1", "\0" * 80])
def test_a_mark_that_cannot_be_read_tells_nothing(mark: Path, text: str) -> None:
    """Whatever damaged it, the numbers beside it are still the newest."""
    mark.write_text(text)
    assert not original.is_copied(mark)


@pytest.mark.parametrize("what", ["folder", "link", "pipe"])
def test_what_is_no_file_is_gone_on_without(mark: Path, what: str) -> None:
    other = mark.with_name("other")
    other.write_text("x")
    mark.unlink()
    {"folder": mark.mkdir, "link": lambda: mark.symlink_to(other), "pipe": lambda: os.mkfifo(mark)}[what]()
    assert not original.leave(mark)
    assert not original.is_copied(mark)
    assert other.read_text() == "x"
