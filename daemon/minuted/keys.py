"""CURVE keys: the server's own pair, the list of clients, and the one file a client needs.

They are in <state_dir>/keys: server.key (secret) and clients/NAME.pub, one line of Z85 each. The list
is the folder: a key is let in as long as its file is there.
"""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .addresses import after
from .config import Settings
from .doors import Door, Pass, key_pair, public_key
from .options import ConfigError
from .runtime import files

CLIENTS_MAX: Final = 200
"""Keys on the list; the folder is read at every handshake."""
FILE_BYTES_MAX: Final = 4096
ENDING: Final = ".pub"
_EVERYWHERE: Final = ("0.0.0.0", "*", "[::]")  # noqa: S104  # looked for, not bound to


@dataclass(frozen=True)
class Client:
    """A name on the list, and its public key."""

    name: str
    public: str


def new(settings: Settings, name: str, output: Path) -> Path:
    """Make a client's key: put its public half on the list and everything it needs into a file.

    Also makes the server's own pair, where there is none. Raises ConfigError.
    """
    _check_name(name)
    if output.is_dir():
        output /= f"{name}.key.json"
    folder = _clients(settings)
    with _in_state_dir(settings):
        # Over the network a first start waits for a key, so the key cannot wait for it.
        settings.state_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (folder / f"{name}{ENDING}").exists():
            raise ConfigError(f"there is a client {name!r}; revoke its key first, or choose another name")
        if len(listed(settings)) >= CLIENTS_MAX:
            raise ConfigError(f"there are {CLIENTS_MAX} clients; revoke the keys of some first")
        server = public_key(_server_secret(settings, make=True))
    public, secret = key_pair()
    turns = _told_address(settings.door_endpoint or "tcp://0.0.0.0:5555")
    told = {"name": name, "turns": turns, "replay": after(turns)}
    told |= {"server": server, "public": public, "secret": secret}
    _hand_over(output, json.dumps(told, indent=1))
    try:
        with _in_state_dir(settings):
            _write(folder / f"{name}{ENDING}", public)
    except BaseException:
        with files.acting_for(output.parent):
            output.unlink()
        raise
    return output.absolute()


def listed(settings: Settings) -> list[Client]:
    """Give who is let in. Raises OSError."""
    try:
        there = sorted(_clients(settings).iterdir())
    except FileNotFoundError:
        return []
    found = []
    for file in there[: 2 * CLIENTS_MAX]:
        # Revoked meanwhile, or no file of ours.
        with suppress(FileNotFoundError, files.UnsafeFileError):
            if file.suffix == ENDING and _is_name(file.stem):
                key = files.read_small(file, FILE_BYTES_MAX).decode("ascii", errors="replace").strip()
                found.append(Client(file.stem, key))
    return found


def revoke(settings: Settings, name: str) -> None:
    """Take a client's key from the list. Raises ConfigError."""
    _check_name(name)
    with _in_state_dir(settings):
        try:
            (_clients(settings) / f"{name}{ENDING}").unlink()
        except FileNotFoundError:
            names = ", ".join(client.name for client in listed(settings)) or "none"
            raise ConfigError(f"there is no client {name!r}; there are: {names}") from None


def doors(settings: Settings) -> tuple[Door, Door] | tuple[None, None]:
    """Give the turn and the replay socket's doors; none where nothing is served over TCP.

    Raises ConfigError where no client has ever been given a key.
    """
    if not settings.door_endpoint:
        return None, None
    secret = _server_secret(settings, make=False)

    def clients() -> frozenset[str]:
        return frozenset(client.public for client in listed(settings))

    turns = Door(endpoint=settings.door_endpoint, secret=secret, clients=clients)
    return turns, Door(endpoint=after(settings.door_endpoint), secret=secret, clients=clients)


def read_pass(file: Path) -> Pass:
    """Read the file that `minuted keys new` made for a client. Raises ValueError, not showing it."""
    with file.open("rb") as opened:
        text = opened.read(FILE_BYTES_MAX)
    try:
        told = json.loads(text)
        pass_ = Pass(server=told["server"], public=told["public"], secret=told["secret"])
        fits = public_key(pass_.secret) == pass_.public and len(pass_.server) == len(pass_.public)
    except (ValueError, TypeError, KeyError, AttributeError):
        fits = False
    if not fits:
        raise ValueError(f"{file} is no file of `minuted keys new`")
    return pass_


def _server_secret(settings: Settings, *, make: bool) -> str:
    file = settings.state_dir / "keys" / "server.key"
    try:
        secret = file.read_bytes().decode("ascii", errors="replace").strip()
    except FileNotFoundError:
        if not make:
            raise ConfigError(
                "publish.turns: tcp:// is open to nobody yet; `minuted keys new NAME` makes a client's key"
            ) from None
        secret = key_pair()[1]
        _write(file, secret)
    except OSError as error:
        raise ConfigError(f"publish.turns: {file} cannot be read: {error.strerror}") from None
    try:
        public_key(secret)
    except ValueError:
        raise ConfigError(
            f"publish.turns: {file} holds no key; remove it, and give new ones to clients"
        ) from None
    return secret


def _clients(settings: Settings) -> Path:
    return settings.state_dir / "keys" / "clients"


def _is_name(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", name) is not None


def _check_name(name: str) -> None:
    if not _is_name(name):
        raise ConfigError(f"{name!r} is no client's name: up to 64 letters, digits and _ - . are")


def _told_address(endpoint: str) -> str:
    """Give the address as a client may know it."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return f"tcp://{socket.gethostname() if host in _EVERYWHERE else host}:{port}"


def _write(file: Path, text: str) -> None:
    """Make a new file that only its owner may read, whole or not at all."""
    try:
        files.create(file, f"{text}\n".encode("ascii"))
    except FileExistsError:
        raise ConfigError(f"{file} is there already") from None


def _hand_over(output: Path, text: str) -> None:
    """Write a client's file where it was asked for: in somebody else's folder it is theirs."""
    try:
        with files.acting_for(output.parent):
            _write(output, text)
    except files.UnsafeFileError as error:
        raise ConfigError(str(error)) from None


@contextmanager
def _in_state_dir(settings: Settings) -> Iterator[None]:
    """Work as the state folder's owner where root calls: what root makes, the service could not read."""
    try:
        with files.acting_for(settings.state_dir):
            yield
    except PermissionError:
        # Who may is said for all commands in one place.
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"state_dir: {error.filename or settings.state_dir}: {reason}") from None
