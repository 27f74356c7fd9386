"""One AssemblyAI session, from connect to close: the SDK's client with its traps guarded.

The traps (SDK 1.8.2): `connect` reports failures only to handlers; a frame its models refuse kills
the reading thread without a word; a close with code 1000 raises no event; a dead link is noticed
after 30 to 50 s; `disconnect` may block for 16 s; the sending queue has no bound.
"""

import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import Any, Final, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import assemblyai.streaming.v3.client as sdk_client
import structlog
from assemblyai.streaming.v3 import (
    BeginEvent,
    EventMessage,
    SpeakerRevisionEvent,
    StreamingClient,
    StreamingClientOptions,
    StreamingEvents,
    StreamingParameters,
    StreamingSessionParameters,
    TurnEvent,
    WarningEvent,
)
from assemblyai.streaming.v3.models import ErrorEvent, UpdateConfiguration
from pydantic import Field
from websockets.exceptions import InvalidStatus
from websockets.protocol import State
from websockets.sync.client import ClientConnection, connect

from minuted.config import LOOPBACK, StreamingSession
from minuted.messages import FRAME_MS, SAMPLE_RATE_HZ
from minuted.tokens.minting import NoTokenError
from minuted.transcription import gate
from minuted.transcription.reconnect import Failure

CONNECT_TIMEOUT_S: Final = 5.0
BEGIN_TIMEOUT_S: Final = 8.0
"""From the upgrade to Begin; the service was seen to take 0.6 to 1.3 s."""
TERMINATE_TIMEOUT_S: Final = 60.0
"""Terminate follows all the audio that is queued; the local engine may have 40 s of it."""
PING_INTERVAL_S: Final = 2.0
PING_TIMEOUT_S: Final = 4.0
QUEUED_MS_MAX: Final = 2000
"""Audio in the SDK's sending queue beyond which no more is put there."""
MESSAGES_FREE: Final = 1_000
MESSAGES_PER_S_MAX: Final = 20
"""Messages a session may send for each second it is open, and for each of the sound it was sent; the models
that tell of each word send five."""
WORDS_WAITING_MAX: Final = 20_000
"""Words in messages that wait to be taken from a session; some 20 MB."""
IDS_MAX: Final = 10_000
"""Session ids remembered, to know one that comes twice."""
NO_KEY: Final = "local"
"""What the local engine is given where it has no key: no secret, and a common word."""
OWN_CLOSES: Final = (1002, 1007, 1009)
"""Closes of ours: what came was no WebSocket, no UTF-8, or too large."""

log = structlog.get_logger(__name__)

_connect = sdk_client.websocket_connect
# From websockets 17.1 on it must be said that a connection is used without a `with`, as the SDK does.
_UNMANAGED: Final[dict[str, Any]] = {"legacy": True} if "legacy" in signature(connect).parameters else {}


