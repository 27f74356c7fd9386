"""`minuted token` prints a temporary token; `minuted token-server` gives them to rooms."""

import argparse
import os
import stat
from pathlib import Path

from minuted.commands import printing
from minuted.config import ENGINE_KEY_NAME, ConfigError, Settings, require_credentials
from minuted.control import status_of
from minuted.runtime import files, guard
from minuted.status import absence
from minuted.tokens import clients, minting


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print a token. Raises NoTokenError with the reason where none can be had."""
    expires_s, session_s = arguments.expires, arguments.max_session
    if settings.engine.token_command and (expires_s or session_s):
        raise ConfigError("engine.token_command decides itself how long its tokens are good for")
    if settings.service == "local":
        token = _local(settings, expires_s or 60, session_s)
    else:
        require_credentials(settings)
        token = minting.obtain(settings, expires_s, session_s)
    printing.say(token.text)
    return 0


def _local(settings: Settings, expires_s: int, session_s: int | None) -> minting.Token:
    """Return a token of the engine on this machine. Raises NoTokenError, and ConfigError for its key."""
    url = settings.engine.url or str((status_of(settings, "engine") or {}).get("url", ""))
    if not url:
        raise minting.NoTokenError(f"{absence(settings)}; {_UNNEEDED}", is_away=True)
    key_file = settings.runtime_dir / "engine.key"
    if ENGINE_KEY_NAME not in os.environ and key_file.exists() and not os.access(key_file, os.R_OK):
        owner = guard.user(guard.owner(key_file) or 0)
        raise minting.NoTokenError(
            f"only {owner} may read {key_file}, the key that the engine asks for; "
            f"run: sudo -u {owner} minuted token"
        )
    return minting.mint(url, settings.engine_key(), expires_s, session_s)


_UNNEEDED = (
    "the engine on this machine gives tokens while it runs, to other programs: minuted itself needs none "
    '(for one of AssemblyAI\'s set [engine] service = "assemblyai")'
)


def serve(settings: Settings, arguments: argparse.Namespace) -> int:
    """Serve tokens, or see to the list of clients."""
    file, action, name = clients.place(settings), arguments.action, arguments.name
    if arguments.what is None:
        return _serve(settings)
    if action == "list":
        for client in clients.listed(file):
            printing.say(client.name)
        return 0
    if action is None or name is None:
        printing.complain("minuted: say new, list or revoke, and name the client")
        return 2
    if action == "revoke":
        clients.revoke(file, name)
        printing.say(f"revoked: {name}; it gets no more tokens")
        return 0
    if arguments.output:
        kept = _hand_over(file, name, arguments.output)
        printing.say(
            f"{kept}: the secret of {name}, which is kept nowhere else; the room reads it from {_PLACES}"
        )
        return 0
    if _is_open_file(1):
        printing.complain(
            "minuted: the secret goes to a file that other users of this machine can read: run chmod 600 on "
            "it; --output FILE makes one that they cannot"
        )
    secret = clients.new(file, name)
    printing.complain(f"the secret of {name}, which is kept nowhere here; the room reads it from {_PLACES}:")
    printing.say(secret, flush=True)
    return 0


def _hand_over(file: Path, name: str, output: Path) -> Path:
    """Write a new client's secret to a file that its owner alone may read. Raises ConfigError."""
    output = output / f"{name}.secret" if output.is_dir() else output
    if output.exists():
        raise ConfigError(f"{output} is there already; no client was made")
    secret = clients.new(file, name)
    try:
        # In somebody else's folder it is theirs.
        with files.acting_for(output.parent):
            files.create(output, f"{secret}\n".encode("ascii"))
    except OSError as error:
        clients.revoke(file, name)
        reason = "it is there already" if isinstance(error, FileExistsError) else error.strerror or error
        raise ConfigError(f"{output} cannot be written ({reason}); no client was made") from None
    return output.absolute()


def _is_open_file(descriptor: int) -> bool:
    """Return whether what is printed goes to a file that others may read."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and bool(status.st_mode & (stat.S_IRGRP | stat.S_IROTH))


_PLACES = "the credential token.secret, MINUTED_TOKEN_SECRET or engine.token_secret_file"


def _serve(settings: Settings) -> int:
    from minuted.runtime import logs  # noqa: PLC0415

    logs.set_up("token-server", settings.room)
    try:
        from minuted.tokens import server  # noqa: PLC0415  # its libraries are an extra
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the token server needs more libraries ({error.name}): pip install 'minuted[token-server]'"
        ) from None
    return server.serve(settings)
