"""The service on real sockets, row by row of the reference."""

import json
import time
from urllib.parse import urlencode

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from simulator import Service
from simulator.client import Client
from simulator.coded import bytes_in, compose
from simulator.record import Connection

RECORDING = compose(2, seed=21)


@pytest.fixture
def service():
    with Service() as service:
        yield service


def ended(service: Service, attempt: int = 0) -> Connection:
    service.wait_until(lambda: service.connections and service.connections[attempt].ended_at_s)
    return service.connections[attempt]


def test_a_session_from_begin_to_termination(service):
    with Client(service.url, speaker_labels="true") as client:
        client.send(RECORDING.frames())
        messages = client.terminate()
    kinds = [message["type"] for message in messages]
    assert kinds[0] == "Begin"
    assert kinds[-2:] == ["SpeakerRevision", "Termination"]
    assert (client.close_code, client.close_reason) == (1000, "Session Ended")
    told = [(w["text"], w["start"], w["end"]) for turn in client.finals for w in turn["words"]]
    assert told == [(w.text, w.start_ms, w.end_ms) for w in RECORDING.words]
    begin = messages[0]
    assert begin["configuration"]["api_version"] == "2025-05-12"
    assert isinstance(begin["expires_at"], int)
    assert abs(begin["expires_at"] - time.time() - 10_798) < 30


def test_the_record_tells_all_that_happened(service):
    """Pipeline tests rest on it."""
    with Client(service.url, min_turn_silence=300, min_turn_silense=1) as client:
        client.send(RECORDING.frames())
        client.say("KeepAlive")
        client.terminate()
    connection = ended(service)
    assert service.sessions == [connection]
    assert (connection.status, connection.number, connection.closed_by) == (101, 0, "service")
    assert (connection.close_code, connection.close_reason) == (1000, "Session Ended")
    assert connection.parameters == {"min_turn_silence": 300}
    assert connection.ignored == {"min_turn_silense": "1"}
    assert bytes(connection.pcm) == b"".join(RECORDING.frames())
    assert connection.audio_ms == sum(size for _, size in connection.audio) // 32
    assert [message["type"] for _, message in connection.controls] == ["KeepAlive", "Terminate"]
    assert [message for _, message in connection.sent] == client.messages
    assert connection.session_id == client.messages[0]["id"]
    assert connection.finals == client.finals
    times = [at_s for at_s, _ in connection.sent]
    assert times == sorted(times)
    assert connection.at_s <= times[0] <= times[-1] <= connection.ended_at_s


def test_a_socket_closed_without_terminate_brings_nothing(service):
    """The tail is lost: reference 3.2."""
    spoken = RECORDING.pcm[: bytes_in(RECORDING.words[1].end_ms + 40) // 1600 * 1600]
    with Client(service.url) as client:
        client.send(spoken[at : at + 1600] for at in range(0, len(spoken), 1600))
        client.read_until("Turn")
    connection = ended(service)
    assert connection.finals == []
    assert (connection.closed_by, connection.close_code) == ("client", 1000)


def test_each_session_begins_at_zero(service):
    """No session is resumed: reference 7.4."""
    for _ in range(2):
        with Client(service.url) as client:
            client.send(RECORDING.frames())
            client.terminate()
        assert client.finals[0]["turn_order"] == 0
        assert client.finals[0]["words"][0]["start"] == RECORDING.words[0].start_ms
    assert len({session.session_id for session in service.sessions}) == 2


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (None, "Unauthorized Connection: Missing Authorization header"),
        ("Bearer good", "Unauthorized Connection: Invalid API key"),
        ("bad", "Unauthorized Connection: Invalid API key"),
    ],
)
def test_a_wrong_key_is_refused_after_the_upgrade(key, text):
    """The upgrade is accepted, then Error and close 1008, and no Begin: reference 1.4."""
    with Service(keys=("good",)) as service, Client(service.url, key=key) as client:
        messages = client.read_to_the_end()
        assert messages == [{"type": "Error", "error_code": 1008, "error": text}]
        assert (client.close_code, client.close_reason) == (1008, "See Error message for details")
        assert service.sessions == []
        assert service.connections[0].status == 101


def test_any_key_will_do_where_none_is_set_but_not_a_bearer(service):
    with Client(service.url, key="anything") as client:
        assert client.read()["type"] == "Begin"
    with Client(service.url, key="Bearer anything") as client:
        assert client.read()["error_code"] == 1008


def test_a_bad_parameter_is_refused_after_the_upgrade(service):
    with Client(service.url, sample_rate=7000) as client:
        (error,) = client.read_to_the_end()
    assert error == {
        "type": "Error",
        "error_code": 3006,
        "error": "User Input Validation Error: Invalid 'sample_rate': must be at least 8,000 Hz",
    }
    assert client.close_code == 3006


def test_a_message_of_more_than_128_kb_closes_with_1009_and_no_error(service):
    with Client(service.url) as client:
        client.read()
        client.socket.send(bytes(128 * 1024 + 1))
        assert client.read_to_the_end() == client.of("Begin")
        assert client.close_code == 1009


@pytest.mark.parametrize("text", ["{", "[]", '{"type":"Nonsense"}'])
def test_a_bad_message_closes_with_3006(service, text):
    with Client(service.url) as client:
        client.read()
        client.socket.send(text)
        client.read_to_the_end()
        assert client.of("Error")[0]["error_code"] == client.close_code == 3006


