"""When the session may go and from where it comes back, by frames and likelihoods alone."""

import random

import pytest

from minuted.messages import FRAME_MS
from minuted.transcription.idle import (
    DOUBT,
    DOUBT_FRAMES_MAX,
    LONGER_MAX,
    NOTICE_FRAMES,
    PRE_ROLL_FRAMES,
    SPEECH,
    STRICTER,
    STRICTEST,
    Idle,
)

AFTER_S = 60.0
SECOND = 1000 // FRAME_MS
FIRST = 1_000_000
TODAY = "2026-03-01"


def quiet(idle: Idle, frames: int, likely: float = 0.0) -> None:
    for _ in range(frames):
        idle.look(idle.looked_before, likely)


def awake() -> Idle:
    idle = Idle(AFTER_S)
    idle.begin_at(FIRST)
    return idle


def resting(vain: int = 0) -> Idle:
    """Nobody has spoken for long, and the session has ended."""
    idle = Idle(AFTER_S, {"vain": vain})
    idle.begin_at(FIRST)
    quiet(idle, int(idle.quiet_s_min) * SECOND)
    assert idle.is_due(0.0)
    idle.close()
    idle.rest(now_ms=1)
    return idle


def test_the_session_stays_until_nobody_has_spoken_for_as_long_as_was_asked() -> None:
    """A pause for thought must not cost the next sentence a new session."""
    idle = awake()
    quiet(idle, 60 * SECOND - 1)
    assert not idle.is_due(0.0)
    quiet(idle, 1)
    assert idle.is_due(0.0)

    idle.speak()
    quiet(idle, 60 * SECOND - 1)
    assert not idle.is_due(0.0)


def test_time_without_any_sound_counts_as_silence() -> None:
    """With the microphone unplugged nobody is heard, and the open session costs as much."""
    idle = awake()
    quiet(idle, 20 * SECOND)
    assert not idle.is_due(39.0)
    assert idle.is_due(40.0)


def test_asked_never_to_close_it_never_does() -> None:
    """0 is for those who pay for every second and want every one heard by the service itself."""
    idle = Idle(0.0, {"since_ms": 5})
    idle.begin_at(FIRST)
    quiet(idle, 100 * SECOND)
    assert idle.phase == "awake"
    assert not idle.is_due(3600.0)


def test_speech_wakes_and_nothing_less_than_1500_ms_before_it_was_passed() -> None:
    """Whatever was let go unheard ends so long before the frame in which speech was noticed."""
    idle = resting()
    quiet(idle, 7 * SECOND)
    passed = idle.pass_before
    assert idle.looked_before - passed == PRE_ROLL_FRAMES + NOTICE_FRAMES
    idle.look(idle.looked_before, SPEECH)
    assert idle.phase == "awake"
    assert idle.looked_before - 1 - passed >= PRE_ROLL_FRAMES


def test_the_mark_waits_where_it_may_be_speech() -> None:
    """Somebody who begins so faintly that it is sure only later has begun where the doubt did."""
    idle = resting()
    before = idle.looked_before
    quiet(idle, DOUBT_FRAMES_MAX, DOUBT)
    assert idle.pass_before == before - PRE_ROLL_FRAMES - NOTICE_FRAMES
    assert not idle.is_sure

    quiet(idle, 100, DOUBT)
    assert idle.looked_before - idle.pass_before <= PRE_ROLL_FRAMES + NOTICE_FRAMES + DOUBT_FRAMES_MAX + 1

    quiet(idle, DOUBT_FRAMES_MAX)
    assert idle.is_sure
    assert idle.looked_before - idle.pass_before == PRE_ROLL_FRAMES + NOTICE_FRAMES


def test_what_nobody_looked_at_and_what_was_speech_is_not_to_be_passed() -> None:
    """`looked_from` is what holds the mark: it may move only over sound that is known to be silent."""
    idle = awake()
    quiet(idle, 50)
    assert idle.looked_from == FIRST
    idle.look(idle.looked_before, 0.9)
    assert idle.looked_from == FIRST + 51
    idle.begin_at(FIRST + 500)
    assert idle.looked_from == FIRST + 500


def test_what_would_open_a_session_does_not_hold_one() -> None:
    """While the service listens nothing is lost by closing, and a noise must not keep it open."""
    idle = awake()
    quiet(idle, 59 * SECOND)
    idle.look(idle.looked_before, (SPEECH + STRICTEST) / 2)
    assert idle.looked_from == idle.looked_before
    quiet(idle, SECOND)
    assert idle.is_due(0.0)

    idle.look(idle.looked_before, STRICTEST)
    assert not idle.is_due(0.0)


