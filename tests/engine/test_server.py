"""Who may open a session, the pages beside the sessions, the figures."""

import json
from urllib.parse import urlencode

import httpx
import pytest
from assemblyai.streaming.v3 import (
    StreamingClient,
    StreamingClientOptions,
    StreamingEvents,
    StreamingParameters,
)
from websockets.sync.client import connect as connect_socket

from engine.conftest import messages_of, silence
from minuted.engine import server as server_module
from minuted.runtime import clock
from simulator.client import Client

KEY = "the-key"

OLD_CONNECT = pytest.mark.filterwarnings(
    "ignore:connect.. must be used as a context manager:DeprecationWarning"
)
"""The vendor's client 1.8.2 opens its socket as websockets no longer likes it."""


def outcome(url: str, **options) -> tuple[int | None, str]:
    """Open a session and end it; give its close code and Error text."""
    with Client(url, **options) as client:
        first = client.read()
        if first["type"] == "Begin":
            client.terminate()
        else:
            client.read_to_the_end()
    return client.close_code, first.get("error", "")


def page(url: str, path: str, key: str | None = None) -> httpx.Response:
    headers = {"Authorization": key} if key else {}
    return httpx.get(url.replace("ws://", "http://") + path, headers=headers, trust_env=False)


def test_without_a_key_of_its_own_any_will_do(engine) -> None:
    assert outcome(engine.url, key="whatever") == (1000, "")


MISSING = (1008, "Unauthorized Connection: Missing Authorization header")
INVALID = (1008, "Unauthorized Connection: Invalid API key")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"key": KEY}, (1000, "")),
        ({"key": None}, MISSING),
        ({"key": ""}, MISSING),
        ({"key": "wrong"}, INVALID),
        ({"key": f"Bearer {KEY}"}, INVALID),
        ({"key": "schlüssel"}, INVALID),
        ({"key": None, "token": KEY}, INVALID),
        ({"key": KEY, "token": "wrong"}, INVALID),
    ],
    ids=str,
)
def test_only_the_raw_key_opens_a_session(serve, options: dict, expected: tuple) -> None:
    assert outcome(serve(KEY).url, **options) == expected


def test_a_bearer_key_is_invalid_even_where_any_key_will_do(engine) -> None:
    """As at the service; a client that sends one would fail there too."""
    assert outcome(engine.url, key="Bearer a-key") == INVALID


def test_a_refused_client_reads_why_before_the_close(serve) -> None:
    with Client(serve(KEY).url, key="wrong") as client:
        client.read_to_the_end()
    assert client.messages == [{"type": "Error", "error_code": 1008, "error": INVALID[1]}]
    assert client.close_reason == "See Error message for details"


def test_a_bad_parameter_is_refused_before_begin(engine) -> None:
    code, text = outcome(engine.url, sample_rate=7000)
    assert code == 3006
    assert text == "User Input Validation Error: Invalid 'sample_rate': must be at least 8,000 Hz"
    assert outcome(engine.url, encoding="flac")[0] == 3006


def test_a_hundred_key_terms_and_a_prompt_fit_into_the_address(engine) -> None:
    terms = json.dumps([f"{number} " + "x" * 46 for number in range(100)])
    assert outcome(engine.url, keyterms_prompt=terms, prompt="ü" * 1750) == (1000, "")


def test_the_root_path_is_served_as_well(engine) -> None:
    """As the self-hosted service's examples use it."""
    with connect_socket(
        f"{engine.url}/?sample_rate=16000", additional_headers={"Authorization": "k"}
    ) as socket:
        assert json.loads(socket.recv(10))["type"] == "Begin"


def test_more_sessions_than_can_be_served_are_refused(engine, connect, monkeypatch) -> None:
    monkeypatch.setattr(server_module, "SESSIONS_MAX", 1)
    first = connect()
    assert outcome(engine.url) == (3009, "Too many concurrent sessions")
    first.terminate()


