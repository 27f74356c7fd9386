"""Every command's options and help."""

import argparse
import re
from pathlib import Path
from typing import Final, NoReturn

from minuted.runtime.texts import clean

from .init import add_init
from .metrics import add_metrics
from .records import FORMATS, WRITTEN, add_records, add_speakers, number
from .settings import add_configure
from .tokens import add_tokens

_STATUSES: Final = "exit status: 0 done, 1 failed while running, 2 wrong usage, 78 bad configuration"
PAUSE_S_MAX: Final = 7 * 86400.0
"""Who wants more than a week of a pause wants one without an end."""
_PLACES: Final = "the configuration; unless given ./minuted.toml, else /etc/minuted/minuted.toml"


def parser(version: str) -> argparse.ArgumentParser:
    """Describe every command and option."""
    top = _Parser(
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

    add_init(add)
    run = add(
        "run",
        "start everything, and keep it running",
        "Ctrl-C or SIGTERM ends it in order: the last words still reach every sink. A second Ctrl-C ends "
        "it at once. With a recording it ends by itself when every turn is delivered.",
        "minuted run",
        "minuted run --input meeting.wav --watch",
        "minuted run --input talks/ interview.mp3 --pace fast",
    )
    _add_inputs(run)
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
        if stage == "capture":
            added.add_argument(
                "name",
                metavar="NAME",
                nargs="?",
                help="which of the [[capture.sources]]",
            )

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
        "One line each, with what to do about it; nothing is changed. Exit status 78 says that something "
        "does not work; warnings (!) are no reason. As root, an installed service's configuration is "
        "looked at in the service's own sandbox and as its user.",
        "minuted check --config minuted.toml",
        "sudo minuted check",
        "minuted check --online",
    )
    check.add_argument(
        "--online",
        action="store_true",
        help="open a session at the service and end it at once: is the key taken?",
    )
    check.add_argument(
        "--json",
        action="store_true",
        help='a JSON object a line: what, state ("well", "warning", "wrong"), text',
    )
    _add_input(check)
    devices = add(
        "devices",
        "list the microphones",
        "The default one is marked with *. With --test it records two seconds of one, keeps nothing of "
        "them, and says how loud they were; exit status 1 when nothing can be recorded.",
        "minuted devices",
        "minuted devices --test Jabra",
    )
    devices.add_argument(
        "--test",
        metavar="NAME",
        nargs="?",
        const="",
        help="record two seconds, of the configured device unless one is named, and show the level",
    )
    sinks = add(
        "sinks",
        "list the sinks and their options",
        "Of those that are named, one that would not work makes the exit status 78.",
        "minuted sinks",
        "minuted sinks webhook",
    )
    sinks.add_argument("names", metavar="NAME", nargs="*", default=(), help="only these")
    status = add(
        "status",
        "show how everything is",
        "Exit status 1 when nothing runs.",
        "minuted status",
        "minuted status --json | jq .stages.transcription.last_seq",
    )
    status.add_argument("--json", action="store_true", help="as one JSON object")
    add_metrics(add)
    add(
        "reload",
        "have the configuration read again",
        "What has changed is started, stopped or restarted, and no sound is lost. A configuration with a "
        "mistake, or a change that needs a restart, is refused as a whole: everything goes on as it was, "
        "and the exit status is 1. SIGHUP does the same, except in a terminal, whose end is the run's. Where "
        "each stage is a service of its own (minuted.target), it says what to restart instead.",
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
    pause = add(
        "pause",
        "hear nothing for a while",
        "Capture closes the microphone, the session ends once the words said before are safe, and nothing "
        "of the pause is ever stored. It outlasts restarts. Returns when the microphone is closed.",
        "minuted pause",
        "minuted pause --for 30m",
    )
    pause.add_argument(
        "--for",
        metavar="TIME",
        dest="duration_s",
        type=duration_s,
        help="end it by itself after so long: 90s, 30m, 2h; unless given it lasts until `minuted resume`",
    )
    add("resume", "end a pause", "The microphone is opened again.", "minuted resume")
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
    dead.add_argument(
        "seq", metavar="SEQ", type=number, nargs="*", default=(), help="the numbers to retry or drop"
    )
    dead.add_argument("--all", action="store_true", help="retry or drop all of them")
    keys = add(
        "keys",
        "say which clients may listen over the network",
        "`new` makes a client's key and writes all the client needs to one file, `list` shows who has one, "
        "`revoke` ends that at once, without a restart.",
        "minuted keys new tablet",
        "minuted keys list",
        "minuted keys revoke tablet",
    )
    keys.add_argument("action", choices=("new", "list", "revoke"), metavar="new|list|revoke")
    keys.add_argument("name", metavar="NAME", nargs="?", help="the client's name: letters, digits, _ - .")
    keys.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        default=Path(),
        help="the client's file, or a folder for it; unless given NAME.key.json here",
    )
    add_configure(add)
    meeting = add(
        "meeting",
        "begin or end a meeting by hand",
        "After `start` the next words belong to a new meeting, whose title is in every turn and in the names "
        "of its files; after `end` they begin one by themselves. The turn that is being spoken is ended "
        "first. Without an action it says which meeting is going on.",
        'minuted meeting start --title "Budget 2027"',
        "minuted meeting end",
    )
    meeting.add_argument(
        "action",
        choices=("start", "end", "status"),
        metavar="start|end|status",
        nargs="?",
        default="status",
        help="status, unless given",
    )
    meeting.add_argument("--title", metavar="TITLE", help="what the meeting is called, up to 200 characters")
    add_records(add)
    add_tokens(add)
    add_speakers(add)
    return top


