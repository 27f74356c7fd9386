"""POST every final turn, revision and gap to a web address, signed after Standard Webhooks 1.0.0.

At least once, in order, one at a time. What a receiver sees twice has the same webhook-id and the
same bytes, which are stored before the first try.
Source of the headers and the rules: the specification at standardwebhooks.com.
"""

import base64
import binascii
import email.utils
import hashlib
import hmac
import ipaddress
import json
import os
import queue
import re
import threading
import time
import unicodedata
import zlib
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, Literal

import httpx
import structlog

from minuted import Gap, Reject, Retry, Sink, Turn, __version__

BODY_BYTES_MAX: Final = 20_000
"""What receivers are asked to take; a body above it goes without its words, and then as it is."""
ANSWER_BYTES_MAX: Final = 65_536
"""An answer's body is read up to here, so that its connection can serve again; beyond it is closed."""
REFUSALS_MAX: Final = 3
"""A message refused this often is put aside."""
PUT_ASIDE_MAX: Final = 3
"""After this many put aside in a row it is the receiver that is wrong: nothing more is put aside."""
GONE_WAIT_S: Final = 3600.0
"""How long a receiver that says it is gone for good (410) is left alone."""

log = structlog.get_logger(__name__)


class Webhook(Sink):
    url: str
    """Where to POST: https://, or http:// to this machine or the local network."""
    secret: str = ""
    """Signs every message: whsec_ and 24 to 64 bytes in base64; several, parted by spaces, all sign."""
    secret_file: Path | None = None
    """A file that holds the secret instead; unset: the credential <sink's name>.secret where there is one."""
    words: bool = False
    """Send each word with its times, too."""
    timeout_s: float = 15.0
    """How long a message may take in all, from looking up the address to the status of the answer."""

    def __post_init__(self) -> None:
        check_url(self.url)
        keys_of(self.secret)
        if self.secret and self.secret_file:
            raise ValueError("secret and secret_file are both set; one is enough")
        if not 0 < self.timeout_s <= 300:
            raise ValueError("timeout_s is not between 0 and 300")

    def check(self) -> str:
        keys = keys_of(self._found_secret())
        self._make_client().close()
        return f"to {origin_of(self.url)}, {'signed' if keys else 'not signed'}"

    def open(self) -> None:
        self._keys = keys_of(self._found_secret())
        self._client = self._make_client()
        self._refused_id = ""
        self._refusals = 0
        self._put_aside = 0
        if not self._keys:
            log.warning("webhook_unsigned", sink=self.name, to=origin_of(self.url))

    def prepare(self, record: Turn | Gap) -> str:
        body = body_of(record, words=self.words)
        return json.dumps({"id": id_of(record, self.epoch), "body": body.decode()}, ensure_ascii=False)

    def write(self, turn: Turn) -> None:
        self._post(turn)

    def revise(self, turn: Turn) -> None:
        self._post(turn)

    def gap(self, gap: Gap) -> None:
        self._post(gap)

    def close(self) -> None:
        self._client.close()

    def _make_client(self) -> httpx.Client:
        # Proxies of the environment are for the way out, never for this machine or its network.
        return httpx.Client(
            timeout=self.timeout_s,
            follow_redirects=False,
            trust_env=httpx.URL(self.url).scheme == "https",
            headers={"content-type": "application/json", "user-agent": f"minuted/{__version__}"},
        )

    def _found_secret(self) -> str:
        credential = Path(os.environ.get("CREDENTIALS_DIRECTORY") or "/nonexistent", f"{self.name}.secret")
        file = self.secret_file or (credential if credential.is_file() else None)
        if self.secret or file is None:
            return self.secret
        # Editors may have put a mark before it, people quotes around it.
        found = file.read_text(encoding="utf-8", errors="replace").strip("\ufeff\"' \t\r\n")
        if not found:
            raise ValueError(f"{file} holds no secret")
        return found

    def _post(self, record: Turn | Gap) -> None:
        message = json.loads(self.prepared or self.prepare(record))
        message_id = message["id"]
        try:
            status, headers = self._send(message_id, message["body"].encode())
        except httpx.HTTPError as error:
            # Not the error's own text: it may hold the address.
            raise Retry(f"{origin_of(self.url)}: {reason_of(error)}") from None
        verdict = judge(status)
        if verdict == "delivered":
            self._put_aside = 0
            return
        if verdict == "refused":
            self._refuse(message_id, status)
        # The date is one of their clock, and so is now.
        now_s = date_s(headers.get("date", "")) or time.time()
        after_s = retry_after_s(headers.get("retry-after", ""), now_s)
        if status == httpx.codes.GONE:
            after_s = after_s or GONE_WAIT_S
        note = "; redirects are not followed" if 300 <= status < 400 else ""
        raise Retry(f"{origin_of(self.url)}: HTTP {status}{note}", after_s)

    def _send(self, message_id: str, body: bytes) -> tuple[int, httpx.Headers]:
        headers = {"webhook-id": message_id, "webhook-timestamp": str(int(time.time()))}
        if self._keys:
            headers["webhook-signature"] = sign(self._keys, message_id, headers["webhook-timestamp"], body)
        # Each step of an exchange may be in time and their sum not: one wait holds for all of it.
        exchange = _Exchange(self._client, self.url, headers, body)
        until_s = time.monotonic() + self.timeout_s
        try:
            outcome = exchange.outcome.get(timeout=self.timeout_s)
            exchange.join(until_s - time.monotonic())
        except queue.Empty:
            outcome = Retry(f"{origin_of(self.url)}: no answer within {self.timeout_s:g} s")
        if exchange.is_alive():
            # What is left of it ends with its connection.
            self._client.close()
            self._client = self._make_client()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _refuse(self, message_id: str, status: int) -> None:
        """Put the message aside when it was refused often enough and the receiver took others."""
        self._refusals = self._refusals + 1 if message_id == self._refused_id else 1
        self._refused_id = message_id
        if self._refusals >= REFUSALS_MAX and self._put_aside < PUT_ASIDE_MAX:
            self._put_aside += 1
            raise Reject(f"{origin_of(self.url)}: HTTP {status}, {self._refusals} times")


