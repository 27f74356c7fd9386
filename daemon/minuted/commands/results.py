"""Where the words of a run are, said to the person who has started it when it ends."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from minuted.addresses import shown_url
from minuted.config import STATE_NAME, Settings, SinkTable
from minuted.journal import cursor
from minuted.messages import Turn
from minuted.options import path_of

from . import printing
from .records import stored

FILES_SHOWN_MAX: Final = 3
RECORDS_COUNTED_MAX: Final = 50_000
"""Of a longer run the turns are not counted: nobody waits for that."""


@dataclass(frozen=True)
class Before:
    """How it was when the run began."""

    last_seq: int
    files: Mapping[Path, int]
    """The files in the folders that sinks write to, and when each was changed last, in nanoseconds."""


def look(settings: Settings) -> Before | None:
    """Return how it is before a run; None where nobody would read what became of it."""
    if not printing.is_seen():
        return None
    last_seq = 0
    if (settings.state_dir / "turns.db").exists():
        try:
            with stored(settings) as records:
                last_seq = records.last_seq
        except OSError:
            return None
    return Before(
        last_seq, {file: at_ns for table in _sinks(settings).values() for file, at_ns in _files(table)}
    )


def show(settings: Settings, before: Before | None, config: Path | None, own: Path | None = None) -> None:
    """Print where the words are that came since; `own` is a state_dir of its own."""
    if before is None:
        return
    with suppress(OSError):
        environment = f"{STATE_NAME}={own} " if own else ""
        for line in lines(settings, before, f" --config {config}" if config else "", environment):
            printing.tell(line)


def lines(settings: Settings, before: Before, config: str = "", environment: str = "") -> list[str]:
    """Return where the words are that came since. Raises OSError."""
    with stored(settings) as records:
        last_seq = records.last_seq
        if last_seq - before.last_seq > RECORDS_COUNTED_MAX:
            many, meetings = f"{last_seq - before.last_seq} records", {"", "more"}
        else:
            found = records.between(before.last_seq + 1, last_seq, brief=True)
            turns = [turn for turn in found if isinstance(turn, Turn) and turn.type == "turn"]
            many, meetings = (
                f"{len(turns)} {'turn' if len(turns) == 1 else 'turns'}",
                {turn.meeting_id for turn in turns},
            )
    if not meetings:
        return ["no words were heard"]
    places = {
        name: _place(table, before) + _left(settings, name, last_seq)
        for name, table in _sinks(settings).items()
    }
    shows = f"`{environment}minuted export{config}` shows the meeting"
    if len(meetings) > 1:
        shows = f"`{environment}minuted export --list{config}` shows the meetings"
    if not places:
        return [f"{many} in the journal; {shows}"]
    if len(places) == 1:
        (place,) = places.values()
        return [f"{many} in {place}; {shows}"]
    width = max(map(len, places))
    return [f"{many}:", *(f"  {name:<{width}}  {place}" for name, place in places.items()), shows]


def _sinks(settings: Settings) -> dict[str, SinkTable]:
    return {name: table for name, table in settings.sinks.items() if table.enabled}


def _place(table: SinkTable, before: Before) -> str:
    """Return the file, the folder's new files or the address that a sink writes to."""
    changed = [file for file, at_ns in _files(table) if before.files.get(file) != at_ns]
    if 0 < len(changed) <= FILES_SHOWN_MAX:
        return ", ".join(map(str, sorted(changed)))
    for value in table.options.values():
        if isinstance(value, str) and value.startswith(("http://", "https://")):
            return shown_url(value)
    for path in _paths(table):
        return f"{len(changed)} files in {path}" if changed else str(path)
    return "a place of its own"


def _paths(table: SinkTable) -> Iterator[Path]:
    """Return the files and folders that a sink's options name."""
    for key, value in table.options.items():
        if isinstance(value, str) and (key in ("path", "directory") or value.startswith(("/", "~"))):
            with suppress(ValueError, RuntimeError):
                yield path_of(value, table.folder)


def _files(table: SinkTable) -> Iterator[tuple[Path, int]]:
    """Return the files in a sink's folders, and when each was changed."""
    for path in _paths(table):
        with suppress(OSError), os.scandir(path) as entries:
            yield from ((Path(entry.path), entry.stat().st_mtime_ns) for entry in entries if _is_whole(entry))


def _is_whole(entry: "os.DirEntry[str]") -> bool:
    return entry.is_file() and not entry.name.startswith(".")


def _left(settings: Settings, name: str, last_seq: int) -> str:
    """Return how much a sink lacks of the journal."""
    place = cursor.read_place(cursor.path_of(settings.state_dir, name))
    left = last_seq - place[1] if place else 0
    return f" ({left} still to be delivered, at the next start)" if left > 0 else ""
