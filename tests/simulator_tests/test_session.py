"""Sessions on a clock that the tests turn: hours pass in milliseconds."""

import pytest

from simulator.actions import Say
from simulator.coded import bytes_in, compose
from simulator.options import Options, lifelike
from simulator_tests.sitting import QUIET_50_MS, RECORDING, UNIX_S, Sitting, failed_with


def test_begin_says_until_when_and_how_it_is_set():
    (begin,) = Sitting("speaker_labels=True&domain=medical-v1&voice_focus=far-field").said("Begin")
    assert begin["expires_at"] == UNIX_S + 10_798
    assert list(begin["configuration"].items()) == [
        ("model", "u3-rt-pro"),
        ("mode", "balanced"),
        ("api_version", None),
        ("speaker_labels", True),
        ("redact_pii", False),
        ("filter_profanity", False),
        ("domain", "medical-v1"),
        ("voice_focus", "far-field"),
    ]


def test_words_are_told_with_their_times_and_turns():
    sitting = Sitting()
    sitting.speak()
    told = [(w["text"], w["start"], w["end"]) for turn in sitting.finals for w in turn["words"]]
    assert told == [(w.text, w.start_ms, w.end_ms) for w in RECORDING.words]
    assert [turn["turn_order"] for turn in sitting.finals] == [0, 1, 2]
    assert all(turn["transcript"] == " ".join(w["text"] for w in turn["words"]) for turn in sitting.finals)


def test_a_final_is_formatted_and_a_partial_is_not_and_neither_are_its_words():
    sitting = Sitting()
    sitting.speak()
    for turn in sitting.said("Turn"):
        final = turn["end_of_turn"]
        assert turn["turn_is_formatted"] == final
        assert turn["end_of_turn_confidence"] == (1.0 if final else 0.0)
        assert turn["utterance"] == (turn["transcript"] if final else "")
        assert {word["word_is_final"] for word in turn["words"]} == {final}


def test_speech_started_comes_once_before_each_turn_with_its_first_words_time():
    sitting = Sitting()
    sitting.speak()
    kinds = [m["type"] for m in sitting.messages()]
    assert kinds.count("SpeechStarted") == 3
    for place, message in enumerate(sitting.messages()):
        if message["type"] == "SpeechStarted":
            turn = sitting.messages()[place + 1]
            assert message["timestamp"] == turn["words"][0]["start"]


def test_universal_streaming_says_no_speech_started():
    sitting = Sitting("speech_model=universal-streaming-english")
    sitting.speak()
    assert sitting.finals
    assert not sitting.said("SpeechStarted")


