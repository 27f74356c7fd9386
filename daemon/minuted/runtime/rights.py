"""Why a file is closed to this user, and the line that opens it; other failures as sentences."""

import errno
import grp
import os
import pwd
import stat
from pathlib import Path
from typing import Final

from . import guard

_TEXTS: Final = {
    errno.ENOENT: "{} is not there",
    errno.EROFS: "{} is on a file system that can only be read",
    errno.ENOSPC: "{}: there is no room left on the disk",
    errno.EDQUOT: "{}: there is no room left in this user's share of the disk",
    errno.EISDIR: "{} is a folder",
    errno.ENOTDIR: "{} is in no folder",
    errno.EEXIST: "{} is there already",
}


def sentence(error: OSError) -> str:
    """Return what a person can read of an error: what happened, to what, and where known what to do."""
    if error.errno is None:
        return str(error)
    if error.filename is None:
        return error.strerror or str(error)
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
    if error.errno in (errno.EACCES, errno.EPERM):
        path = Path(name)
        closed = refusal(path) or refusal(path, os.W_OK) or refusal(path.parent, os.W_OK)
        return closed or f"{name} may not be used by {_me()}"
    if text := _TEXTS.get(error.errno):
        return text.format(name)
    return f"{name}: {error.strerror}"


def refusal(path: Path, mode: int = os.R_OK) -> str:
    """Return why this process may not use `path` in that way, and what would let it; "" where it may.

    `mode` is one of access(2)'s. What is not there is in order, as far as the way to it is open.
    """
    closed = _closed(path, mode)
    if closed is None:
        return ""
    place, bit = closed
    try:
        status = place.stat()
    except OSError:
        return f"{path} may not be used by {_me()}"
    owner = guard.user(status.st_uid)
    may = "may be changed by" if mode == os.W_OK else "is for"
    if status.st_gid and status.st_mode & bit:
        group = guard.group(status.st_gid)
        if _is_listed(status.st_gid):
            return f"{path} is for the group {group}, which you are in since this session began: log in again"
        join = f"sudo usermod -aG {group} {_me()}"
        return f"{path} {may} {owner} and the group {group}; to be let in, run: {join}, and log in again"
    who = "root alone" if status.st_uid == 0 else f"{owner} and root alone"
    return f"{path} {may} {who}: put sudo before the command"


def _closed(path: Path, mode: int) -> tuple[Path, int] | None:
    """Return the place on the way to `path` that is closed, and the group's bit that would open it."""
    way = guard.way(path)
    for folder in way[:-1]:
        if os.path.isdir(folder) and not os.access(folder, os.X_OK):  # noqa: PTH112  # Path's raises
            return folder, stat.S_IXGRP
    last = way[-1]
    if os.access(last, mode) or not os.access(last, os.F_OK):
        return None
    return last, {os.R_OK: stat.S_IRGRP, os.W_OK: stat.S_IWGRP, os.X_OK: stat.S_IXGRP}[mode]


def _is_listed(gid: int) -> bool:
    """Whether this user is in a group by now, which processes begun before do not know."""
    try:
        me = pwd.getpwuid(os.geteuid())
        return me.pw_gid == gid or me.pw_name in grp.getgrgid(gid).gr_mem
    except KeyError:
        return False


def _me() -> str:
    return guard.user(os.geteuid())
