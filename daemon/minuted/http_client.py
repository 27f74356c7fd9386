"""One HTTP exchange: a request and its answer, within one deadline; nothing of it is kept for the next.

Each exchange has a connection of its own: no cookie, redirect, credential, protocol or surplus byte of one
answer reaches the next request. Redirects are not followed.
"""

import ipaddress
import queue
import re
import socket
import ssl
import threading
import time
from calendar import timegm
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import httpx

BODY_BYTES_MAX: Final = 65_536
BODY_S: Final = 1.0
"""How long the body of an answer is read that nobody wants, so that its sender sees no broken connection."""
DATE_CHARACTERS_MAX: Final = 64
_DATES: Final = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
"""RFC 9110, 5.6.7: the one that is written, and the two obsolete ones that are read."""
_BEFORE_SENDING: Final = re.compile(r".*(connect_tcp|start_tls)\.complete|.*send_\w+\.started")
"""The steps of an exchange after which something is sent, as httpcore's `trace` names them."""
_UNTRUSTED: Final = (18, 19, 20, 21)
"""OpenSSL's codes of a certificate whose authority is not known: X509_V_ERR_*."""


class ExchangeError(OSError):
    """There was no answer; the text may be shown: nothing of the address or of what was sent is in it.

    `kind`: `away`, nobody answered at all; `late`; `large`, more than wanted; `proxy`, the proxy refused;
    `broken`, anything else.
    """

    def __init__(self, reason: str, kind: Literal["away", "late", "large", "proxy", "broken"]) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `retry_after_s` is when to come again where the answer says so, not bounded yet."""

    status: int
    retry_after_s: float | None = None
    body: bytes = field(default=b"", repr=False)
    """Empty where it was not wanted."""


def exchange(
    method: str,
    url: str,
    *,
    timeout_s: float,
    connect_s: float | None = None,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
    content: bytes = b"",
    wants_body: bool = False,
    proxies: bool = True,
) -> Answer:
    """Send a request; return the answer as soon as it is known. Raises ExchangeError.

    `timeout_s` holds for all of it, from looking up the name to the last byte wanted; `connect_s` for the way
    to the connection. An exchange that is given up sends nothing more. A body has up to BODY_BYTES_MAX.
    `proxies`: whether those of the environment are used; on the way to this very machine they never are.
    """
    exchange = _Exchange(timeout_s, wants_body=wants_body, proxies=proxies)
    request = {
        "method": method,
        "url": url,
        # What is packed would have to be unpacked, and may be a bomb.
        "headers": {"accept-encoding": "identity", **(headers or {})},
        "params": params or None,
        "content": content or None,
    }
    timeout = httpx.Timeout(timeout_s, connect=min(connect_s or timeout_s, timeout_s))
    threading.Thread(target=exchange.run, args=(request, timeout), name="exchange", daemon=True).start()
    return exchange.outcome_within(timeout_s)


class _Exchange:
    """On a thread of its own: no step of it, such as looking up a name, holds the caller up for longer."""

    def __init__(self, timeout_s: float, *, wants_body: bool, proxies: bool) -> None:
        self._timeout_s = timeout_s
        self._wants_body, self._proxies = wants_body, proxies
        self._outcome: queue.SimpleQueue[Answer | ExchangeError] = queue.SimpleQueue()
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._given_up = False
        self._socket: socket.socket | None = None

    def outcome_within(self, timeout_s: float) -> Answer:
        until_s = time.monotonic() + timeout_s
        try:
            outcome = self._outcome.get(timeout=timeout_s)
            self._done.wait(min(BODY_S, max(0.0, until_s - time.monotonic())))
        except queue.Empty:
            outcome = self._too_late()
        self._cut_off()
        if isinstance(outcome, ExchangeError):
            raise outcome from None
        return outcome

    def run(self, request: dict[str, Any], timeout: httpx.Timeout) -> None:
        try:
            is_proxied = self._proxies and not _is_loopback(httpx.URL(request["url"]).host)
            with (
                httpx.Client(
                    timeout=timeout,
                    verify=_certificates(),
                    trust_env=is_proxied,
                    # Without it, an address that cannot be read would hide the status it came with.
                    event_hooks={"response": [lambda answer: answer.headers.pop("location", None)]},
                ) as client,
                client.stream(**request, extensions={"trace": self._trace}) as response,
            ):
                answer = Answer(response.status_code, retry_after_of(response.headers))
                if not self._wants_body:
                    self._outcome.put(answer)
                body = self._body(response)
                if self._wants_body:
                    self._outcome.put(Answer(answer.status, answer.retry_after_s, body))
        except ExchangeError as error:
            self._outcome.put(error)
        except Exception as error:  # once there is an outcome, nobody asks for a second
            self._outcome.put(self._too_late() if self._given_up else _error_of(error, self._timeout_s))
        finally:
            with self._lock:
                if self._socket is not None:
                    self._socket.close()  # also one whose protocol was switched
            self._done.set()

    def _body(self, response: httpx.Response) -> bytes:
        body = b""
        for piece in response.iter_raw():
            body += piece
            if len(body) > BODY_BYTES_MAX:
                if self._wants_body:
                    raise ExchangeError(f"the answer is over {BODY_BYTES_MAX} bytes", "large")
                break
        return body

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Follow the steps of the exchange, and stop at the next one when it was given up."""
        with self._lock:
            if event.endswith(("connect_tcp.complete", "start_tls.complete")):
                self._socket = info["return_value"].get_extra_info("socket")
            if self._given_up and _BEFORE_SENDING.fullmatch(event):
                raise self._too_late()

    def _cut_off(self) -> None:
        """End the connection, also under a thread that waits on it."""
        with self._lock:
            self._given_up = True
            if self._socket is not None:
                with suppress(OSError):
                    # Not SSLSocket's own, which would change what the other thread is using.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _too_late(self) -> ExchangeError:
        return ExchangeError(f"no answer within {self._timeout_s:g} s", "late" if self._socket else "away")


