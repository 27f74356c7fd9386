"""Sessions on a clock that the tests turn: hours pass in milliseconds."""

import math
from typing import Any

import pytest

from simulator.actions import Action, Close, Say, Struck
from simulator.coded import bytes_in, compose
from simulator.faults import MALFORMED, Fault, Script
from simulator.options import Options, lifelike
from simulator.parameters import from_query
from simulator.session import Session

UNIX_S = 1_790_000_000
QUIET_50_MS = bytes(bytes_in(50))
RECORDING = compose(3, seed=11)


class Sitting:
    """A session and its clock."""

    def __init__(
        self, query: str = "", *script: Fault, options: Options | None = None, **changes: Any
    ) -> None:
        self.now_s = 100.0
        self.done: list[tuple[float, Action]] = []
        self.session = Session(
            from_query(f"speech_model=u3-rt-pro&{query}", "universal-3-6-pro"),
            options or Options(**changes),
            Script(script),
            number=0,
            attempt=0,
            now_s=self.now_s,
        )
        self.session.open(self.now_s, UNIX_S)
        self.wait(0)

    def wait(self, seconds: float) -> None:
        """Let time pass, doing what becomes due on the way."""
        until_s = self.now_s + seconds
        while True:
            self.done += [(self.now_s, action) for action in self.session.due(self.now_s)]
            wake_s = self.session.wake_at_s()
            if wake_s > until_s:
                break
            assert wake_s >= self.now_s - 1e-6, "it wants to be woken in the past"
            self.now_s = max(wake_s, self.now_s + 1e-9)
        self.now_s = until_s
        self.done += [(self.now_s, action) for action in self.session.due(self.now_s)]

    def take(self, *messages: bytes | str, every_s: float = 0.0) -> None:
        for message in messages:
            self.session.take(message, self.now_s)
            self.wait(every_s)

    def speak(self, recording=RECORDING, frame_ms: int = 50, speed: float = 1.0) -> None:
        for frame in recording.frames(frame_ms):
            self.wait(frame_ms / 1000 / speed)
            self.take(frame)

    def said(self, kind: str) -> list[dict[str, Any]]:
        return [m for m in self.messages() if m["type"] == kind]

    def messages(self) -> list[dict[str, Any]]:
        return [a.message for _, a in self.done if isinstance(a, Say) and isinstance(a.message, dict)]

    @property
    def finals(self) -> list[dict[str, Any]]:
        return [turn for turn in self.said("Turn") if turn["end_of_turn"]]

    @property
    def closed(self) -> tuple[int, str] | None:
        closes = [action for _, action in self.done if isinstance(action, Close)]
        assert len(closes) <= 1
        return (closes[0].code, closes[0].reason) if closes else None

    def at(self, kind: str) -> list[float]:
        return [
            round(at_s - 100.0, 3)
            for at_s, action in self.done
            if isinstance(action, Say) and isinstance(action.message, dict) and action.message["type"] == kind
        ]


def failed_with(sitting: Sitting, code: int) -> str:
    """Give the Error's text, having seen the close that follows: the same code and the fixed phrase."""
    (error,) = sitting.said("Error")
    assert error["error_code"] == code
    assert sitting.closed == (code, "See Error message for details")
    assert sitting.session.over
    return str(error["error"])


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


@pytest.mark.parametrize("length_ms", [1001, 2000])
def test_a_message_that_is_too_long_ends_the_session_at_once(length_ms):
    sitting = Sitting()
    sitting.take(bytes(bytes_in(1000)), bytes(bytes_in(length_ms)))
    text = failed_with(sitting, 3007)
    assert text == (
        f"Input Duration Error: Input Duration Violation: {length_ms}.0 ms. Expected between 50 and 1000 ms"
    )


def test_messages_that_are_too_short_end_it_after_about_a_second():
    """As seen: 49 messages of 20 ms."""
    sitting = Sitting()
    sitting.take(*[bytes(bytes_in(20))] * 47, every_s=0.02)
    assert sitting.closed is None
    sitting.take(*[bytes(bytes_in(20))] * 3, every_s=0.02)
    assert "20.0 ms" in failed_with(sitting, 3007)


