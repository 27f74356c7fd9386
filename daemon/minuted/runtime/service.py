"""The service that an installation makes of minuted: whether it is here, and the line that starts it."""

import os
from pathlib import Path
from typing import Final

USER: Final = "minuted"
CONFIG: Final = Path("/etc/minuted/minuted.toml")
UNIT_FOLDERS: Final = tuple(
    Path(folder, "systemd/system") for folder in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
)
WHOLE: Final = "minuted.service"
SPLIT: Final = "minuted.target"
"""Each stage as a service of its own."""


def unit(folders: tuple[Path, ...] = UNIT_FOLDERS) -> str:
    """Return which unit is minuted's on this machine; "" where there is none."""
    if any((folder / "multi-user.target.wants" / SPLIT).is_symlink() for folder in folders):
        return SPLIT
    return WHOLE if any((folder / WHOLE).exists() for folder in folders) else ""


def command(verb: str, name: str) -> str:
    """Return the line that has systemd do something with a unit, as this user would type it."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}systemctl {verb} {name.removesuffix('.service')}"
