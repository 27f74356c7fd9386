"""Folders of its own for a recording that is heard beside a minuted which runs in the configured ones."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from minuted.config import RUNTIME_NAME, STATE_NAME, ConfigError, Settings
from minuted.control import is_served
from minuted.runtime import guard, locks

from . import check

LOCK: Final = "recordings.lock"
"""Held in state_dir as long as recordings are taken, also between two of them."""
FOLDERS_MAX: Final = 100
"""So many runs may go on beside each other."""


@contextmanager
def beside_others(settings: Settings) -> Iterator[Path | None]:
    """Keep others out of the configured folders; where they are taken, use own ones and return state_dir.

    What is read of the configuration meanwhile has them. Raises ConfigError.
    """
    with ExitStack() as stack:
        if not is_taken(settings):
            check.make_folders(settings)
            if _claimed(stack, settings.state_dir):
                yield None
                return
        state_dir = _own_state_dir(stack)
        runtime_dir = Path(tempfile.mkdtemp(prefix="minuted-", dir=_own_runtime_base()))
        stack.callback(shutil.rmtree, runtime_dir, ignore_errors=True)
        for name, folder in ((STATE_NAME, state_dir), (RUNTIME_NAME, runtime_dir)):
            os.environ[name] = str(folder)
            stack.callback(os.environ.pop, name, None)
        yield state_dir


def is_taken(settings: Settings) -> bool:
    """Return whether a minuted runs in these folders, whoever's it is."""
    # Of the stages apart there is no supervisor.
    if any(is_served(f"ipc://{socket}") for socket in settings.runtime_dir.glob("control-*.sock")):
        return True
    if any(guard.other_owner(folder) for folder in (settings.state_dir, settings.runtime_dir)):
        # Nobody can tell whose locks they are; and what stands there is not to be changed.
        return False
    files = [settings.runtime_dir / "minuted.lock", *settings.state_dir.glob("*.lock")]
    return any(locks.holder(file).pid for file in files)


def _claimed(stack: ExitStack, state_dir: Path) -> bool:
    """Keep others from taking recordings in a state_dir; False where another run does."""
    try:
        stack.callback(os.close, locks.take(state_dir / LOCK, str(state_dir)))
    except locks.InUseError:
        return False
    except OSError:
        # A full disk, or a link in its place: what follows says so, or does without.
        return True
    return True


def _own_state_dir(stack: ExitStack) -> Path:
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state", "minuted")
    for number in range(1, FOLDERS_MAX + 1):
        folder = home / (f"recordings-{number}" if number > 1 else "recordings")
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"another minuted runs in state_dir, and a folder beside it cannot be made: {folder}: "
                f"{error.strerror}; set another state_dir and runtime_dir"
            ) from None
        if _claimed(stack, folder):
            return folder
    raise ConfigError(f"{FOLDERS_MAX} other runs are at work in {home}: wait until one is over")


def _own_runtime_base() -> Path | None:
    """Return where sockets of one's own may be; None: where temporary files are."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(base) if base and os.access(base, os.W_OK | os.X_OK) else None
