import json
from dataclasses import replace

import pytest

from minuted.transcription.clock import Stretch
from minuted.transcription.meetings import LEAD_IN_MS, MEETINGS_MAX, Meeting, Meetings, Unheard

GAP_MS = 600_000
WALL_MS = 1_700_000_000_000
MICROPHONE = Stretch(sound_ms=1_000_000, source="microphone", wall_offset_ms=WALL_MS)
RECORDING = Stretch(sound_ms=1_000_000, source="talk.wav", wall_offset_ms=WALL_MS)


@pytest.fixture
def meetings() -> Meetings:
    return Meetings(None)


def at(meetings: Meetings, start_ms: int, stretch: Stretch = MICROPHONE, *unheard: Unheard) -> Meeting:
    return meetings.at(start_ms, stretch, GAP_MS, unheard)


def test_a_meeting_at_the_microphone_begins_just_before_its_first_word(meetings: Meetings) -> None:
    """Its start may still be refined, and no word's time is below zero."""
    meeting = at(meetings, 1_500_000)

    assert meeting.sound_ms == 1_500_000 - LEAD_IN_MS
    assert meeting.started_at_ms == WALL_MS + meeting.sound_ms
    assert (meeting.source, meeting.last_word_ms) == ("microphone", 1_500_000)


def test_a_meeting_does_not_begin_before_the_microphone_was_on(meetings: Meetings) -> None:
    assert at(meetings, MICROPHONE.sound_ms + 300).sound_ms == MICROPHONE.sound_ms


