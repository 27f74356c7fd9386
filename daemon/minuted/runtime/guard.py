"""Who else may change a file: what a service reads and runs must be in nobody's hands but its own."""

import grp
import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Final

LINKS_MAX: Final = 40
"""Links on the way to a file; the kernel follows no more either."""


def changeable(path: Path) -> str:
    """Say how others could change `path` or put another file in its place; "" when they cannot.

    Looked at are the file and every folder above it, as named and as links lead to it. A folder above
    that all may write to is in order with the sticky bit, as /tmp: there only owners remove and rename;
    but what lies in it must be ours or root's, since anyone may have put it there. A group may write
    when it is root's, or this process's own and no other user is listed in it. Elsewhere owners are
    not judged: who runs a service on another's files has chosen to. What is not there is in order.
    """
    passed = way(path)
    for place in reversed(passed):
        try:
            status, above = place.lstat(), place.parent.lstat()
        except OSError:
            continue
        mode = status.st_mode
        if _is_shared(above.st_mode) and status.st_uid not in (0, os.geteuid()):
            return f"{place} is another user's, in a folder where everybody may put files: move it elsewhere"
        if stat.S_ISLNK(mode) or (_is_shared(mode) and place != passed[-1]):
            continue
        if mode & stat.S_IWOTH:
            return f"{place} can be changed by every user of this machine; run: chmod o-w {place}"
        if mode & stat.S_IWGRP and not _is_own(status.st_gid):
            return f"{place} can be changed by the group {_group(status.st_gid)}; run: chmod g-w {place}"
    return ""


def foreign(path: Path) -> str:
    """Return which place on the way to `path` belongs to another user, and to whom; "" where none does.

    For root that is every folder and link on the way, since their owners can put another file in its
    place; for others the file itself. Root's places are in order, and those of whoever owns this program:
    its code runs here anyway. What is not there is in order.
    """
    passed = way(path)
    judged = passed if os.geteuid() == 0 else [path.absolute(), passed[-1]]
    for place in reversed(judged):
        uid = owner(place)
        if uid is not None and uid not in _trusted():
            return f"{place} belongs to {user(uid)}"
    return ""


def foreign_owners(path: Path) -> set[int]:
    """Return the users, besides root and this process's own, who own something on the way to `path`."""
    return {uid for place in way(path) if (uid := owner(place)) is not None} - {0, os.geteuid()}


def other_owner(folder: Path) -> str:
    """Return whose a folder is that this process would keep its files in; "" where it may.

    Root keeps none in somebody else's: a link there would lead it anywhere.
    """
    if os.geteuid() == 0:
        return foreign(folder)
    uid = owner(folder.resolve())
    return "" if uid in (None, 0, os.geteuid()) else f"{folder} belongs to {user(uid or 0)}"


def readable(path: Path) -> bool:
    """Whether every user of this machine may read the file itself."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def way(path: Path) -> list[Path]:
    """Return every name that is passed on the way to `path`: folders, links, and where those lead."""
    here, passed, links = Path("/"), [Path("/")], 0
    left = list(reversed(path.absolute().parts[1:]))
    while left:
        part = left.pop()
        if part == "..":
            here = here.parent
            continue
        here /= part
        passed.append(here)
        try:
            target = PurePath(here.readlink())
        except OSError:  # no link, or not there
            continue
        links += 1
        if links > LINKS_MAX:
            break
        here = Path("/") if target.is_absolute() else here.parent
        left += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    return passed


def owner(place: Path) -> int | None:
    """Return whose a place is, of a link the link's owner; None where it is not there."""
    try:
        return place.lstat().st_uid
    except OSError:
        return None


def user(uid: int) -> str:
    """Name a user to a person."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def users(uids: Iterable[int]) -> str:
    return " and ".join(user(uid) for uid in sorted(uids))


def _trusted() -> set[int | None]:
    return {0, os.geteuid(), owner(Path(__file__))}


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


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
