"""What of the machine a run depends on: its clock, its disk, who may use its microphone."""

import grp
import os
import re
import shutil
from pathlib import Path
from typing import Final

from minuted.config import Settings
from minuted.runtime.clock import TIME_ERROR, kernel_state

SOUND_BYTES_PER_HOUR: Final = 120_000_000
"""What an hour of the audio journal takes, with its headers."""
SOUND_DEVICES: Final = Path("/dev/snd")
REMOTE: Final = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|afs|ceph|glusterfs|lustre|virtiofs|fuse\.(sshfs|s3fs|rclone|\w*gluster\w*)"
)
"""File systems whose locks and syncs are another machine's promise; SQLite's journals need this one's."""
FLEETING: Final = ("tmpfs", "ramfs")


def clock() -> tuple[bool, str]:
    """Tell whether the clock is synchronised, as the kernel knows it (adjtimex(2))."""
    return _clock_said(kernel_state())


def _clock_said(state: int) -> tuple[bool, str]:
    if state == TIME_ERROR:
        return False, "not synchronised: meetings' times may be wrong; run: timedatectl set-ntp true"
    if state < 0:
        return False, "the kernel does not tell whether it is synchronised"
    return True, "synchronised"


def disk(settings: Settings) -> tuple[bool, str]:
    """Tell whether the audio journal finds the room it may take. Raises OSError."""
    folder = existing(settings.state_dir)
    free = shutil.disk_usage(folder).free
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
    best, kind = "", ""
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        parts = fields.split(" ")
        if len(parts) < 5 or not rest:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), parts[4])
        if len(point) >= len(best) and folder.is_relative_to(point):
            best, kind = point, rest.split(" ")[0]
    return kind


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
    group = _group(inputs[0])
    return False, (
        f"no access to {inputs[0]}; unless a sound server gives the sound: usermod -aG {group} THIS_USER"
    )


def _group(file: Path) -> str:
    gid = file.stat().st_gid
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
