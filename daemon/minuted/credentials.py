"""Where secrets are looked for: systemd's credentials, the environment, .env files. None is ever shown."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from minuted.options import ConfigError
from minuted.runtime import guard

KEY_NAME: Final = "ASSEMBLYAI_API_KEY"
KEY_BYTES_MAX: Final = 4096
KEY_FD_NAME: Final = "MINUTED_KEY_FD"
"""The environment's name for a descriptor that reads as the key: a supervisor's way to hand it down."""
TOKEN_SECRET_NAME: Final = "MINUTED_TOKEN_SECRET"  # noqa: S105  # its name
HANDED_DOWN: Final = {KEY_NAME: KEY_FD_NAME, TOKEN_SECRET_NAME: "MINUTED_TOKEN_SECRET_FD"}
"""The secrets in the environment, and the names of the descriptors that read as they."""


def find(credential: str, name: str, env_files: Iterable[Path]) -> str:
    """Give a secret, or "" where there is none. Raises ConfigError."""
    if secret := read(Path(os.environ.get("CREDENTIALS_DIRECTORY") or "/nonexistent", credential)):
        return secret
    handed = os.environ.get(HANDED_DOWN[name], "")
    given = os.pread(int(handed), KEY_BYTES_MAX, 0).decode() if handed else os.environ.get(name, "")
    if secret := _checked(given, name):
        return secret
    for file in env_files:
        if secret := read(file, lambda file: dotenv_values(file).get(name) or ""):
            return secret
    return ""


def _text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def read(file: Path, take: Callable[[Path], str] = _text_of) -> str:
    """Give the secret that is read from a file, or "" where there is none. Raises ConfigError."""
    if changed := guard.changeable(file):
        raise ConfigError(changed)
    try:
        return _checked(take(file), str(file.absolute())) if file.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{file.absolute()} cannot be read: {reason}") from None


def _checked(key: str, where: str) -> str:
    """Give a key without the space around it. Raises ConfigError for what is none, not showing it."""
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        # Libraries would refuse it later, and say it aloud.
        raise ConfigError(f"{where}: the key is more than one word of plain letters and digits")
    return key
