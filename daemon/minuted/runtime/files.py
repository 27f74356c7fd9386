"""Files opened and put in place so that no name somebody else can change leads elsewhere.

Names are looked up in a folder that is opened once; what is opened for writing is a regular file of this
process's own user, never a link; and where root works in somebody else's folder, it does so as that user.
"""

import errno
import importlib
import os
import pwd
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Final

from . import guard

_NOBODY_GID: Final = 65534


class UnsafeFileError(OSError):
    """A name leads to what is not ours; the text says what is there, and what to do."""


def open_own(path: Path, flags: int, mode: int = 0o640) -> int:
    """Open a regular file of this process's own user, or root's; with O_CREAT make it where there is none.

    Raises UnsafeFileError for a link, for what is no regular file and for another user's, and OSError.
    """
    descriptor = _opened(path, flags, mode)
    if (uid := os.fstat(descriptor).st_uid) not in (0, os.geteuid()):
        os.close(descriptor)
        raise UnsafeFileError(f"{path} belongs to {guard.user(uid)}: remove it")
    return descriptor


def read_small(path: Path, bytes_max: int) -> bytes:
    """Read the beginning of a regular file, never through a link. Raises UnsafeFileError and OSError."""
    descriptor = _opened(path, os.O_RDONLY, 0)
    try:
        return os.read(descriptor, bytes_max)
    finally:
        os.close(descriptor)


def make_private(path: Path, mode: int = 0o640) -> None:
    """Make a file that another library will open, with a mode of its own whatever the umask.

    Raises UnsafeFileError where something else is there.
    """
    try:
        descriptor = open_own(path, os.O_RDWR | os.O_CREAT, mode)
    except PermissionError:
        uid, own = guard.owner(path), os.geteuid()
        if uid in (None, own) or guard.owner(path.parent) != own:
            # In somebody else's folder it is theirs by right.
            raise
        whose, us = guard.user(uid or 0), guard.user(own)
        raise UnsafeFileError(f"{path} belongs to {whose}; run: chown {us} {path}") from None
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def replace(path: Path, data: bytes, mode: int = 0o600, *, strict: bool = True) -> None:
    """Put a file in place as a whole. Where root does it, the file keeps its owner. Raises OSError.

    What is not `strict` is written also where the file system lets nobody set its owner and mode.
    """
    with _folder(path) as folder:
        name = _written(folder, data, mode, _kept_owner(folder, path.name), strict=strict)
        with _removing(folder, name):
            os.rename(name, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def try_out(folder: Path) -> None:
    """Write a file into a folder, and remove it. Raises OSError where that is not possible."""
    with acting_for(folder), _folder(folder / "_") as opened:
        os.unlink(_written(opened, b"?", 0o600, None, strict=False), dir_fd=opened)


def create(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Make a new file, whole or not at all. Raises FileExistsError and other OSErrors."""
    with _folder(path) as folder:
        name = _written(folder, data, mode, None)
        try:
            # Unlike a rename, this does not take the place of what is there.
            os.link(name, path.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
        os.fsync(folder)


@contextmanager
def acting_for(folder: Path) -> Iterator[None]:
    """Work as the user whose folder it is (or the nearest one above), where root calls.

    Whatever that user makes of the names in it meanwhile, nothing is done that they could not do themselves.
    Raises UnsafeFileError where the way there is in the hands of several users.
    """
    if os.geteuid() != 0:
        yield
        return
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    status, owners = there.stat(), guard.foreign_owners(there)
    if not owners:
        yield
        return
    if owners != {status.st_uid}:
        whose = guard.users({*owners, status.st_uid})
        raise UnsafeFileError(f"{there} is in the hands of {whose}: root does nothing there")
    groups, gid = os.getgroups(), os.getegid()
    try:
        os.setgroups([])
        os.setegid(_group_of(status))
        os.seteuid(status.st_uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)
        # What that user may not read of Python's own folders is taken for not there, and remembered.
        importlib.invalidate_caches()


def _opened(path: Path, flags: int, mode: int) -> int:
    """Open a regular file, and nothing that its name has come to lead to."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, mode)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise UnsafeFileError(f"{path} is a link: remove it") from None
        if error.errno in (errno.ENXIO, errno.ENODEV, errno.EISDIR):
            raise UnsafeFileError(f"{path} is no regular file: remove it") from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnsafeFileError(f"{path} is no regular file: remove it")
    return descriptor


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    """Open the folder of a file: its name may come to lead elsewhere, what is open does not."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _written(
    folder: int, data: bytes, mode: int, owner: tuple[int, int] | None, *, strict: bool = True
) -> str:
    """Write a new file under a name nobody knows before, see it on the disk, and return the name."""
    name = f".minuted-{secrets.token_hex(8)}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, mode, dir_fd=folder)
    with _removing(folder, name), open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor
        # A share or a stick of another user's has owners and modes of its own.
        with nullcontext() if strict else suppress(PermissionError, NotImplementedError):
            if owner is not None:
                os.fchown(descriptor, *owner)
        with nullcontext() if strict else suppress(PermissionError, NotImplementedError):
            os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    return name


@contextmanager
def _removing(folder: int, name: str) -> Iterator[None]:
    """Take a file away again where something fails."""
    try:
        yield
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        raise


def _kept_owner(folder: int, name: str) -> tuple[int, int] | None:
    """Return whose a file is that root replaces, and of a new one whose the folder is."""
    if os.geteuid() != 0:
        return None
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        status = os.fstat(folder)
    return status.st_uid, status.st_gid


def _group_of(status: os.stat_result) -> int:
    """Return the group to act in: the user's own, never root's because a folder is root's group's."""
    try:
        return pwd.getpwuid(status.st_uid).pw_gid
    except KeyError:
        return status.st_gid or _NOBODY_GID
