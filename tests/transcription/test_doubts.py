"""Which sound is heard again, how often, and when it is taken for noise."""

from minuted.transcription.doubts import (
    HEARD_MAX,
    LAST_RETRY_S,
    MISSING_VAIN_MAX,
    RETRY_S,
    TRUST_S,
    Doubts,
    Verdict,
)
from minuted.transcription.progress import Evidence

NOW_S = 1e6
NOTHING = Evidence(0)


# Sessions without progress.


def test_noise_costs_one_session_an_hour() -> None:
    """The second session says no more than the first: it stays."""
    doubts = Doubts()
    left = [second for second in range(2 * 3600) if doubts.may_leave(NOW_S + second)]
    assert left == [0, TRUST_S + 1]


def test_a_service_that_has_fallen_silent_is_left_twice() -> None:
    """Where not even a heartbeat comes it is more likely dead than the room loud."""
    doubts = Doubts()
    left = [second for second in range(3600) if doubts.may_leave(NOW_S + second, is_silent=True)]
    assert left == [0, 1]


def test_progress_in_between_lets_the_next_session_be_left() -> None:
    doubts = Doubts()
    assert doubts.may_leave(NOW_S)
    doubts.progressed()
    assert doubts.may_leave(NOW_S + 60)


# Sound that is heard again.


def test_what_is_taken_out_of_a_working_session_is_heard_at_once() -> None:
    doubts = Doubts()
    doubts.progressed()
    doubts.open(7, Evidence.MISSING, NOW_S)
    assert not doubts.waits(7, NOW_S)


def test_words_show_that_the_service_was_at_fault() -> None:
    """Then the next doubt is trusted, too."""
    doubts = Doubts()
    doubts.open(7, Evidence.SPEECH, NOW_S)
    doubts.told(7)
    assert doubts.ended(7, NOTHING, NOW_S) is Verdict.PASSED
    assert doubts.is_credible(Evidence.SPEECH, NOW_S)


def test_sound_without_words_though_the_service_works_is_noise_for_an_hour() -> None:
    doubts = Doubts()
    doubts.open(7, Evidence.SPEECH, NOW_S)
    assert doubts.ended(7, NOTHING, NOW_S) is Verdict.PASSED
    assert not doubts.is_credible(Evidence.SPEECH | Evidence.ANNOUNCED | Evidence.LOUD, NOW_S + TRUST_S - 1)
    assert doubts.is_credible(Evidence.SPEECH, NOW_S + TRUST_S)


def test_a_missing_number_is_doubted_after_three_times_in_vain() -> None:
    """It is the service's own word, and the service may count otherwise than is known."""
    doubts = Doubts()
    for range_id in range(MISSING_VAIN_MAX):
        assert doubts.is_credible(Evidence.MISSING, NOW_S)
        doubts.open(range_id, Evidence.MISSING, NOW_S)
        doubts.ended(range_id, NOTHING, NOW_S)
    assert not doubts.is_credible(Evidence.MISSING, NOW_S)


def test_a_range_whose_session_ends_in_doubt_waits_until_words_come_again() -> None:
    doubts = Doubts()
    assert doubts.ended(7, Evidence.ANNOUNCED, NOW_S) is Verdict.AGAIN
    assert doubts.waits(7, NOW_S + RETRY_S - 1)
    assert not doubts.waits(7, NOW_S + RETRY_S)
    doubts.progressed()
    assert not doubts.waits(7, NOW_S)


def test_at_the_end_of_the_sound_a_range_is_tried_a_few_times_and_then_given_up() -> None:
    """Nothing else will show whether the service works again."""
    doubts, now_s, verdicts, waits_s = Doubts(), NOW_S, [], []
    for _ in range(HEARD_MAX):
        verdicts.append(doubts.ended(7, Evidence.ANNOUNCED, now_s))
        began_s = now_s
        while doubts.waits(7, now_s, is_last=True):
            now_s += 1
        waits_s.append(now_s - began_s)
    assert verdicts == [Verdict.AGAIN, Verdict.AGAIN, Verdict.GIVEN_UP]
    assert waits_s == [LAST_RETRY_S, LAST_RETRY_S, 0]