class _Unredirected(ClientConnection):
    """A connection to the service that was named: another host's may be in another country."""

    def handshake(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().handshake(*args, **kwargs)
        except InvalidStatus as error:
            if not 300 <= error.response.status_code < 400:
                raise
            host = urlsplit(error.response.headers.get("Location", "")).hostname or "another path"
            raise ConnectionRefusedError(f"it redirects to {host}; redirects are not followed") from None


def _connect_watchfully(uri: str, **kwargs: Any) -> Any:
    """Open the SDK's socket with pings that notice a dead link in 7 s, not in 50."""
    return _connect(
        uri,
        ping_interval=PING_INTERVAL_S,
        ping_timeout=PING_TIMEOUT_S,
        close_timeout=1,
        proxy=_proxy_for(uri),
        create_connection=_Unredirected,
        **_UNMANAGED,
        **kwargs,
    )


def _proxy_for(uri: str) -> str | Literal[True] | None:
    """Honour the usual proxy variables, but not on the way to this very machine."""
    parts = urlsplit(uri)
    if parts.hostname in LOOPBACK:
        return None
    proxies = getproxies()
    if {"ws", "wss", "socks", "https", "http"} & proxies.keys() or proxy_bypass(
        parts.netloc.rpartition("@")[2]
    ):
        return True
    return proxies.get("all", True)  # the one variable that websockets does not look at


# The SDK offers no option for this; it keeps the function in one attribute for its own tests to patch.
sdk_client.websocket_connect = _connect_watchfully


class _NoTokens:
    """In the place of the HTTP client each session brings for tokens: it loads all certificates, 1 MB."""

    def __init__(self, **_: Any) -> None:
        """Nothing is kept."""


sdk_client._HTTPClient = _NoTokens  # type: ignore[misc,assignment]  # noqa: SLF001


class _Json:
    """In the place of the SDK's json: some frames would end its reading thread."""

    JSONDecodeError = json.JSONDecodeError
    loads = staticmethod(gate.decoded)


sdk_client.json = _Json  # type: ignore[attr-defined,assignment]


class Update(UpdateConfiguration):
    """The SDK's message, with what the service takes besides."""

    mode: str | None = None
    continuous_partials: bool | None = None


class LiveParameters(StreamingSessionParameters):
    """What `set_params` is given: the same, for the SDK makes the one of the other."""

    mode: str | None = None
    continuous_partials: bool | None = None


sdk_client.UpdateConfiguration = Update  # type: ignore[attr-defined]


class Begun(BeginEvent):
    """Begin, with all that it says of the session: the SDK's own keeps three of its fields."""

    told: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Opened:
    """The upgrade was answered; Begin is to follow."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The session is over without having been asked to end."""

    failure: Failure


Event = EventMessage | Opened | Closed
"""What a session posts: the SDK's events as they are, and our own two."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where to open a session, and as whom."""

    url: str
    key: str = field(repr=False)
    """Or a temporary token: the SDK and the service take both in the same place."""
    token_until_s: float = 0.0
    """For how long the token opens a session, `monotonic` seconds; 0: it is a key."""


_ids: dict[str, float] = {}
"""The ids that services gave their sessions, and when each of these was opened."""


class Session:
    """A session in its own threads; everything it has to say is posted, in order, to `post`.

    After `Closed` or a Termination nothing more is posted. No method blocks.
    """

    def __init__(
        self,
        find_service: Callable[[], Service],
        parameters: StreamingParameters,
        post: Callable[["Session", Event], None],
    ) -> None:
        self.session_id = ""
        self.started_s = time.monotonic()
        """When it began to connect; `monotonic` seconds."""
        self.last_heard_s = self.started_s
        """When the service last said anything."""
        self.opened_s: float | None = None
        """When the upgrade was answered: from here on it is paid for."""
        self.is_over = False
        self.failed: Failure | None = None
        """It is to be left at once, whatever else it has said."""
        self.has_ended = False
        """The service has said so itself."""
        self.service: Service | None = None
        self._socket: Any = None
        self._is_terminating = False
        self.parameters = parameters
        self._find_service = find_service
        self._post = post
        self._client: _Client | None = None
        self._phase: Any = "connecting"
        self._key = ""
        self._heard = self._words_heard = self._words_taken = 0
        self._lock = threading.Lock()
        self._connecting = threading.Thread(target=self._open, name="connect", daemon=True)
        self._connecting.start()

    @property
    def is_closed(self) -> bool:
        """Whether its socket is closed, or never was open, and never will be."""
        return not self._connecting.is_alive() and (
            self._socket is None or self._socket.state is State.CLOSED
        )

    @property
    def was_cut(self) -> bool:
        """Whether it was closed without the service having said so: it may not know, and count on."""
        return not self.has_ended and self._socket is not None and self._socket.close_code == 1006

    @property
    def queued_ms(self) -> int:
        """How much audio waits in the SDK's sending queue."""
        client = self._client
        return client._write_queue.qsize() * FRAME_MS if client else 0  # noqa: SLF001

    def send(self, pcm: bytes) -> None:
        """Hand over one frame. After an end it goes nowhere: the mark decides what is sent again."""
        if client := self._client:
            client.sent_ms += FRAME_MS
            client.stream(pcm)

    def force_endpoint(self) -> None:
        """End the current turn now."""
        if client := self._client:
            client.force_endpoint()  # type: ignore[no-untyped-call]  # the SDK's

    def configure(self, values: Mapping[str, Any]) -> None:
        """Change live settings, after all the sound that was sent; the service says nothing to it."""
        if client := self._client:
            client.set_params(LiveParameters.model_validate(values))

    def terminate(self) -> None:
        """Ask for the last turn and the end; Termination is posted, or Closed when it does not come."""
        self._is_terminating = True
        threading.Thread(target=self._terminate, name="terminate", daemon=True).start()

    def abandon(self) -> None:
        """Forget the session; nothing more is posted. Its threads end by themselves."""
        self.is_over = True
        # disconnect() may block for 16 s on a dead link.
        threading.Thread(target=self._disconnect, name="abandon", daemon=True).start()

    def watch(self, now_s: float) -> None:
        """Notice what the SDK does not report; call it a few times a second."""
        client = self._client
        if self.is_over or client is None or self._phase == "connecting":
            return
        if self._phase == "opening" and now_s - self.last_heard_s > BEGIN_TIMEOUT_S:
            self._close(Failure("no Begin came", phase="opening"))
        elif not client._read_thread.is_alive():  # noqa: SLF001
            if client._stop_event.is_set():  # noqa: SLF001
                self._close(Failure("closed without a reason", 1000, self._phase))
            else:
                self._close(Failure("the reader died", phase=self._phase))

    def give_up(self, reason: str) -> None:
        """Count the session as dead: Closed is posted."""
        self._close(Failure(reason, phase=self._phase))

    def fail(self, reason: str, *, is_unreadable: bool = False) -> None:
        """Count the session as dead at once: `failed` tells, and what it has posted counts for nothing."""
        failure = Failure(reason, phase=self._phase, is_unreadable=is_unreadable)
        self.failed = self.failed or failure
        self._close(failure)

    def taken(self, event: Event) -> None:
        """Count an event as taken from what was posted; on the thread that takes them."""
        self._words_taken += _weight(event)

    def _open(self) -> None:
        try:
            service = self.service = self._find_service()
            self._key = "" if service.key == NO_KEY else service.key
            client = _Client(
                StreamingClientOptions(
                    api_host=service.url,
                    api_key=service.key,
                    connect_timeout=CONNECT_TIMEOUT_S,
                    max_connection_retries=0,
                    terminate_timeout=TERMINATE_TIMEOUT_S,
                ),
                self._key,
            )
            for event in StreamingEvents:
                client.on(event, self._hear)
            # Events come before connect() returns, and are answered.
            self._client = client
            client.connect(self.parameters)
        except NoTokenError as error:
            phase: Any = "connecting" if error.is_away else "minting"
            self._close(Failure(str(error), error.status, phase, error.retry_after_s))
            return
        except Exception as error:
            # Name resolution, TLS set-up and the like may raise past the SDK's own handling.
            self._close(Failure(f"{type(error).__name__}: {error}", phase="connecting"))
            return
        if client._websocket is None:  # noqa: SLF001  # refused: the Error handler has said why
            return
        self._socket, self.opened_s = client._websocket, time.monotonic()  # noqa: SLF001
        with self._lock:
            if self._phase == "connecting":
                self._phase, self.last_heard_s = "opening", time.monotonic()
        if self.is_over:
            client.disconnect()  # it was abandoned meanwhile: an open socket would be paid for
            self._client = None
        else:
            self._post(self, Opened())

    def _hear(self, client: "_Client", event: Any) -> None:
        """Take an event on the SDK's reading thread: hand it on at once."""
        self.last_heard_s = time.monotonic()
        if self.is_over:
            return
        if self._phase == "connecting" and client._websocket is not None:  # noqa: SLF001
            self._phase = "opening"  # it may speak before connect() returns
        if isinstance(event, Exception):  # the SDK's Error handlers get its exception
            self._close(self._failure_of(client, event))
            return
        if self._is_flooding(client.sent_ms):
            self.fail("the service floods us with messages")
            return
        self._heard += 1
        self._words_heard += _weight(event)
        if event.type == "Begin":
            if self._phase == "open":
                return  # a session begins once
            with self._lock:
                self._phase = "open"
            self.session_id = event.id = self._own_id(event.id)
        elif event.type == "Termination":
            if not self._is_terminating:
                self._close(Failure("ended without having been asked to", 1000, self._phase))
                return
            self.is_over = self.has_ended = True
        self._post(self, event)

    def _failure_of(self, client: "_Client", error: Exception) -> Failure:
        code = getattr(error, "code", None)
        if client.has_broken_off:
            return Failure(
                f"malformed message from the service: {error}", phase=self._phase, is_unreadable=True
            )
        return Failure(str(error), code, self._phase, is_unreadable=client.is_unreadable)

    def _is_flooding(self, sent_ms: int) -> bool:
        """Whether more comes than anybody speaks, or than can be taken."""
        seconds = sent_ms / 1000 + self.last_heard_s - self.started_s
        waiting = self._words_heard - self._words_taken
        return self._heard > MESSAGES_FREE + MESSAGES_PER_S_MAX * seconds or waiting > WORDS_WAITING_MAX

    def _own_id(self, session_id: str) -> str:
        """Return an id that no other session has: turns are told apart by it."""
        if session_id and _ids.setdefault(session_id, self.started_s) == self.started_s:
            while len(_ids) > IDS_MAX:
                _ids.pop(next(iter(_ids)))
            return session_id
        return f"{session_id or 'session'}-{secrets.token_hex(4)}"

    def _close(self, failure: Failure) -> None:
        with self._lock:
            if self.is_over:
                return
            self.is_over = True
        text = gate.shown(harmless(gate.cleaned(failure.text), self._key))
        self._post(self, Closed(replace(failure, text=text)))
        self.abandon()

    def _terminate(self) -> None:
        client = self._client
        if client is None:
            self._close(Failure("ended before it was open", phase=self._phase))
            return
        client.disconnect(terminate=True)
        self._close(Failure("no Termination came", phase=self._phase))
        self._client = None

    def _disconnect(self) -> None:
        if client := self._client:
            client.disconnect()
            # Client and session know each other: months of sessions must not wait for a collection.
            self._client = None


def harmless(text: str, key: str = "") -> str:
    """Take the key, and of addresses names, passwords and queries, out of an error's text: it is logged."""
    text = text.replace(key, "<key>") if key else text
    return re.sub(r"\?\S*", "", re.sub(r"//[^/@\s]*@", "//", text))


class _Client(StreamingClient):
    """The SDK's client behind the gate: its reader survives whatever the service says."""

    def __init__(self, options: StreamingClientOptions, key: str) -> None:
        super().__init__(options)
        self.sent_ms = 0
        """The sound it was given to send."""
        self.is_unreadable = False
        """The service said what cannot be read, and may have held words."""
        self._key = key

    @property
    def has_broken_off(self) -> bool:
        """Whether the connection was closed by this side, over what came."""
        protocol = self._websocket and self._websocket.protocol
        if not protocol or protocol.close_sent is None or protocol.close_rcvd_then_sent:
            return False
        return protocol.close_sent.code in OWN_CLOSES

    def _parse_message(self, data: Any) -> EventMessage | None:  # type: ignore[override]
        try:
            said = gate.checked(data, self.sent_ms, self._key)
            event = super()._parse_message(said) if said else None
            if said and isinstance(event, BeginEvent):
                return Begun.model_validate({**said, "told": said["configuration"]})
            return event
        except gate.MalformedMessageError as error:
            if error.costs_session:
                # Words may be in it: end the session here and have them heard again in the next.
                self.is_unreadable = True
                return ErrorEvent(error=str(error))
            return WarningEvent(warning_code=0, warning=f"malformed {error.kind} message ignored")


def _weight(event: Event) -> int:
    """Return how much an event holds, in words."""
    if isinstance(event, TurnEvent):
        return 1 + len(event.words)
    if isinstance(event, SpeakerRevisionEvent):
        return 1 + sum(len(revision.words) for revision in event.revisions)
    return 1


class Parameters(StreamingParameters):
    """The SDK's parameters, with any model's name: it must not take an SDK release to use a new one.

    Nor to use what the service has and the SDK lacks.
    """

    speech_model: str | None = None  # type: ignore[assignment]  # the SDK has an enum of those it knows
    previous_context_n_turns: int | None = None


def parameters_of(session: StreamingSession, *, local: bool) -> Parameters:
    """Give the `[session]` settings as the SDK's parameters, names unchanged.

    The local engine is not asked for a vendor's model, and always for its signs of life: how fast a
    recording is sent to it, and what of it is kept, depends on them.
    """
    values = {
        name: list(value) if isinstance(value, tuple) else value
        for name in Parameters.model_fields
        if (value := getattr(session, name, None)) is not None
    }
    if local:
        del values["speech_model"]
        values |= {"session_heartbeat": True, "acknowledge_silence": True}
    return Parameters.model_validate({**values, "sample_rate": SAMPLE_RATE_HZ, "encoding": "pcm_s16le"})