def test_three_short_messages_in_a_row_are_too_many_and_a_short_tail_is_not():
    tail = bytes(bytes_in(30))
    for count, closes in ((1, False), (2, False), (3, True)):
        sitting = Sitting()
        sitting.take(*[QUIET_50_MS] * 3, *[tail] * count)
        sitting.wait(1.5)
        assert bool(sitting.closed) is closes
    fine = Sitting()
    fine.take(*[tail, tail, QUIET_50_MS] * 20, every_s=0.2)
    assert fine.closed is None


def test_short_messages_can_be_minded_at_once():
    sitting = Sitting(short_messages_max=0, short_grace_s=0)
    sitting.take(bytes(bytes_in(49)))
    failed_with(sitting, 3007)


def test_length_is_measured_with_the_declared_rate_and_encoding():
    sitting = Sitting("sample_rate=8000&encoding=pcm_mulaw")
    sitting.take(bytes(8000))
    assert sitting.session.audio_ms == 1000
    sitting.take(bytes(8001))
    failed_with(sitting, 3007)


SECOND = bytes(16_000)
"""A second of sound in an encoding of which only the length is looked at."""


def test_sound_may_be_ahead_of_real_time_by_a_quarter_and_300_s():
    sitting = Sitting("encoding=pcm_mulaw")
    sitting.take(*[SECOND] * 300)
    assert sitting.closed is None
    sitting.take(SECOND)
    text = failed_with(sitting, 3007)
    assert text == "Audio Transmission Rate Exceeded: Received 301.0 sec. audio in 0.0 sec"
    steady = Sitting("encoding=pcm_mulaw")
    steady.take(*[SECOND] * 2000, every_s=0.8)
    assert steady.closed is None
    faster = Sitting("encoding=pcm_mulaw")
    faster.take(*[SECOND] * 2000, every_s=0.5)
    failed_with(faster, 3007)


def test_the_strict_pace_allows_a_burst_of_two_seconds_and_then_real_time():
    sitting = Sitting("encoding=pcm_mulaw", strict_pace=True)
    sitting.take(SECOND)
    sitting.take(*[SECOND] * 100, every_s=1.001)
    assert sitting.closed is None
    sitting.take(*[SECOND] * 100, every_s=0.9)
    failed_with(sitting, 3007)


def test_the_pace_need_not_be_checked():
    sitting = Sitting("encoding=pcm_mulaw", pace_slack_s=None)
    sitting.take(*[SECOND] * 1000)
    assert sitting.closed is None


def test_a_session_expires_when_begin_said_it_would():
    """Three hours of it, without waiting for them."""
    sitting = Sitting()
    sitting.wait(10_797)
    assert sitting.closed is None
    sitting.wait(2)
    assert failed_with(sitting, 3008) == "Session Expired: Maximum session duration exceeded"
    assert sitting.at("Error") == [10_798]


def test_inactivity_ends_a_session_that_asked_for_it():
    sitting = Sitting("inactivity_timeout=5")
    sitting.take(QUIET_50_MS, '{"type":"KeepAlive"}', every_s=4.9)
    assert sitting.closed is None
    sitting.wait(5)
    assert failed_with(sitting, 3006) == (
        "Session terminated due to inactivity: No messages received for 5 seconds"
    )
    assert sitting.at("Error") == [9.9]
    patient = Sitting()
    patient.wait(10_000)
    assert patient.closed is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"type":', "Invalid JSON"),
        ("[]", "Invalid Message"),
        ('{"type":"terminate_session"}', "Invalid Message Type"),
        ('{"kind":"Terminate"}', "Invalid Message Type"),
        ('{"type":7}', "Invalid Message Type"),
    ],
)
def test_a_message_that_is_none_ends_the_session(text, why):
    sitting = Sitting()
    sitting.take(text)
    assert failed_with(sitting, 3006) == why


