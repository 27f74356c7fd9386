"""Who works on a state_dir: one daemon as a whole, or its stages apart, each of them once.

The whole holds `minuted.lock` alone; stages on their own share it, and hold each a lock of their own. Locks
are the kernel's: they end with their process, however it ends.
"""

import errno
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from .config import Settings
from .options import ConfigError
from .runtime import guard, locks, service
from .runtime.files import UnsafeFileError

NAME: Final = "minuted.lock"
_OWN: Final = ("*.lock", "*.db", "*.db-*", "*.json", "audio*", "audio*/*")
"""What all stages keep in the state folder; a sink's own file is for that sink to complain of."""
_ALL: Final = (*_OWN, "*.key", "sinks", "sinks/*", "keys", "keys/*", "keys/clients/*", "token-clients")
"""What minuted keeps in a folder that other files may lie in too."""
PREDECESSOR_S_MAX: Final = 5.0
"""How long a process that its supervisor starts again waits for the one before it to be gone."""


def claim_whole(settings: Settings) -> ExitStack:
    """Claim the state folder for a daemon as a whole, until the stack is closed. Raises ConfigError."""
    refuse_unusable(settings)
    return _claimed(settings, [(NAME, False)], 0.0)


def claim_stage(settings: Settings, stage: str, *, supervised: bool) -> ExitStack:
    """Claim a stage's part of the state folder, until the stack is closed.

    Raises ConfigError where another process has it; InUseError where it is a supervisor's, who tries again.
    """
    own = (lock_of(stage), False)
    if not supervised:
        refuse_unusable(settings)
        return _claimed(settings, [(NAME, True), own], 0.0)
    return _claimed(settings, [own], PREDECESSOR_S_MAX)


def lock_of(stage: str) -> str:
    """Return the name of a stage's own lock."""
    return f"{stage.replace('/', '-')}.lock"


def refuse_foreign(key: str, folder: Path) -> None:
    """Raise ConfigError for a folder of another user's: this process must not keep its files there."""
    if whose := guard.other_owner(folder):
        name = whose.rpartition(" belongs to ")[2]
        if name == service.USER and (unit := service.unit()):
            start = service.command("start", unit)
            raise ConfigError(
                f"{key}: {whose}, whose service keeps its files there: `{start}` runs it; for a run of your "
                "own set state_dir and runtime_dir to folders of your own"
            )
        raise ConfigError(
            f"{key}: {whose}: run minuted as that user (sudo -u {name} minuted …), or set {key} to a folder "
            "of your own"
        )


def refuse_second(settings: Settings) -> None:
    """Raise ConfigError where another minuted has the state folder, before anything else is judged."""
    sinks = (f"delivery/{name}" for name in settings.sinks)
    stages = ("transcription", *sinks, *(source.stage for source in settings.sources))
    for name in (NAME, *map(lock_of, stages)):
        if locks.holder(settings.state_dir / name).pid:
            raise _taken(settings, settings.state_dir / name)


def refuse_unusable(settings: Settings) -> None:
    """Raise ConfigError where files of this run's are another user's, such as root's after a run by hand."""
    refuse_foreign_files("state_dir", settings.state_dir, _OWN)


def refuse_foreign_files(key: str, folder: Path, patterns: Sequence[str] = _ALL) -> None:
    """Raise ConfigError where files in a folder are another user's and closed to the folder's own."""
    own = guard.owner(folder.resolve()) if os.geteuid() == 0 else os.geteuid()
    places = (place for pattern in patterns for place in sorted(folder.glob(pattern)))
    found = [place for place in places if not _is_usable(place, own)]
    if not found:
        return
    whose = guard.users({guard.owner(place) or 0 for place in found})
    more = f" and {len(found) - 1} more there" if len(found) > 1 else ""
    raise ConfigError(
        f"{key}: {found[0]}{more} cannot be used, as {whose} made "
        f"{'them' if more else 'it'}; run: sudo chown -R {guard.user(own or 0)}: {folder}"
    )


def _is_usable(place: Path, own: int | None) -> bool:
    """Return whether the user `own`, whose folder it is, can use a file there."""
    if place.is_symlink() or guard.owner(place) in (None, own):
        return True
    if own not in (None, os.geteuid()):
        return False  # root looks, for whom nothing is closed
    return os.access(place, os.R_OK | os.W_OK | (os.X_OK if place.is_dir() else 0))


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
                raise _taken(settings, path) from None
            except UnsafeFileError as error:
                raise ConfigError(f"state_dir: {error}") from None
            except PermissionError as error:
                raise ConfigError(f"state_dir: {error.filename} belongs to someone else: remove it") from None
            except OSError as error:
                # A full disk is waited out; other locks keep a second writer away from each journal.
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
        return stack.pop_all()


def _taken(settings: Settings, path: Path) -> ConfigError:
    by = _whose(settings.state_dir, path)
    return ConfigError(
        f"state_dir {settings.state_dir} is already in use by another minuted{by}; stop it, or set another "
        "state_dir"
    )


def _whose(state_dir: Path, wanted: Path) -> str:
    """Return whose the claim is that is in the way; a shared one is told by the stages that share it."""
    for path in (wanted, *sorted(state_dir.glob("*.lock"))):
        found = locks.holder(path)
        if found.pid:
            return f" (process {found.pid}{found.command and ', '}{found.command})"
    return ""
