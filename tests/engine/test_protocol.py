"""The server's messages and the rules for a client's."""

import json

import pytest
from assemblyai.streaming.v3 import models

from minuted.engine import protocol
from minuted.engine.parameters import Parameters, Refusal
from minuted.engine.protocol import Audio
from minuted.engine.turns import TurnState, Word


@pytest.mark.parametrize(
    ("rate_hz", "encoding", "size_bytes"),
    [
        (16_000, "pcm_s16le", 1_600),
        (16_000, "pcm_s16le", 32_000),
        (8_000, "pcm_mulaw", 400),
        (8_000, "pcm_mulaw", 8_000),
        (44_100, "pcm_s16le", 4_410),
        (48_000, "pcm_s16le", 96_000),
    ],
)
def test_50_to_1000_ms_a_message_are_taken_for_ever(rate_hz: int, encoding: str, size_bytes: int) -> None:
    audio = Audio(rate_hz, encoding)
    for _ in range(100):
        audio.take(size_bytes)
    assert audio.received_ms == audio.duration_ms(size_bytes * 100)


def test_more_than_1000_ms_is_refused_at_once() -> None:
    with pytest.raises(Refusal, match=r"Input Duration Violation: 1000\.1 ms\.") as refused:
        Audio(16_000, "pcm_s16le").take(32_002)
    assert refused.value.code == 3007


def test_less_than_50_ms_is_refused_when_it_is_a_habit() -> None:
    audio = Audio(16_000, "pcm_s16le")
    for _ in range(Audio.SHORT_MAX - 1):
        audio.take(640)
    with pytest.raises(Refusal, match=r"20\.0 ms\. Expected between 50 and 1000 ms"):
        audio.take(640)


def test_a_short_tail_now_and_then_does_no_harm() -> None:
    """Recordings end where they end."""
    audio = Audio(16_000, "pcm_s16le")
    for _ in range(100):
        audio.take(640)
        audio.take(1_600)


def test_more_than_128_kb_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        Audio(96_000, "pcm_s16le").take(128 * 1024 + 1)
    assert refused.value.code == 1009


def test_control_messages_are_read() -> None:
    assert protocol.parse_message('{"type": "ForceEndpoint"}') == ("ForceEndpoint", {})
    update = '{"type": "UpdateConfiguration", "min_turn_silence": 560}'
    assert protocol.parse_message(update) == ("UpdateConfiguration", {"min_turn_silence": 560})


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ("", 3006, "Invalid JSON"),
        ("{", 3006, "Invalid JSON"),
        ("[" * 100_000, 3006, "Invalid JSON"),
        ("[]", 3006, "Invalid Message"),
        ('"Terminate"', 3006, "Invalid Message"),
        ("{}", 3006, "Invalid Message Type"),
        ('{"type": "terminate_session"}', 3006, "Invalid Message Type"),
        ('{"type": ["Terminate"]}', 3006, "Invalid Message Type"),
        ('{"type": "KeepAlive", "x": "' + "x" * 128 * 1024 + '"}', 1009, "Message too big"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_control_message_is_refused(text: str, code: int, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        protocol.parse_message(text)
    assert refused.value.code == code
    assert refused.value.text.startswith(reason)


def turn(*, is_final: bool = False, is_first: bool = False, text: str = "It was") -> TurnState:
    words = tuple(Word(part, 100, 200) for part in text.split())
    return TurnState(3, words, 100, is_final=is_final, is_first=is_first)


def test_the_start_of_speech_comes_before_a_turns_first_message_only() -> None:
    states = [turn(is_first=True), turn(), turn(is_final=True)]
    messages = protocol.turn_messages(states, partials=True)
    assert [message["type"] for message in messages] == ["SpeechStarted", "Turn", "Turn", "Turn"]
    assert messages[0]["timestamp"] == 100


def test_without_partials_the_start_of_speech_comes_before_the_final() -> None:
    states = [turn(is_first=True), turn(), turn(is_final=True)]
    messages = protocol.turn_messages(states, partials=False)
    assert [(message["type"], message.get("end_of_turn")) for message in messages] == [
        ("SpeechStarted", None),
        ("Turn", True),
    ]


def test_a_partial_is_all_open_and_a_final_all_closed() -> None:
    partial, final = protocol.turn_messages([turn(), turn(is_final=True)], partials=True)
    for message, is_final in ((partial, False), (final, True)):
        assert message["turn_order"] == 3
        assert message["end_of_turn"] is message["turn_is_formatted"] is is_final
        assert message["end_of_turn_confidence"] == int(is_final)
        assert {word["word_is_final"] for word in message["words"]} == {is_final}
        assert message["transcript"] == "It was"
    assert (partial["utterance"], final["utterance"]) == ("", "It was")


def test_the_vendors_client_understands_every_message() -> None:
    """Its reader dies of a message that does not fit its models."""
    refusal = Refusal(3006, "no")
    warning = protocol.warning(Parameters(without_effect=("prompt",)))
    assert warning is not None
    for cls, message in (
        (models.BeginEvent, protocol.begin("an-id", 1_790_221_526, "moonshine-tiny-en", None)),
        (models.WarningEvent, warning),
        (models.ErrorEvent, protocol.error(refusal)),
        (models.HeartbeatEvent, protocol.heartbeat(5000, 5001, 0.99983, heard=True)),
        (models.SilenceEvent, protocol.silence(0, 1000)),
        (models.TerminationEvent, protocol.termination(69_130, 73.9)),
        *((models.TurnEvent, each) for each in protocol.turn_messages([turn()], partials=True)),
    ):
        event = cls.model_validate(json.loads(json.dumps(message)))
        assert event.type == message["type"]


def test_begin_tells_the_truth_whatever_was_asked_for() -> None:
    configuration = protocol.begin("an-id", 1, "moonshine-tiny-en", "2025-05-12")["configuration"]
    assert len(configuration) == 8
    assert configuration["model"] == "moonshine-tiny-en"
    assert configuration["api_version"] == "2025-05-12"


def test_there_is_no_warning_when_nothing_is_missing() -> None:
    assert protocol.warning(Parameters()) is None
