"""Turns, gaps and marks are committed together: with a real journal, real sockets and real sound."""

import json

from minuted.bus import TurnsIn
from minuted.messages import Session as SessionMessage
from minuted.messages import Turn
from minuted.transcription.lane import Lane
from minuted.transcription.minutes import UNREADABLE_MAX
from transcription.minutes.room import (
    FIRST,
    FIRST_MS,
    HELLO,
    HELLO_SAID,
    NOW_S,
    WAIT_S,
    Room,
    said,
    silence,
)

# Turns.


def test_a_final_and_its_mark_are_committed_together(room: Room, subscriber: TurnsIn) -> None:
    """Else a kill between them would lose or double it."""
    room.sound(HELLO)
    room.minutes.hear_turn(room.lane(), HELLO_SAID)

    (turn,) = room.records
    assert isinstance(turn, Turn)
    assert (turn.text, turn.seq, turn.final, turn.backfilled) == ("Hello there.", 1, True, False)
    assert turn == subscriber.receive(WAIT_S)
    assert room.stored == json.loads(json.dumps(room.minutes.marks.to_state()))
    assert room.live.start == FIRST + 1, "the earliest pause in which the turn may have ended"
    assert room.minutes.counts["finals"] == 1


def test_times_are_true_and_the_meeting_survives(room: Room) -> None:
    room.sound(HELLO)
    room.minutes.hear_turn(room.lane(), HELLO_SAID)
    room.sound(HELLO)
    room.restart()
    lane = room.lane()
    begins = len(HELLO) - (room.live.start - FIRST)
    room.minutes.hear_turn(lane, said("And you?", (begins + 4, begins + 8), (begins + 10, begins + 14)))

    first, second = room.records
    assert isinstance(first, Turn)
    assert isinstance(second, Turn)
    assert first.meeting_id == second.meeting_id
    assert first.meeting_started_at_ms == FIRST_MS + 7, "the sound began less than two seconds before"
    assert [word.start_ms for word in first.words] == [0, 500]
    assert [word.start_ms for word in second.words] == [2200, 2500]


def test_partials_are_published_and_not_kept(room: Room, subscriber: TurnsIn) -> None:
    room.sound(HELLO)
    lane = room.lane()
    room.minutes.hear_turn(lane, said("Hello—", (0, 8), final=False))

    partial = subscriber.receive(WAIT_S)
    assert isinstance(partial, Turn)
    assert (partial.text, partial.final) == ("Hello—", False)
    assert room.records == []
    assert lane.turn_is_open
    room.minutes.hear_turn(lane, HELLO_SAID)
    assert not lane.turn_is_open


def test_after_a_break_words_that_come_again_are_left_out(room: Room) -> None:
    room.sound(HELLO)
    room.minutes.hear_turn(room.lane(), HELLO_SAID)
    room.restart()
    room.sound("####......")
    lane, start = room.lane(), room.live.start - FIRST
    times = [(0, 8 - start), (10 - start, 14 - start), (40 - start, 44 - start)]
    room.minutes.hear_turn(lane, said("Hello there Yes.", *times))

    assert [turn.text for turn in room.records if isinstance(turn, Turn)] == ["Hello there.", "Yes."]
    assert room.minutes.counts["words_known"] == 2


def test_a_muted_session_says_nothing_more(room: Room) -> None:
    """Another one hears all of it again."""
    room.sound(HELLO)
    lane = room.lane()
    lane.is_muted = True
    before = room.minutes.marks.to_state()
    room.minutes.hear_turn(lane, HELLO_SAID)
    room.minutes.hear_silence(lane, silence(20, 40))
    room.minutes.hear_end(lane)
    for _ in range(UNREADABLE_MAX):
        room.minutes.hear_unreadable(lane)

    assert room.records == []
    assert room.minutes.marks.to_state() == before


def test_a_turn_without_words_moves_no_mark(room: Room) -> None:
    """Nobody knows where it ended."""
    room.sound(HELLO)
    room.minutes.hear_turn(room.lane(), said("Hello there."))

    assert len(room.records) == 1
    assert room.live.start == FIRST


def test_a_session_before_its_first_frame_is_not_listened_to(room: Room) -> None:
    """Its time means nothing yet."""
    room.sound("")
    room.sound(HELLO)
    lane = room.lane()
    empty = Lane(lane.range_id, lane.session, room.intake.frames(FIRST), is_live=True, has_partials=True)
    assert lane.turns is not None
    empty.begin(lane.turns, "a-model", 600.0, NOW_S)
    room.minutes.hear_turn(empty, HELLO_SAID)
    room.minutes.hear_silence(empty, silence(0, 40))

    assert room.records == []
    assert room.live.start == FIRST


# What an outage left behind.


def test_what_was_left_behind_is_backfilled(room: Room, subscriber: TurnsIn) -> None:
    """It has its own range, its own mark and true times; its partials would only confuse."""
    room.sound(HELLO + HELLO)
    live = room.minutes.split(FIRST + len(HELLO))
    (behind,) = room.minutes.marks.behind
    room.minutes.hear_turn(room.lane(live), said("And you?", (0, 8), (10, 24)))
    lane = room.lane(behind)
    room.minutes.hear_turn(lane, said("Hello—", (0, 8), final=False))
    room.minutes.hear_turn(lane, HELLO_SAID)

    second, first = room.records
    assert isinstance(first, Turn)
    assert isinstance(second, Turn)
    assert (first.backfilled, second.backfilled) == (True, False)
    assert first.meeting_id == second.meeting_id
    assert [first.start_ms, second.start_ms] == [0, 2000]
    assert [subscriber.receive(WAIT_S), subscriber.receive(WAIT_S)] == [second, first]


# Sessions.


def test_people_are_told_of_sessions(room: Room, subscriber: TurnsIn) -> None:
    room.sound(HELLO)
    lane = room.lane()
    room.minutes.tell("started", lane, model="a-model")
    room.minutes.tell("drained")

    told = [subscriber.receive(WAIT_S), subscriber.receive(WAIT_S)]
    assert [
        (each.event, each.session_id, each.model, each.room)
        for each in told
        if isinstance(each, SessionMessage)
    ] == [("started", "s1", "a-model", "boardroom"), ("drained", "", "", "boardroom")]
