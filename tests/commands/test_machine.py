"""What `minuted check` finds out about the machine."""

import calendar
import ctypes
import os
import tempfile
from pathlib import Path

import pytest

from minuted.commands import machine
from minuted.config import ConfigError, Journal, Settings
from rights import as_user

MOUNTS = """\
22 1 0:20 / / rw shared:1 - ext4 /dev/vda1 rw
30 22 0:25 / /var rw - xfs /dev/vda2 rw
31 30 0:26 / /var/lib/min\\040uted rw - nfs4 server:/x rw
32 22 0:27 / /run rw - tmpfs tmpfs rw
nonsense
33 22 0:28 / /mnt/s rw - fuse.sshfs me@host:/ rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib/min uted/state", "nfs4"),
        ("/var/library", "xfs"),
        ("/home", "ext4"),
        ("/run/minuted", "tmpfs"),
        ("/runner", "ext4"),
        ("/mnt/s", "fuse.sshfs"),
    ],
)
def test_a_folder_s_file_system_is_its_nearest_mount_s(folder: str, kind: str) -> None:
    assert machine.file_system(Path(folder), MOUNTS) == kind


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph"])
def test_what_is_another_machine_s_is_known(kind: str) -> None:
    """SQLite's locks do not hold there."""
    assert machine.REMOTE.fullmatch(kind)
    assert not any(
        machine.REMOTE.fullmatch(own) for own in ("ext4", "xfs", "btrfs", "overlay", "fuseblk", "tmpfs")
    )


def test_this_folder_is_on_some_file_system(tmp_path: Path) -> None:
    assert machine.place_of(tmp_path / "not" / "there")


@pytest.mark.parametrize(("state", "well"), [(0, True), (1, True), (5, False), (-1, False)])
def test_the_clock_is_as_the_kernel_says(state: int, well: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        def adjtimex(self, _: object) -> int:
            return state

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Library())
    assert machine.clock()[0] is well


def test_the_clock_can_be_asked_here() -> None:
    assert "synchronised" in machine.clock()[1]


def test_a_disk_that_is_too_small_is_said_with_what_it_holds(tmp_path: Path) -> None:
    enough, _ = machine.disk(Settings(state_dir=tmp_path, journal=Journal(audio_hours_max=0.05)))
    much = Settings(state_dir=tmp_path / "later", journal=Journal(audio_hours_max=1e9))
    fits, told = machine.disk(much)
    assert enough
    assert not fits
    assert "an outage is bridged for" in told


SOUND_DEVICES = """
import sys
from pathlib import Path
from minuted.commands import machine

print(*machine.sound_devices(Path(sys.argv[1])))
"""


def test_devices_that_may_not_be_used_name_their_group() -> None:
    """Root may use every device, so it asks as somebody else."""
    # Not tmp_path: nobody else may look into that.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "pcmC0D0c").touch(0o000)
        if os.geteuid() == 0:
            told = as_user(SOUND_DEVICES, folder)
        else:
            told = " ".join(map(str, machine.sound_devices(Path(folder))))
    assert told.startswith("False no access to")
    assert "usermod -aG" in told


def test_devices_that_may_be_used_are_counted(tmp_path: Path) -> None:
    assert machine.sound_devices(tmp_path) == (
        True,
        f"no recording devices in {tmp_path}; sound may come from a sound server",
    )
    (tmp_path / "pcmC0D0c").touch(0o660)
    (tmp_path / "pcmC0D0p").touch(0o660)
    assert machine.sound_devices(tmp_path) == (True, "1 recording devices")


@pytest.mark.parametrize("year", [1970, 2001, 2025, 2047, 2106])
def test_a_clock_that_was_never_set_is_refused(year: int) -> None:
    """Certificates are good for a time, and so is nothing to a machine that does not know it."""
    with pytest.raises(
        ConfigError, match=f"it says {year}-01-01, which cannot be: .* timedatectl set-ntp true"
    ):
        machine.refuse_clock(calendar.timegm((year, 1, 1, 0, 0, 0)))


@pytest.mark.parametrize("year", [2026, 2030, 2045])
def test_a_clock_that_may_be_right_is_taken(year: int) -> None:
    machine.refuse_clock(calendar.timegm((year, 1, 2, 0, 0, 0)))


def test_without_room_nothing_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "FREE_BYTES_MIN", 1 << 60)
    with pytest.raises(ConfigError, match=f"MB free for state_dir in {tmp_path}: nothing can be kept"):
        machine.disk(Settings(state_dir=tmp_path))


def test_a_file_system_without_locks_or_syncs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert machine.locking(tmp_path) == "files there can be locked and brought to the disk"

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    for name in ("flock", "fsync"):
        with monkeypatch.context() as patch:
            patch.setitem(machine._STEPS, name, refuse)
            with pytest.raises(
                ConfigError, match=f"^{name} does not work on files in state_dir, {tmp_path}: "
            ):
                machine.locking(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_system_that_can_be_written_is_not_read_only(tmp_path: Path) -> None:
    assert not machine.is_read_only(tmp_path)
    mounts = "22 1 0:20 / / rw - ext4 /dev/vda1 rw\n23 22 0:21 / /ro ro - ext4 /dev/vda2 ro,noatime\n"
    assert machine._mount(Path("/ro/x"), mounts) == ("ext4", "ro,noatime")
