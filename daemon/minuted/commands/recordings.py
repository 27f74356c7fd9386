"""Many recordings: one run of everything after the other, and their texts written beside them."""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

from minuted.capture.playing import started_at_ms
from minuted.capture.recording import Recording
from minuted.config import ConfigError, Settings
from minuted.messages import Record
from minuted.runtime import logs
from minuted.runtime.clock import wall_ms
from minuted.supervision import supervisor
from minuted.usage.records import WRITTEN

from . import check, printing, terminal
from .export import write_whole
from .formats import render
from .jobs import Job, Note, Notes, in_the_way, jobs_of, lacking, state_of
from .meetings import Minutes, joined, meetings_of
from .progress import Display, Looking
from .records import stored
from .watch import clock

NOTES: Final = "recordings.json"
"""What has been heard, in the state folder."""

Read = Callable[[Path | None], tuple[Settings, str]]
"""Gives the settings with a recording as their source, and the text they were made of."""


@dataclass(frozen=True)
class Wishes:
    """What is to be written of every recording, and where."""

    forms: Sequence[str] | None = None
    """WRITTEN unless it is said."""
    output_dir: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Result:
    """What became of a recording."""

    state: Literal["done", "passed over", "failed", "stopped"]
    text: str = ""
    trouble: bool = False
    """It is done, and something is not as it should be."""
    asked: bool = False
    """Somebody has asked for the end."""


def run(arguments: argparse.Namespace, read: Read) -> int:
    """Take every recording; 1 when one of them failed or was not reached. Raises ConfigError."""
    inputs, wishes = arguments.input or [], Wishes(arguments.write, arguments.output_dir, arguments.overwrite)
    if arguments.watch or not inputs:
        wrong = "--write, --output-dir and --overwrite are for recordings: name them with --input"
        if arguments.watch:
            wrong = "captions are for one recording at a time: leave --watch out"
        printing.complain(f"minuted: {wrong}")
        return 2
    settings, _ = read(None)
    try:
        jobs = jobs_of(inputs, wishes.output_dir)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if not jobs:
        raise ConfigError(f"there is no recording in {' or '.join(map(str, inputs))}")
    check.make_folders(settings)
    log = settings.state_dir / "minuted.log"
    with terminal.log_to(log) as screen:
        logs.set_up("supervisor", settings.room)
        with closing(Display(screen, len(jobs))) as display:
            results = Batch(read, settings, wishes, display).take(jobs)
            for line in summary(jobs, results, log):
                display.note(line)
    return 0 if len(results) == len(jobs) and not any(map(_is_bad, results)) else 1


