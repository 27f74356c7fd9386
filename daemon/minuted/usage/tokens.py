"""Options and help of the commands for temporary tokens."""

import argparse
from collections.abc import Callable
from pathlib import Path


def add_tokens(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Describe the commands for temporary tokens."""
    token = add(
        "token",
        "print a temporary token",
        "Made with the key, or fetched as the configuration says; whoever has it may open sessions that the "
        "key pays for. Exit status 1, with the reason, when none can be had.",
        "minuted token",
        "minuted token --expires 600 --max-session 3600",
    )
    token.add_argument(
        "--expires",
        metavar="SECONDS",
        type=_whole(1, 600),
        help="how long it opens sessions; unless given 60",
    )
    token.add_argument(
        "--max-session", metavar="SECONDS", type=_whole(60, 10800), help="how long a session may last"
    )
    server = add(
        "token-server",
        "give rooms temporary tokens over HTTP",
        "Only this machine holds the key; each room has a secret of its own and fetches a token for each "
        "session ([engine] token_url). `clients new` prints a room's secret, or writes it to a file that you "
        "alone may read; `clients list` shows who has one, `clients revoke` ends that at once.",
        "minuted token-server clients new boardroom --output boardroom.secret",
        "minuted token-server",
        "minuted token-server clients revoke boardroom",
    )
    server.add_argument("what", choices=("clients",), metavar="clients", nargs="?", help="see to the clients")
    server.add_argument("action", choices=("new", "list", "revoke"), metavar="new|list|revoke", nargs="?")
    server.add_argument("name", metavar="NAME", nargs="?", help="the client's name: letters, digits, _ - .")
    server.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="of `clients new`: the file its secret goes to (mode 0600), or a folder for NAME.secret",
    )


def _whole(low: int, high: int) -> Callable[[str], int]:
    """Read a whole number within bounds."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {low} to {high}")
        return int(text)

    return read