def test_heartbeats_come_every_five_seconds_with_and_without_sound():
    sitting = Sitting("session_heartbeat=true")
    sitting.take(*[QUIET_50_MS] * 99, every_s=0.05)
    sitting.wait(5.1)
    assert sitting.at("Heartbeat") == [5, 10]
    first, second = sitting.said("Heartbeat")
    assert first["total_audio_received_ms"] == second["total_audio_received_ms"] == 99 * 50
    assert (first["total_duration_ms"], second["total_duration_ms"]) == (5000, 10_000)
    assert (first["realtime_factor"], second["realtime_factor"]) == (0.99, 0.0)
    assert first["max_speech_probability"] < 0.1


def test_a_heartbeat_tells_whether_somebody_spoke():
    sitting = Sitting("session_heartbeat=true")
    sitting.speak()
    assert sitting.said("Heartbeat")[0]["max_speech_probability"] > 0.9


def test_heartbeat_and_silence_come_only_when_asked_for():
    sitting = Sitting()
    sitting.take(*[QUIET_50_MS] * 200, every_s=0.05)
    assert {m["type"] for m in sitting.messages()} == {"Begin"}
    mute = Sitting("session_heartbeat=true&acknowledge_silence=true", signals=False)
    mute.take(*[QUIET_50_MS] * 200, every_s=0.05)
    assert {m["type"] for m in mute.messages()} == {"Begin"}


def test_silence_is_confirmed_on_the_clock_of_the_sound():
    sitting = Sitting("acknowledge_silence=true")
    sitting.take(*[QUIET_50_MS] * 50)
    assert [(m["start_ms"], m["end_ms"]) for m in sitting.said("Silence")] == [(0, 1030), (1030, 2060)]


def test_heartbeats_can_be_switched_on_later_where_the_model_allows_it():
    sitting = Sitting("speech_model=universal-3-5-pro")
    sitting.wait(3)
    sitting.take('{"type":"UpdateConfiguration","session_heartbeat":true}')
    sitting.wait(5.5)
    assert sitting.at("Heartbeat") == [8]


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


def test_speakers_are_lettered_in_order_and_short_turns_are_not_known():
    said = compose(4, speakers=2, seed=5)
    sitting = Sitting("speaker_labels=true")
    sitting.speak(said)
    assert [turn["speaker_label"] for turn in sitting.finals] == ["A", "B", "A", "B"]
    assert {w["speaker"] for w in sitting.finals[1]["words"]} == {"B"}
    assert all("speaker_label" not in turn for turn in sitting.said("Turn") if not turn["end_of_turn"])
    short = Sitting("speaker_labels=true")
    short.speak(compose(1, words=(1, 1)))
    assert short.finals[0]["speaker_label"] == "UNKNOWN"
    assert "speaker" not in short.finals[0]["words"][0]


def test_labels_are_revised_at_the_end_and_nothing_else_is():
    said = compose(4, speakers=2, seed=5)
    sitting = Sitting("speaker_labels=true", mislabel_every=2)
    sitting.speak(said)
    assert [turn["speaker_label"] for turn in sitting.finals] == ["A", "A", "A", "A"]
    sitting.take('{"type":"Terminate"}')
    (revision,) = sitting.said("SpeakerRevision")
    assert [(r["turn_order"], r["speaker_label"]) for r in revision["revisions"]] == [(1, "B"), (3, "B")]
    for revised in revision["revisions"]:
        original = sitting.finals[revised["turn_order"]]
        for word, was in zip(revised["words"], original["words"], strict=True):
            assert word | {"speaker": "A"} == was
    assert [m["type"] for m in sitting.messages()][-2:] == ["SpeakerRevision", "Termination"]


def test_labels_are_revised_at_the_asked_interval_but_not_sooner_than_two_minutes():
    for asked_ms, minutes in ((60_000, 2), (300_000, 5)):
        sitting = Sitting(
            f"speaker_labels=true&speaker_labels_revision_interval_ms={asked_ms}", mislabel_every=1
        )
        sitting.speak()
        sitting.wait(700)
        assert sitting.at("SpeakerRevision") == [minutes * 60]


def test_a_turn_with_speakers_is_cut_at_ten_seconds():
    monologue = compose(1, words=(60, 60), seed=2)
    sitting = Sitting("speaker_labels=true")
    sitting.speak(monologue)
    lengths_ms = [t["words"][-1]["end"] - t["words"][0]["start"] for t in sitting.finals]
    assert max(lengths_ms) <= 10_000
    assert [w["text"] for t in sitting.finals for w in t["words"]] == [w.text for w in monologue.words]


