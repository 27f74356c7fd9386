"""What will never be heard: told once, in its place, and the mark goes on behind it."""

import pytest

from minuted.bus import TurnsIn
from minuted.journal.audio_reader import AudioReader
from minuted.journal.audio_writer import AudioWriter
from minuted.journal.folder import Folder
from minuted.messages import (
    FRAME_MS,
    AudioEnd,
    AudioFrame,
    AudioGap,
    Gap,
    Turn,
)
from minuted.transcription import publisher as publisher_module
from minuted.transcription.holes import LOST_QUIET_S
from minuted.transcription.minutes import UNREADABLE_MAX
from transcription.minutes.room import FIRST, FIRST_MS, HELLO, HELLO_SAID, NOW_S, PCM, QUIET, WAIT_S, Room


def test_a_hole_is_recorded_and_the_mark_goes_on_behind_it(room: Room, subscriber: TurnsIn) -> None:
    room.sound(QUIET)
    room.minutes.hear_end(room.lane())
    room.writer.append(AudioGap(from_number=room.number, to_number=room.number + 20, reason="paused"))
    room.number += 20
    room.sound("..")

    (gap,) = room.records
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.end_ms - gap.start_ms, gap.seq) == ("paused", 1000, 1)
    assert gap == subscriber.receive(WAIT_S)
    assert (gap.meeting_id, gap.meeting_started_at_ms) == ("", FIRST_MS + 2007)
    assert room.live.start == FIRST + 60
    room.restart()
    room.take_in()
    assert len(room.records) == 1
    assert room.minutes.counts["gaps"] == 0


