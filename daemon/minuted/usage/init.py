"""Options and help of `minuted init`."""

import argparse
from collections.abc import Callable
from typing import Final

SINKS: Final = {"file_log": "FILE", "txt": "FOLDER", "srt": "FOLDER", "webhook": "URL"}
"""The sinks that are asked about, and what each is told."""


def add_init(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Describe `minuted init`."""
    init = add(
        "init",
        "write a first configuration",
        "It asks for the room, the microphone (and listens how loud it is), who recognises speech and where "
        "the words go; writes minuted.toml here, as root /etc/minuted/minuted.toml, or where --config says; "
        "and looks at everything as `minuted check` does. What is given is not asked for. Nothing is written "
        "before the last answer. Exit status 78 when something does not work yet.",
        "minuted init",
        "minuted init --yes --room boardroom --device Jabra --service local --sink txt=/srv/minutes",
    )
    init.add_argument("--room", metavar="NAME", type=_name, help="the room's name")
    init.add_argument(
        "--device", metavar="TEXT", help="part of the microphone's name; empty: the default input"
    )
    init.add_argument("--service", choices=("assemblyai", "local"), help="who recognises speech")
    init.add_argument(
        "--sink",
        metavar="NAME[=PLACE]",
        type=sink,
        help="where the words go: "
        + ", ".join(f"{name}={place}" for name, place in SINKS.items())
        + "; without a place, beside the configuration",
    )
    init.add_argument(
        "--yes", action="store_true", help="ask nothing, and take the usual for what is not given"
    )
    init.add_argument("--force", action="store_true", help="replace a configuration that is there")


def sink(text: str) -> tuple[str, str]:
    """Read NAME=PLACE."""
    name, _, place = text.partition("=")
    if name not in SINKS:
        raise argparse.ArgumentTypeError(f"{name!r} is no sink to begin with: there are {', '.join(SINKS)}")
    if not place.isprintable():
        raise argparse.ArgumentTypeError("there are letters in it that cannot be written")
    if name == "webhook" and not place.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError("webhook needs an address, as in webhook=https://example.org/turns")
    return name, place


def _name(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError("a room's name is one line of letters")
    return text.strip()


def _text(text: str) -> str:
    if not text.isprintable():
        raise argparse.ArgumentTypeError("there are letters in it that cannot be written")
    return text
