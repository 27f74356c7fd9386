"""Who works on a state_dir: one daemon as a whole, or its stages apart, each of them once.

The whole holds `minuted.lock` alone; stages on their own share it, and hold each a lock of their own. Locks
are the kernel's: they end with their process, however it ends.
"""

import errno
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from .config import Settings
from .options import ConfigError
from .runtime import guard, locks
from .runtime.files import UnsafeFileError

NAME: Final = "minuted.lock"
PREDECESSOR_S_MAX: Final = 5.0
"""How long a process that its supervisor starts again waits for the one before it to be gone."""


def claim_whole(settings: Settings) -> ExitStack:
    """Claim the state folder for a daemon as a whole, until the stack is closed. Raises ConfigError."""
    return _claimed(settings, [(NAME, False)], 0.0)


def claim_stage(settings: Settings, stage: str, *, supervised: bool) -> ExitStack:
    """Claim a stage's part of the state folder, until the stack is closed.

    Raises ConfigError where another process has it; InUseError where it is a supervisor's, who tries again.
    """
    own = (lock_of(stage), False)
    if not supervised:
        return _claimed(settings, [(NAME, True), own], 0.0)
    return _claimed(settings, [own], PREDECESSOR_S_MAX)


def lock_of(stage: str) -> str:
    """Return the name of a stage's own lock."""
    return f"{stage.replace('/', '-')}.lock"


def refuse_foreign(key: str, folder: Path) -> None:
    """Raise ConfigError for a folder of another user's: this process must not keep its files there."""
    if whose := guard.other_owner(folder):
        name = whose.rpartition(" belongs to ")[2]
        raise ConfigError(
            f"{key}: {whose}: run minuted as that user (sudo -u {name} minuted …), or set {key} to a folder "
            "of your own"
        )


def refuse_foreign_files(key: str, folder: Path) -> None:
    """Raise ConfigError where a file of minuted's is another user's, and closed to the folder's own.

    A run by hand as root leaves such files.
    """
    own = guard.owner(folder.resolve()) if os.geteuid() == 0 else os.geteuid()
    for pattern in _FILES:
        for file in folder.glob(pattern):
            uid = guard.owner(file)
            if uid in (None, own) or (os.geteuid() != 0 and _may_use(file)):
                continue
            us = guard.user(own or 0)
            raise ConfigError(
                f"{key}: {file} belongs to {guard.user(uid or 0)}, and {us} cannot use it; "
                f"run: chown -R {us}: {folder}"
            )


_FILES: Final = (
    *("*.db*", "*.lock", "*.json", "*.key", "audio*", "audio*/*", "sinks", "sinks/*", "keys", "keys/*"),
    *("keys/clients/*", "token-clients"),
)
"""What minuted keeps in a folder that other files may lie in too."""


def _may_use(file: Path) -> bool:
    needs_to_enter = os.X_OK if file.is_dir() and not file.is_symlink() else 0
    return os.access(file, os.R_OK | os.W_OK | needs_to_enter)


def _claimed(settings: Settings, names: list[tuple[str, bool]], wait_s: float) -> ExitStack:
    what = f"state_dir {settings.state_dir}"
    with ExitStack() as stack:
        for name, shared in names:
            path = settings.state_dir / name
            try:
                stack.callback(os.close, locks.take(path, what, shared=shared, wait_s=wait_s))
            except locks.InUseError:
                if wait_s:
                    raise
                by = _whose(settings.state_dir, path)
                raise ConfigError(
                    f"{what} is already in use by another minuted{by}; stop it, or set another state_dir"
                ) from None
            except UnsafeFileError as error:
                raise ConfigError(f"state_dir: {error}") from None
            except PermissionError as error:
                raise ConfigError(f"state_dir: {error.filename} belongs to someone else: remove it") from None
            except OSError as error:
                # A full disk is waited out; other locks keep a second writer away from each journal.
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
        return stack.pop_all()


def _whose(state_dir: Path, wanted: Path) -> str:
    """Return whose the claim is that is in the way; a shared one is told by the stages that share it."""
    for path in (wanted, *sorted(state_dir.glob("*.lock"))):
        found = locks.holder(path)
        if found.pid:
            return f" (process {found.pid}{found.command and ', '}{found.command})"
    return ""
