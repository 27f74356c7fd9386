"""Whole sessions over real sockets with the real recogniser: the reference's rules, row by row."""

import json
import time
from itertools import pairwise

import jiwer
import pytest
from assemblyai.streaming.v3 import (
    StreamingClient,
    StreamingClientOptions,
    StreamingEvents,
    StreamingParameters,
)
from websockets.exceptions import ConnectionClosed

from engine.conftest import WAIT_S_MAX, messages_of, silence
from minuted.engine import parameters, session
from pipeline_reference import OPENING, normal
from simulator.client import Client
from waiting import until

OLD_CONNECT = pytest.mark.filterwarnings(
    "ignore:connect.. must be used as a context manager:DeprecationWarning"
)
"""The vendor's client 1.8.2 opens its socket as websockets no longer likes it."""


@OLD_CONNECT
def test_the_vendors_client_works_unchanged_but_for_the_host(engine, speech) -> None:
    """As in the vendor's own tutorial: handlers, connect, stream, disconnect."""
    events: dict[str, list] = {"begin": [], "turns": [], "end": [], "errors": [], "speech": []}
    client = StreamingClient(
        StreamingClientOptions(api_key="a-key", api_host=engine.url, terminate_timeout=60)
    )
    client.on(StreamingEvents.Begin, lambda _, event: events["begin"].append(event))
    client.on(StreamingEvents.SpeechStarted, lambda _, event: events["speech"].append(event))
    client.on(StreamingEvents.Turn, lambda _, event: events["turns"].append(event))
    client.on(StreamingEvents.Termination, lambda _, event: events["end"].append(event))
    client.on(StreamingEvents.Error, lambda _, error: events["errors"].append(error))
    client.connect(StreamingParameters(sample_rate=16_000, speech_model="u3-rt-pro", format_turns=True))
    try:
        client.stream(messages_of(speech(0, 17.2)))
    finally:
        client.disconnect(terminate=True)

    assert events["errors"] == []
    assert events["begin"][0].configuration.model == "moonshine-tiny-en"
    assert events["end"][0].audio_duration_seconds == 17
    finals = [turn for turn in events["turns"] if turn.end_of_turn]
    assert [turn.turn_order for turn in finals] == list(range(len(finals)))
    assert len(events["speech"]) == len(finals)
    words = normal(" ".join(turn.transcript for turn in finals)).split()
    expected = normal(OPENING).split()[: normal(OPENING).split().index("spring") - 3]
    assert jiwer.wer(" ".join(expected), " ".join(words)) <= 0.2
    for turn in finals:
        assert turn.transcript == " ".join(word.text for word in turn.words)
    times = [time_ms for turn in finals for word in turn.words for time_ms in (word.start, word.end)]
    assert times == sorted(times)
    assert 900 <= times[0] <= 1_400
    assert times[-1] <= 17_200


def test_a_session_begins_with_its_terms(engine) -> None:
    with Client(engine.url, min_turn_silence=560) as client:
        begin = client.read()
        assert begin["type"] == "Begin"
        assert abs(begin["expires_at"] - time.time() - 10_800) < 60
        assert begin["configuration"]["model"] == "moonshine-tiny-en"
        assert begin["configuration"]["api_version"] == "2025-05-12"
        client.terminate()
        assert [message["type"] for message in client.messages] == ["Begin", "Termination"]
        assert client.messages[-1]["audio_duration_seconds"] == 0
        assert (client.close_code, client.close_reason) == (1000, "Session Ended")


def test_turns_are_shown_whole_and_closed_once(connect, speech) -> None:
    client = connect(max_turn_silence=400)
    client.send(messages_of(speech(0.8, 5) + silence(2)))
    client.terminate()
    turns = client.of("Turn")
    order = [message["type"] for message in client.messages if message["type"] in ("SpeechStarted", "Turn")]
    assert order[:2] == ["SpeechStarted", "Turn"]
    assert len(client.of("SpeechStarted")) == len(client.finals) == turns[-1]["turn_order"] + 1
    for turn in turns:
        assert turn["transcript"] == " ".join(word["text"] for word in turn["words"])
        assert {word["word_is_final"] for word in turn["words"]} == {turn["end_of_turn"]}
    for before, after in pairwise(turns):
        assert after["turn_order"] == before["turn_order"] + before["end_of_turn"]


