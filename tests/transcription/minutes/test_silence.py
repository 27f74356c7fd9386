"""Silence and ends: what moves the mark without a turn, and when sound is let go of."""

import pytest

from minuted.messages import FRAME_MS
from minuted.transcription import minutes as minutes_module
from minuted.transcription.minutes import SILENCE_MARGIN_MS
from transcription.minutes.room import FIRST, HELLO, QUIET, Room, said, silence


def test_a_range_that_was_heard_to_its_end_is_done(room: Room) -> None:
    room.sound(QUIET + HELLO)
    room.minutes.split(FIRST + len(QUIET))
    assert room.minutes.behind_s == 2.0
    room.minutes.hear_end(room.lane(room.minutes.marks.behind[0]))

    assert room.minutes.behind_s == 0.0
    assert [stored["end"] for stored in room.stored["ranges"]] == [None]


def test_a_split_is_stored_before_anything_is_heard(room: Room) -> None:
    """A kill then costs nothing: both ranges are there."""
    room.sound(HELLO + HELLO)
    room.minutes.split(FIRST + 30)
    room.restart()

    assert [(each.start, each.end) for each in room.minutes.marks.ranges] == [
        (FIRST, FIRST + 30),
        (FIRST + 30, None),
    ]


def test_a_session_that_ends_in_order_has_heard_all_it_was_sent(room: Room) -> None:
    room.sound(QUIET)
    lane = room.lane()
    assert not room.minutes.is_heard(room.live)
    room.minutes.hear_end(lane)

    assert room.minutes.is_heard(room.live)
    assert room.minutes.unheard_s == 0.0
    room.sound(".")
    assert room.minutes.unheard_s == 0.05


# Silence.


def test_silence_moves_the_mark_but_for_a_margin(room: Room) -> None:
    """A word may be beginning there."""
    room.sound("." * 60)
    room.minutes.hear_silence(room.lane(), silence(0, 50))

    assert room.live.start == FIRST + 50 - SILENCE_MARGIN_MS // FRAME_MS


def test_silence_in_an_open_turn_moves_nothing(room: Room) -> None:
    """What was said before it is not final yet."""
    room.sound(HELLO)
    lane = room.lane()
    room.minutes.hear_turn(lane, said("Hello—", (0, 8), final=False))
    room.minutes.hear_silence(lane, silence(16, 40))

    assert room.live.start == FIRST


def test_without_silence_events_old_sound_is_safe_in_the_end(room: Room) -> None:
    room.sound("." * 700)
    lane = room.lane()
    room.minutes.hear_nothing(lane)
    assert room.live.start == FIRST
    lane.taken_ms = 34_000
    room.minutes.hear_nothing(lane)

    assert room.live.start == FIRST + 80


def test_marks_that_only_silence_moved_are_stored_now_and_then(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill costs that much silence heard again; a disk is not written to each second of the night."""
    room.sound("." * 60)
    lane = room.lane()
    room.minutes.hear_silence(lane, silence(0, 50))
    room.minutes.keep()
    assert room.stored is None
    monkeypatch.setattr(minutes_module, "KEEP_S", 0.0)
    room.minutes.keep()
    assert room.stored["ranges"][0]["start"] == room.live.start
    assert room.intake.first_number == FIRST + 40


def test_sound_is_deleted_once_it_is_safe_and_not_before(room: Room) -> None:
    """Whoever says it is safe must have stored that."""
    room.sound("." * 40)
    lane = room.lane()
    room.minutes.hear_silence(lane, silence(0, 40))
    assert room.live.start == FIRST + 30
    assert room.intake.first_number == FIRST
    room.minutes.keep(always=True)
    assert room.intake.first_number == FIRST + 30
