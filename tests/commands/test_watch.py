"""Live captions: what they say, and that a terminal shows just that."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

import pytest
from rich.console import Console

from minuted.bus import TurnsOut
from minuted.commands.watch import Captions, clean, clock, final_line, paint, plain, wrap
from minuted.config import Settings
from minuted.messages import Gap, Heartbeat, Session, Turn, Word
from screen import Screen

WAIT_S = 30
TALK = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of "
    "foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of light"
)


def turn(text, *, order=0, final=False, start_ms=0, **more):
    fields = {
        "id": f"turn-{order}",
        "room": "attic",
        "meeting_id": "m1",
        "meeting_started_at_ms": 1_700_000_000_000,
        "session_id": "s1",
        "turn_order": order,
        "start_ms": start_ms,
        "end_ms": start_ms + 1000,
        "seq": order + 1 if final else None,
    }
    return Turn(text=text, final=final, **{**fields, **more})


def session(event, **more):
    return Session(event=event, room="attic", at_ms=0, **more)


HEARTBEAT = Heartbeat(epoch="e", last_seq=0)


class TestCaptions:
    def captions(self):
        return Captions("waiting for minuted", 0.0)

    def live(self, captions, now_s=0.0):
        return [line.plain for line in captions.live(now_s)]

    def test_until_anything_comes_they_say_what_they_wait_for(self):
        assert self.live(self.captions()) == ["waiting for minuted"]

    def test_a_partial_is_shown_until_its_final_comes(self):
        captions = self.captions()
        captions.hear(turn("it was"), 0)
        assert self.live(captions) == ["  00:00  it was"]
        captions.hear(turn("it was the best"), 0)
        assert self.live(captions) == ["  00:00  it was the best"]
        (line,) = captions.hear(turn("It was the best.", final=True), 0)
        assert line.plain == "✓ 00:00  It was the best."
        assert self.live(captions) == ["listening"]

    def test_a_partial_of_the_next_turn_survives_the_final_of_the_last(self):
        """Formatting takes a moment, and by then the next turn may have begun."""
        captions = self.captions()
        captions.hear(turn("and then", order=2), 0)
        captions.hear(turn("Before.", order=1, final=True), 0)
        assert self.live(captions) == ["  00:00  and then"]

    def test_two_sessions_have_a_partial_each(self):
        captions = self.captions()
        captions.hear(turn("earlier", session_id="backfill"), 0)
        captions.hear(turn("now"), 0)
        assert self.live(captions) == ["  00:00  earlier", "  00:00  now"]

    def test_a_meeting_begins_with_a_line_of_its_own(self):
        captions = self.captions()
        (heading,) = captions.hear(turn("it"), 0)
        assert heading.plain.startswith("attic, ")
        assert "2023" in heading.plain
        assert captions.hear(turn("it was"), 0) == []
        assert len(captions.hear(turn("next", meeting_id="m2"), 0)) == 1

    def test_what_people_change_is_told_and_leaves_the_rest(self):
        captions = self.captions()
        captions.hear(session("paused"), 0.0)
        for event, reason, shown in (
            ("configured", "max_turn_silence", "configured: max_turn_silence"),
            ("meeting-started", "Budget", "meeting started: Budget"),
            ("meeting-ended", "", "meeting ended"),
        ):
            assert [line.plain for line in captions.hear(session(event, reason=reason), 0.0)] == [shown]
        assert self.live(captions) == ["paused: nothing is heard"]
        opening, _ = captions.hear(turn("Hello.", final=True, meeting_title="Budget"), 0.0)
        assert opening.plain.endswith(": Budget")

    def test_trouble_is_shown_and_takes_the_partial_away(self):
        """Its words are spoken of again in the next session."""
        captions = self.captions()
        captions.hear(turn("it was"), 0)
        captions.hear(session("retrying", reason="connection refused", retry_in_s=2.0), 0)
        assert self.live(captions) == ["no connection, again in 2 s: connection refused"]
        (line,) = captions.hear(session("started", model="tiny"), 0)
        assert line.plain == "listening with tiny"
        assert self.live(captions) == ["listening"]

    def test_the_day_s_limit_is_said_as_long_as_it_holds(self):
        """Whoever looks at the captions wonders why there are none."""
        captions = self.captions()
        captions.hear(turn("it was"), 0)
        captions.hear(session("limit", reason="the daily limit of $5.00 is reached"), 0)
        assert self.live(captions) == ["the daily limit of $5.00 is reached"]
        captions.hear(session("started", model="tiny"), 0)
        assert self.live(captions) == ["listening"]

    def test_the_same_model_is_told_once(self):
        """Sessions come and go all day."""
        captions = self.captions()
        captions.hear(session("started", model="tiny"), 0)
        assert captions.hear(session("started", model="tiny"), 0) == []

    def test_a_minuted_that_falls_silent_is_waited_for(self):
        captions = self.captions()
        captions.hear(HEARTBEAT, 0)
        assert self.live(captions, 1) == ["listening"]
        assert self.live(captions, 4) == ["waiting for minuted"]
        captions.hear(HEARTBEAT, 5)
        assert self.live(captions, 5) == ["listening"]

    def test_a_session_closed_in_silence_is_no_trouble(self):
        captions = self.captions()
        captions.hear(session("ended", reason="idle"), 0)
        assert self.live(captions, 0) == ["listening, session closed (nobody speaks)"]
        captions.hear(session("started"), 5)
        assert self.live(captions, 5) == ["listening"]

    def test_they_are_over_when_the_recording_is_drained(self):
        captions = self.captions()
        captions.hear(session("ended"), 0)
        assert not captions.are_over
        captions.hear(session("drained"), 0)
        assert captions.are_over

    def test_a_revision_is_shown_where_it_says_something_new(self):
        captions = self.captions()
        captions.hear(turn("It was.", final=True), 0)
        speakers = turn("It was.", final=True, type="revision", revision=1, speaker="B")
        assert captions.hear(speakers, 0) == []
        (line,) = captions.hear(turn("It is.", final=True, type="revision", revision=2), 0)
        assert line.plain == "~ 00:00  It is. (revised)"

    def test_names_for_what_was_said_before_are_not_shown(self):
        """Somebody who watches from now on would see a whole meeting go by, or the heading of another."""
        captions = self.captions()
        captions.hear(turn("It was.", final=True), 0)
        named = {"final": True, "type": "revision", "revision": 1, "speaker": "chair"}
        for meeting_id in ("m1", "m2"):
            assert captions.hear(turn("Long ago.", id="s0:7", meeting_id=meeting_id, **named), 0) == []
        assert captions.hear(turn("Yes.", final=True, id="s1:8"), 0)[0].plain.startswith("✓")

    def test_what_is_remembered_is_bounded(self):
        captions = self.captions()
        for order in range(1000):
            captions.hear(turn("x", order=order, final=True), 0)
        assert len(captions._shown) == 300


class TestLines:
    def test_a_final_has_its_time_its_speaker_and_whether_it_came_late(self):
        line = final_line(turn("Hello.", final=True, start_ms=62_000, speaker="A", backfilled=True))
        assert line.plain == "✓ 01:02  A: Hello. (backfilled)"

    @pytest.mark.parametrize(
        ("at_ms", "text"),
        [
            (0, "00:00"),
            (59_999, "00:59"),
            (3_599_000, "59:59"),
            (3_600_000, "1:00:00"),
            (90_061_000, "25:01:01"),
        ],
    )
    def test_times_are_minutes_and_from_an_hour_on_hours(self, at_ms, text):
        assert clock(at_ms) == text

    def test_a_terminal_obeys_no_transcript(self):
        assert clean("a\x1b[2Jb\nc\x07") == "a [2Jb c"
        assert clean("\u202eevil\u200b") == "evil"

    def test_a_pipe_gets_finals_and_gaps_alone(self):
        gap = Gap(seq=2, room="attic", meeting_id="m1", start_ms=1000, end_ms=5000, reason="device-lost")
        assert plain(turn("Hello.", final=True)) == "✓ 00:00  Hello."
        assert plain(gap) == "- 00:01  no words until 00:05: device-lost"
        assert plain(turn("hel")) == plain(HEARTBEAT) == plain(session("started")) == ""

    @pytest.mark.parametrize("width", [20, 40, 80, 200])
    @pytest.mark.parametrize(
        "text",
        [TALK, "語" * 100, "x" * 300, "", "mi\u200ckhaham " * 20],
        ids=["english", "wide", "one word", "nothing", "joiners"],
    )
    def test_rows_fit_and_are_set_in_below_the_text(self, width, text):
        console = Console()
        rows = wrap(final_line(turn(text, final=True)), width, console)
        assert all(row.cell_len < width for row in rows)
        assert all(row.plain.startswith(" " * 9) for row in rows[1:])
        said = "".join(row.plain[9:] for row in rows).replace(" ", "")
        assert said == clean(text).replace(" ", "")

    @pytest.mark.parametrize("width", [1, 2, 5, 10, 17])
    def test_a_window_with_hardly_any_room_still_shows_something(self, width):
        rows = wrap(final_line(turn(TALK, final=True)), width, Console())
        assert all(row.cell_len <= max(1, width - 1) for row in rows)

    def test_painting_replaces_just_what_was_live(self):
        screen = Screen(20, 10)
        screen.feed("$ minuted watch\r\n")
        screen.feed(paint(0, [], ["one", "two", "three"]))
        screen.feed(paint(3, ["final"], ["live"]))
        assert screen.lines() == ["$ minuted watch", "final", "live"]
        screen.feed(paint(1, [], []))
        assert screen.lines() == ["$ minuted watch", "final"]


class Watching:
    """`minuted watch` in a terminal of its own, and the publisher it watches."""

    def __init__(self, folder, columns, rows, *options):
        (folder / "minuted.toml").write_text(f'runtime_dir = "{folder}"\n')
        self.screen = Screen(columns, rows)
        self.turns = TurnsOut(Settings(runtime_dir=folder).turns_endpoint)
        self.terminal, inner = pty.openpty()
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "minuted", "watch", "--config", folder / "minuted.toml", *options],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "", "LINES": ""},
        )
        os.close(inner)
        self.wait_for(self.turns.new_subscriptions)

    def resize(self, columns, rows):
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def publish(self, *messages):
        for message in messages:
            self.turns.publish(message)

    def read(self, timeout_s):
        if select.select([self.terminal], [], [], timeout_s)[0]:
            try:
                data = os.read(self.terminal, 65536)
            except OSError:  # the other end is closed
                return False
            self.screen.feed(data.decode(errors="replace"))
        return True

    def wait_for(self, condition):
        give_up_s = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < give_up_s, self.screen.lines()
            self.read(0.05)

    def wait_for_line(self, text):
        self.wait_for(lambda: any(text in line for line in self.screen.lines()))

    def end(self):
        self.process.terminate()
        return self.finish()

    def finish(self):
        while self.read(0.05) and self.process.poll() is None:
            pass
        while select.select([self.terminal], [], [], 0)[0] and self.read(0):
            pass
        assert self.screen.unknown == []
        return self.process.wait(WAIT_S)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.terminal)
        self.turns.close()


@pytest.fixture
def watch(runtime_dir):
    made = []

    def start(columns=80, rows=24, *options):
        made.append(Watching(runtime_dir, columns, rows, *options))
        return made[-1]

    yield start
    for one in made:
        one.close()


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
        expected += [row.plain.rstrip() for row in wrap(final_line(final), columns, Console())]
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
    rows = [row.plain.rstrip() for row in wrap(final_line(turn(f"{TALK}.", final=True)), 40, Console())]
    assert captions.screen.lines()[-len(rows) - 1 :] == [*rows, "✓ 00:00  Done."]


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


def test_a_channel_stands_before_its_speaker():
    """Speaker A at the table is not speaker A at the far end."""
    far = turn("Hello.", final=True, channel="far", speaker="A")
    assert final_line(far).plain == "✓ 00:00  far A: Hello."
    assert final_line(turn("Hello.", final=True, channel="far")).plain == "✓ 00:00  far: Hello."
    gap = Gap(room="attic", meeting_id="m1", start_ms=0, end_ms=9000, reason="device-lost", channel="far")
    assert plain(gap) == "- 00:00  no words of far until 00:09: device-lost"