def retry_after_of(headers: httpx.Headers) -> float | None:
    """Return in how many seconds to come again, as an answer says; of several the longest."""
    # The date is one of their clock, and so is now.
    now_s = date_s(headers.get("date", "")) or time.time()
    return retry_after_s(headers.get_list("retry-after"), now_s)


def retry_after_s(values: Sequence[str], now_s: float) -> float | None:
    """Return the longest of several Retry-After, each seconds or a date; None where none says anything."""
    found = [after_s for value in values if (after_s := _after_s(value.strip(), now_s)) is not None]
    return max(found, default=None)


def _after_s(value: str, now_s: float) -> float | None:
    if value.isascii() and value.isdigit():
        return float(value[:10] if len(value.lstrip("0")) <= 10 else "9" * 10)
    at_s = date_s(value)
    return None if at_s is None else max(0.0, at_s - now_s)


def date_s(value: str) -> float | None:
    """Return an HTTP date, in any of its three forms, in epoch seconds; None for what is none."""
    for form in _DATES:
        with suppress(ValueError, OverflowError):
            return float(timegm(time.strptime(value.strip()[:DATE_CHARACTERS_MAX], form)))
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _certificates() -> ssl.SSLContext:
    """Return what this machine trusts: its own store, or what SSL_CERT_FILE and SSL_CERT_DIR name."""
    paths = ssl.get_default_verify_paths()
    return _certificates_of(*(each and (each, _changed_ns(each)) for each in (paths.cafile, paths.capath)))


@lru_cache(maxsize=1)
def _certificates_of(*_: object) -> ssl.SSLContext:
    # Read again when the store has changed: a receiver's authority may be added at any time.
    return ssl.create_default_context()


def _changed_ns(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


def _error_of(error: Exception, timeout_s: float) -> ExchangeError:
    """Return what went wrong, without the text of the error: the address may stand in it."""
    causes = _causes(error)
    if isinstance(error, httpx.ConnectTimeout):
        return ExchangeError("no connection in time", "away")
    if isinstance(error, httpx.TimeoutException):
        return ExchangeError(f"no answer within {timeout_s:g} s", "away")
    if isinstance(error, httpx.ProxyError):
        return ExchangeError(f"the proxy refused ({str(error)[:3]})", "proxy")
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ExchangeError(_certificate_text(cause), "away")
        if isinstance(cause, OSError) and cause.strerror:
            return ExchangeError(cause.strerror, "away")
    if isinstance(error, httpx.ProtocolError):
        is_closed = "disconnected" in str(error) or "closed" in str(error)
        text = "the connection was closed before the answer" if is_closed else "the answer is not HTTP"
        return ExchangeError(text, "away")
    if isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol):
        return ExchangeError("the connection broke", "away")
    if isinstance(error, ImportError):  # a SOCKS proxy needs one more library
        return ExchangeError(str(error), "broken")
    return ExchangeError(type(error).__name__, "broken")


def _causes(error: BaseException | None) -> list[BaseException]:
    """Return an error and what it came from, the deepest first."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.insert(0, error)
        error = error.__cause__ or error.__context__
    return found


def _certificate_text(error: ssl.SSLCertVerificationError) -> str:
    text = f"its certificate is not valid here: {error.verify_message}"
    if error.verify_code in _UNTRUSTED:
        text += "; add its authority to this machine's (update-ca-certificates) or name it in SSL_CERT_FILE"
    return text
