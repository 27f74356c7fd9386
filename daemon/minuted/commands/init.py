"""`minuted init`: ask what a first configuration needs, write it, and look whether it works."""

import argparse
import getpass
import importlib.util
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from minuted.capture import microphone
from minuted.capture.microphone import Device
from minuted.config import ConfigError, load, parse
from minuted.usage.init import SINKS, sink

from . import check, printing, sound_check, styles
from .first_configuration import (
    SYSTEM,
    Answers,
    compose,
    env_file,
    is_service,
    key_place,
    lasting_name,
    next_steps,
    obstacle,
    usual_place,
    write,
)

LISTEN_S: Final = 4.0
_KINDS: Final = {
    "file_log": "a log file, one line of JSON a turn",
    "txt": "minutes to read, a text file a meeting",
    "srt": "subtitles, a file a meeting",
    "webhook": "an address on the web, which gets each turn",
}


def run(arguments: argparse.Namespace) -> int:
    """Ask, write and check; 78 when something does not work yet. Raises ConfigError."""
    path = (arguments.config or (SYSTEM if os.geteuid() == 0 else Path("minuted.toml"))).absolute()
    if reason := obstacle(path, force=arguments.force):
        printing.complain(f"minuted: {reason}")
        return 1
    if not arguments.yes and not printing.has_person():
        printing.complain(
            "minuted: there is no terminal to ask in: give --yes, and with it what is to differ from the "
            "usual (--room, --device, --service, --sink)"
        )
        return 2
    dialogue = _Dialogue(arguments, path)
    try:
        answers = dialogue.answers()
        text = compose(answers, path)
        parse(text, path)
    except (KeyboardInterrupt, EOFError):
        # Not to stderr, which is hushed while a microphone opens.
        printing.say_all(["", "minuted: nothing was written"])
        return _end(1, dialogue)
    write(path, text, dialogue.key, force=arguments.force)
    with_key = f", and the key to {env_file(path)} (mode 0600)" if dialogue.key else ""
    printing.say(f"Wrote {path}{with_key}. Now minuted check:", flush=True)
    status = check.run(lambda: load(path))
    printing.say_all(next_steps(path, answers.service, is_well=status == 0))
    return _end(status, dialogue)


def _end(status: int, dialogue: "_Dialogue") -> int:
    if any(recorder.is_alive() for recorder in dialogue.recorders):
        # A sound system that hangs would hold up our own end as well.
        printing.flush()
        os._exit(status)
    return status


