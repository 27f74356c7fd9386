"""Live captions: what they say, and that a terminal shows just that."""

import pytest

from commands.watch.said import TALK, session, turn
from hostile_texts import HOSTILE, MARKER, controls
from minuted.commands.watch import Captions, clock, final_line, paint, plain, wrap
from minuted.messages import Gap, Heartbeat
from minuted.runtime.texts import clean
from screen import Screen

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
        gap = Gap(room="attic", meeting_id="m1", start_ms=0, end_ms=1, reason=HOSTILE, channel=HOSTILE)
        said = turn(HOSTILE, final=True, speaker=HOSTILE, meeting_title=HOSTILE, room=HOSTILE)
        for message in (said, gap, session("warning", reason=HOSTILE), session("started", model=HOSTILE)):
            lines = [*Captions("", 0.0).hear(message, 0.0), *filter(None, [plain(message)])]
            assert MARKER in str(lines[0])
            assert controls("".join(map(str, lines)), allowed="") == []

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
        rows = wrap(final_line(turn(text, final=True)), width)
        assert all(row.cell_len < width for row in rows)
        assert all(row.plain.startswith(" " * 9) for row in rows[1:])
        said = "".join(row.plain[9:] for row in rows).replace(" ", "")
        assert said == clean(text).replace(" ", "")

    @pytest.mark.parametrize("width", [1, 2, 5, 10, 17])
    def test_a_window_with_hardly_any_room_still_shows_something(self, width):
        rows = wrap(final_line(turn(TALK, final=True)), width)
        assert all(row.cell_len <= max(1, width - 1) for row in rows)

    @pytest.mark.parametrize(
        ("text", "rows"),
        [
            ("今天我们讨论明年的预算，好吗？", ["今天我们讨论", "明年的预算，", "好吗？"]),
            ("สวัสดีครับวันนี้เราจะเริ่ม", ["สวัสดีครับวันนี้", "เราจะเริ่ม"]),
            ("안녕하세요 여러분 오늘", ["안녕하세요", "여러분 오늘"]),
            (
                "👩\u200d👩\u200d👧\u200d👦" * 8,
                ["👩\u200d👩\u200d👧\u200d👦" * 6, "👩\u200d👩\u200d👧\u200d👦" * 2],
            ),
        ],
    )
    def test_rows_are_broken_where_the_language_allows_it(self, text, rows):
        """In columns, and never within a letter."""
        shown = wrap(final_line(turn(text, final=True)), 22)
        assert [row.plain[9:] for row in shown] == rows

    def test_painting_replaces_just_what_was_live(self):
        screen = Screen(20, 10)
        screen.feed("$ minuted watch\r\n")
        screen.feed(paint(0, [], ["one", "two", "three"]))
        screen.feed(paint(3, ["final"], ["live"]))
        assert screen.lines() == ["$ minuted watch", "final", "live"]
        screen.feed(paint(1, [], []))
        assert screen.lines() == ["$ minuted watch", "final"]


def test_a_channel_stands_before_its_speaker():
    """Speaker A at the table is not speaker A at the far end."""
    far = turn("Hello.", final=True, channel="far", speaker="A")
    assert final_line(far).plain == "✓ 00:00  far A: Hello."
    assert final_line(turn("Hello.", final=True, channel="far")).plain == "✓ 00:00  far: Hello."
    gap = Gap(room="attic", meeting_id="m1", start_ms=0, end_ms=9000, reason="device-lost", channel="far")
    assert plain(gap) == "- 00:00  no words of far until 00:09: device-lost"
