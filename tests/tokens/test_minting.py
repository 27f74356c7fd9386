"""Where tokens come from: the simulated service, an HTTP server that misbehaves, programs."""

import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest

from minuted.tokens import minting
from minuted.tokens.minting import NoTokenError, Token
from simulator import Service
from waiting import until

SECRET = "very-secret"


class Answering:
    """An HTTP server that answers everything alike, and remembers what it was asked."""

    def __init__(
        self, status: int = 200, body: bytes = b'{"token": "abc"}', headers: dict[str, str] | None = None
    ) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.cookies: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                outer.asked.append((self.command, self.path, self.headers.get("Authorization", "")))
                outer.cookies.append(self.headers.get("Cookie"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                if status == 302:
                    self.send_header("Location", "https://elsewhere.example/")
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass  # whoever asked has had enough

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def program(text: str) -> list[str]:
    return [sys.executable, "-S", "-c", text]


# The service.


def test_the_service_mints_with_the_key_and_opens_its_door_to_the_token() -> None:
    """ws:// becomes http://: the vendor's own library knows https:// alone."""
    with Service(keys=("the-key",)) as service:
        token = minting.mint(service.url, "the-key", 30, 600)
        (asked,) = [event for event in service.record.events if event["event"] == "token"]

    assert token.expires_s == 30
    assert len(token.text) > 1000
    assert asked["query"] == "expires_in_seconds=30&max_session_duration_seconds=600"
    assert token.text not in repr(token)


def test_a_key_the_service_does_not_know_is_said_without_it() -> None:
    with Service(keys=("the-key",)) as service, pytest.raises(NoTokenError) as raised:
        minting.mint(service.url, SECRET, 60)

    assert raised.value.status == 401
    assert (
        str(raised.value)
        == f"no token: http://127.0.0.1:{service.port}/v3/token answered 401 (Invalid API key)"
    )


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("ws://room.test:8080", "http://room.test:8080/v3/token"),
        ("wss://streaming.eu.assemblyai.com", "https://streaming.eu.assemblyai.com/v3/token"),
        ("wss://streaming.assemblyai.com/", "https://streaming.assemblyai.com/v3/token"),
    ],
)
def test_the_token_is_asked_of_the_host_the_session_goes_to(
    url: str, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token of another region opens nothing."""
    seen: list[str] = []
    monkeypatch.setattr(minting, "_ask", lambda _method, url, *_: seen.append(url))
    minting.mint(url, "k", 60)

    assert seen == [asked]


# A token server.


def test_a_token_server_is_told_the_secret_and_nothing_else() -> None:
    with Answering(body=b'{"token": "abc", "expires_in_seconds": 45}') as server:
        assert minting.fetch(server.url, SECRET) == Token("abc", 45.0)
        minting.fetch(server.url, SECRET, 10, 60)

    assert server.asked == [
        ("POST", "/token", f"Bearer {SECRET}"),
        ("POST", "/token?expires_in_seconds=10&max_session_duration_seconds=60", f"Bearer {SECRET}"),
    ]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b'{"error": "unknown client"}', "answered 401 (unknown client)"),
        (429, b"{}", "answered 429"),
        (502, b'{"error": "wss refuses very-secret"}', "answered 502 (wss refuses <secret>)"),
        (502, b'{"error": "' + b"x" * 5000 + b'"}', f"answered 502 ({'x' * 200})"),
        (503, b"<html>", "answered 503"),
        (302, b"", "answered 302"),
        (200, b"<html>", "gave no token"),
        (200, b"[]", "gave no token"),
        (200, b'{"token": ""}', "gave no token"),
        (200, b'{"token": "a\\nb"}', "gave no token"),
        (200, b'{"token": 5}', "gave no token"),
        (200, b"x" * 200_000, "answers with too much, or too slowly"),
        (200, b'{"token": "' + b"x" * 20_000 + b'"}', "gave a token of over 16384 characters"),
    ],
)
def test_an_answer_without_a_token_is_a_reason_in_one_line(status: int, body: bytes, said: str) -> None:
    """It stands in the status and in the log."""
    with Answering(status, body) as server, pytest.raises(NoTokenError) as raised:
        minting.fetch(server.url, SECRET)

    assert str(raised.value) == f"no token: {server.url} {said}"
    assert raised.value.status == (status if status != 200 else None)
    assert not raised.value.is_away


def test_an_answer_that_trickles_in_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line in time, and never the last: a room would wait for its token for ever."""
    monkeypatch.setattr(minting, "ANSWER_S_MAX", 0.5)
    has_had_enough = threading.Event()

    def trickle() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            try:
                while True:
                    connection.sendall(b"X: y\r\n")
                    time.sleep(0.01)
            except OSError:
                has_had_enough.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=trickle, daemon=True).start()
        with pytest.raises(NoTokenError, match="too slowly") as raised:
            minting.fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/token", SECRET)
        assert has_had_enough.wait(20)
    assert not raised.value.is_away


@pytest.mark.parametrize(
    ("value", "wait_s"), [("7", 7.0), ("soon", None), ("9" * 5000, minting.RETRY_AFTER_S_MAX)]
)
def test_when_to_come_again_is_passed_on_within_bounds(value: str, wait_s: float | None) -> None:
    with (
        Answering(429, b"{}", {"Retry-After": value}) as server,
        pytest.raises(NoTokenError) as raised,
    ):
        minting.fetch(server.url, SECRET)
    assert raised.value.retry_after_s == wait_s