def test_a_final_comes_by_itself_when_the_audio_goes_on_as_silence(connect, speech) -> None:
    client = connect()
    client.send(messages_of(speech(0.8, 4.6) + silence(2)))
    while not client.read_until("Turn")["end_of_turn"]:
        pass
    assert normal(client.finals[0]["transcript"]).startswith("it was the best of times")


def test_without_further_audio_only_a_forced_end_brings_the_final(connect, speech) -> None:
    client = connect()
    client.send(messages_of(speech(0.8, 2.9)))
    client.read_until("Turn")
    client.say("ForceEndpoint")
    while not client.read_until("Turn")["end_of_turn"]:
        pass
    client.say("ForceEndpoint")
    client.send(messages_of(speech(2.9, 4.7)))
    client.terminate()
    first, second = client.finals[:2]
    assert (first["turn_order"], second["turn_order"]) == (0, 1)
    assert normal(first["transcript"]).startswith("it was the best")
    assert "worst" in second["transcript"].lower()
    assert first["words"][-1]["end"] <= second["words"][0]["start"]


def test_a_vanished_client_gets_nothing_and_leaves_nothing(engine, speech) -> None:
    with Client(engine.url) as client:
        client.read_until("Begin")
        client.send(messages_of(speech(0.8, 2.5)))
        client.socket.close()
    until(lambda: engine.status()["sessions"] == 0)
    assert client.finals == []


def test_silences_change_in_mid_session(connect, speech) -> None:
    """With a long silence after finished sentences, two of them are one turn."""
    wisdom = speech(4.85, 6.3) + silence(1)
    client = connect(min_turn_silence=100, max_turn_silence=100)
    client.send(messages_of(wisdom))
    while not client.read_until("Turn")["end_of_turn"]:
        pass
    client.say("UpdateConfiguration", min_turn_silence=10_000, max_turn_silence=10_000, prompt="short")
    client.send(messages_of(wisdom * 2))
    client.terminate()
    assert [final["transcript"].lower().count("wisdom") for final in client.finals] == [1, 2]


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        (b"\0" * 32_002, 3007, "Input Duration Error: Input Duration Violation: 1000.1 ms."),
        (b"\0" * (128 * 1024 + 2), 1009, "Message too big"),
        ("{", 3006, "Invalid JSON"),
        ("[]", 3006, "Invalid Message"),
        ('{"type": "Nonsense"}', 3006, "Invalid Message Type"),
        (
            json.dumps({"type": "UpdateConfiguration", "prompt": "x" * 1751}),
            3006,
            "User Input Validation Error: Invalid 'prompt'",
        ),
        (
            json.dumps({"type": "UpdateConfiguration", "keyterms_prompt": ["x"] * 101}),
            3006,
            "User Input Validation Error: Invalid 'keyterms_prompt'",
        ),
    ],
    ids=["long", "huge", "json", "list", "type", "prompt", "keyterms"],
)
def test_a_wrong_message_ends_the_session_with_its_reason(
    connect, message: str | bytes, code: int, text: str
) -> None:
    client = connect()
    client.socket.send(message)
    error = client.read_to_the_end()[-1]
    assert (error["type"], error["error_code"]) == ("Error", code)
    assert error["error"].startswith(text)
    assert (client.close_code, client.close_reason) == (code, "See Error message for details")


def test_a_message_over_a_megabyte_is_not_even_read(connect) -> None:
    client = connect()
    client.socket.send(bytes(2**20 + 1))
    client.read_to_the_end()
    assert client.close_code == 1009


def test_a_habit_of_short_messages_ends_the_session_and_a_short_tail_does_not(connect) -> None:
    client = connect()
    client.send([*messages_of(silence(1)), bytes(640)])
    client.terminate()
    assert client.close_code == 1000
    client = connect()
    client.send([bytes(640)] * 49)
    assert "20.0 ms" in client.read_to_the_end()[-1]["error"]
    assert client.close_code == 3007


def test_audio_far_ahead_of_its_recognition_ends_the_session(connect) -> None:
    client = connect()
    try:
        for _ in range(600):
            client.socket.send(silence(1))
    except ConnectionClosed:
        pass
    error = client.read_to_the_end()[-1]
    assert error["error_code"] == client.close_code == 3007
    assert error["error"].startswith("Audio Transmission Rate Exceeded: Received ")


