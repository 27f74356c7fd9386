"""POST every final turn, revision and gap to a web address, signed after Standard Webhooks 1.0.0.

At least once, in order, one at a time. What a receiver sees twice has the same webhook-id and the
same bytes, which are stored before the first try.
Source of the headers and the rules: the specification at standardwebhooks.com.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
import os
import re
import time
import unicodedata
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Final, Literal

import httpx
import structlog

from minuted import Gap, Reject, Retry, Sink, Turn, __version__, http_client

BODY_BYTES_MAX: Final = 20_000
"""What receivers are asked to take; a body above it goes without its words, and then as it is."""
TRIES_MIN: Final = 3
"""Before a refused message is put aside."""
PUT_ASIDE_MAX: Final = 3
"""After this many put aside in a row it is the receiver that is wrong: nothing more is put aside."""
PUT_ASIDE_AFTER_S_MAX: Final = 7 * 86_400.0
PAUSE_S_MIN: Final = 1.0
PAUSE_S_MAX: Final = 3600.0
"""What an answer may ask for: less would be a flood, and more a loss when the records are no longer kept."""
GONE_WAIT_S: Final = 3600.0
"""How long a receiver that says it is gone for good (410) is left alone."""
AGAIN: Final = (
    *(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GONE),
    *(HTTPStatus.MISDIRECTED_REQUEST, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS),
)
"""Client errors that are never a message's own."""

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
    put_aside_after_s: float = 600.0
    """How long a message that is refused (400, 404 …) is tried before it is put aside; later ones wait."""

    def __post_init__(self) -> None:
        check_url(self.url)
        keys_of(self.secret)
        if self.secret and self.secret_file:
            raise ValueError("secret and secret_file are both set; one is enough")
        if not 0 < self.timeout_s <= 300:
            raise ValueError("timeout_s is not between 0 and 300")
        if not 0 <= self.put_aside_after_s <= PUT_ASIDE_AFTER_S_MAX:
            raise ValueError(f"put_aside_after_s is not between 0 and {PUT_ASIDE_AFTER_S_MAX:.0f}")

    def check(self) -> str:
        keys = keys_of(self._found_secret())
        return f"to {origin_of(self.url)}, {'signed' if keys else 'not signed'}"

    def open(self) -> None:
        self._keys = keys_of(self._found_secret())
        self._refusals = Refusals(self.put_aside_after_s)
        self._now_s = time.monotonic
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
        message_id, origin = message["id"], origin_of(self.url)
        try:
            answer = self._send(message_id, message["body"].encode())
        except http_client.ExchangeError as error:
            self._refusals.interrupt()
            raise Retry(f"{origin}: {error}") from None
        verdict = judge(answer.status)
        if verdict == "delivered":
            self._refusals.accept()
            return
        note = "; redirects are not followed" if 300 <= answer.status < 400 else ""
        if verdict == "refused":
            is_due = self._refusals.refuse(message_id, self._now_s())
            note = f"; {self._refusals}"
            if is_due:
                raise Reject(f"{origin}: HTTP {answer.status}{note}")
        else:
            self._refusals.interrupt()
        after_s = pause_s(answer)
        if after_s is not None:
            note += f"; next try in {length(after_s)}"
        raise Retry(f"{origin}: HTTP {answer.status}{note}", after_s)

    def _send(self, message_id: str, body: bytes) -> http_client.Answer:
        headers = {
            "content-type": "application/json",
            "user-agent": f"minuted/{__version__}",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(time.time())),
        }
        if self._keys:
            headers["webhook-signature"] = sign(self._keys, message_id, headers["webhook-timestamp"], body)
        return http_client.exchange(
            "POST",
            self.url,
            timeout_s=self.timeout_s,
            headers=headers,
            content=body,
            # Proxies of the environment are for the way out, never for this machine or its network.
            proxies=httpx.URL(self.url).scheme == "https",
        )


@dataclass
class Refusals:
    """Since when a message is refused, and how many were put aside in a row. Pure."""

    put_aside_after_s: float
    message_id: str = ""
    tries: int = 0
    since_s: float = 0.0
    now_s: float = 0.0
    put_aside: int = 0

    def refuse(self, message_id: str, now_s: float) -> bool:
        """Count a refusal; return whether the message is to be put aside."""
        if message_id != self.message_id:
            self.message_id, self.tries, self.since_s = message_id, 0, now_s
        self.tries, self.now_s = self.tries + 1, now_s
        if self.is_held or self.tries < TRIES_MIN or now_s - self.since_s < self.put_aside_after_s:
            return False
        self.put_aside += 1
        return True

    def interrupt(self) -> None:
        """Begin to count anew: what failed otherwise was not refused."""
        self.message_id = ""

    def accept(self) -> None:
        self.message_id, self.put_aside = "", 0

    @property
    def is_held(self) -> bool:
        return self.put_aside >= PUT_ASIDE_MAX

    def __str__(self) -> str:
        refused = f"refused {self.tries} times in {length(self.now_s - self.since_s)}"
        if self.is_held:
            return f"{refused}, as {PUT_ASIDE_MAX} before it: tried until the receiver is mended"
        return f"{refused}, put aside after {length(self.put_aside_after_s)}"


def pause_s(answer: http_client.Answer) -> float | None:
    """Return how long to wait before the next try, where the answer has a say in it, within bounds."""
    if answer.status == HTTPStatus.GONE and not answer.retry_after_s:
        return GONE_WAIT_S
    if answer.retry_after_s is None:
        return None
    return min(max(answer.retry_after_s, PAUSE_S_MIN), PAUSE_S_MAX)


def length(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def judge(status: int) -> Literal["delivered", "refused", "again"]:
    """Say what an HTTP status means for a message: only 2xx is success, a redirect is a failure."""
    if 200 <= status < 300:
        return "delivered"
    if 400 <= status < 500 and status not in AGAIN:
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
