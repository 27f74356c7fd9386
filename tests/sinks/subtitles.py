"""Subtitle files read back."""

import json
from pathlib import Path
from typing import NamedTuple

import srt as srt_reader

from sinks.samples import load

srt = load("srt")

HOUR_MS = 3_600_000


class Shown(NamedTuple):
    start_ms: int
    end_ms: int
    text: str


def read(content: str) -> list[Shown]:
    """Read with a strict reader, which accepts nothing but whole blocks."""
    cues = list(srt_reader.parse(content))
    assert [cue.index for cue in cues] == list(range(1, len(cues) + 1))
    return [Shown(ms(cue.start), ms(cue.end), cue.content) for cue in cues]


def ms(delta) -> int:
    return round(delta.total_seconds() * 1000)


def content_of(folder: Path) -> str:
    (file,) = folder.glob("*.srt")
    return file.read_text(encoding="utf-8")


def write_all(sink, *records):
    for record in records:
        if record.type == "gap":
            sink.gap(record)
        elif record.type == "revision":
            sink.revise(record)
        else:
            sink.write(record)
        # As the runner does: what is left here comes back as it was stored.
        sink.checkpoint = json.loads(json.dumps(sink.checkpoint))
