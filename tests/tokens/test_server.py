"""The token server on a real port, in front of the simulated service."""

import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from structlog.testing import capture_logs

from minuted.config import ConfigError, Settings
from minuted.tokens import clients, server
from minuted.tokens.minting import NoTokenError, Token, mint
from simulator import Service
from token_server import WAIT_S, Running

KEY = "the-planted-key"


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(keys=(KEY,)) as service:
        yield service


@pytest.fixture
def running(service: Service, make_settings: Callable[..., Settings]) -> Iterator[Running]:
    settings = make_settings("[token_server]\nper_minute = 5\nexpires_s = 45\nsession_s_max = 3600\n")
    with Running(settings, lambda *terms: mint(service.url, KEY, *terms)) as made:
        yield made


@pytest.fixture
def secret(running: Running) -> str:
    return clients.new(running.file, "boardroom")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_client_gets_a_token_that_opens_a_session(
    running: Running, secret: str, service: Service, method: str
) -> None:
    answer = running.ask(secret, method=method)

    assert (answer.status_code, answer.json()["expires_in_seconds"]) == (200, 45)
    assert answer.headers["Cache-Control"] == "no-store"
    assert service._door.admit("", answer.json()["token"], time.time()) == 3598


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", "expires_in_seconds=45&max_session_duration_seconds=3600"),
        (
            "?expires_in_seconds=10&max_session_duration_seconds=60",
            "expires_in_seconds=10&max_session_duration_seconds=60",
        ),
        (
            "?expires_in_seconds=600&max_session_duration_seconds=10800",
            "expires_in_seconds=45&max_session_duration_seconds=3600",
        ),
    ],
)
def test_a_client_may_ask_for_less_and_not_for_more(
    running: Running, secret: str, service: Service, query: str, asked: str
) -> None:
    """How long a room's sessions may be is for who pays to say."""
    assert running.ask(secret, query).status_code == 200
    assert [event["query"] for event in service.record.events if event["event"] == "token"] == [asked]


@pytest.mark.parametrize(
    "query", ["?expires_in_seconds=x", "?expires_in_seconds=0", "?expires_in_seconds=-5"]
)
def test_what_is_no_number_is_refused_here(running: Running, secret: str, query: str) -> None:
    assert running.ask(secret, query).status_code == 400


@pytest.mark.parametrize("given", [None, "wrong", KEY])
def test_strangers_get_nothing(running: Running, secret: str, service: Service, given: str | None) -> None:
    """Nor does the service hear of them."""
    answer = running.ask(given)

    assert (answer.status_code, answer.json()) == (401, {"error": "unknown client"})
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert not [event for event in service.record.events if event["event"] == "token"]


def test_a_raw_secret_without_its_scheme_is_a_stranger_s(running: Running, secret: str) -> None:
    answer = httpx.post(f"{running.url}/token", headers={"Authorization": secret}, trust_env=False)
    assert answer.status_code == 401


def test_a_revoked_client_is_a_stranger_at_once(running: Running, secret: str) -> None:
    assert running.ask(secret).status_code == 200
    clients.revoke(running.file, "boardroom")
    assert running.ask(secret).status_code == 401


def test_a_client_that_asks_too_often_is_told_when_to_come_again(running: Running, secret: str) -> None:
    """And takes nothing from the others."""
    other = clients.new(running.file, "attic")
    statuses = [running.ask(secret).status_code for _ in range(5)]
    answer = running.ask(secret)

    assert statuses == [200] * 5
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 12
    assert running.ask(other).status_code == 200


@pytest.mark.parametrize(
    ("failure", "status", "said"),
    [
        (NoTokenError("https://s/v3/token answered 401 (Invalid API key)", 401), 502, "answered 401"),
        (NoTokenError("https://s/v3/token: no answer in time", is_away=True), 502, "no answer in time"),
        (NoTokenError("https://s/v3/token answered 429", 429), 503, "no more tokens for now"),
    ],
)
def test_where_the_service_gives_none_the_client_hears_why(
    make_settings: Callable[..., Settings], failure: NoTokenError, status: int, said: str
) -> None:
    """It is not the client's fault: 5xx, so that it tries again."""

    def make(*_: int) -> Token:
        raise failure

    with Running(make_settings(), make) as running:
        assert running.health() == {"status": "ok"}
        answer = running.ask(clients.new(running.file, "boardroom"))

        assert answer.status_code == status
        assert said in answer.json()["error"]
        assert running.health() == {"status": "failing"}


