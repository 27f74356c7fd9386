"""One round: one stored file is damaged, the processes that read it are started, and the outcome is judged.

What must hold: no process ends unexpectedly more than twice, all come to their end, words are lost only
where the damage was, and whatever was lost or came twice is told of.
"""

import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kills.outputs import NO_AUDIO, deduplicated
from minuted.config import load
from minuted.runtime.locks import TEXT_BYTES_MAX
from simulator.oracle import from_file_log, from_srt, from_webhook, number_of
from simulator.receiver import Receiver

from .base import SINKS, Base, asked_to_drain, log_of, told
from .forked import Forked
from .spoil import spoil

ENDS_MAX: Final = 2
"""How often a process may end unexpectedly."""
OVER_S_MAX: Final = 45.0
RESTART_S: Final = 0.05
POLL_S: Final = 0.02
TOLD: Final = frozenset(
    (
        *("database_begun_anew", "database_damaged", "gap", "journal_cut", "journal_lost", "labels_damaged"),
        *("meeting_file_damaged", "place_damaged", "prepared_damaged", "record_damaged"),
        *("recording_note_damaged", "records_gone", "records_missed", "sound_gone", "sound_heard_again"),
        *("state_reset", "journal_changed"),
    )
)
"""Events that tell people of damage."""


@dataclass
class Outcome:
    seed: int
    what: str = ""
    """What was damaged, and how."""
    wrong: list[str] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    lost: dict[str, list[int]] = field(default_factory=dict)
    doubled: dict[str, list[int]] = field(default_factory=dict)
    ends: Counter[str] = field(default_factory=Counter)
    """Unexpected ends of processes."""
    seconds: float = 0.0

    def line(self) -> str:
        lost, doubled = (sum(map(len, each.values())) for each in (self.lost, self.doubled))
        shown = f"{self.seed}: {self.what}; {lost} lost, {doubled} doubled, told {dict(self.told)}"
        shown += f", ends {dict(self.ends)}" if self.ends else ""
        return "\n".join([shown, *(f"{self.seed} WRONG: {text}" for text in self.wrong)])


def stored_files(base: Base) -> dict[str, list[Path]]:
    """Return what can be damaged, by the kind of it."""
    state = base.folder / "state"
    kinds = {
        "turns": [*state.glob("turns.db*")],
        "audio": [*state.glob("audio/*.audio")],
        "notes": [*state.glob("*.json"), *state.glob("*.last")],
        "places": [*state.glob("sinks/*")],
        "locks": [*state.glob("*.lock")],
        "meetings": [*(base.folder / "srt" / ".minuted").glob("*")],
    }
    return {kind: sorted(path for path in files if path.is_file()) for kind, files in kinds.items()}


def run(seed: int, base: Base, receiver: Receiver) -> Outcome:
    """Play a round in the base's own folder."""
    outcome, began_s = Outcome(seed), time.monotonic()
    chance = random.Random(f"damage {seed}")
    base.restore()
    receiver.requests[:] = base.requests
    kind = chance.choice(
        ("turns", "turns", "turns", "audio", "notes", "places", "places", "meetings", "locks")
    )
    file = chance.choice(stored_files(base)[kind])
    try:
        how = _damaged(kind, file, chance)
    except Exception as error:
        outcome.wrong.append(f"the round itself: {type(error).__name__}: {error}")
        return outcome
    outcome.what = f"{file.relative_to(base.folder)} {how}"
    _look(base, outcome, chance)
    _work(base, outcome)
    if not outcome.wrong:
        _judge(kind, base, receiver, outcome)
    outcome.seconds = time.monotonic() - began_s
    return outcome


def _damaged(kind: str, file: Path, chance: random.Random) -> str:
    """Damage a file in a way that its kind allows; return what was done."""
    if kind in ("notes", "places") and file.suffix in (".json", ".last", ".place") and chance.random() < 0.15:
        file.unlink()
        file.mkdir()
        return "a folder in its place"
    how = spoil(file, chance)
    if kind == "locks" and file.exists():
        # A longer one is somebody's file, and refused.
        os.truncate(file, min(file.stat().st_size, TEXT_BYTES_MAX))
    return how