def test_what_is_open_at_terminate_becomes_final_and_the_session_ends():
    sitting = Sitting()
    spoken = b"".join(RECORDING.frames())[: bytes_in(RECORDING.words[1].end_ms + 50)]
    sitting.take(*(spoken[at : at + 1600] for at in range(0, len(spoken) // 1600 * 1600, 1600)))
    assert sitting.finals == []
    sitting.take('{"type":"Terminate"}')
    assert [turn["transcript"] for turn in sitting.finals] == ["word0001 word0002"]
    assert [m["type"] for m in sitting.messages()][-2:] == ["Turn", "Termination"]
    assert sitting.closed == (1000, "Session Ended")


def test_termination_says_whole_seconds():
    sitting = Sitting()
    sitting.take(*[QUIET_50_MS] * 150, every_s=0.1)
    sitting.wait(0.5)
    sitting.take('{"type":"Terminate"}')
    (end,) = sitting.said("Termination")
    assert (end["audio_duration_seconds"], end["session_duration_seconds"]) == (7, 15)


def test_what_comes_after_terminate_is_not_heard():
    sitting = Sitting("", options=Options(terminate_s=1.0))
    sitting.take('{"type":"Terminate"}', QUIET_50_MS, '{"type":"nonsense"}')
    sitting.wait(2)
    assert sitting.closed == (1000, "Session Ended")
    assert sitting.session.audio_ms == 0


def test_an_empty_final_may_come_last():
    sitting = Sitting(empty_final=True)
    sitting.speak()
    sitting.take('{"type":"Terminate"}')
    assert [(t["turn_order"], t["transcript"], t["words"]) for t in sitting.finals][-1] == (3, "", [])


def test_an_update_is_in_force_at_once_and_without_an_answer():
    sitting = Sitting("max_turn_silence=5000")
    said = compose(1, sentences=False, tail_ms=2000)
    sitting.speak(said)
    assert sitting.finals == []
    before = len(sitting.messages())
    sitting.take('{"type":"UpdateConfiguration","max_turn_silence":2000}')
    assert len(sitting.messages()) == before
    sitting.take(*[QUIET_50_MS] * 2)
    assert len(sitting.finals) == 1


def test_an_update_beyond_a_limit_ends_the_session():
    sitting = Sitting()
    sitting.take('{"type":"UpdateConfiguration","prompt":"%s"}' % ("a" * 1751))
    assert "prompt" in failed_with(sitting, 3006)


def test_a_forced_endpoint_ends_the_turn_a_moment_later():
    sitting = Sitting(force_endpoint_s=0.27)
    spoken = b"".join(RECORDING.frames())[: bytes_in(RECORDING.words[1].end_ms + 50) // 1600 * 1600]
    sitting.take(*(spoken[at : at + 1600] for at in range(0, len(spoken), 1600)), every_s=0.05)
    asked_s = sitting.now_s
    sitting.take('{"type":"ForceEndpoint"}')
    assert sitting.finals == []
    sitting.wait(1)
    assert [turn["transcript"] for turn in sitting.finals] == ["word0001 word0002"]
    (at_s,) = [at for at, a in sitting.done if isinstance(a, Say) and a.message == sitting.finals[0]]
    assert at_s - asked_s == pytest.approx(0.27)


def test_a_forced_endpoint_without_a_turn_does_nothing():
    sitting = Sitting()
    sitting.take('{"type":"ForceEndpoint"}')
    assert [m["type"] for m in sitting.messages()] == ["Begin"]


def test_models_that_are_listed_and_do_not_work_fail_after_five_seconds():
    sitting = Sitting("speech_model=u3-rt-agent")
    assert sitting.said("Begin")
    sitting.wait(6)
    failed_with(sitting, 3005)
    assert sitting.at("Error") == [5]


def test_sound_is_worked_off_at_the_drain_rate():
    """A backlog sent in a burst brings its finals late, and Terminate waits for them."""
    sitting = Sitting(drain_rate=1.25)
    for frame in RECORDING.frames():
        sitting.take(frame)
    sitting.take('{"type":"Terminate"}')
    assert sitting.finals == []
    sitting.wait(RECORDING.duration_ms / 1000)
    assert len(sitting.finals) == 3
    assert sitting.at("Termination")[0] == pytest.approx(RECORDING.duration_ms / 1250, abs=0.1)


def test_a_lifelike_final_comes_about_when_the_real_one_does():
    """About 420 ms after the last word (reference 4.4)."""
    sitting = Sitting("", options=lifelike(begin_s=0))
    sitting.speak()
    sitting.wait(1)
    finals = [at for at, a in sitting.done if isinstance(a, Say) and a.message in sitting.finals]
    ends_s = [max(w.end_ms for w in RECORDING.words if w.turn == turn) / 1000 for turn in range(3)]
    for at_s, end_s in zip(finals, ends_s, strict=True):
        assert 0.38 < at_s - 100 - end_s < 0.46


def test_padding_shows_in_speech_started_too():
    sitting = Sitting(edge_padding=True)
    sitting.speak()
    assert sitting.said("SpeechStarted")[0]["timestamp"] == 0
    starts = [turn["words"][0]["start"] for turn in sitting.finals]
    firsts = [min(w.start_ms for w in RECORDING.words if w.turn == turn) for turn in range(3)]
    assert all(0 < first - start <= 990 for start, first in zip(starts, firsts, strict=True))


def test_half_words_are_told_when_asked_for():
    word = RECORDING.words[0]
    begins_late = b"".join(RECORDING.frames())[bytes_in(word.start_ms + 100) :]
    for half_words, first in (("nothing", "word0002"), ("mangled", "…ord0001")):
        sitting = Sitting(half_words=half_words)
        sitting.take(*(begins_late[at : at + 1600] for at in range(0, 160_000, 1600)))
        assert sitting.said("Turn")[0]["words"][0]["text"].rstrip("—") == first


def test_a_word_cut_by_terminate_is_lost_or_mangled():
    word = RECORDING.words[1]
    spoken = RECORDING.pcm[: bytes_in((word.end_ms - 60) // 50 * 50)]
    for half_words, text in (("nothing", "word0001"), ("mangled", "word0001 word0002…")):
        sitting = Sitting(half_words=half_words)
        sitting.take(*(spoken[at : at + 1600] for at in range(0, len(spoken), 1600)), '{"type":"Terminate"}')
        assert sitting.finals[-1]["transcript"] == text


def test_messages_keep_their_order_whatever_they_wait_for():
    sitting = Sitting("acknowledge_silence=true&session_heartbeat=true", options=lifelike())
    sitting.speak()
    sitting.take('{"type":"Terminate"}')
    sitting.wait(3)
    kinds = [m["type"] for m in sitting.messages()]
    assert kinds[0] == "Begin"
    assert kinds[-1] == "Termination"
    assert sitting.at("Begin") == [0.3]
    assert sitting.closed
