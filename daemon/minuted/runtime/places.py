"""Could a file be written there? Tried without a trace, and told in a sentence where it could not."""

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from . import guard

TRIED_BYTES: Final = 4096
"""What is written where nobody sees it: a disk without room for that is full."""
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
_NOT_OFFERED: Final = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)
"""What a file system says that has no files without a name."""


class PlaceError(OSError):
    """Nothing can be written there; the text says why, and what to do."""

    def __init__(self, text: str, folder: Path, code: int | None = None, wanted: Path | None = None) -> None:
        super().__init__(text)
        self.folder = folder
        """The nearest folder that is there."""
        self.wanted = wanted or folder
        """The folder that was to be written to."""
        self.errno = code


def try_file(path: Path, *, makes_folder: bool = False) -> None:
    """Raise PlaceError where a file could not be written, or written on.

    `makes_folder`: whoever writes it makes its folder where that is missing.
    """
    folder = path.parent
    try:
        target = path.resolve(strict=False)
        status = target.stat() if os.path.lexists(target) else None
    except (OSError, RuntimeError) as error:
        raise _refused(path, folder, error) from None
    shown = str(path) if target == path.absolute() else f"{path}, a link to {target},"
    if status is None:
        try:
            _try_folder(target.parent, makes_folder=makes_folder and target.parent == path.parent.resolve())
        except PlaceError as error:
            text = f"{shown} cannot be written: {error}"
            raise PlaceError(text, error.folder, error.errno, error.wanted) from None
        return
    if stat.S_ISDIR(status.st_mode):
        raise PlaceError(f"{shown} is a folder: name a file in it", target)
    if not stat.S_ISREG(status.st_mode):
        raise PlaceError(f"{shown} is no regular file: remove it, or name another", target.parent)
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError as error:
        raise _refused(path, target.parent, error, whose=target) from None
    if _is_full(target):
        raise PlaceError(
            f"{shown} cannot be written on: no room left in {target.parent}", target.parent, errno.ENOSPC
        )


def try_folder(folder: Path, *, makes_folder: bool = False) -> None:
    """Raise PlaceError where a file could not be made in a folder."""
    try:
        _try_folder(folder, makes_folder=makes_folder)
    except PlaceError as error:
        text = f"nothing can be written to {folder}: {error}"
        raise PlaceError(text, error.folder, error.errno, folder) from None


def _try_folder(folder: Path, *, makes_folder: bool) -> None:
    there = _nearest(folder)
    if there != folder.absolute() and not makes_folder and there.is_dir():
        raise PlaceError(f"the folder {folder} is not there; run: mkdir -p {folder}", there, errno.ENOENT)
    if not there.is_dir():
        raise PlaceError(f"{there} is no folder", there.parent, errno.ENOTDIR)
    try:
        _write_unseen(there)
    except OSError as error:
        reason = _reason(there, error)
        raise PlaceError(str(reason), there, error.errno, folder) from None


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest place above it that can be seen to be there."""
    for place in (folder.absolute(), *folder.absolute().parents):
        if os.path.lexists(place):
            return place
    return Path("/")


def _write_unseen(folder: Path) -> None:
    """Write a block to a file without a name, or one that is gone at once. Raises OSError."""
    block = bytes(TRIED_BYTES)
    try:
        file = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
        file, name = tempfile.mkstemp(prefix=".minuted-", dir=folder)
        Path(name).unlink()
    try:
        os.write(file, block)
        try:
            os.fsync(file)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise
            reason = f"what is written there cannot be brought to the disk ({error.strerror})"
            raise OSError(errno.EIO, reason) from None
    finally:
        os.close(file)


def _is_full(path: Path) -> bool:
    return os.statvfs(path).f_bavail == 0


def _refused(
    path: Path, folder: Path, error: OSError | RuntimeError, whose: Path | None = None
) -> PlaceError:
    if isinstance(error, RuntimeError) or error.errno == errno.ELOOP:
        return PlaceError(f"{path} is a link that leads nowhere but to itself: remove it", folder)
    reason = _reason(folder, error, whose)
    return PlaceError(f"{path} cannot be written: {reason}", reason.folder, reason.errno)


def _reason(folder: Path, error: OSError, whose: Path | None = None) -> PlaceError:
    """Return why nothing can be written there, and the line that mends it."""
    us = guard.user(os.geteuid())
    if error.errno in _NO_ROOM:
        text = f"no room left in {folder}: make some"
    elif closed := _closed(folder):
        text = f"{us} may not go through {closed}, which is {_owner(closed)}'s: name another place"
    elif error.errno == errno.EROFS:
        text = f"{folder} is read-only here"
    elif error.errno in (errno.EACCES, errno.EPERM):
        if whose is not None:
            text = f"the file is {_owner(whose)}'s; run: chown {us} {whose}"
        else:
            text = (
                f"{us} may not write in {folder}, which is {_owner(folder)}'s; run: install -d -o {us} "
                f"{folder}/minuted, and name that folder"
            )
    else:
        text = error.strerror or type(error).__name__
    return PlaceError(text, folder, error.errno)


def _closed(folder: Path) -> Path | None:
    """Return the first folder on the way that this process may not go through."""
    way = [place for place in guard.way(folder) if os.path.isdir(place)]  # noqa: PTH112  # Path's raises
    return next((place for place in way if not os.access(place, os.X_OK)), None)


def _owner(place: Path) -> str:
    uid = guard.owner(place)
    return "nobody" if uid is None else guard.user(uid)
