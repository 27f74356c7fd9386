"""Every command's options and help."""

import argparse
from pathlib import Path
from typing import Final

_STATUSES: Final = "exit status: 0 done, 1 failed while running, 2 wrong usage, 78 bad configuration"
_PLACES: Final = "the configuration; unless given ./minuted.toml, else /etc/minuted/minuted.toml"


def parser(version: str) -> argparse.ArgumentParser:
    """Describe every command and option."""
    top = argparse.ArgumentParser(
        prog="minuted",
        description="Takes the minutes of a room: live transcription of a microphone or a recording.",
        epilog=f"minuted COMMAND --help tells more. {_STATUSES}.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"minuted {version}")
    top.add_argument("--config", metavar="FILE", type=Path, help=_PLACES)
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, summary: str, more: str, *examples: str) -> argparse.ArgumentParser:
        shown = "".join(f"  {example}\n" for example in examples)
        added = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}. {more}".strip(),
            epilog=f"for example:\n{shown}\n{_STATUSES}",
            formatter_class=_Help,
            allow_abbrev=False,
        )
        added.set_defaults(command=name)
        # Given before the command, it is not to be overwritten by this one's default.
        added.add_argument("--config", metavar="FILE", type=Path, default=argparse.SUPPRESS, help=_PLACES)
        return added

    run = add(
        "run",
        "start everything, and keep it running",
        "Ctrl-C or SIGTERM ends it in order: the last words still reach every sink. A second Ctrl-C ends "
        "it at once. With a recording it ends by itself when every turn is delivered.",
        "minuted run",
        "minuted run --input meeting.wav --watch",
    )
    _add_input(run)
    run.add_argument(
        "--watch",
        action="store_true",
        help="show live captions here; the log goes to minuted.log in the state directory",
    )

    for stage, summary, more in (
        ("capture", "run only capture", "It hears the microphone or a recording, and sends frames."),
        ("transcription", "run only transcription", "It makes turns of frames, and publishes them."),
        ("engine", "run only the local engine", "It recognises speech on this machine, without a network."),
    ):
        alone = "A service of its own may run it; `minuted run` starts it by itself."
        added = add(stage, summary, f"{more} {alone}", f"minuted {stage} --config minuted.toml")
        _add_input(added)

    delivery = add(
        "delivery",
        "run only one sink",
        "It delivers every turn to the sink [sinks.NAME] of the configuration.",
        "minuted delivery webhook",
    )
    delivery.add_argument("name", metavar="NAME", help="the sink's name in the configuration")

    check = add(
        "check",
        "look at everything a run needs",
        "One line each, with what to do about it; nothing is changed. Exit status 78 says that there is "
        "something to do.",
        "minuted check --config minuted.toml",
    )
    _add_input(check)
    add("devices", "list the microphones", "The default one is marked with *.", "minuted devices")
    sinks = add(
        "sinks",
        "list the sinks and their options",
        "Of those that are named, one that would not work makes the exit status 78.",
        "minuted sinks",
        "minuted sinks webhook",
    )
    sinks.add_argument("names", metavar="NAME", nargs="*", help="only these")
    status = add(
        "status",
        "show how everything is",
        "Exit status 1 when nothing runs.",
        "minuted status",
        "minuted status --json | jq .stages.transcription.last_seq",
    )
    status.add_argument("--json", action="store_true", help="as one JSON object")
    add(
        "reload",
        "have the configuration read again",
        "What has changed is started, stopped or restarted, and no sound is lost. A configuration with a "
        "mistake, or a change that needs a restart, is refused as a whole: everything goes on as it was, "
        "and the exit status is 1. SIGHUP does the same, except in a terminal, whose end is the run's.",
        "minuted reload",
    )
    watch = add(
        "watch",
        "show live captions",
        "In a terminal, what is being said changes in place; to a pipe or file go final turns, one a line.",
        "minuted watch",
        "minuted watch | tee minutes.txt",
    )
    watch.add_argument("--until-end", action="store_true", help="leave when the recording is drained")
    add(
        "endpoint",
        "end the turn that is being spoken",
        "Its final text comes at once instead of after a pause.",
        "minuted endpoint",
    )
    dead = add(
        "dead-letters",
        "see what a sink refused for good",
        "`list` shows it, `retry` offers it once more, `drop` throws it away.",
        "minuted dead-letters list webhook",
        "minuted dead-letters retry webhook 12 13",
        "minuted dead-letters drop webhook --all",
    )
    dead.add_argument("action", choices=("list", "retry", "drop"), metavar="list|retry|drop")
    dead.add_argument("name", metavar="NAME", help="the sink's name in the configuration")
    dead.add_argument("seq", metavar="SEQ", type=int, nargs="*", help="the numbers to retry or drop")
    dead.add_argument("--all", action="store_true", help="retry or drop all of them")
    return top


def _add_input(added: argparse.ArgumentParser) -> None:
    added.add_argument(
        "--input", metavar="FILE", type=Path, help="take the sound from this recording, not as configured"
    )
    added.add_argument(
        "--pace",
        choices=("real-time", "fast"),
        help="play a recording in real time, or as fast as the local engine takes it",
    )


class _Help(argparse.HelpFormatter):
    """Wraps the description, and leaves the examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("for example:"):
            return text
        return super()._fill_text(text, width, indent)
