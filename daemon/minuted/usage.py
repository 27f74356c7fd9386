"""Every command's options and help."""

import argparse
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from .token_usage import add_tokens

_STATUSES: Final = "exit status: 0 done, 1 failed while running, 2 wrong usage, 78 bad configuration"
PAUSE_S_MAX: Final = 7 * 86400.0
"""Who wants more than a week of a pause wants one without an end."""
FORMATS: Final = ("srt", "vtt", "txt", "md", "json")
WRITTEN: Final = ("srt", "vtt", "txt", "json")
"""What is written beside recordings unless told otherwise."""
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
        "does not work; warnings (!) are no reason.",
        "minuted check --config minuted.toml",
        "minuted check --online",
    )
    check.add_argument(
        "--online",
        action="store_true",
        help="open a session at the service and end it at once: is the key taken?",
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
    dead.add_argument("seq", metavar="SEQ", type=int, nargs="*", help="the numbers to retry or drop")
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
    _add_configure(add)
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
    _add_records(add)
    add_tokens(add)
    _add_speakers(add)
    return top


_LIVE: Final = (
    # Settings that may change while a session is open; which of them do, the session's model decides.
    ("min_turn_silence", int, "MS", "silence after which a finished sentence ends the turn, 50 to 10000"),
    ("max_turn_silence", int, "MS", "silence that ends any turn, 50 to 10000"),
    ("prompt", str, "TEXT", "instruction or context, up to 1,750 characters"),
    ("agent_context", str, "TEXT", "what a voice agent last said, up to 1,750 characters"),
    ("mode", str, "MODE", "min_latency, balanced or max_accuracy"),
    ("vad_threshold", float, "0..1", "sound below it counts as silence"),
    ("interruption_delay", int, "MS", "time before the first partial, 0 to 1000"),
    ("continuous_partials", bool, "", "partials at a steady pace"),
    ("end_of_turn_confidence_threshold", float, "0..1", "Universal-Streaming models only"),
    ("format_turns", bool, "", "Universal-Streaming models only"),
    ("filter_profanity", bool, "", "replace profanity by asterisks"),
    ("turn_left_pad_ms", int, "MS", "as the SDK has it"),
    ("session_heartbeat", bool, "", "a sign of life every 5 s"),
    ("acknowledge_silence", bool, "", "have silence confirmed"),
)
_FIXED: Final = (
    # Known, so that the refusal can say where they belong.
    *("speech_model", "language_detection", "domain", "inactivity_timeout", "webhook_url"),
    *("webhook_auth_header_name", "webhook_auth_header_value", "speaker_labels", "max_speakers"),
    *("speaker_labels_revision_interval_ms", "voice_focus", "voice_focus_threshold"),
    *("include_partial_turns", "redact_pii", "redact_pii_policies", "redact_pii_sub"),
    "customer_support_audio_capture",
)


class _Setting(argparse.Action):
    """Collects settings in a namespace of their own: `settings`."""

    def __init__(self, *args: Any, settles: Any = None, adds: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._settles = settles
        self._adds = adds

    def __call__(self, _: Any, namespace: Any, values: Any, _option: str | None = None) -> None:
        value = self._settles if self._settles is not None else values
        own = dict(vars(namespace.settings))
        own[self.dest] = [*own.get(self.dest, []), value] if self._adds else value
        namespace.settings = argparse.Namespace(**own)


def _add_configure(add: Callable[..., argparse.ArgumentParser]) -> None:
    added = add(
        "configure",
        "change settings of the open session, or see them",
        "What is given is changed as a whole, or refused as a whole with the reason: each model takes "
        "changes of its own settings. It holds for every later session, through reconnects and restarts, "
        "until --reset. Without options it shows what is in force.",
        "minuted configure --max-turn-silence 2000 --keyterm metformin --keyterm Siobhan",
        "minuted configure --profile interview --until-restart",
        "minuted configure --clear keyterms_prompt",
        "minuted configure --reset",
    )
    added.set_defaults(settings=argparse.Namespace())
    for name, kind, metavar, meaning in _LIVE:
        flag = name.replace("_", "-")
        if kind is bool:
            for sign, settles in (("", True), ("no-", False)):
                about = meaning if settles else argparse.SUPPRESS
                added.add_argument(
                    f"--{sign}{flag}", dest=name, nargs=0, action=_Setting, settles=settles, help=about
                )
        else:
            added.add_argument(
                f"--{flag}", dest=name, type=kind, metavar=metavar, action=_Setting, help=meaning
            )
    terms = (
        "a name or term to listen for, up to 50 characters; up to 100 of them, in the place of those before"
    )
    added.add_argument(
        "--keyterm", dest="keyterms_prompt", metavar="TERM", action=_Setting, adds=True, help=terms
    )
    added.add_argument("--keyterms-file", metavar="FILE", type=Path, help="take them from a file, one a line")
    added.add_argument(
        "--language-code",
        dest="language_codes",
        metavar="CODE",
        action=_Setting,
        adds=True,
        help="a language to expect, the likeliest first; up to 10 of them",
    )
    for name in _FIXED:
        flag = name.replace("_", "-")
        added.add_argument(
            f"--{flag}", dest=name, nargs="?", const=True, action=_Setting, help=argparse.SUPPRESS
        )
    added.add_argument(
        "--clear",
        metavar="SETTING",
        action="append",
        default=[],
        help="empty a list or text, as keyterms_prompt",
    )
    added.add_argument("--profile", metavar="NAME", help="switch to [profiles.NAME]; none: back to [session]")
    added.add_argument(
        "--reset", metavar="SETTING", nargs="*", help="take back all changes, or those of these settings"
    )
    added.add_argument(
        "--until-restart", action="store_true", help="forget it when minuted is started the next time"
    )


def _add_records(add: Callable[..., argparse.ArgumentParser]) -> None:
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
        "--from-seq", metavar="N", type=_number, help="begin with this one; unless given the first"
    )
    replay.add_argument(
        "--to-seq", metavar="M", type=_number, help="end with this one; unless given the last"
    )
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


def _number(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 53:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of a record: they are 1, 2, 3 …")
    return int(text)


def _add_speakers(add: Callable[..., argparse.ArgumentParser]) -> None:
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
        "names", metavar="LABEL=NAME", nargs="*", type=label_and_name, help="a label and its name"
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


class _Help(argparse.HelpFormatter):
    """Wraps the description, and leaves the examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("for example:"):
            return text
        return super()._fill_text(text, width, indent)
