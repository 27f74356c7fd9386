"""A meeting of the journal as a text. `minuted export`."""

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from minuted.config import Settings
from minuted.messages import Record
from minuted.runtime import files, guard
from minuted.runtime.durations import duration
from minuted.usage.records import FORMATS

from . import formats, printing
from .meetings import Minutes, meetings_of
from .records import Records, opened

WITHOUT_PAGES_MAX: Final = 2
"""Pages without a record of the meeting, on the way back, after which it has begun."""
LATE_MS: Final = 86_400_000
"""How long after it was said a turn may come into the journal."""


@dataclass(frozen=True)
class Wish:
    """What is to be exported: a meeting, the last unless told which; by times alone, all between them."""

    meeting_id: str | None = None
    """Or how it begins."""
    from_ms: int | None = None
    """Epoch milliseconds."""
    to_ms: int | None = None
    is_last: bool = False


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """List the meetings, or write what is wished for to a file or the standard output. Raises OSError."""
    output: Path = arguments.output
    times = (arguments.from_time, arguments.to_time)
    from_ms, to_ms = (time and int(time.timestamp() * 1000) for time in times)
    if arguments.list:
        return show(settings, from_ms, to_ms)
    named = output.suffix.removeprefix(".")
    form = arguments.format or (named if named in FORMATS else "txt")
    wish = Wish(arguments.meeting, from_ms, to_ms, is_last=arguments.last)
    with opened(settings) as records:
        found = wanted(records, wish)
    if len(found) > 1 and form not in formats.JOINED:
        names = ", ".join(meeting.id for meeting in found)
        raise OSError(f"these are {len(found)} meetings ({names}): name one with --meeting")
    text = b"\n".join(formats.render(meeting, form) for meeting in found)
    if output == Path("-"):
        printing.give(text)
        printing.flush()
    else:
        write_whole(output, text)
        if output.is_file():
            printing.say(f"written: {output}")
    return 0


def show(settings: Settings, from_ms: int | None, to_ms: int | None) -> int:
    """List the meetings, a line each."""
    with opened(settings) as records:
        every = meetings_of(record for page in records.backwards(brief=True) for record in page)
    rows = [meeting for meeting in every if meeting.cut(from_ms, to_ms).records]
    if not rows:
        printing.say("no meetings")
        return 0
    width = max(len(meeting.id) for meeting in rows)
    for meeting in rows:
        length, turns = duration(meeting.length_ms / 1000), meeting.turns
        printing.say(
            f"{meeting.id:<{width}}  {meeting.started:%Y-%m-%d %H:%M}  {length:>12}  "
            f"{turns:>5} {'turn ' if turns == 1 else 'turns'}  {meeting.title or ''}".rstrip()
        )
    return 0


def wanted(records: Records, wish: Wish) -> list[Minutes]:
    """Give what is to be exported. Raises OSError where there is nothing."""
    from_ms, to_ms, name = wish.from_ms, wish.to_ms, wish.meeting_id
    by_time = from_ms is not None or to_ms is not None
    if by_time and name is None and not wish.is_last:
        found = meetings_of(_since(records, from_ms))
    else:
        found = meetings_of(_of_meeting(records, name))
        found = [meeting for meeting in found if meeting.id.startswith(name or "")]
        if name is None:
            found = found[-1:]
        if not found:
            raise OSError(
                f"there is {f'no meeting {name}' if name else 'no meeting yet'}: minuted export --list"
            )
        if len(found) > 1:
            raise OSError(f"{name} begins the names of {len(found)} meetings: give more of it")
    if not by_time:
        return found
    cut = [part for meeting in found if (part := meeting.cut(from_ms, to_ms)).records]
    if not cut:
        raise OSError("there is nothing between these times: minuted export --list")
    return cut


def _since(records: Records, from_ms: int | None) -> Iterator[Record]:
    for page in records.backwards():
        yield from page
        ended_ms = max((record.meeting_started_at_ms + record.end_ms for record in page), default=0)
        if page and from_ms is not None and ended_ms < from_ms - LATE_MS:
            return


def _of_meeting(records: Records, meeting_id: str | None) -> Iterator[Record]:
    """Give the journal's end, back to where a meeting (the latest, or the one so called) has begun."""
    latest, began_ms, without = meeting_id, 0, 0
    for page in records.backwards(meeting_id=meeting_id or ""):
        yield from page
        if meeting_id is None:
            named = [record for record in page if record.meeting_id]
            newest = max(named, key=lambda record: record.meeting_started_at_ms, default=None)
            if newest and newest.meeting_started_at_ms > began_ms:
                latest, began_ms, without = newest.meeting_id, newest.meeting_started_at_ms, 0
        is_there = latest is not None and any(record.meeting_id.startswith(latest) for record in page)
        began_ms = began_ms or int(is_there)
        without = 0 if is_there or not began_ms else without + 1
        if without == WITHOUT_PAGES_MAX:
            return


def write_whole(path: Path, data: bytes) -> None:
    """Have a file with all of this in it, or leave what was there. Raises OSError.

    What is no file, a pipe or a device, takes it as it comes and stays what it is. In somebody else's
    folder root writes as that user, whose the file is then.
    """
    try:
        with files.acting_for(path.parent):
            if os.geteuid() != 0 or not guard.foreign_owners(path):
                # A link of somebody else's is replaced, not followed.
                path = path.resolve()
            with files.acting_for(path.parent):
                if path.exists() and not path.is_file():
                    path.write_bytes(data)
                else:
                    # As the sinks' files: minutes are nobody else's business.
                    files.replace(path, data, 0o640, strict=False)
    except files.UnsafeFileError:
        raise
    except OSError as error:
        # Of the file that was asked for, not of the draft beside it.
        raise OSError(error.errno, error.strerror, str(path)) from None
