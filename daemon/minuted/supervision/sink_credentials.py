"""systemd's credentials, less the service's own: what a process that runs a sink's code gets of them.

All processes of a unit share one folder of credentials, and a sink may need one of its own from there.
"""

import os
import shutil
from pathlib import Path
from typing import Final

from minuted.config import HIDDEN_NAME, KEY_CREDENTIAL, TOKEN_SECRET_CREDENTIAL

NAME: Final = "CREDENTIALS_DIRECTORY"
SYSTEMD_S: Final = Path("/run/credentials")
"""Where systemd has them: at a place that anybody can name, so that not to name it hides nothing."""
OURS: Final = (KEY_CREDENTIAL, TOKEN_SECRET_CREDENTIAL)


class SinkCredentials:
    """A folder in the runtime folder with copies of all but OURS; without any there is none."""

    def __init__(self, runtime_dir: Path) -> None:
        """Make the folder anew. Raises OSError."""
        self._folder = runtime_dir / "credentials"
        self.path = ""
        self.discard()
        given = Path(os.environ.get(NAME) or "/nonexistent")
        files = [file for file in sorted(given.iterdir()) if file.name not in OURS] if given.is_dir() else []
        if not files:
            return
        self._folder.mkdir(mode=0o700)
        for file in files:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(self._folder / file.name, flags, 0o400), "wb") as copy:  # noqa: PTH123
                copy.write(file.read_bytes())
        self.path = str(self._folder)

    def discard(self) -> None:
        """Take the folder away; a link in its place is not followed. Raises OSError."""
        if self._folder.is_symlink():
            self._folder.unlink()
        elif self._folder.exists():
            shutil.rmtree(self._folder)


def without_ours(environment: dict[str, str], path: str) -> dict[str, str]:
    """Return an environment whose credentials are those at `path`, if any; systemd's are to be hidden."""
    ours = {name: value for name, value in environment.items() if name != NAME}
    if path:
        ours[NAME] = path
    given = environment.get(NAME, "")
    if SYSTEMD_S in Path(given).parents:
        ours[HIDDEN_NAME] = given
    return ours
