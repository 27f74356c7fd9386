"""Minutes that a person reads: a line a turn, in the order in which people spoke, true after revisions."""

from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from sinks.samples import gap, opened, turn
from sinks.subtitles import write_all

HOSTILE_MARKS = [
    "<b>bold</b>",
    "<!-- gone -->",
    "[x](javascript:1)",
    "![x](y)",
    "# heading",
    "*star* _under_ `code`",
    "~~struck~~",
    "a | b",
    "$x$",
    "&lt; &#60;",
    "C:\\temp",
    "[^1]",
]
SEEN = (
    "paragraph_open",
    "paragraph_close",
    "heading_open",
    "heading_close",
    "inline",
    "strong_open",
    "strong_close",
)


def shown(markdown: str) -> list[tuple[str, str]]:
    """Return what a reader of Markdown makes of a text: each block's kind, and its text with its marks."""
    reader = MarkdownIt("gfm-like", {"linkify": False})
    blocks = []
    for block in reader.parse(markdown):
        blocks += [(block.type, "")] if block.type not in SEEN else []
        for each in block.children or ():
            blocks += [(each.type, each.content)] if each.content or each.type not in SEEN else []
    return blocks


def content_of(folder: Path, suffix: str = "txt") -> str:
    (file,) = folder.glob(f"*.{suffix}")
    return file.read_text(encoding="utf-8")


def test_a_meeting_reads_as_minutes(tmp_path):
    """This is what a person sees."""
    write_all(
        opened("txt", directory=tmp_path),
        turn(1, "Good morning,\n everybody.", speaker="A"),
        turn(2, "Good morning.", speaker="B"),
        gap(3, start_ms=3_665_000, end_ms=3_755_000, reason="outage"),
        turn(4, "Where were we?", start_ms=3_760_000),
    )
    assert [file.name for file in tmp_path.glob("*.txt")] == ["boardroom-2026-11-22T0930.txt"]
    assert content_of(tmp_path) == (
        "boardroom, Sunday 22 November 2026, 09:30\n\n"
        "00:00:10  A: Good morning, everybody.\n"
        "00:00:20  B: Good morning.\n"
        "01:01:05  [not transcribed 1.5 min]\n"
        "01:02:40  Where were we?\n"
    )


def test_a_late_turn_and_a_revision_stand_where_they_were_said(tmp_path):
    """The vendor names speakers anew when it has heard more; a line at the end would put words twice."""
    sink = opened("txt", directory=tmp_path)
    write_all(
        sink,
        turn(1, "one", speaker="A"),
        turn(3, "three", speaker="A"),
        turn(2, "two", start_ms=20_000, backfilled=True),
        turn(4, "three", id="session-3", start_ms=30_000, speaker="B", type="revision", revision=1),
        turn(5, "five"),
    )
    assert content_of(tmp_path).splitlines()[2:] == [
        "00:00:10  A: one",
        "00:00:20  two",
        "00:00:30  B: three",
        "00:00:50  five",
    ]


def test_a_kill_leaves_every_line_once(tmp_path):
    """It may come after the line was written and before that was noted: then the turn is offered again."""
    sink = opened("txt", directory=tmp_path)
    write_all(sink, turn(1, "one"))
    committed = sink.checkpoint
    write_all(sink, turn(2, "two"))
    again = opened("txt", committed, directory=tmp_path)
    write_all(again, turn(2, "two"))
    assert content_of(tmp_path).splitlines()[2:] == ["00:00:10  one", "00:00:20  two"]


def test_markdown_shows_spoken_marks_as_they_are(tmp_path):
    """A star that was said is no emphasis."""
    sink = opened("txt", directory=tmp_path, format="md")
    write_all(sink, turn(1, "two * three [is] #6", speaker="A_B"))
    assert content_of(tmp_path, "md") == (
        "# boardroom, Sunday 22 November 2026, 09:30\n\n`00:00:10` **A\\_B:** two \\* three \\[is\\] \\#6\n\n"
    )


def test_what_a_terminal_would_obey_is_left_out(tmp_path):
    """The file may be shown with cat."""
    write_all(opened("txt", directory=tmp_path), turn(1, "red \x1b[31malert\x00", room="a\x1bb"))
    assert "\x1b" not in content_of(tmp_path)
    assert "\x00" not in content_of(tmp_path)


@pytest.mark.parametrize("mark", HOSTILE_MARKS)
def test_a_browser_shows_what_was_said_and_no_markup(tmp_path, mark):
    """Read by a reader of Markdown that is not ours: one paragraph of plain text, whatever is said."""
    sink = opened("txt", directory=tmp_path, format="md")
    write_all(sink, turn(1, f"so {mark} there", speaker="A", room=mark, meeting_title=mark))
    assert merged(shown(content_of(tmp_path, "md"))) == [
        ("text", f"{mark}: {mark}, Sunday 22 November 2026, 09:30"),
        ("code_inline", "00:00:10"),
        ("text", f" A: so {mark} there"),
    ]


def merged(blocks: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the texts that follow each other as one; an escaped sign is a text of its own."""
    found: list[tuple[str, str]] = []
    for kind, text in blocks:
        plain = "text" if kind == "text_special" else kind
        if found and plain == "text" == found[-1][0]:
            found[-1] = ("text", found[-1][1] + text)
        else:
            found.append((plain, text))
    return [(kind, text) for kind, text in found if text]
