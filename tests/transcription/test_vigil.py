"""The session closed in silence and opened again by speech: every word, and none of the money."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from minuted.messages import FRAME_MS, Session
from minuted.transcription.idle import PRE_ROLL_FRAMES
from simulator import Fault, Service
from simulator.coded import compose
from voices import speech, utterances

SHORT = "idle_after_s = 1\n"
IN_MEMORY = "[journal]\naudio = 'memory'\n"
NOBODY = utterances(0, 0.5)


def idle_of(room) -> bool:
    return room.transcriber.status()["idle_since_ms"] is not None


def texts(recording) -> list[str]:
    return [word.text for word in recording.words]


def reasons(room) -> list[str]:
    return [
        f"{message.event} {message.reason}".strip()
        for message in room.messages
        if isinstance(message, Session)
    ]


def settle(room) -> None:
    """Say nothing until the session is closed."""
    while not idle_of(room):
        room.play(NOBODY, in_real_time=True)


@pytest.mark.parametrize(("journal", "times"), [("", 3), (IN_MEMORY, 1)], ids=["disk", "memory"])
def test_after_every_silence_the_first_word_is_there(make_room: Callable, journal: str, times: int) -> None:
    """Each session begins 1.5 s before the speech that woke it; no two are open, and no word is lost."""
    said = [utterances(1, 1.2, first_number=10 * place) for place in range(1, times + 1)]
    with Service() as service:
        room = make_room(service, SHORT + journal)
        for each in said:
            settle(room)
            room.play(each, in_real_time=True)
            room.wait_for(lambda: not idle_of(room))
        settle(room)
        status = room.transcriber.status()
        room.end()
        sessions = list(service.sessions)

    assert room.words == [text for each in said for text in texts(each)]
    assert len(sessions) == times + 1  # the first is open until it is known that nobody speaks
    assert [each for each in reasons(room) if each != "drained"] == ["started", "ended idle"] * (times + 1)
    assert (status["wakes"], status["wakes_in_vain"]) == (times, 0)
    assert status["backlog_s"] == 0
    assert status["saved_today_s"] > 0
    assert not room.gaps
    assert all(before.ended_at_s < after.at_s for before, after in pairwise(sessions))
    for session in sessions[1:]:
        speech_ms = bytes(session.pcm).find(speech(0.1).tobytes()) // 32
        assert speech_ms >= PRE_ROLL_FRAMES * FRAME_MS


def test_speech_that_begins_while_the_session_closes_is_whole(make_room: Callable) -> None:
    """The service still owes the end of one session when the next is wanted: no frame falls in between."""
    said = utterances(1, 0.05)
    with Service(terminate_s=1.0) as service:
        room = make_room(service, SHORT)
        while not (service.sessions and service.sessions[0].asked("Terminate")):
            room.play(NOBODY, slice(9), in_real_time=True)
        room.play(said, in_real_time=True)
        room.wait_for(lambda: room.finals)
        room.end()
    assert room.words == texts(said)


@pytest.mark.parametrize(("terminate_s", "half_words"), [(0.0, "mangled"), (1.0, "nothing")])
def test_a_word_that_the_close_cuts_in_two_is_heard_whole_by_the_next(
    make_room: Callable, terminate_s: float, half_words: str
) -> None:
    """A detector knows of a word only when it is under way: the service may have its begin when it closes."""
    said = utterances(1, 1.5)
    begun = said.words[0].start_ms // FRAME_MS + 3
    with Service(terminate_s=terminate_s, half_words=half_words) as service:
        room = make_room(service, "idle_after_s = 2\n")
        room.play(said, slice(begun), in_real_time=True)
        room.wait_for(lambda: service.sessions and service.sessions[0].asked("Terminate"))
        room.play(said, slice(begun, None), in_real_time=True)
        room.end()
        cut_ms = len(service.sessions[0].pcm) // 32
    assert said.words[0].start_ms < cut_ms < said.words[0].end_ms
    assert room.words == texts(said)


@pytest.mark.usefixtures("short_sessions")
@pytest.mark.parametrize("said_while_next_opens", [True, False])
def test_nothing_is_lost_where_a_hand_over_and_a_close_in_silence_meet(
    make_room: Callable, said_while_next_opens: bool
) -> None:
    """One session is opened because the other will expire, the other closed because nobody speaks."""
    said = utterances(1, 0.1)
    # The next is opened 2.6 s after the first was, and has begun 0.6 s later; in between the first is closed.
    with Service(session_s=3.0, begin_s=0.6, terminate_s=0.5) as service:
        room = make_room(service, "idle_after_s = 3.2\n")

        def has_come() -> bool:
            if said_while_next_opens:
                return len(service.connections) == 2
            return bool(service.sessions) and service.sessions[0].asked("Terminate")

        while not has_come():
            room.play(NOBODY, slice(9), in_real_time=True)
        room.play(said, in_real_time=True)
        room.wait_for(lambda: room.finals)
        room.end()
        service.wait_until(lambda: all(each.ended_at_s is not None for each in service.connections))
    assert len(service.connections) >= 2
    assert room.words == texts(said)


def test_what_was_said_while_the_process_was_away_is_looked_at_by_the_next(make_room: Callable) -> None:
    """Killed while nobody spoke: what came in since was looked at by nobody, and may be speech."""
    with Service() as service:
        room = make_room(service, SHORT)
        settle(room)
        room.transcriber.leave()
        room.wait_for(lambda: room.drained is not None)
        said = utterances(1, 0.5)
        room.play(said, paced=True)
        room.close()

        following = make_room(service, SHORT)
        following.wait_for(lambda: following.finals)
        following.end()
    assert following.transcriber.status()["wakes_in_vain"] == 0
    assert following.words == texts(said)


def test_a_restart_in_silence_opens_no_session(make_room: Callable) -> None:
    """Nobody has spoken: the next process goes on listening, and drains without a session."""
    with Service() as service:
        room = make_room(service, SHORT)
        settle(room)
        room.transcriber.leave()
        room.wait_for(lambda: room.drained is not None)
        room.play(utterances(0, 2.0), paced=True)
        room.close()

        following = make_room(service, SHORT)
        assert idle_of(following)
        following.end()
        assert len(service.sessions) == 1
    assert following.transcriber.status()["held_s"] == 0


@pytest.mark.parametrize("ends", [[], [Fault(name="reset", at_control="Terminate", session=0)]])
def test_a_session_that_does_not_end_or_breaks_while_it_closes_is_heard_again(
    make_room: Callable, ends: list[Fault]
) -> None:
    """Silent is only what the service has confirmed to have heard, or what the detector has looked at."""
    # Loud, and no speech to the detector: only the service can tell these words.
    unheard = compose(1, words=(2, 2), tail_ms=2500)
    said = utterances(1, 0.5, first_number=100)
    with Service([Fault(name="stall", at_audio_ms=100, session=0), *ends]) as service:
        room = make_room(service, SHORT)
        room.play(unheard, in_real_time=True)
        room.wait_for(lambda: service.sessions[0].asked("Terminate"))
        room.play(said, in_real_time=True)
        room.wait_for(lambda: len(room.words) >= 4)
        room.end()
    assert ("retrying" in room.session_events) is bool(ends)
    # What the break left behind may be told after what is live.
    assert sorted(room.words) == sorted(texts(unheard) + texts(said))


def test_an_outage_while_nobody_speaks_is_no_matter_and_speech_in_it_is_kept(make_room: Callable) -> None:
    """Nothing is tried before somebody speaks; then it is, until the service is there."""
    said = utterances(1, 0.5)
    service = Service()
    service.start()
    room = make_room(service, SHORT)
    settle(room)
    service.stop()
    room.play(said, in_real_time=True)
    room.wait_for(lambda: "retrying" in room.session_events)
    service.start()
    room.wait_for(lambda: room.finals)
    room.end()
    service.close()
    assert room.words == texts(said)


def test_a_pause_in_silence_needs_no_session(make_room: Callable) -> None:
    """What was looked at to its end is silent; the pause is one, and after it speech wakes as before."""
    said = utterances(1, 0.5)
    with Service() as service:
        room = make_room(service, SHORT)
        settle(room)
        room.pause()
        room.wait_for(lambda: room.transcriber.status()["state"] == "paused")
        assert len(service.sessions) == 1
        room.skip(100)
        room.play(said, in_real_time=True)
        room.wait_for(lambda: room.words == texts(said))
        assert len(service.sessions) == 2
        room.end()
    assert room.words == texts(said)
    # The simulated service tells no words of real speech: of its last sound there may be none to tell.
    assert [gap.reason for gap in room.gaps if gap.reason != "no-words"] == ["paused"]


def test_a_recording_played_as_fast_as_it_goes_is_one_session(make_room: Callable) -> None:
    """Its sound is all there: a session closed in its silences would save nothing."""
    with Service() as service:
        room = make_room(service, SHORT)
        room.play(utterances(2, 3.5), source="talk.wav")
        room.end()
        # The simulated service tells no words of real speech: what is last of it is heard once more.
        assert [session.audio_ms > 5000 for session in service.sessions] == [True, False]


def test_asked_never_to_close_it_stays_open(make_room: Callable) -> None:
    """0 is the promise without a condition."""
    with Service() as service:
        room = make_room(service, "idle_after_s = 0\n")
        room.play(utterances(0, 3.0), in_real_time=True)
        assert len(service.sessions) == 1
        assert service.sessions[0].ended_at_s is None
        room.end()