class Batch:
    """Recordings taken one after the other."""

    def __init__(self, read: Read, settings: Settings, wishes: Wishes, display: Display) -> None:
        self._read = read
        self._settings = settings
        self._wishes = wishes
        self._forms = wishes.forms or WRITTEN
        self._display = display
        self._notes = Notes(settings.state_dir / NOTES)

    def take(self, jobs: Sequence[Job]) -> list[Result]:
        """Give what became of each, up to where somebody asked for the end."""
        results: list[Result] = []
        for number, job in enumerate(jobs, 1):
            try:
                result = self._take(number, job)
            except KeyboardInterrupt:
                result = Result("stopped", "stopped", asked=True)
            except ConfigError:
                raise
            except OSError as error:
                result = Result("failed", str(error))
            results.append(result)
            self._display.tell(number, job.recording.name, f"{result.state}, {result.text}".rstrip(", "))
            if result.asked:
                break
        return results

    def _take(self, number: int, job: Job) -> Result:
        forms, overwrite = self._forms, self._wishes.overwrite
        if job.problem:
            return Result("failed", job.problem)
        try:
            length_s = _length_s(job.recording, self._settings)
        except ConfigError as error:
            return Result("failed", _reason(job, error))
        # What is heard is what is there now: it may grow, be replaced or go before it is over.
        state, note = state_of(job.recording), self._notes.of(job.recording)
        if not overwrite:
            if others := in_the_way(job, forms, note):
                names = ", ".join(path.name for path in others)
                return Result("failed", f"{names} is there already; --overwrite writes it anew")
            if note and not lacking(job, forms):
                return Result("passed over", "done before")
            if note and (minutes := self._remembered(note)):
                return Result("done", f"{self._write(job, minutes, state, note)}, from the journal")
        # Before hours of it are heard in vain.
        if (place := _closed(job.base.parent)) is not None:
            return Result("failed", f"nothing can be written in {place}")
        return self._hear(number, job, length_s, partial(self._write, state=state, note=note))

    def _hear(self, number: int, job: Job, length_s: float, write: Callable[[Job, Minutes], str]) -> Result:
        settings, text = self._read(job.recording)
        check.prepare(settings)
        before_seq = self._last_seq()
        began_s, began_ms = time.monotonic(), wall_ms()
        self._display.begin(number, job.recording.name, length_s)
        with closing(Looking(settings, length_s, self._display.show)):
            outcome = supervisor.supervise(settings, text, lambda: self._read(job.recording))
        if not outcome.whole:
            if outcome.asked:
                return Result("stopped", "stopped before its end; taken again next time", asked=True)
            return Result("failed", outcome.reason or "not heard to its end")
        passed_s = time.monotonic() - began_s
        # The clock may have been set in between: its meeting bears the time that capture has noted.
        began_ms = min(began_ms, started_at_ms(settings.state_dir) or began_ms)
        written = write(job, self._heard(before_seq, began_ms))
        pace = f"{clock(int(length_s * 1000))} in {clock(int(passed_s * 1000))}, {length_s / passed_s:.1f}x"
        trouble = f"; but {outcome.reason}" if outcome.status else ""
        return Result("done", f"{pace}: {written}{trouble}", trouble=bool(trouble), asked=outcome.asked)

    def _write(self, job: Job, minutes: Minutes, state: tuple[int, int], note: Note | None) -> str:
        """Write what is wished for, each file whole or not at all; name the files. Raises OSError."""
        targets = {form: job.target(form) for form in self._forms}
        known = {*(note.written if note else ()), *map(str, targets.values())}
        records, about = len(minutes.records), (minutes.id, minutes.started_at_ms)
        new = Note(*state, *about, records, tuple(sorted(known)))
        # Before the first of them: what is then still lacking is written from the journal the next time.
        notes = self._notes.keep(job.recording, new)
        write_whole(self._settings.state_dir / NOTES, json.dumps(notes).encode())
        job.base.parent.mkdir(parents=True, exist_ok=True)
        for form, target in targets.items():
            write_whole(target, render(minutes, form))
        return ", ".join(target.name for target in targets.values())

    def _heard(self, before_seq: int, began_ms: int) -> Minutes:
        """Give what the run just over has added to the journal, also where somebody has parted it by hand."""
        with stored(self._settings) as records:
            new = list(records.between(before_seq + 1, records.last_seq))
        # What is older was left by an earlier run, and is another meeting's.
        return self._one(record for record in new if record.meeting_started_at_ms >= began_ms) or Minutes(
            "", self._settings.room, None, began_ms, ()
        )

    def _remembered(self, note: Note) -> Minutes | None:
        """Give a meeting that was heard before, if the journal still has all of it."""
        if not note.meeting_id:
            return Minutes("", self._settings.room, None, note.started_at_ms, ())
        found: list[Record] = []
        with suppress(OSError), stored(self._settings) as records:
            for page in records.backwards():
                found += [record for record in page if record.meeting_id == note.meeting_id]
                if page and all(record.meeting_started_at_ms < note.started_at_ms for record in page):
                    break
        minutes = self._one(found)
        return minutes if minutes and len(minutes.records) >= note.records else None

    @staticmethod
    def _one(records: Iterable[Record]) -> Minutes | None:
        return joined(meetings_of(records))

    def _last_seq(self) -> int:
        if not (self._settings.state_dir / "turns.db").exists():
            return 0
        with stored(self._settings) as records:
            return records.last_seq


def summary(jobs: Sequence[Job], results: Sequence[Result], log: Path) -> list[str]:
    """Say at the end how many are done, and of each that is not, why."""
    count = {state: sum(result.state == state for result in results) for state in ("done", "passed over")}
    text = f"{count['done']} of {len(jobs)} recordings done"
    if count["passed over"]:
        text += f", {count['passed over']} passed over as done before"
    if failed := sum(result.state == "failed" for result in results):
        text += f", {failed} failed"
    left = len(jobs) - len(results)
    bad = [(job, result) for job, result in zip(jobs, results, strict=False) if _is_bad(result)]
    lines = [f"{text}; {left} not reached" if left else text]
    lines += [f"  {job.recording}: {result.text}" for job, result in bad]
    if bad:
        lines.append(f"  (the log is {log})")
    return lines


def _is_bad(result: Result) -> bool:
    return result.state in ("failed", "stopped") or result.trouble


def _length_s(recording: Path, settings: Settings) -> float:
    """Give how long a recording is. Raises ConfigError where there is no sound to be had from it."""
    opened = Recording(recording, settings.capture.channel)
    opened.close()
    return opened.duration_s


def _closed(folder: Path) -> Path | None:
    """Give the folder that keeps this one from being made or written in, if there is one."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return None if there.is_dir() and os.access(there, os.W_OK | os.X_OK) else there


def _reason(job: Job, error: ConfigError) -> str:
    return str(error).removeprefix(f"{job.recording}: ").replace(f" {job.recording} ", " ")
