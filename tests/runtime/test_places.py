"""Whether a file could be written somewhere is found out beforehand, and nothing is left there."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from minuted.runtime import places
from rights import as_user, needs_root


def refusal(path: Path, **options: bool) -> str:
    with pytest.raises(places.PlaceError) as refused:
        places.try_file(path, **options)
    return str(refused.value)


def test_where_it_could_be_written_nothing_is_left(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("as it was")
    (tmp_path / "link").symlink_to(there)
    (tmp_path / "new-link").symlink_to(tmp_path / "not-yet")
    before = sorted(tmp_path.iterdir())
    for name in ("there", "new", "link", "new-link"):
        places.try_file(tmp_path / name)
    places.try_file(tmp_path / "a/b/new", makes_folder=True)
    places.try_folder(tmp_path)
    places.try_folder(tmp_path / "a/b", makes_folder=True)
    assert sorted(tmp_path.iterdir()) == before
    assert there.read_text() == "as it was"


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone/turns.jsonl")
    assert refusal(tmp_path) == f"{tmp_path} is a folder: name a file in it"
    assert refusal(tmp_path / "fifo").startswith(f"{tmp_path}/fifo is no regular file: remove it")
    assert "leads nowhere but to itself" in refusal(tmp_path / "loop")
    dangling = refusal(tmp_path / "dangling", makes_folder=True)
    assert dangling.startswith(f"{tmp_path}/dangling, a link to {tmp_path}/gone/turns.jsonl, cannot be wri")
    assert f"the folder {tmp_path}/gone is not there; run: mkdir -p {tmp_path}/gone" in dangling
    assert f"{tmp_path}/file is no folder" in refusal(tmp_path / "file/below", makes_folder=True)
    assert f"the folder {tmp_path}/a/b is not there" in refusal(tmp_path / "a/b/new")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of one page more than it needs."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "small", folder]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk needs mounts: run `sudo make test`, in a container with --privileged")
    yield folder
    subprocess.run(["umount", folder], check=True)


@needs_root
def test_a_full_disk_and_a_read_only_one_are_told_apart(small: Path) -> None:
    file = small / "turns.jsonl"
    file.touch()
    (small / "all-the-rest").write_bytes(bytes(16384))
    for path in (file, small / "new"):
        assert f"no room left in {small}" in refusal(path)
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    for path in (file, small / "new"):
        with pytest.raises(places.PlaceError, match=f"{small} is read-only here") as refused:
            places.try_file(path)
        assert (refused.value.errno, refused.value.folder) == (errno.EROFS, small)


TRIES = """\
import sys
from pathlib import Path
from minuted.runtime import places

for path in sys.argv[1:]:
    try:
        places.try_file(Path(path), makes_folder=True)
        print("well")
    except places.PlaceError as error:
        print(error)
"""


@needs_root
def test_another_user_s_places_are_named_with_the_line_that_helps(runtime_dir: Path) -> None:
    runtime_dir.chmod(0o755)
    shut, open_ = runtime_dir / "shut", runtime_dir / "open"
    shut.mkdir(mode=0o700)
    open_.mkdir()
    (open_ / "file").touch(0o644)
    os.chown(runtime_dir, 0, 0)
    tried = (shut / "x", open_ / "new", open_ / "file")
    through, new, file = as_user(TRIES, *map(str, tried)).splitlines()
    assert through.endswith(f"nobody may not go through {shut}, which is root's: name another place")
    assert new.endswith(f"root's; run: install -d -o nobody {open_}/minuted, and name that folder")
    assert file == f"{open_}/file cannot be written: the file is root's; run: chown nobody {open_}/file"
