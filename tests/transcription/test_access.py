"""A room that holds no key: a token for each session, and what happens when there is none."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from minuted.config import Settings
from minuted.messages import Session as SessionEvent
from minuted.status import details
from minuted.tokens import clients
from minuted.tokens.minting import NoTokenError, Token, mint
from minuted.transcription.access import NEAR_S, Access
from minuted.transcription.reconnect import Failure, Verdict, judge
from minuted.transcription.session import Service as Where
from minuted.transcription.session import Session, parameters_of
from simulator import Fault, Service
from simulator.coded import compose
from simulator.faults import BEFORE_UPGRADE
from simulator.proxy import Proxy
from token_server import Running
from waiting import until

KEY = "the-key"
SHORT = compose(1, words=(2, 2), tail_ms=500)
"""It is caught up with in no time."""
LONGER = compose(4, words=(2, 3), turn_pause_ms=(600, 800))
RECORDING = compose(2, words=(3, 3), tail_ms=1000)


@pytest.fixture
def minted() -> list[Token]:
    return []


@pytest.fixture
def make_server(
    make_settings: Callable[..., Settings], minted: list[Token], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Running]]:
    """Make a token server for one room, whose secret the room finds in its environment."""
    made: list[Running] = []

    def make(mint_one: Callable[..., Token], *, knows_room: bool = True) -> Running:
        def count(*terms: int) -> Token:
            minted.append(mint_one(*terms))
            return minted[-1]

        made.append(Running(make_settings("[token_server]\nper_minute = 600\n"), count))
        made[-1].__enter__()
        secret = clients.new(made[-1].file, "boardroom") if knows_room else "a-stranger-s-secret"
        monkeypatch.setenv("MINUTED_TOKEN_SECRET", secret)
        return made[-1]

    yield make
    for server in made:
        server.__exit__()


def texts(recording: Any) -> list[str]:
    return [word.text for word in recording.words]


def by_url(server: Running) -> str:
    return f'token_url = "{server.url}/token"\n'


def keys_of(service: Service) -> list[str]:
    """Give what each session came with."""
    return [session.headers["Authorization"] for session in service.sessions]


def events(room: Any, name: str) -> list[SessionEvent]:
    return [each for each in room.messages if isinstance(each, SessionEvent) and each.event == name]


def test_every_session_comes_with_a_token_of_its_own(
    make_room: Callable, make_server: Callable, minted: list[Token]
) -> None:
    """Whatever opens it: the start, a break, an outage's rest, a session that is about to expire."""
    script = [
        Fault(name="reset", session=0, at_audio_ms=2000),
        Fault(name="reset", session=1, at_audio_ms=2000),
    ]
    with Service(script, keys=(KEY,), tokens_once=True) as service:
        room = make_room(service, by_url(make_server(lambda *terms: mint(service.url, KEY, *terms))))
        room.play(RECORDING, paced=True)
        room.end()

    # What a break left behind may be told after what is live.
    assert sorted(room.words) == texts(RECORDING)
    assert len(service.sessions) >= 3
    assert len(set(keys_of(service))) == len(service.sessions)
    assert set(keys_of(service)) <= {token.text for token in minted}


@pytest.mark.usefixtures("short_sessions")
def test_a_session_that_a_token_keeps_short_is_handed_over_to_a_new_token(
    make_room: Callable, make_server: Callable
) -> None:
    """The token's cap shows in Begin, as any session's end does."""
    with Service(keys=(KEY,), tokens_once=True, session_s=6.0) as service:
        room = make_room(service, by_url(make_server(lambda *terms: mint(service.url, KEY, *terms))))
        room.play(LONGER, in_real_time=True)
        room.end()

    assert room.transcriber.status()["handovers"] >= 1
    assert room.words == texts(LONGER)
    assert len(set(keys_of(service))) == len(service.sessions) >= 2


def test_a_room_nobody_knows_is_refused_until_it_is_known(make_room: Callable, make_server: Callable) -> None:
    """Said in the status without the secret, tried slowly; and nothing said meanwhile is lost."""
    with Service(keys=(KEY,)) as service, capture_logs() as logged:
        server = make_server(lambda *terms: mint(service.url, KEY, *terms), knows_room=False)
        room = make_room(service, by_url(server))
        room.play(SHORT, paced=True)
        room.wait_for(lambda: "refused" in room.session_events)
        status = room.transcriber.status()
        room.settings.state_dir.mkdir(exist_ok=True)
        server.file.write_text("")
        (server.file).write_text(_line("boardroom", "a-stranger-s-secret"))
        room.retry_now()
        room.end()
        text = json.dumps(logged, default=str) + json.dumps(status) + str(room.messages)

    assert status["state"] == "refused"
    assert status["reason"] == f"no token: {server.url}/token answered 401 (unknown client)"
    assert status["retry_in_s"] > 30
    assert room.words == texts(SHORT)
    assert "a-stranger-s-secret" not in text


