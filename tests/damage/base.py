"""What is damaged: the folders of a daemon that has heard one meeting and was killed in another.

The first meeting is delivered. Of the second some turns are recorded that no sink has, and the rest of its
sound lies in the audio journal unheard.
"""

import json
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from minuted.config import Settings, load
from minuted.control import ask
from minuted.journal.turns import TurnJournal
from minuted.messages import MalformedMessageError
from simulator.coded import Recording, compose
from simulator.receiver import Request

from .forked import Forked

CONFIG: Final = """
room = "boardroom"
state_dir = "{folder}/state"
runtime_dir = "{folder}/s"
sink_dirs = []
[capture]
source = "{folder}/{sound}.wav"
[engine]
service = "assemblyai"
url = "{service}"
[sinks.file_log]
path = "{folder}/turns.jsonl"
[sinks.srt]
directory = "{folder}/srt"
[sinks.webhook]
url = "{receiver}"
words = true
timeout_s = 3
"""
SINKS: Final = ("file_log", "srt", "webhook")
WAIT_S_MAX: Final = 60.0
RECORDED_MIN: Final = 2
"""Turns of the second meeting that are recorded before transcription is killed."""
TURNS: Final = {"words": (3, 4), "word_ms": (150, 250), "pause_ms": (40, 80), "turn_pause_ms": (300, 500)}


@dataclass
class Base:
    """The folders as they were left, and the words in them."""

    folder: Path
    """Where they are used; they are kept beside it."""
    requests: list[Request] = field(default_factory=list)
    said: set[int] = field(default_factory=set)
    recorded: set[int] = field(default_factory=set)
    """Of the second meeting, in the turn journal and at no sink."""
    unheard: set[int] = field(default_factory=set)

    @property
    def kept(self) -> Path:
        return self.folder.with_name("base")

    def restore(self) -> None:
        """Restore the folders as they were left."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.kept, self.folder, symlinks=True)


def first() -> Recording:
    return compose(2, **TURNS, tail_ms=700, seed=1)  # type: ignore[arg-type]


def second() -> Recording:
    return compose(4, **TURNS, tail_ms=700, seed=2, first_number=1001)  # type: ignore[arg-type]


def make(folder: Path, service: str, receiver: str, requests: Callable[[], list[Request]]) -> Base:
    """Run the stages as a daemon would, and leave them so. Raises TimeoutError."""
    base = Base(folder)
    (folder / "s").mkdir(parents=True)
    for name, said in (("first", first()), ("second", second())):
        said.save(folder / f"{name}.wav")
        base.said |= {word.number for word in said.words}
    settings = write_config(folder, "first", service, receiver)
    stages = [
        Forked.stage(folder, "transcription"),
        *(Forked.stage(folder, "delivery", sink) for sink in SINKS),
    ]
    capture = Forked.stage(folder, "capture", run="first")
    until(lambda: capture.status is not None, "the first recording's end")
    drain(settings)
    for stage in reversed(stages):
        stage.signal(signal.SIGTERM)
        until(lambda stage=stage: stage.status is not None, f"the end of {stage.name}")
    before = last_seq(folder)
    settings = write_config(folder, "second", service, receiver)
    transcription = Forked.stage(folder, "transcription")
    capture = Forked.stage(folder, "capture", run="second")
    until(lambda: told(settings).get("last_seq", 0) >= before + RECORDED_MIN, "some turns of the second")
    transcription.signal(signal.SIGKILL)
    until(lambda: capture.status is not None, "the second recording's end")
    until(lambda: transcription.status is not None, "the end of transcription")
    base.requests = requests()
    shutil.copytree(folder, base.kept, ignore=sockets_in)
    base.recorded = words_of(folder, before)
    base.unheard = {word.number for word in second().words} - base.recorded
    (base.kept / "log.jsonl").unlink()
    assert base.recorded, "there have to be turns that no sink has"
    assert base.unheard, "there has to be sound that nobody has heard"
    return base


def sockets_in(folder: str, names: list[str]) -> list[str]:
    """Name what cannot be copied."""
    return [name for name in names if Path(folder, name).is_socket()]


def write_config(folder: Path, sound: str, service: str, receiver: str) -> Settings:
    file = folder / "minuted.toml"
    file.write_text(
        CONFIG.format(folder=folder, sound=sound, service=service, receiver=receiver), encoding="utf-8"
    )
    return load(file)


def words_of(folder: Path, after_seq: int) -> set[int]:
    """Return the numbers of the words in the turn journal behind a record."""
    journal = TurnJournal(folder / "state" / "turns.db")
    try:
        records = journal.page(after_seq + 1)
    finally:
        journal.close()
    return {int(word["text"][4:8]) for record in records for word in record.get("words", ())}


def last_seq(folder: Path) -> int:
    journal = TurnJournal(folder / "state" / "turns.db")
    try:
        return journal.last_seq
    finally:
        journal.close()


def told(settings: Settings) -> dict[str, Any]:
    """Ask transcription how it is; nothing where it does not answer."""
    try:
        return ask(settings, "transcription", "status", timeout_s=0.5)
    except (TimeoutError, ValueError, MalformedMessageError):
        return {}


def drain(settings: Settings) -> None:
    until(lambda: asked_to_drain(settings), "somebody to ask")
    until(lambda: told(settings).get("state") == "drained", "the drain's end")


def asked_to_drain(settings: Settings) -> bool:
    try:
        ask(settings, "transcription", "drain", timeout_s=0.5)
    except (TimeoutError, ValueError, MalformedMessageError):
        return False
    return True


def until(come: Callable[[], bool], what: str) -> None:
    until_s = time.monotonic() + WAIT_S_MAX
    while not come():
        if time.monotonic() > until_s:
            raise TimeoutError(f"it does not come: {what}")
        time.sleep(0.02)


def log_of(folder: Path) -> list[dict[str, Any]]:
    """Return what was logged; lines that are no JSON under "text"."""
    file = folder / "log.jsonl"
    lines = file.read_text(errors="replace").splitlines() if file.exists() else []
    return [_read(line) for line in lines]


def _read(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {"text": line}
    return found if isinstance(found, dict) else {"text": line}
