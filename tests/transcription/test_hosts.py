"""Where sessions and token requests really go: each host by its name, through a proxy that alone knows it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minuted.config import Settings
from minuted.tokens.minting import NoTokenError, mint
from minuted.transcription.session import _proxy_for
from minuted.transcription.trial import try_out
from simulator import Service
from simulator.roads import TlsFront, WebProxy, certificate

DEFAULT, US, EU = "streaming.assemblyai.com", "streaming.us.assemblyai.com", "streaming.eu.assemblyai.com"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ws_proxy", "wss_proxy")
KEY = "the-key"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch, no_key: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", KEY)


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(keys=(KEY, "self-hosted")) as service:
        yield service


@pytest.fixture
def vendor(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebProxy]:
    """The vendor's hosts by their names, with a certificate for them, behind a proxy."""
    cert, key = certificate(tmp_path, [DEFAULT, US, EU])
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    with (
        TlsFront(service.port, cert, key) as front,
        WebProxy({f"{host}:443": front.port for host in (DEFAULT, US, EU)}) as proxy,
    ):
        yield proxy


@pytest.mark.parametrize(
    ("url", "host"),
    [("", DEFAULT), (f"wss://{US}", US), (f"wss://{EU}/", EU)],
    ids=["default", "us", "eu"],
)
def test_each_region_s_host_is_the_one_that_is_asked(
    vendor: WebProxy,
    service: Service,
    make_settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    host: str,
) -> None:
    """What is said in a room may have to stay in its region: session and token go there, and nowhere else."""
    monkeypatch.setenv("https_proxy", vendor.url)
    settings = make_settings(f'[engine]\nservice = "assemblyai"\nurl = "{url}"\n' if url else "")
    assert try_out(settings) == ("u3-rt-pro", [])
    token = mint(settings.service_url, KEY, 60)

    asked = service.sessions[0]
    assert (asked.path, asked.headers["Host"], asked.headers["Authorization"]) == ("/v3/ws", host, KEY)
    assert asked.query["speech_model"] == ["u3-rt-pro"]
    assert token.expires_s == 60
    assert vendor.asked == [f"CONNECT {host}:443"] * 2


def test_a_certificate_nobody_trusts_opens_nothing(
    vendor: WebProxy,
    service: Service,
    make_settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The key and the room's words would be someone else's."""
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv("https_proxy", vendor.url)
    settings = make_settings()
    with pytest.raises(ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        try_out(settings)
    with pytest.raises(NoTokenError, match="certificate"):
        mint(settings.service_url, KEY, 60)
    assert not service.connections


def test_a_self_hosted_service_is_asked_in_clear_with_its_fixed_word(
    service: Service, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ws://HOST:8080 with `Authorization: self-hosted`, as its own documentation has it."""
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "self-hosted")
    with WebProxy({"speech.example:8080": service.port}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        settings = make_settings('[engine]\nurl = "ws://speech.example:8080"\n')
        try_out(settings)
        mint(settings.service_url, settings.api_key(), 60)

        asked = service.sessions[0]
        assert asked.path == "/v3/ws"
        assert asked.headers["Host"] == "speech.example:8080"
        assert asked.headers["Authorization"] == "self-hosted"
        assert proxy.asked == ["CONNECT speech.example:8080", "GET http://speech.example:8080/v3/token"]


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_each_variable_leads_session_and_token_through_the_proxy(
    vendor: WebProxy, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, vendor.url)
    settings = make_settings()
    try_out(settings)
    mint(settings.service_url, KEY, 60)

    assert vendor.asked == [f"CONNECT {DEFAULT}:443"] * 2


def test_no_proxy_leads_past_it(
    vendor: WebProxy, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name leads nowhere by itself, which is how it shows."""
    monkeypatch.setenv("all_proxy", vendor.url)
    monkeypatch.setenv("no_proxy", "speech.invalid")
    settings = make_settings('[engine]\nurl = "wss://speech.invalid"\n')
    with pytest.raises(ConnectionError):
        try_out(settings)
    with pytest.raises(NoTokenError):
        mint(settings.service_url, KEY, 60)

    assert vendor.asked == []


def test_a_proxy_that_refuses_is_named_as_such(
    vendor: WebProxy, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else people look for the fault in their key."""
    vendor.allowed = False
    monkeypatch.setenv("https_proxy", vendor.url)
    settings = make_settings()
    with pytest.raises(ConnectionError, match=r"(?i)proxy"):
        try_out(settings)
    with pytest.raises(NoTokenError, match=r"the proxy refused \(403\)"):
        mint(settings.service_url, KEY, 60)


def test_a_socks_proxy_asks_for_the_library_it_needs(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not among ours; the README names it."""
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:9")
    settings = make_settings()
    with pytest.raises(ConnectionError, match="python-socks"):
        try_out(settings)
    with pytest.raises(NoTokenError, match="socksio"):
        mint(settings.service_url, KEY, 60)


@pytest.mark.parametrize(
    ("uri", "variables", "proxy"),
    [
        ("ws://127.0.0.1:1/v3/ws", {"all_proxy": "http://p:1"}, None),
        ("wss://a.example/v3/ws", {}, True),
        ("wss://a.example/v3/ws", {"all_proxy": "http://p:1"}, "http://p:1"),
        ("wss://a.example/v3/ws", {"all_proxy": "http://p:1", "https_proxy": "http://q:1"}, True),
        ("wss://a.example/v3/ws", {"all_proxy": "http://p:1", "no_proxy": "example"}, True),
        ("wss://a.example/v3/ws", {"all_proxy": "http://p:1", "no_proxy": "*"}, True),
    ],
)
def test_the_library_decides_but_for_this_machine_and_for_all(
    monkeypatch: pytest.MonkeyPatch, uri: str, variables: dict[str, str], proxy: Any
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert _proxy_for(uri) is proxy or _proxy_for(uri) == proxy