def duration_s(text: str) -> float:
    """Read `90s`, `30m` or `2h` as seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip())
    seconds = float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]] if found else 0.0
    if not 0 < seconds <= PAUSE_S_MAX:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time from 1s to 168h: give a number and s, m or h, as in 90s, 30m or 2h"
        )
    return seconds


def _add_inputs(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--input",
        metavar="FILE",
        type=Path,
        nargs="+",
        action="extend",
        help="take the sound from this recording, not as configured; of several, or of all in a folder, "
        "one after the other, with their texts written beside them",
    )
    _add_pace(run)
    run.add_argument(
        "--write",
        metavar="FORMATS",
        type=_formats,
        help=f"the texts written beside each recording: {','.join(WRITTEN)} unless given for several or a "
        "folder, none for a single one",
    )
    run.add_argument(
        "--output-dir", metavar="FOLDER", type=Path, help="where those go, not beside the recordings"
    )
    run.add_argument(
        "--overwrite",
        action="store_true",
        help="take recordings again whose texts are there; unless given, such are passed over",
    )


def wants_texts(arguments: argparse.Namespace) -> bool:
    """Whether a run is of recordings whose texts are to be written: several, a folder, or as told."""
    inputs = arguments.input or []
    told = arguments.write or arguments.output_dir or arguments.overwrite
    return bool(told) or len(inputs) > 1 or any(each.is_dir() for each in inputs)


def _formats(text: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if wrong := [part for part in found if part not in FORMATS]:
        raise argparse.ArgumentTypeError(f"{wrong[0]!r} is no format: there are {', '.join(FORMATS)}")
    return found


def _add_input(added: argparse.ArgumentParser) -> None:
    added.add_argument(
        "--input", metavar="FILE", type=Path, help="take the sound from this recording, not as configured"
    )
    _add_pace(added)


def _add_pace(added: argparse.ArgumentParser) -> None:
    added.add_argument(
        "--pace",
        choices=("real-time", "fast"),
        help="play a recording in real time, or as fast as the local engine takes it",
    )


class _Parser(argparse.ArgumentParser):
    """Quotes what somebody typed, or a file's name, without what a terminal would obey."""

    def error(self, message: str) -> NoReturn:
        super().error(clean(message))


class _Help(argparse.HelpFormatter):
    """Wraps the description, and leaves the examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("for example:"):
            return text
        return super()._fill_text(text, width, indent)