def _look(base: Base, outcome: Outcome, chance: random.Random) -> None:
    """Read the journal while nothing runs: that ends in a sentence."""
    command = chance.choice((("replay",), ("export", "--list"), ("export",)))
    reader = Forked(base.folder, *command, log="read.txt")
    until_s = time.monotonic() + OVER_S_MAX
    while reader.status is None and time.monotonic() < until_s:
        time.sleep(POLL_S)
    text = (base.folder / "read.txt").read_text(errors="replace")
    if reader.status not in (0, 1) or "Traceback" in text:
        outcome.wrong.append(f"{command[0]} ended with {reader.status}: {text[-2000:]}")
    reader.end()


def _work(base: Base, outcome: Outcome) -> None:
    """Start the stages, restart what ends, have all of it drained, and stop it."""
    folder = base.folder
    settings = load(folder / "minuted.toml")
    names = [("transcription",), *(("delivery", sink) for sink in SINKS), ("capture",)]
    stages = {name: Forked.stage(folder, *name, run="second") for name in names}
    until_s, has_asked, ending = time.monotonic() + OVER_S_MAX, False, False
    try:
        while True:
            if time.monotonic() > until_s:
                outcome.wrong.append(f"it does not end: {told(settings) or 'nobody answers'}")
                return
            for name, stage in list(stages.items()):
                status = stage.status
                if status is None or (status == 0 and (ending or name == ("capture",))):
                    continue
                outcome.ends["/".join(name)] += 1
                if outcome.ends["/".join(name)] > ENDS_MAX or status == 78:
                    outcome.wrong.append(f"{stage.name} ended with {status}, again and again")
                    return
                time.sleep(RESTART_S)
                stages[name] = Forked.stage(folder, *name, run="second")
                has_asked = has_asked and name != ("transcription",)
            if ending:
                if all(stage.status == 0 for stage in stages.values()):
                    return
                sinks = [stage for name, stage in stages.items() if name[0] == "delivery"]
                if all(stage.status == 0 for stage in sinks):
                    stages["transcription",].stop()
                else:
                    for stage in sinks:
                        stage.stop()
            elif stages["capture",].status == 0:
                has_asked = has_asked or asked_to_drain(settings)
                ending = has_asked and told(settings).get("state") == "drained"
            time.sleep(POLL_S)
    finally:
        for stage in stages.values():
            stage.end()


def _judge(kind: str, base: Base, receiver: Receiver, outcome: Outcome) -> None:
    log = log_of(base.folder)
    # A recording without a note is one that nobody has begun.
    telling = TOLD | {"recording_begun"} if kind == "notes" else TOLD
    outcome.told = Counter(str(each["event"]) for each in log if each.get("event") in telling)
    turns, files = base.folder / "turns.jsonl", sorted((base.folder / "srt").glob("*.srt"))
    srt = [word for file in files for word in from_srt(NO_AUDIO.sub("", file.read_text())).words]
    outputs = {
        "file_log": from_file_log(turns.read_text()).words,
        "srt": srt,
        "webhook": from_webhook(deduplicated(list(receiver.requests))).words,
    }
    may_lose = {"turns": base.recorded, "audio": base.unheard}.get(kind, set())
    for name, words in outputs.items():
        found = Counter(number_of(word.text) for word in words)
        if lost := sorted(base.said - {number for number in found if number is not None}):
            outcome.lost[name] = lost
            if not outcome.told:
                outcome.wrong.append(f"{name}: {lost} lost without a word")
            if beyond := sorted({*lost} - may_lose):
                outcome.wrong.append(f"{name}: {beyond} lost, though they were not where the damage was")
        if doubled := sorted(number for number, times in found.items() if number and times > 1):
            outcome.doubled[name] = doubled
            if not outcome.told:
                outcome.wrong.append(f"{name}: {doubled} twice without a word")
        if unknown := [word.text for word in words if number_of(word.text) not in base.said]:
            outcome.wrong.append(f"{name}: unknown words {unknown}")
