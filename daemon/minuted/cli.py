"""The commands. What a command needs is imported when it runs, so that `--help` is quick."""

import argparse
import contextlib
import importlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from . import __version__
from .commands import printing
from .usage import parser, wants_texts

# ruff: noqa: PLC0415

if TYPE_CHECKING:
    from .config import Settings

DONE: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
BAD_CONFIGURATION: Final = 78


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; give its exit status."""
    try:
        arguments = parser(__version__).parse_args(argv)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else WRONG_USAGE
    from .control import RefusedError
    from .options import ConfigError, InputError
    from .runtime import rights, signals

    printing.show_errors_clean()
    # To a supervisor it is a configuration that another start does not mend.
    has_named = bool(getattr(arguments, "input", None)) and signals.PARENT not in os.environ
    try:
        status = _COMMANDS[arguments.command](arguments)
        printing.flush()
    except InputError as error:
        return _report(str(error), WRONG_USAGE if has_named else BAD_CONFIGURATION)
    except ConfigError as error:
        return _report(str(error), BAD_CONFIGURATION)
    except RefusedError as error:
        return _report(f"not done: {error}", FAILED)
    except BrokenPipeError:
        # Whoever read has had enough; the interpreter's own last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return DONE
    except OSError as error:
        return _report(rights.sentence(error), FAILED)
    except KeyboardInterrupt:
        return FAILED
    return status


def _report(reason: str, status: int) -> int:
    """Say in one line what is wrong, to a person or to the supervisor."""
    from .runtime import notify, signals

    reason = " ".join(reason.split())
    notify.status(f"bad configuration: {reason}" if status == BAD_CONFIGURATION else reason)
    if signals.PARENT not in os.environ or status != BAD_CONFIGURATION:
        # The supervisor says what is wrong with the configuration itself, once.
        # "minuted: minuted is not running" says it twice.
        printing.complain(reason if reason.startswith("minuted ") else f"minuted: {reason}")
    return status


def _settings(arguments: argparse.Namespace) -> "Settings":
    return _read(arguments, arguments.config)[0]


def _running(arguments: argparse.Namespace) -> "Settings":
    """Return the settings of what runs, whatever has become of their file."""
    from .commands import running

    return running.found(lambda: _settings(arguments), arguments.config)


def _read(arguments: argparse.Namespace, path: Path | None) -> tuple["Settings", str]:
    """Give the settings a command asks for, and the text they were made of."""
    from .config import load_with_text

    settings, text = load_with_text(path)
    recording = getattr(arguments, "input", None)
    pace = getattr(arguments, "pace", None)
    if recording:
        # Absolute: a file may be called "microphone".
        return settings.with_recording(recording.absolute(), pace), text
    return settings.with_pace(pace), text


def _run(arguments: argparse.Namespace) -> int:
    from . import claims, credentials
    from .commands import check, results, terminal
    from .runtime import logs
    from .supervision import supervisor

    inputs = arguments.input

    def read(recording: Path | None) -> tuple["Settings", str]:
        arguments.input = recording
        return _read(arguments, arguments.config)

    if wants_texts(arguments) or inputs:
        from .commands import recordings

        credentials.hide()
        take = recordings.run if wants_texts(arguments) else recordings.play
        return take(arguments, read)
    settings, text = read(None)
    claims.refuse_foreign("state_dir", settings.state_dir)
    claims.refuse_second(settings)
    check.prepare(settings)
    log = settings.state_dir / "minuted.log" if arguments.watch else None
    credentials.hide()
    before = results.look(settings)
    with terminal.captions(log, arguments.config) if log else contextlib.nullcontext():
        logs.set_up("supervisor", settings.room)
        outcome = supervisor.supervise(settings, text, lambda: _read(arguments, settings.path))
    results.show(settings, before, arguments.config)
    if outcome.status:
        more = f" (the log is {log})" if log else ""
        printing.complain(f"minuted: {outcome.reason}{more}")
    return outcome.status


def _stage(arguments: argparse.Namespace) -> int:
    """Run one stage in this process, as the supervisor or a service of its own starts it."""
    from .runtime import signals

    signals.die_with_parent()
    import structlog

    from . import claims, credentials
    from .commands import check
    from .options import ConfigError
    from .runtime import logs, notify, rights
    from .runtime.files import UnsafeFileError
    from .runtime.locks import InUseError

    settings = _settings(arguments)
    if arguments.command == "delivery":
        credentials.close_off()
    else:
        # A sink is somebody else's code: there is nothing in its process that it may not see.
        credentials.take_over()
        credentials.hide()
    name = [arguments.name] if getattr(arguments, "name", None) else []
    stage = "/".join([arguments.command, *name])
    logs.set_up(stage, settings.room)
    check.make_folders(settings)
    try:
        # The engine keeps nothing in the state folder.
        claim = (
            contextlib.nullcontext()
            if stage == "engine"
            else claims.claim_stage(settings, stage, supervised=signals.PARENT in os.environ)
        )
        with claim:
            process = importlib.import_module(f"minuted.{arguments.command}.__main__")
            return int(process.run(settings, *name))
    except UnsafeFileError as error:
        raise ConfigError(str(error)) from None
    except (ConfigError, InUseError):
        raise
    except Exception as error:
        structlog.get_logger(__name__).exception("crashed")
        # Of other errors' texts nobody knows what is in them.
        why = f": {rights.sentence(error)}" if isinstance(error, OSError) else ""
        notify.status(f"crashed with {type(error).__name__}{why}")
        return FAILED


def _check(arguments: argparse.Namespace) -> int:
    from . import config
    from .commands import service_check

    _quiet_logs()
    place = arguments.config
    if place is None:
        with contextlib.suppress(OSError):
            place = config.found()
    # What is to be heard once, by hand, is no matter of the service's.
    place = None if arguments.input else place
    return service_check.run(
        lambda: _settings(arguments), online=arguments.online, as_json=arguments.json, config=place
    )


def _init(arguments: argparse.Namespace) -> int:
    from .commands import init

    _quiet_logs()
    return init.run(arguments)


def _devices(arguments: argparse.Namespace) -> int:
    if arguments.test is not None:
        from .commands import sound_check

        _quiet_logs()
        return sound_check.run(_settings(arguments), arguments.test)
    from .capture import microphone
    from .options import ConfigError

    try:
        found = microphone.devices()
    except ConfigError as error:
        # Nothing was configured; as with --test.
        return _report(str(error), FAILED)
    if not found:
        return _report("there is no input device: is a microphone plugged in, and may you use it?", FAILED)
    width = max(len(device.name) for device in found)
    for device in found:
        mark = "*" if device.is_default else " "
        many = "1 channel" if device.channels == 1 else f"{device.channels} channels"
        printing.say(f"{mark} {device.name:<{width}}  {device.host_api}, {many}, {device.default_rate_hz} Hz")
    return DONE


def _sinks(arguments: argparse.Namespace) -> int:
    from . import credentials
    from .delivery import discovery

    _quiet_logs()
    credentials.close_off()
    settings, names = _settings(arguments), set(arguments.names)
    rows = [row for row in discovery.survey(settings, load_modules=True) if not names or row.name in names]
    if not rows:
        printing.say("no sinks found")
        return DONE
    width = max(len(row.name) for row in rows)
    for row in rows:
        kind = f" (use = {row.module})" if row.module != row.name else ""
        printing.say(f"{row.name:<{width}}  {row.state}{kind}  {row.reason or row.doc}".rstrip())
        for option in row.options:
            default = "must be set" if option.default is None else f"default {option.default}"
            doc = f"  {option.doc.splitlines()[0]}" if option.doc else ""
            printing.say(f"    {option.name}: {option.type}, {default}{doc}")
    wrong = [
        row.reason if row.reason.startswith("[") else f"[sinks.{row.name}]: {row.reason}"
        for row in rows
        if row.state in ("bad config", "failed to load")
    ]
    wrong += [f"there is no sink called {name}" for name in sorted(names - {row.name for row in rows})]
    return _report("; ".join(wrong), BAD_CONFIGURATION) if names and wrong else DONE


def _status(arguments: argparse.Namespace) -> int:
    from . import status, summary

    settings = _running(arguments)
    if refusal := status.closed(settings):
        # "stopped" would be a lie.
        return _report(refusal, FAILED)
    found = status.collect(settings)
    if found["stages"] and "summary" not in found:
        found["summary"] = summary.summary(settings.room, found["state"], found["stages"], status.now_ms())
    if arguments.json:
        printing.say_json(found)
    if not found["stages"]:
        return _report(status.absence(settings), FAILED)
    if not arguments.json:
        from .commands import overview

        overview.show(found, status.now_ms())
    return DONE


def _reload(arguments: argparse.Namespace) -> int:
    from .commands import reload

    return reload.run(lambda: _settings(arguments), arguments.config)


def _watch(arguments: argparse.Namespace) -> int:
    from .runtime import signals

    signals.die_with_parent()
    from .commands import watch

    return watch.run(_running(arguments), until_end=arguments.until_end)


def _endpoint(arguments: argparse.Namespace) -> int:
    from .commands import wishing

    turns = wishing.asked(_running(arguments), wishing.STAGE, "endpoint").get("turns")
    # One that was started before an upgrade does not tell how many.
    nothing = turns == 0
    printing.say("nobody is speaking: nothing to end" if nothing else "the turn being spoken is ended")
    return DONE


def _pause(arguments: argparse.Namespace) -> int:
    from .commands import pausing

    printing.say(pausing.begin(_running(arguments), arguments.duration_s))
    return DONE


def _resume(arguments: argparse.Namespace) -> int:
    from .commands import pausing

    printing.say(pausing.end(_running(arguments)))
    return DONE


def _dead_letters(arguments: argparse.Namespace) -> int:
    from .delivery import dead_letters
    from .options import ConfigError

    settings, name = _settings(arguments), arguments.name
    if name not in settings.sinks:
        raise ConfigError(f"there is no [sinks.{name}] in the configuration")
    if arguments.action == "list":
        letters = dead_letters.listed(settings, name)
        for letter in letters:
            wanted = "  (will be offered again)" if letter["wanted"] else ""
            printing.say(f"{letter['seq']:>8}  {letter['reason']}{wanted}".rstrip())
            printing.say(f"          {letter['text']}".rstrip())
        if len(letters) == dead_letters.LISTED_MAX:
            printing.say(f"these are the first {len(letters)}: further ones show when they are gone")
        return DONE
    if not arguments.seq and not arguments.all:
        return _report("name the numbers, or --all", WRONG_USAGE)
    act = dead_letters.retry if arguments.action == "retry" else dead_letters.drop
    found = act(settings, name, arguments.seq or None)
    done = "will be offered again" if arguments.action == "retry" else "dropped"
    printing.say(f"{done}: {', '.join(map(str, found)) or 'none'}")
    if missing := sorted(set(arguments.seq) - set(found)):
        numbers = ", ".join(map(str, missing))
        return _report(f"{name} has no dead letter {numbers}: minuted dead-letters list {name}", FAILED)
    return DONE


def _keys(arguments: argparse.Namespace) -> int:
    from . import keys

    settings, name = _settings(arguments), arguments.name
    if arguments.action == "list":
        for client in keys.listed(settings):
            printing.say(f"{client.name:<24} {client.public}")
        return DONE
    if not name:
        return _report("name the client", WRONG_USAGE)
    if arguments.action == "revoke":
        keys.revoke(settings, name)
        printing.say(f"revoked: {name}; its connections end within a second")
        return DONE
    made = keys.new(settings, name, arguments.output)
    printing.say(f"{made}: everything the client needs, and nobody else may have; it is kept nowhere else")
    if not settings.door_endpoint:
        printing.say('set [publish] turns = "tcp://0.0.0.0:5555" to let clients in')
    return DONE


def _token(arguments: argparse.Namespace) -> int:
    from .commands import token

    act = token.run if arguments.command == "token" else token.serve
    return act(_settings(arguments), arguments)


def _speakers(arguments: argparse.Namespace) -> int:
    from .commands import speakers

    names = dict(arguments.names)
    speakers.run(_running(arguments), names, arguments.meeting, as_json=arguments.json)
    return DONE


def _replay(arguments: argparse.Namespace) -> int:
    from .commands import replay

    return replay.run(_settings(arguments), arguments)


def _export(arguments: argparse.Namespace) -> int:
    from .commands import export

    _quiet_logs()
    return export.run(_settings(arguments), arguments)


def _work(module: str) -> Callable[[argparse.Namespace], int]:
    """Give a command whose work stands in a module of `commands`."""

    def run(arguments: argparse.Namespace) -> int:
        command = importlib.import_module(f"minuted.commands.{module}")
        return int(command.run(_running(arguments), arguments))

    return run


def _quiet_logs() -> None:
    """Leave standard output to the command."""
    from .runtime import logs

    logs.set_up("minuted", least="error")


_COMMANDS: Final[dict[str, Callable[[argparse.Namespace], int]]] = {
    "init": _init,
    "run": _run,
    "capture": _stage,
    "transcription": _stage,
    "engine": _stage,
    "delivery": _stage,
    "check": _check,
    "devices": _devices,
    "sinks": _sinks,
    "status": _status,
    "reload": _reload,
    "watch": _watch,
    "endpoint": _endpoint,
    "pause": _pause,
    "resume": _resume,
    "dead-letters": _dead_letters,
    "keys": _keys,
    "token": _token,
    "token-server": _token,
    "speakers": _speakers,
    "replay": _replay,
    "export": _export,
    "configure": _work("configuring"),
    "meeting": _work("meeting"),
    "metrics": _work("metrics"),
}
