"""Many recordings: one run of everything after the other, and their texts written beside them."""

import argparse
import errno
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal

from minuted import claims
from minuted.capture.playing import started_at_ms
from minuted.capture.recording import Recording
from minuted.config import STATE_NAME, ConfigError, InputError, Settings
from minuted.messages import Record
from minuted.runtime import files, logs, rights
from minuted.runtime.clock import wall_ms
from minuted.runtime.texts import title_of
from minuted.supervision import supervisor
from minuted.usage.records import WRITTEN

from . import check, own_folders, printing, terminal
from . import results as run_results
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


NO_WORDS: Final = "no words were heard"


def run(arguments: argparse.Namespace, read: Read) -> int:
    """Take every recording; 1 when one of them failed or was not reached. Raises ConfigError."""
    inputs, wishes = arguments.input or [], Wishes(arguments.write, arguments.output_dir, arguments.overwrite)
    if not inputs:
        printing.complain(
            "minuted: --write, --output-dir and --overwrite are for recordings: name them with --input"
        )
        return 2
    settings, _ = read(None)
    try:
        jobs = jobs_of(inputs, wishes.output_dir)
    except ValueError as error:
        raise InputError(str(error)) from None
    if not jobs:
        raise InputError(f"there is no recording in {' or '.join(map(str, inputs))}")
    if arguments.watch and len(jobs) > 1:
        printing.complain("minuted: captions are for one recording at a time: leave --watch out")
        return 2
    if not any(map(_is_there, inputs)):
        raise InputError(f"the recording {inputs[0]} does not exist")
    with own_folders.beside_others(settings) as own:
        if own:
            settings, _ = read(None)
            printing.complain(beside(own))
        check.make_folders(settings)
        log = settings.state_dir / "minuted.log"
        with terminal.log_to(log) as screen:
            logs.set_up("supervisor", settings.room)
            with closing(Display(screen, len(jobs), is_quiet=arguments.watch)) as display:
                captions = partial(terminal.watching, arguments.config) if arguments.watch else nullcontext
                results = Batch(read, settings, wishes, display, captions).take(jobs)
                for line in summary(jobs, results, log):
                    display.note(line)
    return 0 if len(results) == len(jobs) and not any(map(_is_bad, results)) else 1


def play(arguments: argparse.Namespace, read: Read) -> int:
    """Take a single recording, of which nothing is written but what the sinks do. Raises ConfigError."""
    recording = Path(arguments.input[0])
    settings, _ = read(recording)
    # Before anything is started for it.
    _length(recording, settings)
    with own_folders.beside_others(settings) as own:
        settings, text = read(recording)
        if own:
            printing.complain(beside(own))
        claims.refuse_foreign("state_dir", settings.state_dir)
        check.prepare(settings)
        log = settings.state_dir / "minuted.log" if arguments.watch else None
        before, before_seq = run_results.look(settings), _last_seq(settings)
        with terminal.captions(log, arguments.config) if log else nullcontext():
            logs.set_up("supervisor", settings.room)
            outcome = supervisor.supervise(settings, text, lambda: read(recording))
        run_results.show(settings, before, arguments.config, own)
        if outcome.status:
            more = f" (the log is {log})" if log else ""
            printing.complain(f"minuted: {outcome.reason}{more}")
        if before is None and outcome.whole and _last_seq(settings) == before_seq:
            printing.complain(f"minuted: {recording}: {NO_WORDS}")
        return outcome.status


def beside(own: Path) -> str:
    """Return where the words of a recording are that is not heard in the configured folders."""
    return (
        "minuted: another minuted runs in the configured folders, so this one keeps its own: the journal "
        f"and the sinks' files are in {own}; {STATE_NAME}={own} minuted export --list shows them"
    )


