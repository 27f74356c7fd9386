"""What a session ends for, and what it says of itself besides words: lengths, pace, expiry, heartbeats."""

import pytest

from simulator.coded import bytes_in
from simulator_tests.sitting import QUIET_50_MS, Sitting, failed_with


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
