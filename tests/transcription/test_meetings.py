from dataclasses import replace

import pytest

from minuted.transcription.clock import Stretch
from minuted.transcription.meetings import LEAD_IN_MS, Meeting, meeting_at

GAP_MS = 600_000
WALL_MS = 1_700_000_000_000
MICROPHONE = Stretch(sound_ms=1_000_000, source="microphone", wall_offset_ms=WALL_MS)
RECORDING = Stretch(sound_ms=1_000_000, source="talk.wav", wall_offset_ms=WALL_MS)


def first_at(start_ms: int, stretch: Stretch = MICROPHONE) -> Meeting:
    return meeting_at(None, start_ms, stretch, GAP_MS)


def test_a_meeting_at_the_microphone_begins_just_before_its_first_word() -> None:
    """Its start may still be refined, and no word's time is below zero."""
    meeting = first_at(1_500_000)

    assert meeting.sound_ms == 1_500_000 - LEAD_IN_MS
    assert meeting.started_at_ms == WALL_MS + meeting.sound_ms
    assert (meeting.source, meeting.last_word_ms) == ("microphone", 1_500_000)


def test_a_meeting_does_not_begin_before_the_microphone_was_on() -> None:
    assert first_at(MICROPHONE.sound_ms + 300).sound_ms == MICROPHONE.sound_ms


def test_every_meeting_has_its_own_name() -> None:
    assert len({first_at(1_500_000).id for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("pause_ms", "same"), [(0, True), (GAP_MS - 1, True), (GAP_MS, False), (10 * GAP_MS, False)]
)
def test_the_pause_decides_at_the_microphone(pause_ms: int, same: bool) -> None:
    before = first_at(1_500_000).heard_until(1_510_000)

    after = meeting_at(before, 1_510_000 + pause_ms, MICROPHONE, GAP_MS)

    assert (after == before) is same
    assert (after.id == before.id) is same


def test_the_pause_counts_from_the_last_word_not_the_first() -> None:
    meeting = first_at(1_500_000)
    for minute in range(1, 200):
        start_ms = 1_500_000 + minute * 300_000
        assert meeting_at(meeting, start_ms, MICROPHONE, GAP_MS).id == meeting.id
        meeting = meeting.heard_until(start_ms + 1000)


def test_a_word_that_was_heard_before_the_last_one_belongs_to_the_meeting() -> None:
    """Two sessions overlap, or a start is refined."""
    meeting = first_at(1_500_000).heard_until(1_600_000)

    assert meeting_at(meeting, 1_590_000, MICROPHONE, GAP_MS) is meeting


def test_a_jump_in_the_sound_does_not_end_a_meeting() -> None:
    """Capture was away for a minute; the people were not."""
    meeting = first_at(1_500_000)
    later = replace(MICROPHONE, sound_ms=1_560_000)

    assert meeting_at(meeting, 1_561_000, later, GAP_MS) is meeting


def test_a_recording_is_one_meeting_from_its_first_sample() -> None:
    meeting = first_at(1_005_000, RECORDING)
    assert (meeting.sound_ms, meeting.started_at_ms) == (1_000_000, WALL_MS + 1_000_000)

    assert meeting_at(meeting, 1_005_000 + 5 * GAP_MS, RECORDING, GAP_MS) is meeting


def test_another_recording_is_another_meeting() -> None:
    meeting = first_at(1_005_000, RECORDING)
    other = Stretch(sound_ms=1_060_000, source="other.wav", wall_offset_ms=WALL_MS)
    again = Stretch(sound_ms=1_060_000, source="talk.wav", wall_offset_ms=WALL_MS)

    assert meeting_at(meeting, 1_060_100, other, GAP_MS).source == "other.wav"
    assert meeting_at(meeting, 1_060_100, again, GAP_MS).id != meeting.id


def test_microphone_and_recording_are_never_one_meeting() -> None:
    recorded = first_at(1_005_000, RECORDING)
    live = meeting_at(recorded, 1_006_000, MICROPHONE, GAP_MS)

    assert live.id != recorded.id
    assert meeting_at(live, 1_007_000, RECORDING, GAP_MS).id not in (live.id, recorded.id)


def test_the_last_word_does_not_go_back() -> None:
    meeting = first_at(1_500_000).heard_until(1_600_000)

    assert meeting.heard_until(1_550_000).last_word_ms == 1_600_000


def test_a_meeting_survives_a_restart() -> None:
    """It is stored with each final turn."""
    meeting = first_at(1_500_000)

    assert Meeting.from_state(meeting.to_state()) == meeting
    assert Meeting.from_state(None) is None