def test_opened_in_vain_it_gets_harder_to_wake_and_then_stays_longer() -> None:
    """A room whose noise passes for speech must not open sessions for ever; and words undo it."""
    idle = resting()
    bounds, waits = [], []
    for _ in range(8):
        bounds.append(round(idle.bound, 2))
        waits.append(idle.quiet_s_min)
        idle.look(idle.looked_before, 0.9)
        quiet(idle, int(idle.quiet_s_min) * SECOND)
        idle.close()
        idle.rest(now_ms=1)
    assert bounds == pytest.approx([SPEECH, SPEECH + STRICTER] + [STRICTEST] * 6)
    assert waits == [60, 60, 60, 120, 240, 480, 480, 480]
    assert max(waits) == AFTER_S * LONGER_MAX

    vain = idle.vain
    idle.look(idle.looked_before, 0.9)
    idle.words()
    quiet(idle, int(idle.quiet_s_min) * SECOND)
    idle.close()
    idle.rest(now_ms=1)
    assert idle.vain == vain - 1


def test_words_that_come_when_the_session_is_closed_again_count_too() -> None:
    """What woke it may be caught up with by another session."""
    idle = resting()
    for _ in range(2):
        idle.look(idle.looked_before, 0.9)
        quiet(idle, 60 * SECOND)
        idle.close()
        idle.rest(now_ms=1)
    assert idle.vain == 2
    idle.words()
    idle.words()
    assert idle.vain == 1


def test_an_hour_of_chatter_with_pauses_does_not_flap() -> None:
    """The session is closed only in a silence of a minute, so it is opened at most once for each of them."""
    chance = random.Random(3)
    idle = awake()
    silences = closed = opened = 0
    frames = 0
    while frames < 3600 * SECOND:
        pause = int(chance.expovariate(1 / 20) * SECOND)
        talk = int(chance.uniform(1, 15) * SECOND)
        silences += pause >= 60 * SECOND
        for likely, count in ((0.01, pause), (0.8, talk)):
            for _ in range(count):
                was = idle.phase
                # A syllable here and there is not taken for speech.
                idle.look(idle.looked_before, likely if chance.random() < 0.8 else 0.0)
                opened += was == "idle" and idle.phase == "awake"
                if idle.phase == "awake" and idle.is_due(0.0):
                    idle.close()
                    idle.rest(now_ms=1)
                    closed += 1
            if likely > SPEECH:
                idle.words()
        frames += pause + talk
    assert silences >= 3
    assert closed <= silences
    assert opened <= closed


def test_a_noise_that_passes_for_speech_each_minute_opens_few_sessions() -> None:
    """Without a bound a door that bangs each 70 s would open 51 sessions an hour."""
    idle = awake()
    for second in range(4 * 3600):
        for place in range(SECOND):
            idle.look(idle.looked_before, 0.6 if second % 70 == 0 and place == 0 else 0.0)
        if idle.is_due(0.0):
            idle.close()
            idle.rest(now_ms=1)
    assert 0 < idle.wakes <= 12


def test_another_process_goes_on_where_this_one_was() -> None:
    """A restart while nobody speaks opens no session; what was learnt and saved is kept."""
    idle = resting(vain=3)
    idle.tick(100.0, TODAY)
    idle.tick(103.0, TODAY)
    following = Idle(AFTER_S, idle.to_state())
    assert following.phase == "idle"
    assert following.since_ms == 1
    assert following.vain == idle.vain
    assert following.saved_s(TODAY) == 3.0
    assert Idle(0.0, idle.to_state()).phase == "awake"


def test_the_time_saved_is_counted_by_the_day_and_only_while_nobody_speaks() -> None:
    """It stands in `status` beside what was paid."""
    idle = resting()
    for now_s in (10.0, 12.0, 13.5):
        idle.tick(now_s, TODAY)
    assert idle.saved_s(TODAY) == 3.5
    assert idle.saved_s("2026-03-02") == 0.0
    idle.tick(14.5, "2026-03-02")
    assert idle.saved_s("2026-03-02") == 1.0
    idle.tick(15.0, "2026-03-02", is_paused=True)
    idle.tick(20.0, "2026-03-02")
    assert idle.saved_s("2026-03-02") == 1.0
    idle.speak()
    idle.tick(16.0, "2026-03-02")
    idle.tick(18.0, "2026-03-02")
    assert idle.saved_s("2026-03-02") == 1.0