def test_no_cookie_comes_with_the_next_question() -> None:
    """Each token is asked for as the first was."""
    with Answering(headers={"Set-Cookie": "session=1"}) as server:
        minting.fetch(server.url, SECRET)
        minting.fetch(server.url, SECRET)
    assert server.cookies == [None, None]


@pytest.mark.parametrize(
    "body", [b'{"token": "a", "expires_in_seconds": "x"}', b'{"token": "a", "expires_in_seconds": -1}']
)
def test_where_nobody_says_how_long_it_lasts_it_is_taken_to_be_short(body: bytes) -> None:
    with Answering(body=body) as server:
        assert minting.fetch(server.url, SECRET).expires_s == minting.LASTS_S


def test_nobody_there_is_told_apart_from_a_refusal() -> None:
    """One is tried again in seconds, the other is not."""
    with pytest.raises(
        NoTokenError, match=r"^no token: http://127.0.0.1:9/token: Connection refused$"
    ) as raised:
        minting.fetch("http://127.0.0.1:9/token", SECRET)
    assert raised.value.is_away
    with pytest.raises(NoTokenError) as raised:
        minting.fetch("https://no-such-host.invalid/token", SECRET)
    assert raised.value.is_away
    assert SECRET not in str(raised.value)


def test_an_address_s_password_and_query_are_not_said() -> None:
    with pytest.raises(NoTokenError) as raised:
        minting.fetch("http://me:pw@127.0.0.1:9/token?x=hidden", SECRET)
    assert "pw" not in str(raised.value)
    assert "hidden" not in str(raised.value)


# A program.


@pytest.mark.parametrize(
    ("printed", "token"),
    [
        ("abc.def", Token("abc.def")),
        ("{'token': 'abc'}", None),
        ('{"token": "abc", "expires_in_seconds": 9}', Token("abc", 9.0)),
        ("12345", Token("12345")),
    ],
)
def test_a_program_prints_a_token_plain_or_as_json(printed: str, token: Token | None) -> None:
    text = f"print({printed!r})"
    if token is None:
        with pytest.raises(NoTokenError, match="gave no token"):
            minting.run(program(text))
    else:
        assert minting.run(program(text)) == token


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/nowhere/mint"], "mint cannot be started: No such file or directory"),
        (program("raise SystemExit(3)"), "ended with exit status 3"),
        (program("pass"), "gave no token"),
        (program("print('two words')"), "gave no token"),
    ],
)
def test_a_program_that_gives_none_is_said(command: list[str], said: str) -> None:
    with pytest.raises(NoTokenError, match=said) as raised:
        minting.run(command)
    assert raised.value.status is None
    assert not raised.value.is_away


def test_a_program_that_hangs_is_ended_with_all_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A session waits for it."""
    monkeypatch.setattr(minting, "ANSWER_S_MAX", 1.0)
    # Each has a name of its own, so that one that began late is found as well.
    text = f"import os, time; os.fork(); time.sleep(60); {str(tmp_path)!r}"
    with pytest.raises(NoTokenError, match="took longer than 1 s"):
        minting.run(program(text))

    until(lambda: not _running(str(tmp_path)))


def test_a_program_that_prints_without_end_is_ended_before_it_fills_the_disk() -> None:
    """Journals may be on the same disk."""
    text = "import sys\nwhile True: sys.stdout.write('x' * 65536)"
    with pytest.raises(NoTokenError, match="prints too much"):
        minting.run(program(text))


def _running(name: str) -> list[str]:
    """Return the processes that have a name in their command."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if name.encode() in (folder / "cmdline").read_bytes():
                found.append(folder.name)
    return found


def test_a_program_is_told_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASSEMBLYAI_API_KEY", "MINUTED_TOKEN_SECRET", "MINUTED_ENGINE_KEY", "NOTIFY_SOCKET"):
        monkeypatch.setenv(name, "planted")
    monkeypatch.setenv("VAULT_ADDR", "its-own")
    text = (
        "from os import environ; print([*environ.values()].count('planted'), environ['VAULT_ADDR'], sep='')"
    )

    assert minting.run(program(text)) == Token("0its-own")


# As configured.


def test_the_configuration_says_which_way(
    make_settings: Callable[..., Any], no_key: Path, monkeypatch
) -> None:
    """A key that lies about is not used where tokens are configured."""
    monkeypatch.setenv("MINUTED_TOKEN_SECRET", SECRET)
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "the-key")
    with Answering() as server, Service(keys=("the-key",)) as service:
        own = make_settings(f'[engine]\nurl = "{service.url}"\n')
        fetched = make_settings(f'[engine]\ntoken_url = "{server.url}"\n')
        by_program = make_settings(f"[engine]\ntoken_command = {json.dumps(program('print(1)'))}\n")

        assert len(minting.obtain(own).text) > 1000
        assert minting.obtain(fetched).text == "abc"
        assert minting.obtain(by_program).text == "1"
    assert server.asked[0][2] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("said", "expires_s"),
    [
        (45, 45.0),
        (0.5, 0.5),
        (float("inf"), minting.EXPIRES_S_MAX),
        (10**400, minting.EXPIRES_S_MAX),
        (float("nan"), minting.LASTS_S),
        (-1, minting.LASTS_S),
        (True, minting.LASTS_S),
        ("60", minting.LASTS_S),
        (None, minting.LASTS_S),
    ],
)
def test_how_long_a_token_lasts_is_read_within_bounds(said: object, expires_s: float) -> None:
    """JSON as Python reads it has Infinity, and integers without end."""
    token = minting._token({"token": "t", "expires_in_seconds": said}, "it")
    assert token.expires_s == expires_s