def _line(name: str, secret: str) -> str:
    return f"{name} sha256:{clients._digest(secret)}\n"


def test_a_token_server_in_trouble_is_tried_again_and_its_reason_told(
    make_room: Callable, make_server: Callable
) -> None:
    failures = [NoTokenError("the vendor answered 500", 500), NoTokenError("the vendor answered 500", 500)]
    with Service(keys=(KEY,)) as service:

        def make(*terms: int) -> Token:
            if failures:
                raise failures.pop()
            return mint(service.url, KEY, *terms)

        server = make_server(make)
        room = make_room(service, by_url(server))
        room.play(SHORT, paced=True)
        room.end()

    reasons = {event.reason for event in events(room, "retrying")}
    assert reasons == {f"no token: {server.url}/token answered 502 (the vendor answered 500)"}
    assert room.words == texts(SHORT)


def test_a_token_server_that_says_when_to_come_again_is_left_alone_until_then(
    make_room: Callable, make_server: Callable
) -> None:
    """It says 30 s where the vendor has had enough."""
    failures = [NoTokenError("the vendor answered 429", 429)]
    with Service(keys=(KEY,)) as service:

        def make(*terms: int) -> Token:
            if failures:
                raise failures.pop()
            return mint(service.url, KEY, *terms)

        room = make_room(service, by_url(make_server(make)))
        room.play(SHORT, paced=True)
        room.wait_for(lambda: events(room, "retrying"))
        (retrying,) = events(room, "retrying")
        room.retry_now()
        room.end()

    assert room.words == texts(SHORT)
    assert "answered 503 (the service gives no more tokens for now)" in retrying.reason
    assert retrying.retry_in_s is not None
    assert 30 <= retrying.retry_in_s <= 60


def test_a_token_server_that_is_away_is_soon_found_again(make_room: Callable, make_server: Callable) -> None:
    """As a service that cannot be reached: the network may be back in a second."""
    with Service(keys=(KEY,)) as service:
        server = make_server(lambda *terms: mint(service.url, KEY, *terms))
        with Proxy(server.port) as way:
            way.down()
            room = make_room(service, f'token_url = "http://127.0.0.1:{way.port}/token"\n')
            room.play(SHORT, paced=True)
            room.wait_for(lambda: len(events(room, "retrying")) >= 2)
            way.up()
            room.end()

    assert all("no token: " in event.reason for event in events(room, "retrying"))
    assert all(event.retry_in_s is not None and event.retry_in_s <= 2 for event in events(room, "retrying"))
    assert room.words == texts(SHORT)


def test_an_expired_token_costs_one_try_and_no_wait(make_room: Callable, tmp_path: Path) -> None:
    """The next token is fresh: there is nothing to wait for."""
    with Service(keys=(KEY,)) as service:
        terms = "expires_in_seconds=1"
        for number, unix_s in enumerate((time.time() - 60, time.time() + 600)):
            token = service._door.token(terms, KEY, unix_s)[1]["token"]
            (tmp_path / f"token-{number}").write_text(token)
        (tmp_path / "mint.py").write_text(
            "import pathlib, sys\n"
            "folder = pathlib.Path(sys.argv[1])\n"
            "tried = folder / 'tried'\n"
            "print((folder / ('token-1' if tried.exists() else 'token-0')).read_text())\n"
            "tried.touch()\n"
        )
        command = json.dumps([sys.executable, "-S", str(tmp_path / "mint.py"), str(tmp_path)])
        room = make_room(service, f"token_command = {command}\n")
        room.play(SHORT, paced=True)
        room.end()

    (retrying,) = events(room, "retrying")
    assert "Signature has expired" in retrying.reason
    assert retrying.retry_in_s is not None
    assert retrying.retry_in_s <= 0.25
    assert len(service.connections) == 2
    assert room.words == texts(SHORT)


def test_a_program_that_fails_is_tried_ever_more_seldom(make_room: Callable) -> None:
    with Service() as service:
        room = make_room(service, 'token_command = ["false"]\n')
        room.play(SHORT, paced=True)
        room.wait_for(lambda: events(room, "retrying"))
        assert room.transcriber.status()["reason"] == "no token: false ended with exit status 1"
        room.stop()
    assert not service.connections


def test_a_token_that_opened_nothing_is_not_thrown_away(
    make_room: Callable, make_server: Callable, minted: list[Token]
) -> None:
    """While the service is away it is tried every two seconds; the account is not to pay in tokens."""
    service = Service(keys=(KEY,), tokens_once=True)

    def make(expires_s: int, session_s: int) -> Token:
        query = f"expires_in_seconds={expires_s}&max_session_duration_seconds={session_s}"
        return Token(service._door.token(query, KEY, time.time())[1]["token"], expires_s)

    room = make_room(service, by_url(make_server(make)))
    room.play(SHORT, paced=True)
    room.wait_for(lambda: len(events(room, "retrying")) >= 3)
    before = len(minted)
    service.start()
    room.end()
    service.close()

    assert before == 1
    assert keys_of(service)[0] == minted[0].text
    assert room.words == texts(SHORT)