class _Dialogue:
    """The questions, without those whose answer was given."""

    def __init__(self, arguments: argparse.Namespace, path: Path) -> None:
        self.key = ""
        """One that was typed in."""
        self.recorders: list[sound_check.Recorder] = []
        self._given = arguments
        self._path = path

    def answers(self) -> Answers:
        """Return what was given, answered or is usual. Raises KeyboardInterrupt and EOFError."""
        given, asks = self._given, not self._given.yes
        room, device, service, kind_and_place = given.room, given.device, given.service, given.sink
        usual_room = socket.gethostname().partition(".")[0] or "room"
        if asks:
            printing.say(
                f"This writes {self._path}. Enter takes what is in [brackets]; Ctrl-C writes nothing."
            )
        if room is None:
            room = _ask("What is the room called?", usual_room, _room) if asks else usual_room
        if device is None:
            device = self._microphone() if asks else ""
        if service is None:
            service = self._service() if asks else ""
        if kind_and_place is None:
            kind_and_place = self._sink() if asks else ("file_log", "")
        kind, place = kind_and_place
        place = _place(kind, place or usual_place(kind, self._path))
        return Answers(room=room, device=device, service=service, sink=kind, place=place)

    def _microphone(self) -> str:
        """Return the name of a device that somebody has chosen and heard; "" is the default input."""
        try:
            found = microphone.devices()
        except ConfigError as error:
            printing.say(f"Microphone: {error}; recordings can be heard without.")
            return ""
        if not found:
            printing.say(
                "Microphone: there is no input device; the default one is taken when there is. Is one"
            )
            printing.say("plugged in, and may you use it (group audio)? Recordings can be heard without.")
            return ""
        printing.say("Microphones:")
        for number, device in enumerate(found, 1):
            printing.say(f"{'*' if device.is_default else ' '} {number}  {device.name} ({device.host_api})")
        usual = next((number for number, device in enumerate(found, 1) if device.is_default), 1)
        chosen = _ask("Which one?", str(usual), lambda text: _choice(text, len(found)))
        while True:
            device = found[int(chosen) - 1]
            will_do = self._listen(device)
            answer = _ask(
                "Take it (y), listen again (a), or another number?",
                "y" if will_do else "a",
                lambda text: _choice(text, len(found), "ya"),
            )
            if answer == "y":
                return lasting_name(device, found)
            chosen = chosen if answer == "a" else answer

    def _listen(self, device: Device) -> bool:
        """Listen to a device and say how loud it is; return whether it will do."""
        printing.say(f"Say something: listening to {device.name} for {LISTEN_S:.0f} s …", flush=True)
        recorder = sound_check.Recorder(device.name, 0, LISTEN_S)
        self.recorders.append(recorder)
        recorder.show()
        if not recorder.has_heard:
            printing.say(recorder.failure)
            return False
        level = sound_check.level_of(recorder.frames)
        styles.console().print(sound_check.meter(level))
        said = sound_check.verdict(level)
        printing.say(said)
        return said == "fine"

    def _service(self) -> str:
        """Return who is to recognise speech; a key may be typed in."""
        place = key_place(self._path)
        has_engine = importlib.util.find_spec(check.ENGINE_LIBRARY) is not None
        missing = "" if has_engine else "; first: pip install 'minuted[local]'"
        printing.say("Who recognises speech?")
        printing.say(f"  1  AssemblyAI ({f'a key was found in {place}' if place else 'needs a key'})")
        printing.say(f"  2  the engine on this machine (English; no key, no network{missing})")
        usual = "1" if place or not has_engine else "2"
        if _ask("Which one?", usual, lambda text: _choice(text, 2)) == "2":
            return "local"
        if not (place or is_service(self._path) or env_file(self._path).exists()):
            self.key = _key(self._path)
        return "assemblyai"

    def _sink(self) -> tuple[str, str]:
        """Return the sink somebody has chosen, and its place."""
        printing.say("Where do the words go?")
        for number, text in enumerate(_KINDS.values(), 1):
            printing.say(f"  {number}  {text}")
        kind = list(_KINDS)[int(_ask("Which one?", "1", lambda text: _choice(text, len(_KINDS)))) - 1]
        usual = usual_place(kind, self._path)
        return kind, _ask(f"{SINKS[kind].capitalize()}?", usual, lambda text: _place(kind, text))


def _ask(question: str, usual: str, read: Callable[[str], str]) -> str:
    """Ask until the answer can be used; an empty one is the usual."""
    shown = f"{question} [{usual}] " if usual else f"{question} "
    while True:
        try:
            return read(printing.ask(shown) or usual)
        except ValueError as error:
            printing.say(str(error))


def _room(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("A room's name is one line of letters.")
    return text


def _choice(text: str, most: int, letters: str = "") -> str:
    """Return a number from 1 on, or one of some letters. Raises ValueError."""
    text = text.casefold()
    if (text and text in letters) or (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        return text
    raise ValueError(
        f"Please answer with a number from 1 to {most}"
        + (f", or {' or '.join(letters)}." if letters else ".")
    )


def _place(kind: str, text: str) -> str:
    """Return a file, folder or address as the configuration has it. Raises ValueError."""
    try:
        _, place = sink(f"{kind}={text}")
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"{error}.") from None
    return place if kind == "webhook" else str(Path(place).expanduser().absolute())


def _key(path: Path) -> str:
    """Return a key that is typed in unseen, which may be nothing."""
    while True:
        key = getpass.getpass(f"Its key, for {env_file(path)} (not shown; Enter: later): ").strip()
        if key.isascii() and key.isprintable() and " " not in key:
            return key
        printing.say("A key is one word of plain letters and digits.")
