"""Locks end with their process, and their files touch nothing that is not theirs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minuted.runtime import locks
from minuted.runtime.files import UnsafeFileError
from minuted.runtime.locks import InUseError

HOLD = """
import sys
from pathlib import Path

from minuted.runtime import locks

{take}
print(1, flush=True)
input()
"""


def hold(path: Path, **options: bool) -> "subprocess.Popen[str]":
    words = "".join(f", {name}={value}" for name, value in options.items())
    script = HOLD.format(take=f"locks.take(Path(sys.argv[1]), 'it'{words})")
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "1\n"
    return process


def test_a_lock_says_whose_it_is_and_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with hold(path) as process:
        with pytest.raises(
            InUseError, match=rf"^it is already in use by another minuted \(process {process.pid}\)$"
        ):
            locks.take(path, "it")
        assert locks.holder(path) == (process.pid, f"-c {path}")
        process.kill()
    assert locks.holder(path).pid == 0
    os.close(locks.take(path, "it"))


def test_a_predecessor_is_waited_for(tmp_path: Path) -> None:
    with hold(tmp_path / "a.lock") as process:
        assert process.stdin
        process.stdin.close()
        os.close(locks.take(tmp_path / "a.lock", "it", wait_s=60.0))


def test_several_share_what_nobody_has_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with hold(path, shared=True) as process:
        os.close(locks.take(path, "it", shared=True))
        with pytest.raises(InUseError):
            locks.take(path, "it")
        process.kill()


def test_a_link_is_no_lock(tmp_path: Path) -> None:
    """Root's file of 5,000 bytes was emptied."""
    other = tmp_path / "other"
    other.write_bytes(b"x" * 5000)
    (tmp_path / "a.lock").symlink_to(other)
    with pytest.raises(UnsafeFileError, match="is a link"):
        locks.take(tmp_path / "a.lock", "it")
    assert other.stat().st_size == 5000


@pytest.mark.parametrize("data", [b"x" * 5000, b"4711\n" + b"x" * 5000, b"a small file"])
def test_nor_is_a_second_name_of_another_file(tmp_path: Path, data: bytes) -> None:
    other = tmp_path / "other"
    other.write_bytes(data)
    (tmp_path / "a.lock").hardlink_to(other)
    with pytest.raises(UnsafeFileError, match="is no lock of minuted's: remove it"):
        locks.take(tmp_path / "a.lock", "it")
    assert other.read_bytes() == data


@pytest.mark.parametrize(
    "data", [bytes(40), b"\xb4711\nminuted run", b"x711", b"\xff" * locks.TEXT_BYTES_MAX]
)
def test_a_damaged_text_is_overwritten(tmp_path: Path, data: bytes) -> None:
    """The text is for people: it must not keep a service from starting."""
    path = tmp_path / "a.lock"
    path.write_bytes(data)
    assert locks.holder(path).pid == 0
    descriptor = locks.take(path, "it")
    assert locks.holder(path).pid == os.getpid()
    os.close(descriptor)


def test_what_an_older_one_left_is_a_lock(tmp_path: Path) -> None:
    """It wrote the process alone."""
    (tmp_path / "a.lock").write_text("4711")
    os.close(locks.take(tmp_path / "a.lock", "it"))
    assert (tmp_path / "a.lock").read_text().startswith(f"{os.getpid()}\n")
