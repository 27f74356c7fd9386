"""One exchange: its deadline, whom it trusts, and what it says of what went wrong.

What a receiver may answer is told in tests/sinks/test_webhook_answers.py.
"""

import os
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted import http_client
from minuted.http_client import Answer, ExchangeError, exchange
from rights import needs_root
from sinks.answering import Answer as Said
from sinks.answering import Receiver

NOON_S = 1_795_348_800.0
"""2026-11-22T12:00 in UTC, a Sunday."""


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def certificate(folder: Path, name: str = "IP:127.0.0.1") -> tuple[Path, ssl.SSLContext]:
    """Return a certificate that is its own authority, and the receiver's side of it."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=test"
    files = ["-keyout", str(key), "-out", str(cert)]
    subject = ["-addext", f"subjectAltName={name}"]
    subprocess.run([*make.split(), *subject, *files, "-days", "2"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


# Whom it trusts.


def test_what_the_machine_s_store_holds_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or a folder of certificates; as for curl, and for the sessions."""
    cert, tls = certificate(tmp_path)
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "own.pem").write_bytes(cert.read_bytes())
    subprocess.run(["openssl", "rehash", str(folder)], check=True, capture_output=True)
    with Receiver(tls=tls) as receiver:
        for name, place in (("SSL_CERT_FILE", cert), ("SSL_CERT_DIR", folder)):
            with monkeypatch.context() as environment:
                environment.setenv(name, str(place))
                assert exchange("POST", receiver.url, timeout_s=20, content=b"x") == Answer(204)


def test_an_authority_that_is_added_is_believed_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages wait meanwhile; nobody should have to find out why they still do."""
    cert, tls = certificate(tmp_path)
    (tmp_path / "other").mkdir()
    other, _ = certificate(tmp_path / "other")
    store = tmp_path / "store.pem"
    store.write_bytes(other.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(store))
    with Receiver(tls=tls) as receiver:
        with pytest.raises(ExchangeError, match="update-ca-certificates"):
            exchange("GET", receiver.url, timeout_s=20)
        store.write_bytes(other.read_bytes() + cert.read_bytes())
        assert exchange("GET", receiver.url, timeout_s=20).status == 204


@needs_root
def test_an_authority_added_by_update_ca_certificates_is_believed(tmp_path: Path) -> None:
    """Debian's own way, on copies of the machine's folders that this test alone sees."""
    cert, tls = certificate(tmp_path)
    script = f"""
        set -e
        for place in /etc/ssl /usr/local/share; do
            cp -a $place {tmp_path}/$(basename $place)
            mount --bind {tmp_path}/$(basename $place) $place
        done
        mkdir -p /usr/local/share/ca-certificates
        cp {cert} /usr/local/share/ca-certificates/own.crt
        update-ca-certificates
        {sys.executable} -c "$POST"
    """
    post = "from minuted.http_client import exchange; print(exchange('POST', '{}', timeout_s=20).status)"
    with Receiver(tls=tls) as receiver:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", textwrap.dedent(script)],
            env={**os.environ, "POST": post.format(receiver.url)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.stdout.splitlines()[-1:] == ["204"], done.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [("IP:127.0.0.1", "self-signed certificate"), ("DNS:elsewhere.example", "IP address mismatch")],
)
def test_a_certificate_that_is_not_believed_is_said_with_what_helps(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, tls = certificate(tmp_path, name)
    is_unknown = "self-signed" in said
    if not is_unknown:
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    with Receiver(tls=tls) as receiver, pytest.raises(ExchangeError) as failure:
        exchange("POST", receiver.url, timeout_s=20, content=b"secret words")
    assert said in str(failure.value)
    assert ("SSL_CERT_FILE" in str(failure.value)) == is_unknown
    assert failure.value.kind == "away"
    assert not receiver.asked


# The deadline.


def test_a_body_that_is_wanted_comes_whole_or_not_at_all() -> None:
    whole = Said(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    cut = Said(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", end="close")
    large = Said(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(70_000), end="close")
    slow = Said(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n", drip=b"x")
    with Receiver([whole, cut, large, slow]) as receiver:
        assert exchange("GET", receiver.url, timeout_s=20, wants_body=True).body == b"hello"
        for kind in ("away", "large", "late"):
            with pytest.raises(ExchangeError) as failure:
                exchange("GET", receiver.url, timeout_s=0.5 if kind == "late" else 20, wants_body=True)
            assert failure.value.kind == kind
        assert receiver.has_had_enough.wait(30)


def test_a_name_that_is_not_found_in_time_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver may take half a minute, and no time limit of a socket holds for it."""
    found = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found.wait(30) and [])
    try:
        with pytest.raises(ExchangeError, match=r"no answer within 0\.2 s") as failure:
            exchange("GET", "https://receiver.example/", timeout_s=0.2)
    finally:
        found.set()
    assert failure.value.kind == "away"


def test_nobody_there_and_no_address_are_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for url, kind, said in (
        (f"http://127.0.0.1:{port}/?secret", "away", "Connection refused"),
        ("http://127.0.0.1:port/", "broken", "InvalidURL"),
        ("ftp://127.0.0.1/", "broken", "UnsupportedProtocol"),
    ):
        with pytest.raises(ExchangeError) as failure:
            exchange("GET", url, timeout_s=20)
        assert (failure.value.kind, str(failure.value)) == (kind, said)


def test_a_proxy_is_not_asked_the_way_to_this_very_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name of it, and whatever the environment says."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Receiver() as receiver:
        for host in ("127.0.0.1", "localhost"):
            assert exchange("GET", f"http://{host}:{receiver.port}/", timeout_s=20).status == 204
    with pytest.raises(ExchangeError, match="Connection refused"):
        exchange("GET", "http://receiver.example/", timeout_s=20)


# Retry-After.


@pytest.mark.parametrize(
    ("values", "after_s"),
    [
        (["7"], 7.0),
        ([" 7 "], 7.0),
        (["0"], 0.0),
        (["9" * 5000], 9_999_999_999.0),
        (["Sun, 22 Nov 2026 12:00:30 GMT"], 30.0),
        (["Sunday, 22-Nov-26 12:00:30 GMT"], 30.0),
        (["Sun Nov 22 12:00:30 2026"], 30.0),
        (["Sun, 22 Nov 2026 11:00:00 GMT"], 0.0),
        (["5", "Sun, 22 Nov 2026 12:00:30 GMT"], 30.0),
        (["soon", "5"], 5.0),
        *[([value], None) for value in ("", "soon", "-3", "+3", "1e9", "1.5", "٣", "5, 10", "0x10", "1_000")],
        (["Fri, 31 Dec 99999 23:59:59 GMT"], None),
        (["Sun, 22 Nov 2026 12:00:30 +0900"], None),
        ([], None),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_when_to_come_again_is_read_as_seconds_or_a_date(
    values: list[str], after_s: float | None, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All three forms of a date are of one zone, whatever this machine's is."""
    monkeypatch.setenv("TZ", zone)
    http_client.time.tzset()
    try:
        assert http_client.retry_after_s(values, NOON_S) == after_s
    finally:
        monkeypatch.undo()
        http_client.time.tzset()


@given(st.lists(st.text(max_size=80), max_size=3), st.floats(0, 1e10))
def test_whatever_is_said_of_a_pause_is_a_length_or_nothing(values: list[str], now_s: float) -> None:
    after_s = http_client.retry_after_s(values, now_s)
    assert after_s is None or 0 <= after_s < 1e12
