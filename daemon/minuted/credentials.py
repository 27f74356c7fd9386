"""Where secrets are looked for: systemd's credentials, the environment, .env files. None is ever shown."""

import ctypes
import os
import re
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from minuted.options import ConfigError
from minuted.runtime import files, guard, landlock, rights, texts

KEY_NAME: Final = "ASSEMBLYAI_API_KEY"
KEY_CREDENTIAL: Final = "assemblyai.key"
KEY_BYTES_MAX: Final = 4096
KEY_FD_NAME: Final = "MINUTED_KEY_FD"
"""The environment's name for a descriptor that reads as the key: a supervisor's way to hand it down."""
TOKEN_SECRET_NAME: Final = "MINUTED_TOKEN_SECRET"  # noqa: S105  # its name
TOKEN_SECRET_CREDENTIAL: Final = "token.secret"  # noqa: S105  # its name
ENGINE_KEY_NAME: Final = "MINUTED_ENGINE_KEY"
HIDDEN_NAME: Final = "MINUTED_HIDDEN_CREDENTIALS"
"""The environment's name for systemd's folder with credentials that a sink's code is not to read."""
HANDED_DOWN: Final = {KEY_NAME: KEY_FD_NAME, TOKEN_SECRET_NAME: "MINUTED_TOKEN_SECRET_FD"}
"""The secrets in the environment, and the names of the descriptors that read as they."""
_SHARED_BYTES: Final = 24
_IS_LINE_OF_ENV: Final = re.compile(r"(export )?[A-Z][A-Z0-9_]+=.")
_PR_SET_DUMPABLE: Final = 4
_ENV_START, _ENV_END = 47, 48
"""Fields of /proc/self/stat after the command, counted from 0. Source: proc(5)."""

_taken: dict[str, str] = {}
"""The secrets that were handed down to this process, by their names in the environment."""


def find(credential: str, name: str, env_files: Iterable[Path], config: Path | None = None) -> str:
    """Return a secret, or "" where there is none. Raises ConfigError.

    `config` is the configuration that was chosen: a .env file beside it was chosen with it.
    """
    if secret := read(Path(os.environ.get("CREDENTIALS_DIRECTORY") or "/nonexistent", credential)):
        return secret
    if secret := _checked(_handed(name) or _taken.get(name, "") or os.environ.get(name, ""), name):
        return secret
    for file in env_files:
        if guard.owner(file) is None:
            continue
        if not _chosen(file, config) and (whose := guard.foreign(file)):
            raise ConfigError(
                f"no key is taken from {file.absolute()}: {whose}; "
                "run minuted in another folder, or as that user"
            )
        if secret := read(file, lambda file: dotenv_values(file).get(name) or ""):
            return secret
    return ""


def take_over() -> None:
    """Read the secrets that were handed down, and close their descriptors, which others could open too."""
    for name, fd_name in HANDED_DOWN.items():
        if secret := _handed(name):
            _taken[name] = secret
        if handed := os.environ.pop(fd_name, ""):
            with suppress(OSError):
                os.close(int(handed))


def hide() -> None:
    """Keep this process's memory, environment and descriptors from the user's other processes.

    Root, and whoever may debug any process, still sees them; but what stood in the environment at the start
    is shown to nobody any more: the kernel goes on telling it of a process in `/proc`.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    start, end = int(fields[_ENV_START]), int(fields[_ENV_END])
    if not 0 < start < end:
        return  # a kernel that does not tell
    shown = ctypes.string_at(start, end - start)
    for name in (*HANDED_DOWN, ENGINE_KEY_NAME):
        if (value := os.environb.get(name.encode())) is None:
            continue
        entry = name.encode() + b"=" + value + b"\0"
        # First a copy for whoever asks the C library.
        os.environb[name.encode()] = value
        at = (b"\0" + shown).find(b"\0" + entry)
        if at >= 0:
            ctypes.memset(start + at + len(name) + 1, ord("-"), len(value))


def close_off() -> None:
    """Hide the service's credentials from a sink's code in this process, where the kernel can."""
    if folder := os.environ.pop(HIDDEN_NAME, ""):
        landlock.hide_files([Path(folder, name) for name in (KEY_CREDENTIAL, TOKEN_SECRET_CREDENTIAL)])


def shared_key(file: Path) -> str:
    """Return the key in a file of ours, which whoever asks first makes. Raises ConfigError."""
    try:
        with files.acting_for(file.parent):
            with suppress(FileNotFoundError):
                return _shared(file)
            # Another one may be quicker: then it is theirs that holds.
            with suppress(FileExistsError):
                files.create(file, secrets.token_urlsafe(_SHARED_BYTES).encode())
            return _shared(file)
    except files.UnsafeFileError as error:
        raise ConfigError(f"runtime_dir: {error}") from None
    except OSError as error:
        raise ConfigError(f"the engine's key {file} cannot be used: {error.strerror}") from None


def _shared(file: Path) -> str:
    descriptor = files.open_own(file, os.O_RDONLY)
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            raise files.UnsafeFileError(f"{file} can be read by others: remove it")
        key = os.pread(descriptor, KEY_BYTES_MAX, 0).decode("ascii", errors="replace").strip()
    finally:
        os.close(descriptor)
    if len(key) < _SHARED_BYTES:
        raise files.UnsafeFileError(f"{file} holds no key: remove it")
    return _checked(key, str(file))


def _chosen(file: Path, config: Path | None) -> bool:
    """Whether a .env file is the configuration's own: for root it has to be of the same user."""
    if config is None or file.absolute().parent.resolve() != config.absolute().parent.resolve():
        return False
    return os.geteuid() != 0 or guard.owner(file) == guard.owner(config)


def _handed(name: str) -> str:
    handed = os.environ.get(HANDED_DOWN[name], "")
    return os.pread(int(handed), KEY_BYTES_MAX, 0).decode() if handed else ""


def _text_of(file: Path) -> str:
    return texts.text_of(file.read_bytes())


def read(file: Path, take: Callable[[Path], str] = _text_of) -> str:
    """Give the secret that is read from a file, or "" where there is none. Raises ConfigError."""
    if changed := guard.changeable(file):
        raise ConfigError(changed)
    try:
        return _checked(take(file), str(file.absolute())) if file.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, PermissionError) and (refusal := rights.refusal(file.absolute())):
            raise ConfigError(refusal) from None
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{file.absolute()} cannot be read: {reason}") from None
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{file.absolute()} cannot be read: {error}") from None


def _checked(key: str, where: str) -> str:
    """Return a key without blanks and quotes around it. Raises ConfigError, not showing what is none."""
    key = key.strip()
    if len(key) > 1 and key[0] == key[-1] and key[0] in "\"'":
        key = key[1:-1].strip()
    if _IS_LINE_OF_ENV.match(key):
        raise ConfigError(f"{where}: this is a line of a .env file; it is to hold the key alone")
    if not key.isascii() or not key.isprintable() or " " in key:
        # Libraries would refuse it later, and say it aloud.
        raise ConfigError(f"{where}: the key is more than one word of plain letters and digits")
    return key