def test_a_loud_moment_is_heard_once_more_at_once_and_passed_without_a_gap() -> None:
    doubts = Doubts()
    assert doubts.ended(7, Evidence.BRIEF, NOW_S) is Verdict.AGAIN
    assert not doubts.waits(7, NOW_S)
    assert doubts.ended(7, Evidence.BRIEF, NOW_S) is Verdict.PASSED


def test_sound_that_is_loud_like_speech_waits_until_words_come_again() -> None:
    """Where no detector listens it is all there is to go by."""
    doubts = Doubts()
    assert doubts.ended(7, Evidence.LOUD, NOW_S) is Verdict.AGAIN
    assert doubts.waits(7, NOW_S)
    doubts.progressed()
    assert doubts.ended(7, Evidence.LOUD, NOW_S) is Verdict.PASSED


def test_loud_sound_at_the_end_that_no_service_tells_of_is_given_up() -> None:
    """Nothing shows that the service works: it may have been speech."""
    doubts = Doubts()
    assert doubts.ended(7, Evidence.LOUD, NOW_S) is Verdict.AGAIN
    assert not doubts.waits(7, NOW_S, is_last=True)
    assert doubts.ended(7, Evidence.LOUD, NOW_S) is Verdict.GIVEN_UP


def test_within_the_hour_what_is_like_speech_is_given_up_and_not_passed() -> None:
    """It costs no session, but a gap tells."""
    doubts = Doubts()
    doubts.open(7, Evidence.SPEECH, NOW_S)
    doubts.ended(7, NOTHING, NOW_S)
    assert doubts.ended(8, Evidence.ANNOUNCED, NOW_S) is Verdict.GIVEN_UP
    assert doubts.ended(9, Evidence.LOUD, NOW_S) is Verdict.PASSED


def test_a_range_that_told_words_and_leaves_others_in_doubt_is_heard_once_more() -> None:
    doubts = Doubts()
    doubts.open(7, Evidence.MISSING, NOW_S)
    doubts.told(7)
    assert doubts.ended(7, Evidence.ANNOUNCED, NOW_S) is Verdict.AGAIN
    doubts.progressed()
    assert doubts.ended(7, Evidence.ANNOUNCED, NOW_S) is Verdict.GIVEN_UP


def test_a_range_is_not_passed_over_in_silence_because_another_was_noise() -> None:
    """The service's own word opened it, and it was heard again in vain: the gap has to tell."""
    doubts = Doubts()
    doubts.open(7, Evidence.MISSING, NOW_S)
    doubts.open(8, Evidence.MISSING | Evidence.ANNOUNCED, NOW_S)
    assert doubts.ended(7, Evidence.BRIEF, NOW_S) is Verdict.GIVEN_UP
    assert doubts.ended(8, Evidence.BRIEF, NOW_S) is Verdict.GIVEN_UP


def test_a_turn_that_was_announced_is_not_passed_over_in_silence_while_sound_is_taken_for_noise() -> None:
    doubts = Doubts()
    doubts.open(7, Evidence.SPEECH, NOW_S)
    doubts.ended(7, NOTHING, NOW_S)
    assert doubts.ended(8, Evidence.LOUD, NOW_S) is Verdict.PASSED
    assert doubts.ended(8, Evidence.ANNOUNCED, NOW_S) is Verdict.GIVEN_UP


def test_a_loud_moment_heard_in_vain_says_nothing_of_sound_like_speech() -> None:
    """A service that tells no words at all would else make noise of a whole talk."""
    doubts = Doubts()
    doubts.ended(7, Evidence.BRIEF, NOW_S)
    assert doubts.ended(7, Evidence.BRIEF, NOW_S) is Verdict.PASSED
    assert not doubts.is_credible(Evidence.BRIEF, NOW_S)
    assert doubts.ended(8, Evidence.LOUD, NOW_S) is Verdict.AGAIN
