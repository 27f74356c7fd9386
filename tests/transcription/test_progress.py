"""What counts as progress of a session, as a table, and what is in doubt where there is none."""

import pytest

from minuted.transcription.progress import (
    DENSE_FRAMES,
    HOLD_FRAMES,
    HOLD_LOUD_FRAMES,
    SPEECH_FRAMES,
    STALL_FRAMES,
    STALL_S_MIN,
    TURN_FRAMES_MAX,
    Doubt,
    Evidence,
    Progress,
)

LATE_S = STALL_S_MIN + 1


def sounded(pattern: str, *, each: int = 20, first: int = 0, **known: bool) -> Progress:
    """Send sound, # loud and . quiet, a second each."""
    progress = Progress(0.0, **known)
    for place, mark in enumerate(pattern):
        for number in range(first + place * each, first + (place + 1) * each):
            progress.sent(number, is_loud=mark == "#")
    return progress


# A session that stalls.


@pytest.mark.parametrize(
    ("pattern", "told", "is_stalled"),
    [
        ("##########", None, True),
        ("..........", None, False),
        ("#####.....", None, False),
        ("#.#.#.#.#.#.", None, True),
        ("#...#...#...#...#...#...#...#...", None, False),
        ("##########", (0, 3), True),
        ("##########", (0, 195), False),
    ],
    ids=[
        "speech",
        "quiet",
        "too little",
        "with pauses",
        "now and then",
        "a turn long ago",
        "a turn just now",
    ],
)
def test_a_session_has_stalled_when_speech_goes_in_and_no_words_come_out(
    pattern: str, told: tuple[int, int] | None, is_stalled: bool
) -> None:
    progress = sounded(pattern)
    if told:
        progress.told(0, "a turn", told, 0.0)
    assert progress.is_stalled(LATE_S) is is_stalled


def test_a_partial_that_says_the_same_again_is_no_progress() -> None:
    progress = sounded("####")
    assert progress.told(0, "the same", (0, 60), 1.0)
    assert not progress.told(0, "the same", (0, 60), 9.0)
    for number in range(80, 80 + STALL_FRAMES):
        progress.sent(number, is_loud=True)
    assert progress.is_stalled(9.0)
    assert progress.told(0, "the same and more", (0, 190), 9.0)
    assert not progress.is_stalled(20.0)


def test_a_session_that_was_sent_much_at_once_has_time_to_answer() -> None:
    """After a break sound is sent faster than it is spoken."""
    progress = sounded("##########")
    assert not progress.is_stalled(STALL_S_MIN - 0.1)
    assert progress.is_stalled(STALL_S_MIN)


def test_only_what_the_service_has_worked_through_counts_where_it_says_how_much() -> None:
    progress = sounded("##########")
    assert not progress.is_stalled(LATE_S, heard_before=STALL_FRAMES - 1)
    assert progress.is_stalled(LATE_S, heard_before=STALL_FRAMES)


@pytest.mark.parametrize(
    ("pattern", "is_stalled"),
    [("####....", True), ("####.", False), ("##......", False), ("#" * 30, False), ("#" * 70, True)],
    ids=["a pause that ends every turn", "not yet", "too little", "a long turn", "longer than any turn"],
)
def test_without_partials_words_are_due_at_a_turns_end(pattern: str, is_stalled: bool) -> None:
    """With redaction the service says nothing before."""
    assert sounded(pattern, has_partials=False).is_stalled(LATE_S) is is_stalled
    assert TURN_FRAMES_MAX > 30 * 20


def test_sound_that_is_missing_is_no_pause() -> None:
    """The service hears what comes after it next: a turn may go on."""
    progress = sounded("####", has_partials=False)
    for number in range(1000, 1010):
        progress.sent(number, is_loud=True)
    assert not progress.is_stalled(LATE_S)


# What a final turn leaves behind.


def test_turns_that_follow_each_other_leave_nothing_in_doubt() -> None:
    progress = sounded(".##.##.")
    assert progress.ended(0, (18, 62)) is None
    assert progress.ended(1, (78, 130)) is None
    assert progress.open_doubt() is None


def test_a_number_that_is_missing_is_a_doubt_about_what_was_loud_before() -> None:
    progress = sounded(".##.##.##.")
    progress.ended(0, (18, 62))
    doubt = progress.ended(2, (138, 182))
    assert doubt == Doubt(80, Evidence.MISSING, (1, 1))
    assert not progress.is_handed_on(1, (80, 120))
    progress.hand_on(doubt, 138)
    assert progress.is_handed_on(1, (80, 120))
    assert not progress.is_handed_on(1, (140, 180))
    assert not progress.is_handed_on(2, (80, 120))


def test_a_number_far_off_costs_neither_memory_nor_the_turns_that_follow() -> None:
    """The service may count on as before."""
    progress = sounded(".##.##.##.")
    progress.ended(2**53, (18, 62))
    assert not progress.is_handed_on(1, (80, 120))
    assert progress.ended(1, (78, 122)) is None
    assert progress.ended(2, (138, 182)) is None


def test_a_turn_that_was_shown_and_never_ended_is_missing() -> None:
    progress = sounded(".##.##.##.")
    progress.told(0, "shown", (18, 62), 0.0)
    doubt = progress.ended(1, (78, 122))
    assert doubt
    assert doubt.evidence is Evidence.MISSING


