"""Sound that may hold words no session has told: kept, heard again, and given up only with a gap."""

import time

from assemblyai.streaming.v3 import SpeechStartedEvent

from minuted.messages import FRAME_MS, Gap, Turn
from minuted.transcription.doubts import HEARD_MAX, MISSING_VAIN_MAX
from minuted.transcription.lane import Lane
from minuted.transcription.progress import DENSE_FRAMES, Evidence
from transcription.minutes.room import FIRST, HELLO, HELLO_SAID, NOW_S, QUIET, Room, said, silence

NEXT = "....####............"
"""One word more, of a turn of its own, behind HELLO."""


def announce(lane: Lane, place: int) -> None:
    event = SpeechStartedEvent(type="SpeechStarted", timestamp=place * FRAME_MS, confidence=0.9)
    lane.progress.announced(lane.clock.start_ms(event.timestamp) // FRAME_MS)


def test_silence_stops_at_sound_that_no_turn_covers(room: Room) -> None:
    """The service may confirm it over a turn that it does not tell."""
    room.sound(HELLO)
    room.minutes.hear_silence(room.lane(), silence(0, 40))
    assert room.live.start <= FIRST + 4


def test_a_turn_covers_its_sound_and_silence_goes_on(room: Room) -> None:
    room.sound(HELLO)
    lane = room.lane()
    room.minutes.hear_turn(lane, HELLO_SAID)
    room.minutes.hear_silence(lane, silence(20, 40))
    assert room.live.start == FIRST + 30


def test_what_a_missing_turn_was_said_in_is_carved_out_and_the_live_session_goes_on(room: Room) -> None:
    room.sound(HELLO + NEXT + NEXT)
    lane = room.lane()
    room.minutes.hear_turn(lane, HELLO_SAID)
    room.minutes.hear_turn(lane, said("Third.", (64, 68), order=2))

    (part,) = room.minutes.marks.behind
    assert (part.start, part.end) == (FIRST + 4, FIRST + 64)  # 2 s before the doubt
    assert room.live.start >= FIRST + 64
    assert [record.text for record in room.records] == ["Hello there.", "Third."]
    assert room.intake.first_number <= part.start

    again = room.lane(part)
    room.minutes.hear_turn(again, said("there. Second.", (10 - 4, 14 - 4), (44 - 4, 48 - 4)))
    room.minutes.hear_end(again)
    assert room.minutes.marks.behind == []
    assert room.records[-1].text == "Second."
    assert room.records[-1].backfilled


def test_a_number_that_is_missing_where_nothing_was_said_costs_no_session(room: Room) -> None:
    room.sound(HELLO + QUIET + NEXT)
    lane = room.lane()
    room.minutes.hear_turn(lane, HELLO_SAID)
    room.minutes.hear_turn(lane, said("Next.", (84, 88), order=5))
    assert room.minutes.marks.behind == []


def test_loud_sound_at_the_end_of_a_session_is_heard_once_more(room: Room) -> None:
    room.sound(HELLO)
    room.minutes.hear_end(room.lane())
    assert not room.minutes.is_heard(room.live)
    room.minutes.hear_end(room.lane())
    assert room.minutes.is_heard(room.live)
    room.sound(".")
    assert room.records == []


def test_a_turn_that_is_announced_each_time_and_never_told_is_a_gap_in_the_end(room: Room) -> None:
    room.sound(HELLO)
    for _ in range(HEARD_MAX):
        assert not room.minutes.is_heard(room.live)
        lane = room.lane()
        announce(lane, 4)
        room.minutes.hear_end(lane)
    assert room.minutes.is_heard(room.live)

    # It stands in the journal together with the mark: there may be no more sound, and no next session.
    (gap,) = room.records
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.end_ms - gap.start_ms) == ("no-words", len(HELLO) * FRAME_MS - 4 * FRAME_MS)


def test_where_no_second_session_is_spent_on_it_an_untold_turn_is_a_gap(room: Room) -> None:
    """Another one was heard again in vain a moment ago."""
    room.minutes.doubts.open(99, Evidence.ANNOUNCED, time.monotonic())
    room.minutes.doubts.ended(99, Evidence(0), time.monotonic())
    room.sound(HELLO + NEXT + "." * 20 + NEXT)
    lane = room.lane()
    room.minutes.hear_turn(lane, HELLO_SAID)
    announce(lane, 44)
    announce(lane, 84)
    room.minutes.hear_turn(lane, said("Third.", (84, 88), order=1))
    room.sound(".")

    assert room.minutes.marks.behind == []
    (gap,) = [record for record in room.records if isinstance(record, Gap)]
    assert gap.reason == "no-words"
    assert gap.start_ms <= 44 * FRAME_MS < 48 * FRAME_MS <= gap.end_ms


def test_a_process_that_follows_hears_what_was_carved_out(room: Room) -> None:
    room.sound(HELLO + NEXT + NEXT)
    lane = room.lane()
    room.minutes.hear_turn(lane, HELLO_SAID)
    room.minutes.hear_turn(lane, said("Third.", (64, 68), order=2))
    kept = room.minutes.marks.ranges
    room.restart()
    assert room.minutes.marks.ranges == kept


def test_what_is_carved_out_before_a_single_word_does_not_reach_into_the_next_turn(room: Room) -> None:
    """Its end is also the turn's, which the service puts too late: there the next word begins already."""
    room.sound(HELLO + NEXT + "....####...####.....")
    lane = room.lane()
    room.minutes.hear_turn(lane, HELLO_SAID)
    room.minutes.hear_turn(lane, said("Third.", (56, 73), order=2))

    (part,) = room.minutes.marks.behind
    assert part.end == FIRST + 64


def test_a_turn_that_is_missing_once_too_often_is_not_passed_over_in_silence(room: Room) -> None:
    """It was announced, its number is missing, and no session more is spent on it: a gap tells."""
    for vain in range(MISSING_VAIN_MAX):
        room.minutes.doubts.open(100 + vain, Evidence.MISSING, NOW_S)
        room.minutes.doubts.ended(100 + vain, Evidence.BRIEF, time.monotonic())
    room.sound(HELLO + NEXT + QUIET + NEXT)
    lane = room.lane()
    room.minutes.hear_turn(lane, HELLO_SAID)
    announce(lane, 44)
    announce(lane, 104)
    room.minutes.hear_turn(lane, said("Third.", (104, 108), order=2))

    assert room.minutes.marks.behind == []
    _, gap, third = room.records
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.end_ms - gap.start_ms) == ("no-words", 60 * FRAME_MS)
    assert third.text == "Third."


def test_loud_sound_that_waits_while_the_like_of_it_is_heard_in_vain_costs_no_session(room: Room) -> None:
    """A recording with music comes faster than the first of it can be heard again."""
    music = "#" * DENSE_FRAMES
    room.sound(HELLO + music + NEXT + music + NEXT)
    lane = room.lane()
    room.minutes.hear_turn(lane, HELLO_SAID)
    room.minutes.hear_turn(lane, said("Second.", (104, 108), order=1))
    room.minutes.hear_turn(lane, said("Third.", (184, 188), order=2))
    first, second = room.minutes.marks.behind
    room.minutes.pass_noise(time.monotonic())
    assert room.minutes.marks.behind == [first, second]

    room.minutes.hear_end(room.lane(first))
    room.minutes.pass_noise(time.monotonic())
    assert room.minutes.marks.behind == []
    assert [type(record) for record in room.records] == [Turn, Turn, Turn]
