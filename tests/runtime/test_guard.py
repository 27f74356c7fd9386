"""Whoever could change what a service reads or runs, has the service."""

import grp
import os
import pwd
from pathlib import Path

import pytest

from minuted.runtime.guard import changeable, foreign, foreign_owners, other_owner, readable, way
from rights import NOBODY, as_user, needs_root

FOREIGN_GID = 54321


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "minuted.toml"
    path.parent.mkdir(mode=0o755)
    path.touch()
    path.chmod(0o644)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664, 0o755], ids=oct)
def test_a_file_of_our_own_is_in_order(file: Path, mode: int) -> None:
    """Also in a checkout under umask 002, whose group is its user's alone."""
    file.chmod(mode)
    file.parent.chmod(0o775)
    assert changeable(file) == ""


def test_a_file_everybody_may_write_is_not(file: Path) -> None:
    file.chmod(0o646)
    assert changeable(file) == f"{file} can be changed by every user of this machine; run: chmod o-w {file}"


@pytest.mark.parametrize("above", [1, 2])
def test_nor_one_in_a_folder_everybody_may_write(tmp_path: Path, above: int) -> None:
    """Another file could be put in its place; or another folder."""
    file = tmp_path / "a" / "b" / "minuted.toml"
    file.parent.mkdir(parents=True)
    file.touch(0o600)
    folder = file.parents[above - 1]
    folder.chmod(0o757)
    assert changeable(file).endswith(f"chmod o-w {folder}")
    folder.chmod(0o1777)
    assert changeable(file) == ""


def test_a_folder_full_of_code_is_not_saved_by_the_sticky_bit(file: Path) -> None:
    """Nobody can change what is there; but anybody could add to it."""
    file.parent.chmod(0o1777)
    assert changeable(file.parent).endswith(f"chmod o-w {file.parent}")


def test_where_a_link_leads_counts_too(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    assert changeable(link) == ""
    file.parent.chmod(0o777)
    assert changeable(link).endswith(f"chmod o-w {file.parent}")


@needs_root
def test_a_foreign_group_must_not_write(file: Path) -> None:
    os.chown(file, -1, FOREIGN_GID)
    file.chmod(0o664)
    assert changeable(file) == f"{file} can be changed by the group {FOREIGN_GID}; run: chmod g-w {file}"
    file.chmod(0o644)
    assert changeable(file) == ""


@needs_root
def test_in_a_shared_folder_it_must_be_ours(file: Path) -> None:
    """./minuted.toml in /tmp may be anybody's."""
    file.parent.chmod(0o1777)
    os.chown(file, NOBODY, -1)
    assert changeable(file).startswith(f"{file} is another user's, in a folder where everybody may put files")


def test_a_group_with_other_members_is_not_our_own(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who may hear turns are members of the service's group."""
    monkeypatch.setattr(os, "getegid", lambda: FOREIGN_GID)
    own = pwd.getpwuid(os.geteuid()).pw_name
    members: list[str] = []
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("minuted", "x", gid, members)))
    stat = os.stat_result((0o100664, 0, 0, 1, os.geteuid(), FOREIGN_GID, 0, 0, 0, 0))
    real = Path.stat
    monkeypatch.setattr(Path, "stat", lambda self, **kw: stat if self == file else real(self, **kw))

    assert changeable(file) == ""
    members.append(own)
    assert changeable(file) == ""
    members.append("visitor")
    assert changeable(file).endswith(f"chmod g-w {file}")


def test_what_is_not_there_is_in_order(tmp_path: Path) -> None:
    assert changeable(tmp_path / "nothing" / "here") == ""
    assert not readable(tmp_path / "nothing")


def test_readable_is_what_everybody_may_read(file: Path) -> None:
    assert readable(file)
    file.chmod(0o640)
    assert not readable(file)


# Whose a place is.


def test_a_way_names_all_that_is_passed_links_too(tmp_path: Path) -> None:
    """Whoever has one of them in his hands has the file."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "a/link").symlink_to(f"{tmp_path}/c/../file")
    (tmp_path / "c").mkdir()
    passed = way(tmp_path / "b" / "link")
    names = [str(place.relative_to(tmp_path)) for place in passed if place.is_relative_to(tmp_path)]
    assert names == [".", "b", "a", "a/link", ".", "c", "file"]
    (tmp_path / "ring").symlink_to("ring")
    assert len(way(tmp_path / "ring")) < 100


@needs_root
@pytest.mark.parametrize("place", ["file", "folder", "folder above", "link"])
def test_for_root_every_place_on_the_way_is_root_s(tmp_path: Path, place: str) -> None:
    file = tmp_path / "above/folder/minuted.toml"
    file.parent.mkdir(parents=True)
    file.touch()
    link = tmp_path / "link"
    link.symlink_to(file)
    assert foreign(link) == ""
    owned = {"file": file, "folder": file.parent, "folder above": file.parents[1], "link": link}[place]
    os.lchown(owned, NOBODY, -1)
    assert foreign(link) == f"{owned} belongs to nobody"
    assert foreign_owners(link) == {NOBODY}


OTHERS = """
import sys
from pathlib import Path
from minuted.runtime.guard import foreign, other_owner

print([foreign(Path(word)) for word in sys.argv[1:]], [other_owner(Path(word)) for word in sys.argv[1:]])
"""


@needs_root
def test_for_others_it_is_the_file_itself(runtime_dir: Path) -> None:
    """Who works in another's folder has chosen to."""
    runtime_dir.chmod(0o755)
    folders = [runtime_dir / name for name in ("own", "root", "alien")]
    for folder, uid in zip(folders, (NOBODY, 0, 4711), strict=True):
        folder.mkdir()
        os.chown(folder, uid, uid)
        os.chown(runtime_dir, 4711, -1)
    alien = f"{folders[2]} belongs to user 4711"
    assert as_user(OTHERS, *map(str, folders)) == f"{['', '', alien]} {['', '', alien]}\n"


@needs_root
def test_a_folder_of_another_user_s_is_named(tmp_path: Path) -> None:
    assert other_owner(tmp_path) == ""
    assert other_owner(tmp_path / "nothing") == ""
    os.chown(tmp_path, NOBODY, -1)
    assert other_owner(tmp_path / "nothing") == f"{tmp_path} belongs to nobody"