def test_a_final_without_words_counts_its_number() -> None:
    progress = sounded(".##.##.##.")
    progress.ended(0, (18, 62))
    progress.ended(1, None)
    assert progress.ended(2, (78, 122)) is None


def test_a_number_missing_before_a_final_without_words_is_noticed_at_the_next() -> None:
    progress = sounded(".##.##.##.")
    progress.ended(0, (18, 62))
    assert progress.ended(2, None) is None
    doubt = progress.ended(3, (138, 182))
    assert doubt
    assert doubt.evidence is Evidence.MISSING


def test_a_turn_that_was_announced_and_never_told_is_a_doubt() -> None:
    progress = sounded(".##....##.")
    progress.announced(20)
    progress.announced(140)
    progress.told(0, "the second", (140, 180), 0.0)
    assert progress.ended(0, (140, 180)) == Doubt(20, Evidence.ANNOUNCED)


def test_an_announcement_without_sound_is_none() -> None:
    progress = sounded("..........")
    progress.announced(20)
    assert progress.ended(0, (140, 180)) is None


def test_speech_that_the_detector_hears_and_no_turn_covers_is_a_doubt() -> None:
    """It may be too faint to be loud."""
    progress = sounded("..........")
    for number in range(20, 20 + SPEECH_FRAMES):
        progress.detected(number)
    assert progress.ended(0, (140, 180)) == Doubt(20, Evidence.SPEECH)


@pytest.mark.parametrize(
    ("pattern", "is_doubt"), [(".####.....", True), (".#..#..#..#..#..#.", False)], ids=["dense", "knocks"]
)
def test_loud_sound_is_a_doubt_where_it_is_as_dense_as_speech(pattern: str, is_doubt: bool) -> None:
    progress = sounded(pattern)
    doubt = progress.ended(0, (len(pattern) * 20 - 20, len(pattern) * 20 - 10))
    assert (doubt is not None) is is_doubt
    assert doubt is None or doubt.evidence is Evidence.LOUD


# What silence may not pass.


@pytest.mark.parametrize(
    ("pattern", "hold"), [("....", None), (".#..", 14), ("#...", -6)], ids=["quiet", "loud", "at once"]
)
def test_silence_passes_no_sound_that_no_turn_covers(pattern: str, hold: int | None) -> None:
    assert sounded(pattern).hold_before() == hold


def test_a_single_loud_frame_is_no_word() -> None:
    progress = sounded("....")
    progress.sent(80, is_loud=True)
    assert progress.hold_before() is None


def test_an_announced_turn_holds_silence_back() -> None:
    progress = sounded("....")
    progress.announced(40)
    assert progress.hold_before() == 34


def test_a_loud_moment_holds_for_a_minute_and_speech_for_ten() -> None:
    loud, speech = sounded("#"), sounded("#")
    for number in range(20):
        speech.detected(number)
    for progress in (loud, speech):
        for number in range(20, HOLD_LOUD_FRAMES + 20):
            progress.sent(number, is_loud=False)
        assert progress.expire() is None
    assert loud.hold_before() is None
    assert speech.hold_before() == -6


def test_what_was_like_speech_is_given_up_after_ten_minutes() -> None:
    progress = sounded("#")
    for number in range(20):
        progress.detected(number)
    for number in range(20, HOLD_FRAMES + 40):
        progress.sent(number, is_loud=False)
    assert progress.expire() == Doubt(0, Evidence.SPEECH)
    assert progress.expire() is None
    assert progress.oldest_kept == HOLD_FRAMES + 40


def test_no_more_is_remembered_than_ten_minutes_of_loud_sound() -> None:
    progress = Progress(0.0)
    for number in range(2 * HOLD_FRAMES):
        progress.sent(number, is_loud=True)
        if number % 100 == 0:
            progress.expire()
    assert progress.oldest_kept >= HOLD_FRAMES - 100
    assert DENSE_FRAMES < HOLD_FRAMES


@pytest.mark.parametrize(("loud", "is_doubt"), [(5, False), (6, True)])
def test_a_word_after_the_last_turn_of_a_session_is_a_doubt(loud: int, is_doubt: bool) -> None:
    """No later turn will show that its number is missing."""
    progress = sounded(".##..")
    progress.ended(0, (18, 62))
    for number in range(100, 100 + loud):
        progress.sent(number, is_loud=True)
    assert progress.open_doubt() == (Doubt(100, Evidence.BRIEF) if is_doubt else None)
    assert progress.open_doubt(by_loudness=False) is None


def test_where_a_detector_has_looked_loudness_is_no_doubt_at_the_end() -> None:
    progress = sounded("####.")
    assert progress.open_doubt() == Doubt(0, Evidence.LOUD)
    assert progress.open_doubt(by_loudness=False) is None
    for number in range(20):
        progress.detected(number)
    assert progress.open_doubt(by_loudness=False) == Doubt(0, Evidence.SPEECH)


def test_a_short_stretch_of_which_half_is_loud_is_like_speech() -> None:
    """Captions that go on live leave such behind: heard twice within a second, it would pass for a knock."""
    assert sounded("##.", each=6).open_doubt() == Doubt(0, Evidence.LOUD)
    assert sounded("#..", each=6).open_doubt() == Doubt(0, Evidence.BRIEF)
    told = sounded("##.", each=6)
    told.told(0, "one", (0, 1), 0.0)
    told.ended(0, (0, 1))
    assert told.open_doubt() == Doubt(6, Evidence.BRIEF)
