"""Where people begin and end meetings themselves: decided by sound times alone."""

import json
from dataclasses import replace

from minuted.transcription.meetings import CUTS_MAX, EARLY_MS_MAX, Meetings, Unheard
from transcription.test_meetings import GAP_MS, MICROPHONE, RECORDING, WALL_MS, at

NOW_MS = 1_600_000


def started(meetings: Meetings, title: str | None = "Budget", now_ms: int = NOW_MS, stretch=MICROPHONE):
    return meetings.cut(now_ms, stretch, title, begins=True)


def test_the_next_words_belong_to_the_meeting_that_was_started() -> None:
    meetings = Meetings(None)
    before = at(meetings, 1_500_000)
    begun = started(meetings)
    assert begun is not None
    assert (begun.sound_ms, begun.started_at_ms, begun.title) == (NOW_MS, WALL_MS + NOW_MS, "Budget")
    assert at(meetings, NOW_MS) == begun
    assert at(meetings, NOW_MS - 1) == before
    assert before.title is None


def test_a_meeting_that_was_started_waits_for_its_first_word_and_then_for_a_silence() -> None:
    """The people are late; and whoever forgets to end it does not name tomorrow's."""
    meetings = Meetings(None)
    begun = started(meetings)
    assert begun is not None
    late_ms = NOW_MS + 7 * GAP_MS
    assert meetings.now(late_ms, GAP_MS) == begun
    assert at(meetings, late_ms) == begun
    meetings.heard_until(begun.id, late_ms + 5000)
    assert at(meetings, late_ms + 5000 + GAP_MS - 1).id == begun.id
    tomorrow = at(meetings, late_ms + 5000 + GAP_MS)
    assert (tomorrow.id == begun.id, tomorrow.title) == (False, None)


def test_after_an_end_there_is_none_until_somebody_speaks() -> None:
    meetings = Meetings(None)
    before = at(meetings, 1_590_000)
    assert meetings.now(NOW_MS, GAP_MS) == before
    assert meetings.cut(NOW_MS, MICROPHONE, None, begins=False) is None
    assert meetings.now(NOW_MS + 1000, GAP_MS) is None
    assert meetings.before(NOW_MS + 1000) is None, "a gap from here on is not of the one that has ended"
    following = at(meetings, NOW_MS + 1000)
    assert following.id != before.id
    assert following.sound_ms == NOW_MS, "it does not reach into the one before"


def test_a_meeting_that_is_ended_before_any_sound_comes_is_ended() -> None:
    """In a pause, or with the microphone unplugged, the sound stands still between the two."""
    meetings = Meetings(None)
    before = at(meetings, 1_500_000)
    started(meetings)
    assert meetings.cut(NOW_MS, MICROPHONE, None, begins=False) is None
    assert meetings.now(NOW_MS, GAP_MS) is None
    following = at(meetings, NOW_MS + 1000)
    assert (following.title, following.id == before.id) == (None, False)


def test_words_heard_late_are_of_the_meeting_they_were_said_in() -> None:
    meetings = Meetings(None)
    before = at(meetings, 1_500_000)
    first = started(meetings)
    second = started(meetings, "Hiring", NOW_MS + 60_000)
    assert first is not None
    assert second is not None
    assert at(meetings, 1_550_000, MICROPHONE, Unheard(1_510_000, NOW_MS + 90_000)).id == before.id
    assert at(meetings, NOW_MS + 30_000).id == first.id
    assert at(meetings, NOW_MS + 70_000).id == second.id


def test_words_heard_late_from_before_any_meeting_begin_one_before_it() -> None:
    meetings = Meetings(None)
    begun = started(meetings)
    assert begun is not None
    late = at(meetings, NOW_MS - 5000)
    assert (late.id == begun.id, late.title) == (False, None)
    assert at(meetings, NOW_MS + 1).id == begun.id


def test_a_recording_is_divided_too() -> None:
    meetings = Meetings(None)
    before = at(meetings, 1_005_000, RECORDING)
    begun = started(meetings, stretch=RECORDING)
    assert begun is not None
    assert at(meetings, NOW_MS + 20 * GAP_MS, RECORDING).id == begun.id
    meetings.cut(NOW_MS + 1000, RECORDING, None, begins=False)
    following = at(meetings, NOW_MS + 2000, RECORDING)
    assert (following.sound_ms, following.title) == (NOW_MS + 1000, "talk")
    assert at(meetings, NOW_MS + 20 * GAP_MS, RECORDING).id == following.id
    assert at(meetings, 1_500_000, RECORDING).id == before.id
    other = replace(RECORDING, sound_ms=NOW_MS + 30 * GAP_MS)
    assert at(meetings, other.sound_ms + 10, other).id not in (following.id, begun.id)


def test_what_was_done_by_hand_survives_a_restart() -> None:
    meetings = Meetings(None)
    begun = started(meetings)
    meetings.cut(NOW_MS + 9000, MICROPHONE, None, begins=False)
    stored = json.loads(json.dumps([meetings.to_state(), meetings.cuts_ms]))
    again = Meetings(*stored)
    assert at(again, NOW_MS + 1) == begun
    assert again.now(NOW_MS + 9000, GAP_MS) is None
    assert at(again, NOW_MS + 9001) != begun


def test_meetings_of_an_older_version_are_understood() -> None:
    old = [{"id": "a", "started_at_ms": 1, "sound_ms": 1, "source": "microphone", "last_word_ms": 2}]
    assert at(Meetings(old), 3).id == "a"


def test_the_latest_cuts_are_remembered() -> None:
    meetings = Meetings(None)
    for number in range(CUTS_MAX + 2):
        meetings.cut(NOW_MS + number, MICROPHONE, None, begins=False)
    assert meetings.cuts_ms == [NOW_MS + number for number in range(2, CUTS_MAX + 2)]


def test_only_a_turn_just_before_a_cut_is_in_doubt() -> None:
    meetings = Meetings(None)
    started(meetings)
    asked_ms = (NOW_MS - EARLY_MS_MAX - 1, NOW_MS - EARLY_MS_MAX, NOW_MS - 1, NOW_MS)
    assert [meetings.is_cut_after(each) for each in asked_ms] == [False, True, True, False]