def test_a_token_opens_sessions_of_its_length(serve) -> None:
    server = serve(KEY)
    query = urlencode({"expires_in_seconds": 60, "max_session_duration_seconds": 600})
    answer = page(server.url, f"/v3/token?{query}", KEY)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json()["expires_in_seconds"] == 60
    token = answer.json()["token"]
    for place in ({"key": None, "token": token}, {"key": token}):
        with Client(server.url, **place) as client:
            begin = client.read_until("Begin")
            client.terminate()
        assert 0 <= begin["expires_at"] - page_time(answer) - 595 <= 65


def page_time(answer: httpx.Response) -> float:
    from email.utils import parsedate_to_datetime

    return parsedate_to_datetime(answer.headers["Date"]).timestamp()


def test_an_expired_token_says_so(serve, monkeypatch) -> None:
    server = serve(KEY)
    token = page(server.url, "/v3/token?expires_in_seconds=1", KEY).json()["token"]
    now_ms = clock.boot_ms()
    monkeypatch.setattr(clock, "boot_ms", lambda: now_ms + 2000)
    assert outcome(server.url, key=token) == (1008, "Unauthorized Connection: Signature has expired")


@OLD_CONNECT
def test_the_vendors_client_uses_a_token(serve) -> None:
    server = serve(KEY)
    token = page(server.url, "/v3/token?expires_in_seconds=60", f"Bearer {KEY}").json()["token"]
    begun = []
    client = StreamingClient(StreamingClientOptions(token=token, api_host=server.url))
    client.on(StreamingEvents.Begin, lambda _, event: begun.append(event))
    client.connect(StreamingParameters(sample_rate=16_000, speech_model="u3-rt-pro"))
    client.disconnect(terminate=True)
    assert begun


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/v3/token?expires_in_seconds=60", None, 401),
        ("/v3/token?expires_in_seconds=60", "wrong", 401),
        ("/v3/token", KEY, 422),
        ("/v3/token?expires_in_seconds=601", KEY, 422),
        ("/v3/ws/health", None, 200),
        ("/v3/nothing", KEY, 404),
    ],
)
def test_pages_answer_with_json(serve, path: str, key: str | None, status: int) -> None:
    answer = page(serve(KEY).url, path, key)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"
    if status == 422:
        assert answer.json()["detail"][0]["loc"] == ["query", "expires_in_seconds"]


def test_closing_ends_open_sessions_with_1001(serve, loop) -> None:
    server = serve()
    with Client(server.url) as client:
        client.read_until("Begin")
        loop.run(server.close())
        client.read_to_the_end()
    assert client.close_code == 1001
    assert server.status()["sessions"] == 0


def test_the_status_tells_how_things_stand(serve) -> None:
    server = serve()
    assert server.status() == {
        "state": "ready",
        "url": server.url,
        "model": "moonshine-tiny-en",
        "sessions": 0,
        "sessions_total": 0,
        "audio_s": 0.0,
        "audio_today_s": 0.0,
        "behind_s": 0.0,
        "behind_s_max": 0.0,
        "realtime_factor": 0.0,
    }
    with Client(server.url) as client:
        client.read_until("Begin")
        assert (server.status()["sessions"], server.status()["sessions_total"]) == (1, 1)
        client.send(messages_of(silence(2)))
        client.terminate()
    status = server.status()
    assert status["audio_s"] == status["audio_today_s"] == 2.0
    assert status["sessions_total"] == 1


def test_the_day_begins_anew_at_midnight(serve, monkeypatch) -> None:
    server = serve()
    with Client(server.url) as client:
        client.read_until("Begin")
        client.send(messages_of(silence(2)))
        client.terminate()
    assert server.status()["audio_today_s"] == 2.0
    monkeypatch.setattr(server_module.time, "strftime", lambda _: "the next day")
    assert (server.status()["audio_today_s"], server.status()["audio_s"]) == (0.0, 2.0)
