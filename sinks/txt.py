"""Write the minutes while people speak: one plain text file a meeting, a line a turn, in time order."""

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from minuted import Gap, Meeting, MeetingFiles, Passage, Turn, directions

_BLANKS: Final = re.compile(r"[\t-\r\x1c-\x20\x85\u2028\u2029]+")
"""Blanks that part words: no-break blanks do not, and the ideographic one is a sign of its own."""
_MARKS: Final = re.compile(r"[\\`*_\[\]<>#~|$]")
_ENTITY: Final = re.compile(r"&(?=#?\w+;)")


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
        names = ": ".join(self._shown(plain(name)) for name in (room, title) if name)
        return f"{'# ' if self.format == 'md' else ''}{names}, {began:%A %d %B %Y, %H:%M}\n\n"

    def passage(self, record: Turn | Gap) -> Passage:
        if isinstance(record, Gap):
            name, label, text = f"gap-{record.seq}", None, plain(self.note_of(record))
        else:
            name, label = record.id, directions.isolated(plain(self.speaker_of(record)))
            text = directions.isolated(plain(record.text), record.language)
        return Passage(name, record.seq or 0, max(0, record.start_ms), label, [text] if text else [])

    def compose(self, passages: Sequence[Passage], meeting: Meeting) -> tuple[bytes, Meeting, bytes | None]:
        text = "".join(self._line(passage) for passage in passages)
        return text.encode(), meeting, b""

    def _shown(self, name: str) -> str:
        return escaped(directions.isolated(name)) if self.format == "md" else directions.isolated(name)

    def _line(self, passage: Passage) -> str:
        said, label = passage.cues[0], passage.label
        if self.format == "md":
            who = f" **{escaped(label)}:**" if label else ""
            return f"`{clock(passage.start_ms)}`{who} {escaped(said)}\n\n"
        who = f" {label}:" if label else ""
        return f"{clock(passage.start_ms)} {who} {said}\n"


def plain(text: str) -> str:
    """Return a text as one line, without what a terminal would obey or what turns round its neighbours."""
    visible = (
        letter for letter in text if letter.isspace() or unicodedata.category(letter) not in ("Cc", "Cs")
    )
    return _BLANKS.sub(" ", directions.without_controls("".join(visible))).strip()


def escaped(text: str) -> str:
    """Keep Markdown from taking spoken words for marks: CommonMark's, tables', strikes' and formulas'."""
    return _ENTITY.sub(r"\\&", _MARKS.sub(r"\\\g<0>", text))


def clock(at_ms: int) -> str:
    seconds = at_ms // 1000
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
