"""The options of the commands that read what was said: replay, export, speakers."""

import argparse
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

FORMATS: Final = ("srt", "vtt", "txt", "md", "json")
WRITTEN: Final = ("srt", "vtt", "txt", "json")
"""What is written beside recordings unless told otherwise."""


def add_records(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Describe the commands that read the journal."""
    replay = add(
        "replay",
        "print records again",
        "Finals, revisions and gaps by their numbers, one JSON object a line, as the file log has them; from "
        "the running daemon, or from what it has left. Exit status 1 when some of those asked for are gone.",
        "minuted replay --from-seq 120 --to-seq 180",
        "minuted replay --follow | jq -r .text",
    )
    replay.add_argument(
        "--from-seq", metavar="N", type=number, help="begin with this one; unless given the first"
    )
    replay.add_argument("--to-seq", metavar="M", type=number, help="end with this one; unless given the last")
    replay.add_argument("--follow", action="store_true", help="go on with those to come, until Ctrl-C")
    form = replay.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true", help="one JSON object a line; so it is unless told otherwise"
    )
    form.add_argument("--msgpack", action="store_true", help="msgpack maps, one after the other")
    export = add(
        "export",
        "write a meeting as a text",
        "From the journal, whether the daemon runs or not: in the order in which it was said, turns "
        "that came late in their places, as last revised, gaps noted. The last meeting unless told which.",
        "minuted export --list",
        "minuted export --format srt --output meeting.srt",
        "minuted export --from 2026-11-22T09:30 --to 2026-11-22T12:00 --format md",
    )
    which = export.add_mutually_exclusive_group()
    which.add_argument("--meeting", metavar="ID", help="this one; the beginning of its name will do")
    which.add_argument("--last", action="store_true", help="the last one; so it is unless told otherwise")
    which.add_argument(
        "--list", action="store_true", help="list the meetings instead: name, start, length, turns"
    )
    for option, what in (("--from", "after"), ("--to", "before")):
        export.add_argument(
            option,
            metavar="TIME",
            dest=f"{option[2:]}_time",
            type=moment,
            help=f"only what was said {what} it: 2026-11-22T09:30, or 09:30 of today",
        )
    export.add_argument(
        "--format",
        choices=FORMATS,
        help="subtitles (srt, vtt), minutes to read (txt, md) or all there is (json); unless given "
        "as the output's name ends, else txt",
    )
    export.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        default=Path("-"),
        help="unless given, or -, the standard output",
    )


def moment(text: str) -> datetime:
    """Read a time of today, or a day and time; local unless it says otherwise."""
    if ":" in text and "-" not in text.partition("+")[0]:
        text = f"{datetime.now().astimezone():%Y-%m-%d}T{text}"
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: give 2026-11-22T09:30, or 09:30 for today"
        ) from None


def number(text: str) -> int:
    """Read a record's number."""
    if not text.isdecimal() or not 0 < int(text) < 1 << 53:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of a record: they are 1, 2, 3 …")
    return int(text)


def add_speakers(add: Callable[..., argparse.ArgumentParser]) -> None:
    speakers = add(
        "speakers",
        "see who speaks, and give them names",
        "Labels, names, turns and time spoken of the running meeting. LABEL=NAME goes into every turn so "
        "far, as a revision, and into all that follow; LABEL= takes a name away. Labels of different "
        "sessions stand for different people until they are given the same name.",
        "minuted speakers",
        "minuted speakers A=chair B=Anna",
        "minuted speakers A2=Anna --meeting 3f0c2d9e41b7a685",
    )
    speakers.add_argument(
        "names", metavar="LABEL=NAME", nargs="*", type=label_and_name, default=[], help="a label and its name"
    )
    speakers.add_argument(
        "--meeting", metavar="ID", default="", help="another meeting: a turn's meeting_id, or how it begins"
    )
    speakers.add_argument("--json", action="store_true", help="as one JSON object")


def label_and_name(text: str) -> tuple[str, str]:
    """Read `A=Anna` or `A=`."""
    label, equals, name = text.partition("=")
    if not label.strip() or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no LABEL=NAME, as in A=Anna")
    return label.strip(), name.strip()
