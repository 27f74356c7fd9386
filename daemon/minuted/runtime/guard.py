"""Who else may change a file: what a service reads and runs must be in nobody's hands but its own."""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path


def changeable(path: Path) -> str:
    """Say how others could change `path` or put another file in its place; "" when they cannot.

    Looked at are the file and every folder above it, as named and as links lead to it. A folder above
    that all may write to is in order with the sticky bit, as /tmp: there only owners remove and rename;
    but what lies in it must be ours or root's, since anyone may have put it there. A group may write
    when it is root's, or this process's own and no other user is listed in it. Elsewhere owners are
    not judged: who runs a service on another's files has chosen to. What is not there is in order.
    """
    for place in _places(path):
        try:
            status, above = place.stat(), place.parent.stat()
        except OSError:
            continue
        if _is_shared(above.st_mode) and status.st_uid not in (0, os.geteuid()):
            return f"{place} is another user's, in a folder where everybody may put files: move it elsewhere"
        mode = status.st_mode
        if _is_shared(mode) and place != path:
            continue
        if mode & stat.S_IWOTH:
            return f"{place} can be changed by every user of this machine; run: chmod o-w {place}"
        if mode & stat.S_IWGRP and not _is_own(status.st_gid):
            return f"{place} can be changed by the group {_name(status.st_gid)}; run: chmod g-w {place}"
    return ""


def readable(path: Path) -> bool:
    """Whether every user of this machine may read the file itself."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _places(path: Path) -> Iterator[Path]:
    named, real = path.absolute(), path.resolve()
    yield from dict.fromkeys((named, real, *named.parents, *real.parents))


def _is_shared(mode: int) -> bool:
    return stat.S_ISDIR(mode) and bool(mode & stat.S_ISVTX) and bool(mode & (stat.S_IWOTH | stat.S_IWGRP))


def _is_own(gid: int) -> bool:
    if gid == 0:
        return True
    if gid != os.getegid():
        return False
    try:
        return set(grp.getgrgid(gid).gr_mem) <= {pwd.getpwuid(os.geteuid()).pw_name}
    except KeyError:
        return True  # a number without a name has no members but us


def _name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
