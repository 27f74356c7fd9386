"""The metrics over a real port, from processes that really answer."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Self

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from structlog.testing import capture_logs

from minuted.config import Settings
from minuted.control import ControlServer
from minuted.metrics import server
from scraped import samples
from waiting import until

WAIT_S = 30.0


class Running:
    """A metrics server on a thread of its own, on any free port."""

    def __init__(self, settings: Settings, host: str = "127.0.0.1") -> None:
        self._server = server.Server(settings, host, 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._server.serve, args=[self._stop])
        self.address = self._server.server_address[:2]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(WAIT_S)
        self._server.server_close()

    def get(self, path: str = "/metrics", **headers: str) -> httpx.Response:
        url = f"http://{self._server.address}{path}"
        return httpx.get(url, headers=headers, trust_env=False, timeout=WAIT_S)

    def is_full(self) -> bool:
        return len(self._server.connections) == server.CONNECTIONS_MAX


@pytest.fixture
def settings(make_settings: Callable[[str], Settings]) -> Settings:
    return make_settings("[sinks.srt]\n")


@pytest.fixture
def running(settings: Settings) -> Iterator[Running]:
    with Running(settings) as made:
        yield made


def answering(settings: Settings, stage: str, **told: Any) -> ControlServer:
    return ControlServer(settings.control_endpoint(stage), {"status": lambda _: told})


def test_each_scrape_asks_anew(settings: Settings, running: Running) -> None:
    """A figure that is kept is one that says all is well when it is not."""
    assert samples(running.get().text)["minuted_up"] == 0
    told = {"state": "delivering", "lag": 3}
    sink = ControlServer(settings.control_endpoint("delivery/srt"), {"status": lambda _: told})
    assert samples(running.get().text)["minuted_sink_lag_records sink=srt"] == 3
    told["lag"] = 4
    found = samples(running.get().text)
    sink.close()

    assert found["minuted_sink_lag_records sink=srt"] == 4
    assert (found["minuted_up"], found["minuted_stage_up stage=transcription"]) == (1, 0)
    assert samples(running.get().text)["minuted_up"] == 0


def test_prometheus_gets_the_format_it_asks_for(settings: Settings, running: Running) -> None:
    """It asks for OpenMetrics first, whose rules are stricter."""
    sink = answering(settings, "delivery/srt", state="delivering", delivered=9, lag=0)
    plain = running.get()
    newer = running.get(Accept="application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")
    sink.close()

    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert newer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert newer.text.endswith("# EOF\n")
    found = samples(newer.text, parse_openmetrics)
    assert found["minuted_sink_delivered_records_total sink=srt"] == 9
    assert found.keys() == samples(plain.text).keys()


def test_there_is_one_page(running: Running) -> None:
    assert running.get("/").status_code == 404
    assert running.get("/metrics/x").status_code == 404
    assert running.get("/metrics?name[]=minuted_up").status_code == 200
    url = "http://{}:{}/metrics".format(*running.address)
    assert httpx.post(url, trust_env=False, timeout=WAIT_S).status_code == 501


def test_that_nobody_answers_is_logged_once_with_the_reason(settings: Settings) -> None:
    """The page can only say 0."""
    with capture_logs() as logs, Running(settings) as running:
        running.get()
        running.get()

    (warning,) = [entry for entry in logs if entry["event"] == "nothing_answers"]
    assert warning["reason"].startswith("minuted is not running here")


def test_connections_that_say_nothing_give_way_to_one_that_asks(settings: Settings, running: Running) -> None:
    """They are what fills a server."""
    with ExitStack() as opened:
        silent = [
            opened.enter_context(socket.create_connection(running.address, timeout=WAIT_S))
            for _ in range(server.CONNECTIONS_MAX)
        ]
        until(running.is_full)
        assert running.get().status_code == 200
        assert silent[0].recv(1) == b""


def test_who_dawdles_is_cut_off(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then passes every timeout of the socket's own."""
    monkeypatch.setattr(server, "HEAD_S_MAX", 0.3)
    with Running(settings) as running, socket.create_connection(running.address, timeout=WAIT_S) as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        slow.settimeout(0.05)
        until_s = time.monotonic() + WAIT_S
        closed = False
        while not closed:
            assert time.monotonic() < until_s, "it is heard for ever"
            try:
                slow.sendall(b"x")
                closed = slow.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                closed = True
        monkeypatch.undo()
        assert running.get("/").status_code == 404


def test_what_goes_wrong_in_a_scrape_is_logged_and_ends_only_that(
    settings: Settings, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken, capture_logs() as logs:
        broken.setattr(server.status, "collect", lambda _: {})
        with pytest.raises(httpx.RemoteProtocolError):
            running.get()
        until(lambda: bool(logs))
    assert running.get().status_code == 200
    assert logs == [{"event": "scrape_failed", "log_level": "error", "error": "KeyError"}]


def test_it_listens_on_ipv6_or_says_that_it_cannot(settings: Settings) -> None:
    """Whichever this machine has."""
    if has_ipv6():
        with Running(settings, "::1") as made:
            assert made.get().status_code == 200
    else:
        with pytest.raises(OSError, match=r"^cannot listen on \[::1\]:0: "):
            server.Server(settings, "::1", 0)


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_an_address_in_use_is_named(settings: Settings, running: Running) -> None:
    host, port = running.address
    with pytest.raises(OSError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: Address already in use$"):
        server.Server(settings, host, port)
