"""What happened: a list of events and, built from it, the connections; the same in a thread and a process."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Event = dict[str, Any]
WAIT_S_MAX: Final = 60.0


@dataclass(slots=True, kw_only=True)
class Connection:
    """One attempt to open a session and what came of it. Times are monotonic seconds of this machine."""

    attempt: int
    at_s: float
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    status: int | None = None
    """The HTTP answer; 101 where there is a session, None while or because there is none."""
    parameters: dict[str, Any] = field(default_factory=dict)
    ignored: dict[str, Any] = field(default_factory=dict)
    number: int | None = None
    """Which session it is, from 0, once Begin was sent."""
    audio: list[tuple[float, int]] = field(default_factory=list)
    """When sound arrived, and how many bytes."""
    audio_bytes: int = 0
    pcm: bytearray = field(default_factory=bytearray)
    """The sound itself, where the service runs in a thread and keeps it."""
    controls: list[tuple[float, dict[str, Any] | str]] = field(default_factory=list)
    sent: list[tuple[float, dict[str, Any] | str]] = field(default_factory=list)
    faults: list[tuple[float, str]] = field(default_factory=list)
    ended_at_s: float | None = None
    close_code: int | None = None
    close_reason: str = ""
    closed_by: Literal["", "service", "client", "nobody"] = ""
    """Who sent the first close frame; nobody: the connection was lost or cut."""

    @property
    def audio_ms(self) -> int:
        """Say how much sound arrived, if it is 16 kHz, 16 bit."""
        return self.audio_bytes // 32

    @property
    def session_id(self) -> str:
        begins = self.messages("Begin")
        return str(begins[0]["id"]) if begins else ""

    @property
    def finals(self) -> list[dict[str, Any]]:
        return [turn for turn in self.messages("Turn") if turn["end_of_turn"]]

    def messages(self, kind: str) -> list[dict[str, Any]]:
        """Give the messages of one type that were sent."""
        return [
            message for _, message in list(self.sent) if isinstance(message, dict) and message["type"] == kind
        ]

    def asked(self, kind: str) -> list[dict[str, Any]]:
        """Give the control messages of one type that were received."""
        controls = [message for _, message in list(self.controls) if isinstance(message, dict)]
        return [message for message in controls if message.get("type") == kind]


class Record:
    """Grows as events come in, on whatever thread; `wait_until` waits for something to be in it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        """Everything but the sound, which its connection has."""
        self.connections: list[Connection] = []
        """Every attempt to open a session that came as far as asking."""
        self.tokens: list[Event] = []
        self._changed = threading.Condition()

    @property
    def sessions(self) -> list[Connection]:
        """The connections on which Begin was sent, in that order."""
        begun = [(connection.number, connection) for connection in list(self.connections)]
        known = [(number, connection) for number, connection in begun if number is not None]
        return [connection for _, connection in sorted(known, key=lambda pair: pair[0])]

    def add(self, event: Event) -> None:
        with self._changed:
            if event["event"] != "audio":
                self.events.append(event)
            self._apply(event)
            self._changed.notify_all()

    def wait_until(self, come: Callable[[], object], timeout_s: float = WAIT_S_MAX) -> None:
        """Wait until `come()` is true, looking after every event. Raises TimeoutError with what there is."""
        with self._changed:
            if not self._changed.wait_for(come, timeout_s):
                raise TimeoutError(f"not within {timeout_s} s; there is:\n{self.summary()}")

    def summary(self) -> str:
        lines = []
        for connection in self.connections:
            kinds = [message["type"] if isinstance(message, dict) else "?" for _, message in connection.sent]
            lines.append(
                f"attempt {connection.attempt} session {connection.number} status {connection.status}: "
                f"{connection.audio_ms} ms heard, said {', '.join(kinds) or 'nothing'}, "
                f"closed by {connection.closed_by or '-'} {connection.close_code}"
            )
        return "\n".join(lines) or "no connection"

    def _apply(self, event: Event) -> None:
        at_s, kind = event["at_s"], event["event"]
        if kind == "asked":
            self.connections.append(
                Connection(
                    attempt=event["attempt"],
                    at_s=at_s,
                    path=event["path"],
                    query=event["query"],
                    headers=event["headers"],
                )
            )
            return
        if kind in ("token", "listening", "refusing"):
            if kind == "token":
                self.tokens.append(event)
            return
        connection = self.connections[event["attempt"]]
        match kind:
            case "answered":
                connection.status = event["status"]
            case "set":
                connection.parameters = event["parameters"]
                connection.ignored = event["ignored"]
            case "audio":
                connection.audio.append((at_s, event["size"]))
                connection.audio_bytes += event["size"]
                connection.pcm += event.get("pcm", b"")
            case "control":
                connection.controls.append((at_s, event["message"]))
            case "sent":
                message = event["message"]
                connection.sent.append((at_s, message))
                if isinstance(message, dict) and message.get("type") == "Begin":
                    connection.number = sum(other.number is not None for other in self.connections)
            case "fault":
                connection.faults.append((at_s, event["name"]))
            case "ended":
                connection.ended_at_s = at_s
                connection.close_code = event["code"]
                connection.close_reason = event["reason"]
                connection.closed_by = event["by"]


def now_s() -> float:
    return time.monotonic()


class Observed:
    """What a simulated service shows of itself, wherever it runs."""

    record: Record
    port: int

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def connections(self) -> list[Connection]:
        return self.record.connections

    @property
    def sessions(self) -> list[Connection]:
        return self.record.sessions

    def wait_until(self, come: Callable[[], object], timeout_s: float = WAIT_S_MAX) -> None:
        """Wait until `come()` is true, looking after every event. Raises TimeoutError."""
        self.record.wait_until(come, timeout_s)

    def close_codes(self) -> list[int | None]:
        """Give how each session was closed, once all of them are: later than their last word."""
        self.wait_until(lambda: all(session.ended_at_s is not None for session in self.sessions))
        return [session.close_code for session in self.sessions]
