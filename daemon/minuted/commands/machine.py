"""What of the machine a run depends on: its clock, its disk, who may use its microphone."""

import fcntl
import grp
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from minuted.config import ConfigError, Settings
from minuted.runtime.clock import TIME_ERROR, kernel_state

SOUND_BYTES_PER_HOUR: Final = 120_000_000
"""What an hour of the audio journal takes, with its headers."""
SOUND_DEVICES: Final = Path("/dev/snd")
REMOTE: Final = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|afs|ceph|glusterfs|lustre|virtiofs|fuse\.(sshfs|s3fs|rclone|\w*gluster\w*)"
)
"""File systems whose locks and syncs are another machine's promise; SQLite's journals need this one's."""
FLEETING: Final = ("tmpfs", "ramfs")
FREE_BYTES_MIN: Final = 10_000_000
"""With less there is no room for sound nor for words."""
CLOCK_S: Final = (1_767_225_600, 2_398_377_600)
"""2026 and 2046: what a clock says that has been set, of this version of minuted."""


def clock() -> tuple[bool, str]:
    """Return whether the clock is synchronised, as the kernel knows it (adjtimex(2)).

    Raises ConfigError where it cannot be right: certificates are refused then.
    """
    refuse_clock(time.time())
    return _clock_said(kernel_state())


def refuse_clock(now_s: float) -> None:
    """Raise ConfigError for a clock that was never set."""
    if not CLOCK_S[0] <= now_s < CLOCK_S[1]:
        raise ConfigError(
            f"it says {time.strftime('%Y-%m-%d', time.gmtime(now_s))}, which cannot be: meetings' times are "
            "wrong, and certificates are refused; run: timedatectl set-ntp true"
        )


def _clock_said(state: int) -> tuple[bool, str]:
    if state == TIME_ERROR:
        return False, "not synchronised: meetings' times may be wrong; run: timedatectl set-ntp true"
    if state < 0:
        return False, "the kernel does not tell whether it is synchronised"
    return True, "synchronised"


def disk(settings: Settings) -> tuple[bool, str]:
    """Return whether the audio journal finds the room it may take.

    Raises OSError, and ConfigError where there is none at all.
    """
    folder = existing(settings.state_dir)
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES_MIN:
        raise ConfigError(
            f"{free / 1e6:.1f} MB free for state_dir in {folder}: nothing can be kept; make room there"
        )
    if settings.journal.audio == "memory":
        return free > SOUND_BYTES_PER_HOUR, f"{_size(free)} free; sound is kept in memory"
    kept = sum(file.stat().st_size for file in (settings.state_dir / "audio").glob("*"))
    wanted = int(settings.journal.audio_hours_max * SOUND_BYTES_PER_HOUR)
    told = f"{_size(free)} free; {settings.journal.audio_hours_max:g} h of sound take {_size(wanted)}"
    if free + kept < wanted:
        hours = (free + kept) / SOUND_BYTES_PER_HOUR
        return (
            False,
            f"{told}: an outage is bridged for {hours:.1f} h only; make room, or set journal.audio_hours_max",
        )
    return True, told


def file_system(folder: Path, mounts: str) -> str:
    """Give the kind of file system a folder is on, by the text of /proc/self/mountinfo."""
    return _mount(folder, mounts)[0]


def _mount(folder: Path, mounts: str) -> tuple[str, str]:
    """Return the kind and the options of the file system a folder is on."""
    best, kind, options = "", "", ""
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        parts = fields.split(" ")
        if len(parts) < 5 or not rest:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), parts[4])
        if len(point) >= len(best) and folder.is_relative_to(point):
            best, kind, options = point, rest.split(" ")[0], rest.split(" ")[-1]
    return kind, options


def is_read_only(folder: Path) -> bool:
    """Return whether a file system itself is read-only, and not only the way to it that this process has."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    return "ro" in _mount(folder.resolve(), mounts)[1].split(",")


def locking(folder: Path) -> str:
    """Try what journals need of a file system, in a file that is gone at once. Raises ConfigError."""
    try:
        with tempfile.TemporaryFile(prefix=".minuted-", dir=folder) as file:
            file.write(b"x")
            file.flush()
            for name, step in _STEPS.items():
                _try_step(name, lambda step=step: step(file.fileno()), folder)  # type: ignore[misc]
    except OSError as error:
        return f"not tried: {error.strerror}"
    return "files there can be locked and brought to the disk"


def _try_step(name: str, step: Callable[[], object], folder: Path) -> None:
    try:
        step()
    except OSError as error:
        raise ConfigError(
            f"{name} does not work on files in state_dir, {folder}: {error.strerror}; set state_dir to a "
            "folder on a disk of this machine"
        ) from None


_STEPS: Final[dict[str, Callable[[int], object]]] = {
    "flock": lambda file: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB),
    "fcntl": lambda file: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB),
    "fsync": os.fsync,
    "fdatasync": os.fdatasync,
}


def place_of(folder: Path) -> str:
    return file_system(existing(folder).resolve(), Path("/proc/self/mountinfo").read_text(encoding="utf-8"))


def existing(folder: Path) -> Path:
    """Give the folder, or the nearest one above it that is there."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())


def sound_devices(folder: Path = SOUND_DEVICES) -> tuple[bool, str]:
    """Tell whether this user may record with the machine's own sound devices."""
    inputs = sorted(folder.glob("pcm*c"))
    if not inputs:
        return True, f"no recording devices in {folder}; sound may come from a sound server"
    if any(os.access(file, os.R_OK | os.W_OK) for file in inputs):
        return True, f"{len(inputs)} recording devices"
    group = group_name(inputs[0].stat().st_gid)
    return False, (
        f"no access to {inputs[0]}; unless a sound server gives the sound: usermod -aG {group} THIS_USER"
    )


def group_name(gid: int) -> str:
    """Return a group's name to a person."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
