"""Captions in a real terminal, whose screen is read back."""

import os
import re
import subprocess
import sys
import time

import pytest

from commands.watch.said import TALK, WAIT_S, session, turn
from hostile_texts import HOSTILE, MARKER, controls
from minuted.bus import TurnsOut
from minuted.commands.watch import final_line, wrap
from minuted.config import Settings
from minuted.control import ControlServer
from minuted.messages import Word
from screen import Screen


@pytest.mark.parametrize("columns", [40, 80])
def test_long_partials_leave_nothing_behind(watch, columns):
    """The one thing a caption must not do is to leave half a sentence standing."""
    captions = watch(columns, 16)
    words = TALK.split()
    expected = []
    for order in range(4):
        for count in range(1, len(words) + 1):
            captions.publish(turn(" ".join(words[:count]), order=order, start_ms=order * 1000))
        captions.wait_for_line("light")
        final = turn(f"{TALK}, end {order}.", order=order, final=True, start_ms=order * 1000)
        captions.publish(final)
        captions.wait_for_line(f"end {order}.")
        expected += [row.plain.rstrip() for row in wrap(final_line(final), columns)]
    assert captions.end() == 0
    heading, *lines = captions.screen.lines()
    assert heading.startswith("attic, ")
    assert [line for line in lines if not line.startswith(" " * 30)] == expected


def test_a_partial_longer_than_the_screen_shows_its_end(watch):
    captions = watch(40, 5)
    captions.publish(turn(f"{TALK} and {TALK} now"))
    captions.wait_for_line("light now")
    assert captions.screen.scrolled == []
    captions.publish(turn("Short.", final=True))
    captions.wait_for_line("✓ 00:00  Short.")
    captions.end()
    assert captions.screen.lines()[1:] == ["✓ 00:00  Short."]


def test_a_window_made_narrower_shows_the_same_words(watch):
    captions = watch(80, 24)
    captions.publish(turn(f"{TALK}.", final=True), turn(TALK, order=1))
    captions.wait_for_line("light")
    captions.screen = Screen(40, 24)
    captions.resize(40, 24)
    captions.wait_for_line("✓ 00:00")
    captions.publish(turn("Done.", order=1, final=True))
    captions.wait_for_line("✓ 00:00  Done.")
    captions.end()
    rows = [row.plain.rstrip() for row in wrap(final_line(turn(f"{TALK}.", final=True)), 40)]
    assert captions.screen.lines()[-len(rows) - 1 :] == [*rows, "✓ 00:00  Done."]


def test_no_text_from_outside_drives_it(watch):
    """What a service says, and what somebody calls a speaker, a meeting or a room."""
    captions = watch(200, 24)
    said = {"room": HOSTILE, "speaker": HOSTILE, "channel": HOSTILE, "meeting_title": HOSTILE}
    captions.publish(session("warning", reason=HOSTILE), session("started", model=HOSTILE))
    captions.publish(turn(HOSTILE, final=True, **said), turn(HOSTILE, order=1, **said))
    captions.publish(session("retrying", reason=f"{HOSTILE} the end"))
    captions.wait_for_line("the end")
    assert captions.end() == 0
    own = re.sub(r"\x1b\[(?:[0-9;]*m|K|J|\d+A)", "", captions.written)
    assert controls(own, allowed="\r\n") == []
    assert own.count(MARKER) > 5


def test_it_waits_for_minuted_and_finds_it_again(watch, runtime_dir):
    """A room's daemon is restarted now and then; its captions go on."""
    captions = watch()
    captions.wait_for_line("waiting for minuted")
    captions.publish(turn("One.", final=True))
    captions.wait_for_line("One.")
    captions.turns.close()
    captions.wait_for_line("waiting for minuted")
    captions.turns = TurnsOut(Settings(runtime_dir=runtime_dir).turns_endpoint)
    captions.wait_for(captions.turns.new_subscriptions)
    captions.publish(turn("Two.", order=1, final=True))
    captions.wait_for_line("Two.")
    assert captions.end() == 0
    assert captions.screen.lines()[1:] == ["✓ 00:00  One.", "✓ 00:00  Two."]


def test_it_leaves_at_the_recording_s_end(watch):
    captions = watch(80, 24, "--until-end")
    captions.publish(turn("One.", final=True), session("drained"))
    assert captions.finish() == 0
    assert captions.screen.lines()[1:] == ["✓ 00:00  One."]


def test_without_a_terminal_there_are_finals_alone_a_line_each(runtime_dir):
    """What is piped is to be read by a program or kept."""
    (runtime_dir / "minuted.toml").write_text(f'runtime_dir = "{runtime_dir}"\n')
    with (
        TurnsOut(Settings(runtime_dir=runtime_dir).turns_endpoint) as turns,
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "minuted",
                "--config",
                runtime_dir / "minuted.toml",
                "watch",
                "--until-end",
            ],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "FORCE_COLOR": "1"},
        ) as process,
    ):
        give_up_s = time.monotonic() + WAIT_S
        while not turns.new_subscriptions():
            assert time.monotonic() < give_up_s
        words = (Word(text="One.", start_ms=0, end_ms=1),)
        turns.publish(turn("on"))
        turns.publish(turn("One.", final=True, words=words, speaker="A"))
        assert process.stdout.readline() == "✓ 00:00  A: One.\n"  # before anything else comes: it is flushed
        turns.publish(session("drained"))
        assert process.wait(WAIT_S) == 0
        assert process.stdout.read() == ""


def test_a_silent_microphone_is_shown_as_long_as_it_is(watch, runtime_dir):
    """Nobody looks at a status in the middle of a meeting; captions are looked at."""
    state = {"state": "silent"}
    server = ControlServer(
        Settings(runtime_dir=runtime_dir).control_endpoint("capture"), {"status": lambda _: state}
    )
    try:
        captions = watch()
        captions.publish(session("started", model="m"))
        captions.wait_for_line("! the microphone is silent: is it muted?")
        captions.wait_for_line("listening")
        state["state"] = "hearing"
        captions.wait_for(lambda: not any("silent" in line for line in captions.screen.lines()))
        assert captions.end() == 0
    finally:
        server.close()