def test_finals_name_the_language_when_asked():
    sitting = Sitting("language_detection=true")
    sitting.speak()
    assert {turn.get("language_code") for turn in sitting.said("Turn")} == {None, "en"}
    assert {turn["language_code"] for turn in sitting.finals} == {"en"}


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


# Faults.


def test_an_error_may_come_instead_of_begin():
    sitting = Sitting("", Fault(name="error", code=1008, text="Unauthorized Connection: no more money"))
    assert [m["type"] for m in sitting.messages()] == ["Error"]
    assert failed_with(sitting, 1008) == "Unauthorized Connection: no more money"


def test_no_begin_ever():
    sitting = Sitting("session_heartbeat=true", Fault(name="no_begin"))
    sitting.speak()
    sitting.wait(60)
    assert sitting.messages() == []
    assert sitting.session.audio_ms > 0


def test_begin_may_name_another_model():
    sitting = Sitting("", Fault(name="wrong_model", text="whisper-rt"))
    assert sitting.said("Begin")[0]["configuration"]["model"] == "whisper-rt"
    assert sitting.session.parameters.model == "u3-rt-pro"


@pytest.mark.parametrize(
    ("moment", "at_s"),
    [({"at_s": 3.0}, 3.0), ({"at_audio_ms": 4000}, 3.95), ({"at_messages": 21}, 1.0)],
)
def test_a_fault_strikes_at_its_moment(moment, at_s):
    sitting = Sitting("", Fault(name="error", code=3005, **moment))
    sitting.take(*[QUIET_50_MS] * 200, every_s=0.05)
    failed_with(sitting, 3005)
    assert sitting.at("Error") == [pytest.approx(at_s, abs=0.001)]


def test_a_fault_can_wait_for_finals_and_for_a_control_message():
    sitting = Sitting("", Fault(name="reset", at_finals=2))
    sitting.speak()
    assert len(sitting.finals) == 2
    assert sitting.session.over
    ending = Sitting("", Fault(name="reset", at_control="Terminate"))
    ending.speak()
    assert not ending.session.over
    assert len(ending.finals) == 3
    ending.take('{"type":"Terminate"}')
    assert ending.session.over
    assert ending.said("Termination") == []


def test_a_moment_of_two_conditions_needs_both():
    sitting = Sitting("", Fault(name="close", code=1011, at_s=1.0, at_audio_ms=500))
    sitting.wait(5)
    assert sitting.closed is None
    sitting.take(*[QUIET_50_MS] * 10)
    assert sitting.closed == (1011, "")
    assert sitting.said("Error") == []


def test_a_stalled_session_takes_sound_and_says_nothing_until_it_is_healed():
    sitting = Sitting("session_heartbeat=true", Fault(name="stall", at_s=0.1, for_s=10))
    sitting.wait(0.2)
    sitting.speak()
    sitting.wait(10)
    assert len(sitting.finals) == 3
    assert all(at_s >= 10.1 for at_s in sitting.at("Turn"))
    stalled = Sitting("", Fault(name="stall", at_s=0.1))
    stalled.wait(0.2)
    stalled.speak()
    stalled.take('{"type":"Terminate"}')
    stalled.wait(100)
    assert [m["type"] for m in stalled.messages()] == ["Begin"]
    stalled.session.strike(Fault(name="heal"), stalled.now_s)
    stalled.wait(1)
    assert len(stalled.finals) == 3
    assert stalled.closed == (1000, "Session Ended")


def test_a_stalled_session_can_still_fail():
    sitting = Sitting("", Fault(name="stall", at_s=1), Fault(name="error", code=1011, at_s=2))
    sitting.wait(3)
    failed_with(sitting, 1011)


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_frame_is_sent_as_it_is(name):
    sitting = Sitting("", Fault(name="say", message=name, at_s=1))
    sitting.wait(2)
    assert [a.message for _, a in sitting.done if isinstance(a, Say)][-1] == MALFORMED[name]
    assert sitting.closed is None