class Batch:
    """Recordings taken one after the other."""

    def __init__(
        self,
        read: Read,
        settings: Settings,
        wishes: Wishes,
        display: Display,
        captions: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._read = read
        self._settings = settings
        self._wishes = wishes
        self._forms = wishes.forms or WRITTEN
        self._display = display
        self._captions = captions
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
                result = Result("failed", rights.sentence(error))
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
            length = _length(job.recording, self._settings)
        except ConfigError as error:
            return Result("failed", _reason(job, error))
        # What is heard is what is there now: it may grow, be replaced or go before it is over.
        state, note = state_of(job.recording), self._notes.of(job.recording)
        if not overwrite:
            if others := in_the_way(job, forms, note):
                names = ", ".join(path.name for path in others)
                return Result("failed", f"{names} is there already; --overwrite writes it anew")
            if note and not lacking(job, forms):
                but = f"; but {note.broke_off}" if note.broke_off else ""
                return Result("passed over", f"done before{but}", trouble=bool(but))
            if note and (minutes := self._remembered(note)):
                minutes = replace(minutes, broke_off=note.broke_off)
                but = f"; but {note.broke_off}" if note.broke_off else ""
                written = self._write(job, minutes, state, note)
                return Result("done", f"{written}, from the journal{but}", trouble=bool(but))
        # Before hours of it are heard in vain.
        if problem := _closed(job, forms):
            return Result("failed", problem)
        return self._hear(number, job, length, partial(self._write, state=state, note=note))

    def _hear(
        self, number: int, job: Job, length: tuple[float, bool], write: Callable[[Job, Minutes], str]
    ) -> Result:
        settings, text = self._read(job.recording)
        check.prepare(settings)
        before_seq = _last_seq(self._settings)
        began_s, began_ms = time.monotonic(), wall_ms()
        (length_s, is_guess), name = length, job.recording.name
        self._display.begin(number, name, length_s, is_guess=is_guess)
        with (
            closing(Looking(settings, length_s, self._display.show, is_guess=is_guess)) as looking,
            self._captions(),
        ):
            outcome = supervisor.supervise(settings, text, lambda: self._read(job.recording))
        if not outcome.whole:
            if outcome.asked:
                return Result("stopped", "stopped before its end; taken again next time", asked=True)
            return Result("failed", outcome.reason or "not heard to its end")
        passed_s = time.monotonic() - began_s
        # The clock may have been set in between: its meeting bears the time that capture has noted.
        began_ms = min(began_ms, started_at_ms(settings.state_dir) or began_ms)
        broke_off = _reason(job, outcome.broke_off)
        minutes = replace(self._heard(job, before_seq, began_ms), broke_off=broke_off)
        written = write(job, minutes)
        heard_s = looking.heard_s if is_guess or broke_off else length_s
        pace = f"{clock(int(heard_s * 1000))} in {clock(int(passed_s * 1000))}, {heard_s / passed_s:.1f}x"
        words = "" if minutes.turns else f"{NO_WORDS}; "
        trouble = f"; but {_reason(job, outcome.reason)}" if outcome.status else ""
        return Result(
            "done", f"{pace}: {words}{written}{trouble}", trouble=bool(trouble), asked=outcome.asked
        )

    def _write(self, job: Job, minutes: Minutes, state: tuple[int, int], note: Note | None) -> str:
        """Write what is wished for, each file whole or not at all; name the files. Raises OSError."""
        targets = {form: job.target(form) for form in self._forms}
        known = {*(note.written if note else ()), *map(str, targets.values())}
        records, about = len(minutes.records), (minutes.id, minutes.started_at_ms)
        new = Note(*state, *about, records, tuple(sorted(known)), minutes.broke_off)
        minutes = replace(minutes, is_recording=True, title=minutes.title or title_of(job.recording.name))
        # Before the first of them: what is then still lacking is written from the journal the next time.
        notes = self._notes.keep(job.recording, new)
        write_whole(self._settings.state_dir / NOTES, json.dumps(notes).encode())
        job.base.parent.mkdir(parents=True, exist_ok=True)
        for form, target in targets.items():
            write_whole(target, render(minutes, form))
        return ", ".join(target.name for target in targets.values())

    def _heard(self, job: Job, before_seq: int, began_ms: int) -> Minutes:
        """Give what the run just over has added to the journal, also where somebody has parted it by hand."""
        with stored(self._settings) as records:
            new = list(records.between(before_seq + 1, records.last_seq))
        # What is older was left by an earlier run, and is another meeting's.
        own = self._one(record for record in new if record.meeting_started_at_ms >= began_ms)
        return own or Minutes("", self._settings.room, title_of(job.recording.name), began_ms, ())

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


def _last_seq(settings: Settings) -> int:
    if not (settings.state_dir / "turns.db").exists():
        return 0
    with stored(settings) as records:
        return records.last_seq


def _length(recording: Path, settings: Settings) -> tuple[float, bool]:
    """Return how long a recording seems, and whether that is a guess.

    Raises InputError where there is no sound to be had from it.
    """
    opened = Recording(recording, settings.capture.channel)
    opened.close()
    return opened.duration_s, opened.is_guess


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True  # what is wrong with it is told with it


def _closed(job: Job, forms: Sequence[str]) -> str:
    """Return why texts cannot be written, "" where they can: a file is written there, and removed."""
    folder = job.base.parent
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if taken := next((path for form in forms if (path := job.target(form)).is_dir()), None):
        return f"{taken} is a folder, and no text can be written in its place"
    try:
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        files.try_out(there)
    except OSError as error:
        return f"nothing can be written in {there}: {error.strerror or error}"
    return ""


def _reason(job: Job, error: ConfigError | str) -> str:
    return str(error).removeprefix(f"{job.recording}: ").replace(f" {job.recording} ", " ")