def test_every_meeting_has_its_own_name() -> None:
    assert len({at(Meetings(None), 1_500_000).id for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("pause_ms", "same"), [(0, True), (GAP_MS - 1, True), (GAP_MS, False), (10 * GAP_MS, False)]
)
def test_the_pause_decides_at_the_microphone(meetings: Meetings, pause_ms: int, same: bool) -> None:
    before = at(meetings, 1_500_000)
    meetings.heard_until(before.id, 1_510_000)

    assert (at(meetings, 1_510_000 + pause_ms).id == before.id) is same


def test_the_pause_counts_from_the_last_word_not_the_first(meetings: Meetings) -> None:
    meeting = at(meetings, 1_500_000)
    for minute in range(1, 200):
        start_ms = 1_500_000 + minute * 300_000
        assert at(meetings, start_ms).id == meeting.id
        meetings.heard_until(meeting.id, start_ms + 1000)


def test_a_word_that_was_heard_before_the_last_one_belongs_to_the_meeting(meetings: Meetings) -> None:
    """Two sessions overlap, or a start is refined."""
    meeting = at(meetings, 1_500_000)
    meetings.heard_until(meeting.id, 1_600_000)

    assert at(meetings, 1_590_000).id == meeting.id


def test_a_jump_in_the_sound_does_not_end_a_meeting(meetings: Meetings) -> None:
    """Capture was away for a minute; the people were not."""
    meeting = at(meetings, 1_500_000)

    assert at(meetings, 1_561_000, replace(MICROPHONE, sound_ms=1_560_000)).id == meeting.id


def test_a_recording_is_one_meeting_from_its_first_sample(meetings: Meetings) -> None:
    meeting = at(meetings, 1_005_000, RECORDING)
    assert (meeting.sound_ms, meeting.started_at_ms) == (1_000_000, WALL_MS + 1_000_000)

    assert at(meetings, 1_005_000 + 5 * GAP_MS, RECORDING) == meeting


def test_another_recording_is_another_meeting(meetings: Meetings) -> None:
    meeting = at(meetings, 1_005_000, RECORDING)
    again = at(meetings, 1_060_100, replace(RECORDING, sound_ms=1_060_000))
    other = at(meetings, 1_090_100, Stretch(sound_ms=1_090_000, source="other.wav", wall_offset_ms=WALL_MS))

    assert other.source == "other.wav"
    assert len({meeting.id, again.id, other.id}) == 3


def test_microphone_and_recording_are_never_one_meeting(meetings: Meetings) -> None:
    recorded = at(meetings, 1_005_000, RECORDING)
    live = at(meetings, 1_006_000, replace(MICROPHONE, sound_ms=1_005_900))
    again = at(meetings, 1_007_000, replace(RECORDING, sound_ms=1_006_900))

    assert len({recorded.id, live.id, again.id}) == 3


def test_the_last_word_does_not_go_back(meetings: Meetings) -> None:
    meeting = at(meetings, 1_500_000)
    meetings.heard_until(meeting.id, 1_600_000)
    meetings.heard_until(meeting.id, 1_550_000)

    assert at(meetings, 1_600_000).last_word_ms == 1_600_000


def test_only_the_meeting_that_was_heard_goes_on(meetings: Meetings) -> None:
    first = at(meetings, 1_500_000)
    second = at(meetings, 1_500_000 + 2 * GAP_MS)
    meetings.heard_until(second.id, 1_501_000 + 2 * GAP_MS)

    assert meetings.before(1_600_000) == first


# What is heard late.


def test_words_heard_late_go_to_the_meeting_they_were_said_in(meetings: Meetings) -> None:
    """The live session is hours ahead of what works off an outage."""
    morning = at(meetings, 1_500_000)
    meetings.heard_until(morning.id, 1_800_000)
    noon = at(meetings, 1_800_000 + 5 * GAP_MS)

    assert at(meetings, 1_900_000).id == morning.id
    assert at(meetings, 1_900_000 + 5 * GAP_MS).id == noon.id


def test_what_is_unheard_yet_is_no_silence(meetings: Meetings) -> None:
    """An hour was missed in which people may have talked: the meeting is still the same."""
    meeting = at(meetings, 1_500_000)
    unheard = Unheard(1_500_000, 1_500_000 + 6 * GAP_MS)

    assert at(meetings, unheard.end_ms + GAP_MS - 1, MICROPHONE, unheard).id == meeting.id
    assert at(meetings, unheard.end_ms + GAP_MS, MICROPHONE, unheard).id != meeting.id


def test_only_what_lies_between_counts_as_unheard(meetings: Meetings) -> None:
    meeting = at(meetings, 1_500_000)
    meetings.heard_until(meeting.id, 1_600_000)
    parts = Unheard(1_000_000, 1_600_000), Unheard(1_650_000, 1_660_000), Unheard(2_700_000, 2_800_000)

    assert at(meetings, 1_610_000 + GAP_MS - 1, MICROPHONE, *parts).id == meeting.id
    assert at(meetings, 1_610_000 + GAP_MS, MICROPHONE, *parts).id != meeting.id


def test_a_meeting_that_follows_on_unheard_sound_begins_with_it(meetings: Meetings) -> None:
    """The first words of the day were said in an outage: they have a place in the meeting when they come."""
    unheard = Unheard(1_200_000, 1_480_000)
    meeting = at(meetings, 1_500_000, MICROPHONE, unheard)

    assert meeting.sound_ms == unheard.start_ms
    assert at(meetings, 1_200_500).id == meeting.id


def test_unheard_sound_far_from_a_meeting_is_not_its_beginning(meetings: Meetings) -> None:
    unheard = Unheard(1_000_000, 1_100_000)

    assert at(meetings, 1_100_000 + GAP_MS, MICROPHONE, unheard).sound_ms == 1_100_000 + GAP_MS - LEAD_IN_MS


# What is remembered.


def test_meetings_survive_a_restart(meetings: Meetings) -> None:
    """They are stored with each final turn."""
    first = at(meetings, 1_500_000)
    second = at(meetings, 1_500_000 + 2 * GAP_MS)
    again = Meetings(json.loads(json.dumps(meetings.to_state())))

    assert again.before(1_500_000) == first
    assert at(again, 1_500_000 + 2 * GAP_MS) == second


def test_the_latest_meetings_are_remembered(meetings: Meetings) -> None:
    for number in range(MEETINGS_MAX + 3):
        at(meetings, 1_500_000 + number * 2 * GAP_MS)

    assert len(meetings.to_state()) == MEETINGS_MAX
    assert meetings.before(1_500_000 + 2 * 2 * GAP_MS) is None
    assert meetings.before(1_500_000 + 3 * 2 * GAP_MS) is not None


def test_before_the_first_meeting_there_is_none(meetings: Meetings) -> None:
    assert meetings.before(10**9) is None
    at(meetings, 1_500_000)
    assert meetings.before(1_400_000) is None


def test_a_recording_s_name_is_its_meeting_s_title() -> None:
    """Ten of them in a list are told apart by nothing else; what a person calls it counts more."""
    recording = Stretch(1_000_000, "Board 2026-11.wav", 0)
    meetings = Meetings(None)
    assert meetings.at(1_005_000, recording, 60_000).title == "Board 2026-11"
    by_hand = meetings.cut(1_010_000, recording, "Budget", begins=True)
    assert by_hand
    assert by_hand.title == "Budget"
    assert meetings.at(1_011_000, recording, 60_000).title == "Budget"
    assert Meetings(None).at(5_000, Stretch(0, "microphone", 0), 60_000).title is None
