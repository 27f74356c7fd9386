"""What a person sees of long work: how far, how fast, how long yet."""

import io

import pytest

from minuted.commands import progress
from minuted.commands.progress import Display, Position, heard_s
from screen import Screen as SeenScreen


def test_a_position_says_how_long_it_will_take() -> None:
    assert str(Position(150, 600, 25)) == "02:30 of 10:00, 6.0x, 01:15 left"
    assert str(Position(1, 600, 5)) == "00:01 of 10:00"
    assert Position(600, 600, 60).left_s == 0


@pytest.mark.parametrize(
    ("capture", "transcription", "heard"),
    [
        (None, None, 0),
        ({"position_s": 40}, None, 0),
        ({"position_s": 40}, {"held_s": 15.0}, 25),
        # Capture has ended, and the rest is worked off.
        (None, {"held_s": 15.0}, 85),
        # Longer than its header said.
        ({"position_s": 120}, {"held_s": 0.0}, 120),
    ],
)
def test_what_is_heard_is_what_is_played_and_not_held_back(capture, transcription, heard) -> None:
    """A recording is read ahead of the words; the bar is about the words."""
    told = {"capture": capture, "transcription": transcription}
    assert heard_s({name: values for name, values in told.items() if values}, 100.0) == heard


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch) -> None:
    """A log of a night's work is to be read in the morning."""
    monkeypatch.setattr(progress, "TELL_EVERY_S", 0.0)
    screen = io.StringIO()
    display = Display(screen, 2)
    display.begin(1, "talk\x1b.wav", 600)
    display.show(Position(150, 600, 25))
    display.tell(1, "talk.wav", "done")
    display.close()
    assert screen.getvalue().splitlines() == [
        "[1/2] talk .wav: 10:00 of sound",
        "[1/2] talk .wav: 02:30 of 10:00, 6.0x, 01:15 left",
        "[1/2] talk.wav: done",
    ]


def test_lines_do_not_come_all_the_time() -> None:
    screen = io.StringIO()
    display = Display(screen, 1)
    display.begin(1, "talk.wav", 600)
    for _ in range(100):
        display.show(Position(150, 600, 25))
    assert len(screen.getvalue().splitlines()) == 1


class Terminal(io.StringIO):
    """A screen that says it is one."""

    def isatty(self) -> bool:
        return True


def test_in_a_terminal_a_bar_changes_in_place_and_is_gone_in_the_end(monkeypatch) -> None:
    """What stays is what became of each recording."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "90")
    screen = Terminal()
    display = Display(screen, 1)
    display.begin(1, "talk.wav", 600)
    display.show(Position(150, 600, 25))
    display.tell(1, "talk.wav", "done")
    display.close()
    assert "02:30 of 10:00, 6.0x, 01:15 left" in screen.getvalue()
    seen = SeenScreen(90, 20)
    seen.feed(screen.getvalue().replace("\n", "\r\n").replace("\x1b[2K", "\x1b[K"))
    assert seen.lines() == ["[1/1] talk.wav: done"]
