"""What can be made to go wrong, and when."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

BAD_KEY: Final = "Unauthorized Connection: Invalid API key"
NO_KEY: Final = "Unauthorized Connection: Missing Authorization header"
OLD_TOKEN: Final = "Unauthorized Connection: Signature has expired"
BALANCE: Final = "Unauthorized Connection: Insufficient account balance"
"""The wording is ours: nobody has published the service's own."""
TOO_MANY: Final = "Unauthorized connection: Too many concurrent sessions"
EXPIRED: Final = "Session Expired: Maximum session duration exceeded"
CANCELLED: Final = "Session Cancelled: An error occurred"
TEXTS: Final = {
    1008: BAD_KEY,
    1011: "Internal server error",
    1013: "Temporary server condition forced blocking client's request",
    3005: CANCELLED,
    3006: "User Input Validation Error: Invalid Message",
    3007: "Audio Transmission Rate Exceeded: Received 310.0 sec. audio in 2.0 sec",
    3008: EXPIRED,
    3009: "Too many concurrent sessions",
}
REASON: Final = "See Error message for details"

_REVISED_WORD: Final = {"start": 0, "end": 10, "text": "word", "word_is_final": True, "speaker": "A"}
MALFORMED: Final[dict[str, str]] = {
    "bad_json": '{"type":"Turn","turn_order":',
    "revision_without_confidence": json.dumps(
        {
            "type": "SpeakerRevision",
            "revisions": [{"turn_order": 0, "speaker_label": "A", "words": [_REVISED_WORD]}],
        }
    ),
    "warning_without_code": json.dumps({"type": "Warning", "warning": "no code"}),
    "turn_without_words": json.dumps({"type": "Turn", "turn_order": 0, "end_of_turn": True}),
    "unknown_type": json.dumps({"type": "Novelty", "value": 1}),
    "no_type": json.dumps({"value": 1}),
    "not_an_object": "[1, 2, 3]",
}
"""Frames no client should die of. The SDK's reader dies of some."""

FAULTS: Final = {
    "refuse": "nobody listens on the port, for `for_s` or until healed; open sessions stay",
    "unanswered": "the connection is accepted and the upgrade never answered",
    "http": "the upgrade is answered by `status`",
    "error": "Error frame with `code` and `text`, then a close with the same code",
    "close": "a close with `code` and `text` as its reason, and no Error frame",
    "drop": "the connection ends without a close frame: 1006",
    "reset": "the connection is reset (RST)",
    "stall": "sound is taken and pings are answered, and nothing is said, for `for_s` or until healed",
    "black_hole": "nothing is read and nothing is said, for `for_s` or until healed",
    "no_begin": "the session is accepted and never begins",
    "wrong_model": "Begin names `text` as the model",
    "say": "one frame more: `message`, a name in MALFORMED, or any text",
    "warning": "a Warning frame with `code` and `text`",
    "slow_heartbeat": "the next heartbeats come every `for_s`; none at all: inf",
    "overlapping_silence": "Silence reaches `for_s` back into what was reported",
    "duplicate_final": "each final comes twice",
    "empty_final": "a final without words, now",
    "latency": "every message takes `for_s` more",
    "heal": "stall, black hole, refusal and latency are over",
}
BEFORE_UPGRADE: Final = ("unanswered", "http")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong, when, and how often.

    In a script a fault without a moment strikes as its session opens, before Begin. `session` counts
    the sessions that began: a fault before the upgrade strikes attempts to open that one.
    """

    name: str
    session: int | None = None
    """Which session, from 0; unset: any."""
    times: int | None = 1
    """How many sessions or attempts it strikes, once each; None: all."""
    at_s: float | None = None
    """Seconds after the upgrade. Of several moments the last counts."""
    at_audio_ms: int | None = None
    """As soon as so much sound has arrived."""
    at_messages: int | None = None
    """After so many messages with sound."""
    at_finals: int | None = None
    """After so many final turns were sent."""
    at_control: str | None = None
    """When this message arrives ("Terminate" …), before anything is done about it."""

    for_s: float | None = None
    code: int | None = None
    text: str = ""
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    message: Any = None

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise ValueError(f"no fault is called {self.name!r}; there are {', '.join(FAULTS)}")
        needs = {
            "error": "code",
            "close": "code",
            "say": "message",
            "latency": "for_s",
            "slow_heartbeat": "for_s",
        }
        if (needed := needs.get(self.name)) and getattr(self, needed) is None:
            raise ValueError(f"the fault {self.name!r} needs `{needed}`")

    @property
    def is_immediate(self) -> bool:
        moments = (self.at_s, self.at_audio_ms, self.at_messages, self.at_finals, self.at_control)
        return all(moment is None for moment in moments)

    def to_map(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_map(values: dict[str, Any]) -> "Fault":
        return Fault(**values)


@dataclass(slots=True, kw_only=True)
class Moment:
    """How far a session is."""

    open_s: float = 0.0
    audio_ms: int = 0
    messages: int = 0
    finals: int = 0
    control: str | None = None


class Script:
    """The faults still to come, shared by all sessions."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._left: list[tuple[Fault, set[int]]] = [(fault, set()) for fault in faults]
        self.first_s = math.inf
        """When the first session opened."""

    def opened(self, at_s: float) -> None:
        """Note that a session opens."""
        self.first_s = min(self.first_s, at_s)

    def add(self, fault: Fault) -> None:
        self._left.append((fault, set()))

    def before_upgrade(self, session: int, attempt: int) -> Fault | None:
        """Give what happens to this attempt to open `session`."""
        for fault, struck in self._left:
            if fault.name not in BEFORE_UPGRADE or fault.session not in (None, session):
                continue
            if fault.times is None or len(struck) < fault.times:
                struck.add(attempt)
                return fault
        return None

    def take(self, session: int, attempt: int, moment: Moment) -> list[Fault]:
        """Give the faults whose moment this is; each strikes an attempt once."""
        due = []
        for fault, struck in self._of(session, attempt):
            if _has_come(fault, moment):
                struck.add(attempt)
                due.append(fault)
        return due

    def next_at_s(self, session: int, attempt: int, moment: Moment) -> float:
        """Give the nearest `at_s` still to come, for whoever waits for it; inf if there is none."""
        moments = (fault.at_s for fault, _ in self._of(session, attempt))
        return min((at_s for at_s in moments if at_s is not None and at_s > moment.open_s), default=math.inf)

    def _of(self, session: int, attempt: int) -> Iterator[tuple[Fault, set[int]]]:
        for fault, struck in self._left:
            if fault.name in BEFORE_UPGRADE or fault.session not in (None, session) or attempt in struck:
                continue
            if fault.times is None or len(struck) < fault.times:
                yield fault, struck


def _has_come(fault: Fault, moment: Moment) -> bool:
    return (
        fault.at_control in (None, moment.control)
        and moment.open_s >= (fault.at_s or 0)
        and moment.audio_ms >= (fault.at_audio_ms or 0)
        and moment.messages >= (fault.at_messages or 0)
        and moment.finals >= (fault.at_finals or 0)
    )