class _Exchange(threading.Thread):
    """One request and its answer; the status is told as soon as it has come."""

    def __init__(self, client: httpx.Client, url: str, headers: dict[str, str], body: bytes) -> None:
        super().__init__(name="exchange", daemon=True)
        self.outcome: queue.SimpleQueue[tuple[int, httpx.Headers] | Exception] = queue.SimpleQueue()
        self._exchange = partial(client.stream, "POST", url, content=body, headers=headers)
        self.start()

    def run(self) -> None:
        try:
            with self._exchange() as answer:
                self.outcome.put((answer.status_code, answer.headers))
                # The matter is decided; the rest is read so that the connection can serve again.
                read_bytes = 0
                for chunk in answer.iter_raw():
                    read_bytes += len(chunk)
                    if read_bytes > ANSWER_BYTES_MAX:
                        break
        except Exception as error:  # after the status nobody asks for it
            self.outcome.put(error)


def judge(status: int) -> Literal["delivered", "refused", "again"]:
    """Say what an HTTP status means for a message: only 2xx is success, a redirect is a failure."""
    if 200 <= status < 300:
        return "delivered"
    if 400 <= status < 500 and status not in (408, 410, 425, 429):
        return "refused"
    return "again"


def body_of(record: Turn | Gap, *, words: bool) -> bytes:
    """Give the body of a record's message."""
    data = record.to_map()
    if not words:
        data.pop("words", None)
    happened_at = datetime.fromtimestamp(0, UTC) + timedelta(
        milliseconds=record.meeting_started_at_ms + record.end_ms
    )
    message = {
        "type": record.topic_of() if isinstance(record, Turn) else record.topic,
        "timestamp": happened_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": data,
    }
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    return body_of(record, words=False) if words and len(body) > BODY_BYTES_MAX else body


def id_of(record: Turn | Gap, epoch: str) -> str:
    """Name the message, like no other of this or another journal, without a dot."""
    plain = unicodedata.normalize("NFKD", record.room).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    slug = slug or f"{zlib.crc32(record.room.encode()):08x}"
    return "_".join(filter(None, ("minuted", slug, epoch, str(record.seq))))


def sign(keys: tuple[bytes, ...], message_id: str, timestamp: str, body: bytes) -> str:
    """Give the webhook-signature header: one signature a key, the receiver takes any."""
    content = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.new(key, content, hashlib.sha256).digest() for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def keys_of(secrets: str) -> tuple[bytes, ...]:
    """Read secrets parted by white space. Raises ValueError, without showing them, for any that is none."""
    keys = []
    for secret in secrets.split():
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not secret.startswith("whsec_") or not 24 <= len(key) <= 64:
            raise ValueError(
                "the secret is not whsec_ followed by 24 to 64 bytes in base64; "
                "this makes one: echo whsec_$(head -c 32 /dev/urandom | base64)"
            )
        keys.append(key)
    return tuple(keys)


def check_url(url: str) -> None:
    """Raise ValueError, without showing it, for an address that minutes must not be sent to.

    The address comes from the operator's own file, so that no host is forbidden; but what people said
    never crosses the open internet in plain text, not even by a slip.
    """
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        raise ValueError("url is not an address") from None
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ValueError("url is not an https:// address")
    if parts.scheme == "http" and not is_local(parts.host):
        raise ValueError(f"url: http:// would send the minutes to {parts.host} unencrypted; use https://")


def is_local(host: str) -> bool:
    """Tell whether a host is this machine or on its own network, by its address or its kind of name."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        # Names the public DNS never holds: RFC 6761, 6762 and 8375, and ICANN's .internal.
        return "." not in host or host.endswith((".localhost", ".local", ".home.arpa", ".internal"))


def origin_of(url: str) -> str:
    """Give what of an address may be shown: a path or query may be a secret as much as a password."""
    parts = httpx.URL(url)
    return f"{parts.scheme}://{parts.netloc.decode()}"


def reason_of(error: httpx.HTTPError) -> str:
    """Name a network error without the address that its own text may hold."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return f"{type(error).__name__}: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def retry_after_s(value: str, now_s: float) -> float | None:
    """Read a Retry-After header: seconds or an HTTP date; None where it says nothing usable."""
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    at_s = date_s(value)
    return None if at_s is None else max(0.0, at_s - now_s)


def date_s(value: str) -> float | None:
    """Return an HTTP date in epoch seconds; None for what is none."""
    try:
        return email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