def test_no_more_than_so_many_are_made_at_once(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MINTING_MAX", 1)
    begun, may_end = threading.Event(), threading.Event()

    def make(*_: int) -> Token:
        begun.set()
        assert may_end.wait(WAIT_S)
        return Token("slow")

    with Running(make_settings(), make) as running:
        secret = clients.new(running.file, "boardroom")
        answers: list[httpx.Response] = []
        first = threading.Thread(target=lambda: answers.append(running.ask(secret)))
        first.start()
        assert begun.wait(WAIT_S)
        refused = running.ask(secret)
        may_end.set()
        first.join(WAIT_S)

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert answers[0].json()["token"] == "slow"


def test_the_log_says_who_got_one_and_no_secret(running: Running, service: Service) -> None:
    with capture_logs() as logged:
        structlog.get_logger().info("begins")
        secret = clients.new(running.file, "boardroom")
        token = running.ask(secret).json()["token"]
        running.ask("a-stranger-s")

    text = json.dumps(logged)
    given = next(event for event in logged if event["event"] == "token_given")
    assert (given["client"], given["session_s_max"]) == ("boardroom", 3600)
    assert "client_unknown" in text
    assert not [each for each in (secret, token, KEY, "a-stranger-s") if each in text]


def test_a_list_that_cannot_be_read_opens_nothing(running: Running, secret: str) -> None:
    running.file.write_text("rubbish\n")
    assert running.ask(secret).status_code == 500
    assert running.health() == {"status": "ok"}


def test_other_pages_and_methods_are_not_there(running: Running) -> None:
    assert httpx.get(f"{running.url}/", trust_env=False).status_code == 404
    assert httpx.put(f"{running.url}/token", trust_env=False).status_code == 405


def test_a_request_has_a_bound(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", running.port), WAIT_S) as stranger:
        stranger.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 2 * server.HEAD_BYTES_MAX)
        assert b" 400 " in stranger.recv(4096).splitlines()[0] + b" "


def test_a_connection_that_says_nothing_is_closed(
    running: Running, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sockets are what a stranger could take from the rooms."""
    monkeypatch.setattr(server, "CONNECTION_S_MAX", 0.1)
    with socket.create_connection(("127.0.0.1", running.port), WAIT_S) as stranger:
        stranger.sendall(b"GET /hea")
        try:
            assert stranger.recv(4096) == b""
        except ConnectionResetError:
            pass
    monkeypatch.undo()
    assert running.ask(secret).status_code == 200


def test_half_heads_from_one_address_give_way(running: Running) -> None:
    """Twice as many as there may be; the one that asks for something is served among them."""
    strangers = [
        socket.create_connection(("127.0.0.1", running.port), WAIT_S)
        for _ in range(2 * server.CONNECTIONS_MAX)
    ]
    for stranger in strangers:
        with suppress(OSError):
            stranger.sendall(b"GET /hea")
    assert running.health() == {"status": "ok"}
    for stranger in strangers:
        stranger.close()


def test_failures_of_connections_are_logged_once_a_minute(running: Running) -> None:
    """One that cannot be accepted is followed by thousands."""
    loop: Any = None
    with capture_logs() as logs:
        for _ in range(1000):
            running._server._log_failure(loop, {"message": "accept failed"})
    assert [entry["reason"] for entry in logs] == ["accept failed"]


def test_with_a_certificate_it_speaks_https(
    service: Service, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    """Secrets go over the network only so."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=tokens"
    )
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*make.split(), *names], check=True, capture_output=True)
    settings = make_settings(f'[token_server]\ncertificate = "{cert}"\nprivate_key = "{key}"\n')
    with Running(settings, lambda *terms: mint(service.url, KEY, *terms)) as running:
        trusting = ssl.create_default_context(cafile=str(cert))
        answer = httpx.get(f"https://127.0.0.1:{running.port}/health", verify=trusting, trust_env=False)
        assert answer.json() == {"status": "ok"}


def test_a_certificate_that_is_none_is_said(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("no certificate")
    settings = make_settings(
        f'[token_server]\ncertificate = "{tmp_path}/x.pem"\nprivate_key = "{tmp_path}/x.pem"\n'
    )
    app = server.App(settings.token_server, clients.List(clients.place(settings)), lambda *_: Token("x"))
    with pytest.raises(ConfigError, match="certificate or private_key cannot be used"):
        server._config(settings.token_server, app)


def test_without_a_key_there_is_nothing_to_serve(
    make_settings: Callable[..., Settings], no_key: Path
) -> None:
    with pytest.raises(ConfigError, match="none is found"):
        server.serve(make_settings())
