"""A meeting as a text: by the very sinks that write such files live, and as JSON."""

from pathlib import Path
from typing import Any, Final

from minuted import MeetingFiles, config
from minuted.delivery import discovery
from minuted.messages import Gap
from minuted.runtime.texts import json_line

from .meetings import Minutes

SINKS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    # The sink that writes a format, and its options.
    "srt": ("srt", {}),
    "vtt": ("srt", {"format": "vtt"}),
    "txt": ("txt", {}),
    "md": ("txt", {"format": "md"}),
}
REMARK_MS: Final = 3000
"""How long a remark in the end is shown."""
JOINED: Final = ("txt", "md")
"""Formats of which several documents can follow each other in one file."""


def render(meeting: Minutes, form: str) -> bytes:
    """Give a meeting's whole file in `form`: one of SINKS, or "json"."""
    if form == "json":
        return _json(meeting)
    name, options = SINKS[form]
    records = [*meeting.records, *_remarks(meeting, is_read=name == "txt")]
    cls = discovery.load(discovery.find_all([config.BUNDLED_SINKS])[name])
    assert issubclass(cls, MeetingFiles)
    sink = cls(directory=Path(), **options)
    return sink.document(records, meeting.room, meeting.started_at_ms, meeting.title)


def _remarks(meeting: Minutes, *, is_read: bool) -> list[Gap]:
    """Return what is to be said at the end of a recording's text; `is_read`: it is no subtitles."""
    at_ms = meeting.length_ms
    reasons = ["no-words"] if is_read and meeting.is_recording and not meeting.turns else []
    reasons += ["cut-off"] if meeting.broke_off else []
    return [
        Gap(
            room=meeting.room,
            meeting_id=meeting.id,
            meeting_started_at_ms=meeting.started_at_ms,
            start_ms=at_ms,
            end_ms=at_ms + REMARK_MS,
            reason=reason,
        )
        for reason in reasons
    ]


def _json(meeting: Minutes) -> bytes:
    """Give one object, with a line for each record."""
    about = {
        "meeting_id": meeting.id,
        "room": meeting.room,
        "title": meeting.title,
        "meeting_started_at_ms": meeting.started_at_ms,
    }
    if meeting.broke_off:
        about["broke_off"] = meeting.broke_off
    head = json_line(about).removesuffix("}")
    lines = ",\n".join(json_line(record.to_map()) for record in meeting.records)
    return f'{head}, "records": [\n{lines}\n]}}\n'.encode()
