"""Write the minutes while people speak: one plain text file a meeting, a line a turn, in time order."""

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from minuted import Gap, Meeting, MeetingFiles, Passage, Turn


class Txt(MeetingFiles):
    directory: Path
    """Where the files go, one a meeting: <room>-<year>-<month>-<day>T<hour><minute>[-<title>].txt."""
    format: Literal["txt", "md"] = "txt"
    """"md" writes the same as Markdown."""

    @property
    def suffix(self) -> str:
        return f".{self.format}"

    def heading(self, room: str, started_at_ms: int, title: str | None) -> str:
        began = datetime.fromtimestamp(started_at_ms / 1000).astimezone()
        text = plain(": ".join(filter(None, (room, title)))) + f", {began:%A %d %B %Y, %H:%M}"
        return f"{'# ' if self.format == 'md' else ''}{text}\n\n"

    def passage(self, record: Turn | Gap) -> Passage:
        if isinstance(record, Gap):
            name, label, text = f"gap-{record.seq}", None, plain(self.note_of(record))
        else:
            name, label, text = record.id, plain(self.speaker_of(record)), plain(record.text)
        return Passage(name, record.seq or 0, max(0, record.start_ms), label, [text] if text else [])

    def compose(self, passages: Sequence[Passage], meeting: Meeting) -> tuple[bytes, Meeting, bytes | None]:
        text = "".join(self._line(passage) for passage in passages)
        return text.encode(), meeting, b""

    def _line(self, passage: Passage) -> str:
        said, label = passage.cues[0], passage.label
        if self.format == "md":
            who = f" **{escaped(label)}:**" if label else ""
            return f"`{clock(passage.start_ms)}`{who} {escaped(said)}\n\n"
        who = f" {label}:" if label else ""
        return f"{clock(passage.start_ms)} {who} {said}\n"


def plain(text: str) -> str:
    """Give a text as one line, without what a terminal would obey."""
    visible = (
        letter for letter in text if letter.isspace() or unicodedata.category(letter) not in ("Cc", "Cs")
    )
    return " ".join("".join(visible).split())


def escaped(text: str) -> str:
    """Keep Markdown from taking spoken words for its marks."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>#" else letter for letter in text)


def clock(at_ms: int) -> str:
    seconds = at_ms // 1000
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