def test_heartbeats_tell_what_was_taken(connect, monkeypatch) -> None:
    monkeypatch.setattr(session, "HEARTBEAT_S", 0.2)
    client = connect(session_heartbeat="True")
    client.send(messages_of(silence(2)))
    until_s = time.monotonic() + WAIT_S_MAX
    while (beat := client.read_until("Heartbeat"))["total_audio_received_ms"] < 2_000:
        assert time.monotonic() < until_s
    assert beat["total_audio_received_ms"] == 2_000
    assert beat["total_duration_ms"] >= 200
    assert beat["max_speech_probability"] == 0
    assert client.read_until("Heartbeat")["realtime_factor"] == 0
    client.say("UpdateConfiguration", session_heartbeat=False)
    client.terminate()


def test_quiet_is_acknowledged_where_that_was_asked_for(connect) -> None:
    client = connect(acknowledge_silence="true")
    client.send(messages_of(silence(3.5)))
    first, second = client.read_until("Silence"), client.read_until("Silence")
    assert first["start_ms"] == 0
    assert 1_000 <= first["end_ms"] <= 1_200
    assert second["start_ms"] == first["end_ms"]
    unasked = connect()
    unasked.send(messages_of(silence(3)))
    unasked.terminate()
    assert [message["type"] for message in unasked.messages] == ["Begin", "Termination"]


def test_a_quiet_client_is_ended_and_keep_alive_keeps_it(connect, monkeypatch) -> None:
    monkeypatch.setitem(parameters._AT_CONNECT, "inactivity_timeout", int)
    client = connect(inactivity_timeout=1)
    until_s = time.monotonic() + 1.5
    while time.monotonic() < until_s:
        client.say("KeepAlive")
        with pytest.raises(TimeoutError):
            client.read(timeout_s=0.1)
    error = client.read_to_the_end()[-1]
    assert error["error"] == "Session terminated due to inactivity: No messages received for 1 seconds"
    assert client.close_code == error["error_code"] == 3006


def test_a_session_expires(serve) -> None:
    server = serve(session_s_max=0.3)
    with Client(server.url) as client:
        begin = client.read_until("Begin")
        assert begin["expires_at"] <= time.time() + 1
        error = client.read_to_the_end()[-1]
    assert error["error"] == "Session Expired: Maximum session duration exceeded"
    assert client.close_code == error["error_code"] == 3008


def test_what_the_engine_does_not_have_is_said(engine) -> None:
    with Client(engine.url, keyterms_prompt=json.dumps(["Siobhan"]), speaker_labels=True) as client:
        warning = client.read_until("Warning")
        assert warning["warning"] == "This engine does not have: keyterms_prompt, speaker_labels"
        client.say("UpdateConfiguration", keyterms_prompt=["Kubernetes"])
        client.say("UpdateConfiguration", filter_profanity=True)
        assert "filter_profanity" in client.read_until("Warning")["warning"]
        client.terminate()
        assert len(client.of("Warning")) == 2


def test_final_turns_only(connect, speech) -> None:
    client = connect(include_partial_turns="false")
    client.send(messages_of(speech(0.8, 4.6)))
    client.terminate()
    kinds = [(message["type"], message.get("end_of_turn")) for message in client.messages]
    assert kinds[1:3] == [("SpeechStarted", None), ("Turn", True)]
    assert ("Turn", False) not in kinds


def test_two_sessions_at_once_get_each_its_own_words(connect, speech) -> None:
    one, other = connect(), connect()
    for messages in zip(messages_of(speech(0.8, 4.8)), messages_of(speech(17, 21)), strict=True):
        for client, message in zip((one, other), messages, strict=True):
            client.socket.send(message)
    for client, word, not_word in ((one, "worst", "hope"), (other, "hope", "worst")):
        client.terminate()
        text = " ".join(turn["transcript"] for turn in client.finals).lower()
        assert word in text
        assert not_word not in text
        assert client.messages[-1]["audio_duration_seconds"] == 4


def test_a_client_that_does_not_read_is_broken_off(engine, monkeypatch) -> None:
    """What it is to be told must not pile up."""

    async def stuck(self: session.Session) -> None:
        await self._socket.wait_closed()

    monkeypatch.setattr(session, "OUTGOING_MAX", 3)
    monkeypatch.setattr(session.Session, "_write", stuck)
    with Client(engine.url, acknowledge_silence=True) as client:
        client.send(messages_of(silence(10)))
        assert client.read_to_the_end() == []
    assert client.close_code == 1006
