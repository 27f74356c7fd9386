"""Faults of a session: each strikes at its moment and does what it is called."""

import math

import pytest

from simulator.actions import Say, Struck
from simulator.coded import compose
from simulator.faults import MALFORMED, Fault, Script
from simulator_tests.sitting import QUIET_50_MS, Sitting, failed_with


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