def test_of_several_holes_each_is_recorded_once_though_a_kill_comes_between(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process was away for an hour in which capture lost its device twice."""
    room.sound(QUIET)
    room.minutes.hear_end(room.lane())

    class KilledError(Exception):
        pass

    def die(place: str) -> None:
        if place == "gap-committed":
            raise KilledError

    for pause in (20, 30):
        room.writer.append(AudioGap(from_number=room.number, to_number=room.number + pause, reason="paused"))
        room.number += pause
        pcm = PCM["."]
        room.writer.append(AudioFrame(number=room.number, captured_at_ms=room.number * 50 + 7, pcm=pcm))
        room.number += 1
    for _ in range(2):
        with monkeypatch.context() as patch, pytest.raises(KilledError):
            patch.setattr(publisher_module, "reached", die)
            room.take_in()
        room.restart()
    room.take_in()

    assert [each.end_ms - each.start_ms for each in room.records if isinstance(each, Gap)] == [1000, 1500]
    assert room.live.start == FIRST + 60


def test_a_hole_within_a_meeting_has_its_place_there(room: Room) -> None:
    room.sound(HELLO)
    room.minutes.hear_turn(room.lane(), HELLO_SAID)
    room.number += 20
    room.sound("..")

    turn, gap = room.records
    assert isinstance(turn, Turn)
    assert isinstance(gap, Gap)
    assert (gap.meeting_id, gap.reason) == (turn.meeting_id, "not-captured")
    assert (gap.start_ms, gap.end_ms) == (2000, 3000)


def test_a_hole_that_was_announced_is_nobody_s_loss(room: Room) -> None:
    room.sound(QUIET)
    room.minutes.hear_end(room.lane())
    room.writer.append(AudioEnd(next_number=room.number, reason="stopped"))
    room.number += 1000
    room.sound("..")

    assert room.records == []
    assert room.live.start == FIRST + 1040


def test_sound_beyond_the_bound_is_a_gap_when_the_loss_is_over(room: Room) -> None:
    """What a session has had already is not lost with it."""
    room.sound(HELLO * 2)
    lane = room.lane()
    room.sound(HELLO)
    AudioReader(Folder(room.writer._folder.path)).release(FIRST + 100)
    room.take_in(lane)
    assert room.records == []
    assert room.live.start == FIRST + 100
    room.take_in(lane, now_s=NOW_S + LOST_QUIET_S)

    (gap,) = room.records
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.end_ms - gap.start_ms) == ("overflow", 20 * FRAME_MS)
    assert room.minutes.losses.frames == 20


def test_words_heard_before_their_range_was_dropped_are_kept(room: Room) -> None:
    """Their sound went, but a session had it: they were not declared lost."""
    room.sound(HELLO + HELLO + HELLO)
    room.minutes.split(FIRST + 50)
    lane = room.lane(room.minutes.marks.behind[0])
    AudioReader(Folder(room.writer._folder.path)).release(FIRST + 60)
    room.take_in(lane)
    assert room.minutes.marks.behind == []
    room.minutes.hear_turn(lane, HELLO_SAID)

    assert [turn.text for turn in room.records if isinstance(turn, Turn)] == ["Hello there."]
    assert room.live.start == FIRST + 60


def test_sound_on_which_sessions_break_is_given_up_in_the_end(room: Room) -> None:
    room.sound(HELLO)
    for _ in range(UNREADABLE_MAX):
        assert room.records == []
        room.minutes.hear_unreadable(room.lane())
        room.take_in()

    (gap,) = room.records
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.end_ms - gap.start_ms) == ("unreadable", len(HELLO) * FRAME_MS)
    assert room.live.start == FIRST + len(HELLO)


def test_breaks_at_different_places_are_not_the_same_sound_s_fault(room: Room) -> None:
    room.sound("." * 80)
    for number in range(2 * UNREADABLE_MAX):
        lane = room.lane()
        room.minutes.hear_unreadable(lane)
        room.take_in()
        room.minutes.marks.move(lane.range_id, FIRST + number + 1)

    assert room.records == []


def test_what_a_session_had_and_the_bound_took_is_told_when_the_session_breaks(room: Room) -> None:
    """As long as it lives its words may come; after that nobody can hear them again."""
    room.sound("." * 80)
    room.minutes.split(FIRST + 50)
    lane = room.lane(room.minutes.marks.behind[0])
    AudioReader(Folder(room.writer._folder.path)).release(FIRST + 60)
    room.take_in(lane)
    assert room.records == []
    room.minutes.hear_break(lane)
    room.take_in()

    (gap,) = room.records
    assert isinstance(gap, Gap)
    assert gap.reason == "overflow"
    assert (gap.end_ms - gap.start_ms) // FRAME_MS == 50


def test_sound_that_is_gone_altogether_is_not_waited_for(room: Room) -> None:
    """Somebody deleted the journal: what comes is new."""
    room.sound(HELLO)
    room.minutes.split(FIRST + 20)
    folder = room.writer._folder.path
    room.writer.close()
    for file in folder.iterdir():
        file.unlink()
    room.writer = AudioWriter(Folder(folder), hours_max=1)
    room.restart()
    assert room.intake.next_number == -1
    room.number = 5 * FIRST
    room.sound(HELLO)

    assert [(each.start, each.end) for each in room.minutes.marks.ranges] == [(5 * FIRST, None)]


def test_sound_whose_folder_was_emptied_while_nobody_ran_is_a_gap(room: Room) -> None:
    """It was taken in and nobody has heard it."""
    room.sound("####....####")
    room.minutes.store()
    room.writer.rotate()
    for file in room.writer._folder.path.glob("*.audio"):
        file.unlink()
    room.restart()
    room.take_in()

    (gap,) = room.records
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.end_ms - gap.start_ms) == ("damaged", 12 * FRAME_MS)
    room.restart()
    room.take_in()
    assert len(room.records) == 1, "it is told of once"


@pytest.mark.parametrize("text", ["{", '{"next_id": 1, "ranges": [{"start": "x"}]}', "5"])
def test_where_the_marks_cannot_be_read_all_sound_there_is_is_heard_again(room: Room, text: str) -> None:
    """Words may come twice rather than never."""
    room.sound("####....####")
    room.minutes.marks.move(room.live.id, FIRST + 8)
    room.minutes.store()
    room._publisher.journal._database.execute("UPDATE state SET value = ? WHERE key = 'marks'", (text,))
    room.restart()
    room.take_in()
    assert room.live.start == FIRST
    assert room.records == []


def test_an_unknown_field_in_what_is_stored_changes_nothing(room: Room) -> None:
    """A later version leaves some when its successor is an older one."""
    room.sound("####....####")
    room.minutes.marks.move(room.live.id, FIRST + 8)
    room.minutes.store()
    journal = room._publisher.journal
    marks = journal.state("marks")
    marks["ranges"][0]["later"] = {"field": 1}
    intake = journal.state("intake")
    intake["stretches"][0]["later"] = 1
    journal.keep({"marks": {**marks, "later": 1}, "intake": {**intake, "later": 1}})
    room.restart()
    assert room.live.start == FIRST + 8
    assert journal.resets == 0


def test_time_between_two_runs_is_no_sound_that_is_left(room: Room) -> None:
    """A recording of 9 s that is broken off once and begun anew has no 212 s of sound left."""
    room.sound("..")
    before_s = room.minutes.unheard_s
    room.number += 4000
    room.sound("..")
    assert room.minutes.unheard_s == pytest.approx(2 * before_s, abs=0.2)