@pytest.mark.parametrize(
    ("expires_s", "failure", "calls"),
    [
        (60, Failure("Connection failed: [Errno 111] Connection refused", None, "connecting"), 1),
        (60, Failure("Connection failed: timed out", None, "connecting"), 2),
        (60, Failure("WebSocket handshake rejected (HTTP 503)", 503, "connecting"), 2),
        (60, Failure("no Begin came", None, "opening"), 2),
        (60, Failure("the reader died", None, "open"), 2),
        (int(NEAR_S), Failure("Connection failed: [Errno 111] Connection refused", None, "connecting"), 2),
    ],
)
def test_only_a_token_the_service_never_saw_is_used_again_and_in_time(
    make_settings: Callable[..., Settings], tmp_path: Path, expires_s: int, failure: Failure, calls: int
) -> None:
    """By the vendor's word a token opens one session; and one near its end opens none."""
    script = tmp_path / "mint.py"
    script.write_text(
        "import json, pathlib\n"
        f"count = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "number = len(count.read_text()) if count.exists() else 0\n"
        "count.write_text('x' * (number + 1))\n"
        f"print(json.dumps({{'token': str(number), 'expires_in_seconds': {expires_s}}}))\n"
    )
    access = Access(
        make_settings(f"[engine]\ntoken_command = {json.dumps([sys.executable, '-S', str(script)])}\n")
    )
    first = access()
    session = Session(lambda: first, parameters_of(Settings().session, local=False), lambda *_: None)
    session._connecting.join()
    session.service = first
    access.lost(session, failure)
    access()

    assert len((tmp_path / "count").read_text()) == calls


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (400, Verdict.FATAL),
        (401, Verdict.FATAL),
        (403, Verdict.FATAL),
        (404, Verdict.FATAL),
        (408, Verdict.REFUSED),
        (429, Verdict.REFUSED),
        (500, Verdict.REFUSED),
        (502, Verdict.REFUSED),
        (503, Verdict.REFUSED),
        (None, Verdict.REFUSED),
    ],
)
def test_a_token_server_s_answer_is_judged(status: int | None, verdict: Verdict) -> None:
    """Who is not known there will not be in a second; all else may pass. No account is full of sessions."""
    assert judge(Failure("no token: it answered", status, "minting")) is verdict


def test_a_secret_that_cannot_be_read_is_a_reason_and_no_crash(make_room: Callable, tmp_path: Path) -> None:
    file = tmp_path / "room.secret"
    file.write_text("two words")
    with Service() as service:
        room = make_room(service, f'token_url = "http://127.0.0.1:9"\ntoken_secret_file = "{file}"\n')
        room.play(SHORT, paced=True)
        room.wait_for(lambda: events(room, "retrying"))
        reason = room.transcriber.status()["reason"]
        room.stop()
    assert reason.startswith("no token: ")
    assert "more than one word" in reason
    assert "two words" not in reason


def test_a_session_abandoned_while_it_connects_is_closed_all_the_same() -> None:
    """Open and forgotten, it would be paid for for three hours."""
    assert "unanswered" in BEFORE_UPGRADE
    with Service() as service, Proxy(service.port) as way:
        way.latency_s = 0.5
        session = Session(
            lambda: Where(way.url, "a-key"),
            parameters_of(Settings().session, local=False),
            lambda *_: None,
        )
        service.wait_until(lambda: service.connections)
        assert session._client is not None
        assert session.opened_s is None
        session.abandon()
        service.wait_until(lambda: service.connections[0].ended_at_s is not None)
        until(lambda: session.is_closed)
    for thread in threading.enumerate():
        if thread.name in ("abandon", "connect"):
            thread.join(20)


@pytest.mark.parametrize(
    ("asked", "given", "warned"),
    [
        ("u3-rt-pro", "universal-3-5-pro", True),
        ("universal-3-6", "universal-3-6-pro", False),
        ("u3-rt-pro", None, False),
    ],
)
def test_a_session_of_another_model_is_a_warning_with_tokens_too(
    make_room: Callable, make_server: Callable, asked: str, given: str | None, warned: bool
) -> None:
    """The words are worth less, or the bill more; a service that does not name its model is believed."""
    script = [Fault(name="wrong_model", text=given)] if given else []
    with Service(script, keys=(KEY,), configuration=given is not None) as service:
        server = make_server(lambda *terms: mint(service.url, KEY, *terms))
        room = make_room(service, f'{by_url(server)}[session]\nspeech_model = "{asked}"\n')
        room.play(SHORT, paced=True)
        room.wait_for(lambda: "started" in room.session_events)
        status = room.transcriber.status()
        room.end()

    said = f"asked for the model {asked}, got {given}"
    assert [event.reason for event in events(room, "warning")] == [said] * warned
    assert status["warning"] == (said if warned else "")
    assert (said in details(status)) is warned
    assert status["model"] == (given or "")
