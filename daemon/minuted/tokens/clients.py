"""Who may have a token: a file with a line for each client, its name and its secret's hash.

The secrets are 256 random bits each, so that a plain SHA-256 of one tells nobody anything.
"""

import hmac
import re
import secrets
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from minuted.config import Settings
from minuted.options import ConfigError
from minuted.runtime import files, guard, rights

CLIENTS_MAX: Final = 1000
FILE_BYTES_MAX: Final = 1 << 18
SECRET_BYTES: Final = 32
_LINE: Final = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]{0,63}) sha256:([0-9a-f]{64})")
_HEAD: Final = (
    "# Clients of `minuted token-server`: NAME sha256:HASH. A line that is gone is refused at once.\n"
)


@dataclass(frozen=True, slots=True)
class Client:
    """A name, and what its secret is recognised by."""

    name: str
    digest: str


def place(settings: Settings) -> Path:
    return settings.token_server.clients or settings.state_dir / "token-clients"


def new(file: Path, name: str) -> str:
    """Put a client on the list; give its secret, which is kept nowhere. Raises ConfigError."""
    if not _LINE.fullmatch(f"{name} sha256:{'0' * 64}"):
        raise ConfigError(f"{name!r} is no client's name: up to 64 letters, digits and _ - . are")
    clients = listed(file)
    if any(client.name == name for client in clients):
        raise ConfigError(f"there is a client {name!r}; revoke its secret first, or choose another name")
    if len(clients) >= CLIENTS_MAX:
        raise ConfigError(f"there are {CLIENTS_MAX} clients; revoke the secrets of some first")
    secret = secrets.token_urlsafe(SECRET_BYTES)
    _write(file, [*clients, Client(name, _digest(secret))])
    return secret


def revoke(file: Path, name: str) -> None:
    """Take a client from the list. Raises ConfigError."""
    clients = listed(file)
    left = [client for client in clients if client.name != name]
    if len(left) == len(clients):
        names = ", ".join(client.name for client in clients) or "none"
        raise ConfigError(f"there is no client {name!r}; there are: {names}")
    _write(file, left)


def listed(file: Path) -> list[Client]:
    """Give who is on the list. Raises ConfigError for a file that cannot be read or trusted.

    And PermissionError where it is not for this user.
    """
    if changed := guard.changeable(file):
        raise ConfigError(changed)
    try:
        with file.open("rb") as opened:
            data = opened.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return []
    except PermissionError:
        # Who may is said for all commands in one place.
        raise
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    found = []
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            if not (read := _LINE.fullmatch(line.strip())):
                raise ConfigError(f"{file}: line {number} is no client's")
            found.append(Client(read[1], read[2]))
    if len(data) > FILE_BYTES_MAX or len(found) > CLIENTS_MAX:
        raise ConfigError(f"{file} has more than {CLIENTS_MAX} clients")
    return found


def recognise(clients: list[Client], secret: str) -> Client | None:
    """Give the client whose secret this is. It takes as long for any secret, right or wrong."""
    digest, found = _digest(secret), None
    for client in clients:
        if hmac.compare_digest(client.digest, digest):
            found = client
    return found


class List:
    """The list as it is now: read anew when the file has changed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: tuple[int, int, int] | None = None
        self._clients: list[Client] = []

    def recognise(self, secret: str) -> Client | None:
        """Give the client whose secret this is. Raises ConfigError for a list that cannot be read."""
        if (seen := self._look()) != self._seen:
            try:
                self._clients, self._seen = listed(self._file), seen
            except PermissionError as error:
                raise ConfigError(rights.sentence(error)) from None
        return recognise(self._clients, secret)

    def _look(self) -> tuple[int, int, int] | None:
        try:
            status = self._file.stat()
        except FileNotFoundError:
            self._clients = []
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size


def _digest(secret: str) -> str:
    return sha256(secret.encode(errors="surrogateescape")).hexdigest()


def _write(file: Path, clients: list[Client]) -> None:
    """Replace the file as a whole, its owner's alone."""
    text = _HEAD + "".join(f"{each.name} sha256:{each.digest}\n" for each in clients)
    try:
        # The server runs as the folder's owner, and has to read what root adds.
        with files.acting_for(file.parent):
            file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            files.replace(file, text.encode("ascii"))
    except PermissionError:
        raise
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror or error}") from None