def test_any_frame_can_be_said():
    sitting = Sitting("", Fault(name="say", message={"type": "LLMGatewayResponse", "turn_order": 0}, at_s=1))
    sitting.wait(2)
    assert sitting.said("LLMGatewayResponse")


def test_a_warning_changes_nothing_else():
    sitting = Sitting("", Fault(name="warning", code=1001, text="slow", at_s=1))
    sitting.speak()
    assert sitting.said("Warning") == [{"type": "Warning", "warning_code": 1001, "warning": "slow"}]
    assert len(sitting.finals) == 3


def test_heartbeats_can_become_slow_or_stop():
    sitting = Sitting("session_heartbeat=true", Fault(name="slow_heartbeat", for_s=12, at_s=6))
    sitting.wait(31)
    assert sitting.at("Heartbeat") == [5, 18, 30]
    stopped = Sitting("session_heartbeat=true", Fault(name="slow_heartbeat", for_s=math.inf, at_s=6))
    stopped.wait(100)
    assert stopped.at("Heartbeat") == [5]


def test_silence_can_overlap_what_was_said():
    sitting = Sitting("acknowledge_silence=true", Fault(name="overlapping_silence"))
    sitting.speak(compose(1, tail_ms=3000))
    end_ms = sitting.finals[0]["words"][-1]["end"]
    after = [m for m in sitting.said("Silence") if m["end_ms"] > end_ms]
    assert after[0]["start_ms"] < end_ms


def test_finals_can_come_twice_and_empty():
    sitting = Sitting("", Fault(name="duplicate_final"), Fault(name="empty_final", at_s=1))
    sitting.speak()
    full = [turn for turn in sitting.finals if turn["words"]]
    assert [turn["turn_order"] for turn in full] == [0, 0, 1, 1, 2, 2]
    assert full[0] == full[1]
    assert len(sitting.finals) == 7


def test_everything_can_be_late():
    sitting = Sitting("", Fault(name="latency", for_s=2.5))
    assert sitting.at("Begin") == []
    sitting.speak()
    sitting.take('{"type":"Terminate"}')
    asked_s = round(sitting.now_s - 100, 3)
    sitting.wait(5)
    assert sitting.at("Begin") == [2.5]
    assert sitting.at("Termination") == [pytest.approx(asked_s + 2.5)]


def test_finals_can_come_later_than_a_client_waits_for_them():
    sitting = Sitting(terminate_s=7.0)
    sitting.speak(compose(1, tail_ms=50, sentences=False))
    sitting.take('{"type":"Terminate"}')
    sitting.wait(6.9)
    assert sitting.finals == []
    sitting.wait(0.2)
    assert len(sitting.finals) == 1
    assert sitting.closed


def test_a_fault_is_told_to_the_keeper_of_the_socket():
    sitting = Sitting("", Fault(name="black_hole", at_s=1, for_s=3))
    sitting.wait(2)
    struck = [action.fault.name for _, action in sitting.done if isinstance(action, Struck)]
    assert struck == ["black_hole"]


def test_a_script_counts_attempts_and_knows_sessions():
    """Three failed attempts, then a session, then the second one is cut."""
    refusing = Fault(name="error", code=1011, session=0, times=3)
    cutting = Fault(name="reset", session=1)
    script = Script([refusing, cutting])
    moment = Sitting().session._moment
    taken = [[f.name for f in script.take(0, attempt, moment)] for attempt in range(4)]
    assert taken == [["error"], ["error"], ["error"], []]
    assert [f.name for f in script.take(1, 4, moment)] == ["reset"]
    assert script.take(1, 5, moment) == []


def test_before_the_upgrade_a_script_strikes_attempts():
    script = Script([Fault(name="http", status=503, session=1, times=2)])
    assert script.before_upgrade(0, 0) is None
    assert [bool(script.before_upgrade(1, attempt)) for attempt in (1, 2, 3)] == [True, True, False]


def test_a_fault_that_does_not_exist_is_said_so():
    with pytest.raises(ValueError, match="no fault is called 'rest'"):
        Fault(name="rest")
    with pytest.raises(ValueError, match="needs `code`"):
        Fault(name="error")