def test_sound_in_too_long_messages_closes_with_3007(service):
    with Client(service.url) as client:
        client.socket.send(bytes(bytes_in(1050)))
        client.read_to_the_end()
        assert client.of("Error")[0]["error"].startswith("Input Duration Error")
        assert client.close_code == 3007


def test_short_messages_are_minded_by_the_clock():
    with Service(short_grace_s=0.2) as service, Client(service.url) as client:
        client.send([bytes(640)] * 3)
        client.read_to_the_end()
        assert client.close_code == 3007


def test_a_session_expires():
    with Service(session_s=0.5) as service, Client(service.url) as client:
        begun_s = time.monotonic()
        client.read_to_the_end()
        assert client.of("Error")[0]["error"] == "Session Expired: Maximum session duration exceeded"
        assert client.close_code == 3008
        assert time.monotonic() - begun_s > 0.4


def test_heartbeats_come_by_themselves():
    with Service(heartbeat_s=0.1) as service, Client(service.url, session_heartbeat="True") as client:
        client.read_until("Heartbeat")
        client.read_until("Heartbeat")
        assert [message["total_audio_received_ms"] for message in client.of("Heartbeat")] == [0, 0]


def test_pings_are_answered(service):
    with Client(service.url) as client:
        assert client.socket.ping().wait(5)


def token(service: Service, key: str | None = "a-key", **query: object) -> httpx.Response:
    headers = {"Authorization": key} if key else {}
    url = f"http://127.0.0.1:{service.port}/v3/token?{urlencode(query)}"
    return httpx.get(url, headers=headers, trust_env=False)


def test_a_token_opens_a_session_as_header_and_as_parameter():
    with Service(keys=("good",)) as service:
        answer = token(service, "good", expires_in_seconds=60, max_session_duration_seconds=60)
        assert answer.status_code == 200
        assert answer.json()["expires_in_seconds"] == 60
        minted = answer.json()["token"]
        assert 2000 < len(minted) < 3000
        for credentials in ({"key": minted}, {"key": None, "token": minted}):
            with Client(service.url, **credentials) as client:
                begin = client.read()
                assert begin["type"] == "Begin"
                assert abs(begin["expires_at"] - time.time() - 58) < 5


def test_a_token_may_be_good_for_one_session_only():
    with Service(tokens_once=True) as service:
        minted = token(service, expires_in_seconds=60).json()["token"]
        for kind in ("Begin", "Error"):
            with Client(service.url, key=None, token=minted) as client:
                assert client.read()["type"] == kind


def test_a_token_that_was_never_minted_is_refused(service):
    with Client(service.url, key="a-key", token="made-up") as client:
        assert client.read()["error"] == "Unauthorized Connection: Invalid API key"


def test_an_old_token_is_refused(service, monkeypatch):
    minted = token(service, expires_in_seconds=1).json()["token"]
    for known in service._door._tokens.values():
        known.opens_until_s -= 2
    with Client(service.url, key=minted) as client:
        assert client.read()["error"] == "Unauthorized Connection: Signature has expired"


@pytest.mark.parametrize(
    ("key", "query", "status", "kind"),
    [
        (None, {"expires_in_seconds": 60}, 422, "missing"),
        ("a-key", {}, 422, "missing"),
        ("a-key", {"expires_in_seconds": 0}, 422, "greater_than_equal"),
        ("a-key", {"expires_in_seconds": 601}, 422, "less_than_equal"),
        ("a-key", {"expires_in_seconds": "soon"}, 422, "int_parsing"),
        ("a-key", {"expires_in_seconds": 60, "max_session_duration_seconds": 59}, 422, "greater_than_equal"),
        ("a-key", {"expires_in_seconds": 60, "max_session_duration_seconds": 10_801}, 422, "less_than_equal"),
        ("Bearer a-key", {"expires_in_seconds": 60}, 200, None),
    ],
)
def test_the_token_endpoint_minds_its_parameters(key, query, status, kind):
    with Service(keys=("a-key",)) as service:
        answer = token(service, key, **query)
        assert answer.status_code == status
        if kind:
            assert [detail["type"] for detail in answer.json()["detail"]] == [kind]
        assert service.record.tokens[-1]["status"] == status


def test_a_wrong_key_mints_no_token():
    with Service(keys=("good",)) as service:
        assert token(service, "bad", expires_in_seconds=60).status_code == 401


def test_other_paths_are_not_found(service):
    assert httpx.get(f"http://127.0.0.1:{service.port}/v2/ws", trust_env=False).status_code == 404
    with pytest.raises(InvalidStatus), Client(service.url.replace("ws://", "ws://") + "/elsewhere"):
        pass


def test_waiting_for_what_does_not_come_says_what_did(service):
    with Client(service.url) as client:
        client.read()
        with pytest.raises(TimeoutError, match="session 0 status 101"):
            service.wait_until(lambda: len(service.sessions) == 2, timeout_s=0.05)


def test_universal_streaming_says_two_finals_where_both_sides_want_it():
    with Service(second_formatted_final=True) as service:
        for wanted, finals in (("true", 2), ("false", 1)):
            with Client(service.url, model="universal-streaming-english", format_turns=wanted) as client:
                client.send(compose(1).frames())
                client.terminate()
                assert len(client.finals) == finals
                assert {turn["turn_order"] for turn in client.finals} == {0}
                assert [turn["turn_is_formatted"] for turn in client.finals][-1] is True


def test_messages_are_plain_json_text(service):
    with Client(service.url) as client:
        raw = client.socket.recv(5)
        assert isinstance(raw, str)
        assert json.loads(raw)["type"] == "Begin"
