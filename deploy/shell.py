"""Write deploy/shell/: completion for bash, zsh and fish, and the manual page, made of the options' own help.

`make shell` runs it; a test says when what is there is stale.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import shtab
from argparse_manpage.manpage import Manpage

from minuted import __version__
from minuted.usage import parser

FOLDER: Final = Path(__file__).parent / "shell"
NAMES: Final = {"bash": "minuted.bash", "zsh": "_minuted", "fish": "minuted.fish"}
MANUAL: Final = "minuted.1"
"""Where the wheel puts each of them is in pyproject.toml."""
_FILES: Final = ("FILE",)
_FOLDERS: Final = ("FOLDER",)
_SECTIONS: Final = {
    "EXIT STATUS": "0 done, 1 failed while running, 2 wrong usage, 78 bad configuration (do not restart).",
    "ENVIRONMENT": """\
.TP
.B ASSEMBLYAI_API_KEY
the key; it may also stand in a file .env in the working folder or beside the configuration
.TP
.B MINUTED_LOG
what is logged at least: debug, info (unless given), warning or error""",
    "FILES": """\
.TP
.I minuted.toml
the configuration in the working folder, else
.I /etc/minuted/minuted.toml
.TP
.I /var/lib/minuted
journals and cursors, unless state_dir says otherwise
.TP
.I /run/minuted
sockets, unless runtime_dir says otherwise""",
}
_DESCRIPTION: Final = "takes the minutes of a room: live transcription of a microphone or a recording"


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    for name, text in written().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


def written() -> dict[str, str]:
    """Return every file's text by its name."""
    return {**{name: completion(shell) for shell, name in NAMES.items()}, MANUAL: manual()}


def completion(shell: str) -> str:
    top = parser(__version__)
    for action in actions(top):
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    return str(shtab.complete(top, shell)).rstrip("\n") + "\n"


def manual() -> str:
    # A usage is one paragraph, which the reader's terminal breaks.
    os.environ["COLUMNS"] = "10000"
    top = parser(__version__)
    top._manpage = [{"heading": heading, "content": text} for heading, text in _SECTIONS.items()]  # type: ignore[attr-defined]  # noqa: SLF001
    top.epilog = None
    data = {
        "project_name": "minuted",
        "version": __version__,
        # One that changes with each writing would make what is here stale.
        "date": " ",
        "description": _DESCRIPTION,
        "manual_title": "minuted",
    }
    text = str(Manpage(top, data, format="single-commands-section"))
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


def actions(top: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Return the options and arguments of all commands."""
    for action in top._actions:  # noqa: SLF001  # argparse has no other way
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                yield from actions(command)
        else:
            yield action


if __name__ == "__main__":
    sys.exit(main())
