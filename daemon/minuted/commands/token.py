"""`minuted token` prints a temporary token; `minuted token-server` gives them to rooms."""

import argparse

from minuted.commands import printing
from minuted.config import ConfigError, Settings, require_credentials
from minuted.control import status_of
from minuted.tokens import clients, minting


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print a token. Raises NoTokenError with the reason where none can be had."""
    expires_s, session_s = arguments.expires, arguments.max_session
    if settings.engine.token_command and (expires_s or session_s):
        raise ConfigError("engine.token_command decides itself how long its tokens are good for")
    if settings.service == "local":
        url = settings.engine.url or str((status_of(settings, "engine") or {}).get("url", ""))
        if not url:
            raise minting.NoTokenError("the local engine is not up", is_away=True)
        token = minting.mint(url, settings.engine_key() or "local", expires_s or 60, session_s)
    else:
        require_credentials(settings)
        token = minting.obtain(settings, expires_s, session_s)
    printing.say(token.text)
    return 0


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
    secret = clients.new(file, name)
    printing.complain(f"the secret of {name}, which is kept nowhere here; the room reads it from {_PLACES}:")
    printing.say(secret, flush=True)
    return 0


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
