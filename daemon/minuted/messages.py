"""Everything that crosses a process boundary, and its msgpack form.

A message is a frozen dataclass of plain values and travels as one msgpack map of its fields.
Unknown fields are ignored and a new field has a default, so old and new versions understand each
other; any other change raises `VERSION`. This is the only module that imports msgpack.
"""

import types
import typing
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cache
from math import isfinite
from typing import Any, ClassVar, Final, Literal, TypeVar

import msgpack

from .runtime.texts import json_line

VERSION: Final = 1
SAMPLE_RATE_HZ: Final = 16_000
FRAME_MS: Final = 50
FRAME_SAMPLES: Final = SAMPLE_RATE_HZ * FRAME_MS // 1000
FRAME_BYTES: Final = FRAME_SAMPLES * 2
MESSAGE_BYTES_MAX: Final = 1 << 20
"""Larger messages are refused by every socket and by `decode`."""


class MalformedMessageError(ValueError):
    """These bytes are not a message of ours: count it, drop it, go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word and when it was said, in milliseconds from the meeting's start."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None = None
    speaker: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What every message has: a wire version and a type."""

    v: int = VERSION
    type: str = ""
    topic: ClassVar[str] = ""

    def to_map(self) -> dict[str, Any]:
        """Give the fields as plain values, as they stand on the wire and in the file log."""
        return asdict(self)

    def to_json(self) -> str:
        """Return the fields as one line of JSON, controls and direction marks escaped."""
        return json_line(self.to_map(), compact=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn(Message):
    """One speaker's uninterrupted words. A partial may still change, a final will not.

    Times are milliseconds from the meeting's start; `meeting_started_at_ms` is epoch milliseconds.
    `seq` counts the finals, revisions and gaps of this machine without holes; a partial has none.
    `id` is the same in a turn's partials, its final and its revisions.
    """

    type: Literal["turn", "revision"] = "turn"
    seq: int | None = None
    id: str
    revision: int = 0
    room: str
    meeting_id: str
    meeting_started_at_ms: int
    session_id: str
    turn_order: int
    final: bool
    backfilled: bool = False
    start_ms: int
    end_ms: int
    text: str
    words: tuple[Word, ...] = ()
    speaker: str | None = None
    language: str | None = None
    confidence: float | None = None
    channel: str | None = None
    """Which of several sources it was heard on."""
    meeting_title: str | None = None

    def topic_of(self) -> str:
        if self.type == "revision":
            return "turn.revised"
        return "turn.final" if self.final else "turn.partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap(Message):
    """A stretch of the meeting of which there are no words, and why."""

    topic: ClassVar[str] = "gap"
    type: Literal["gap"] = "gap"
    seq: int | None = None
    room: str
    meeting_id: str
    meeting_started_at_ms: int = 0
    start_ms: int
    end_ms: int
    reason: str
    channel: str | None = None


Record = Turn | Gap
"""What carries a `seq`: finals, revisions and gaps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Message):
    """What became of the streaming session: for people who watch, not for the record."""

    topic: ClassVar[str] = "session"
    type: Literal["session"] = "session"
    event: str
    """started, ended, retrying, refused, warning, paused, resumed, halted (the disk is full), limit (the
    day's money is spent), drained, configured (`reason` names what was changed), or meeting-started and
    meeting-ended by hand (its title)."""
    room: str
    at_ms: int
    session_id: str = ""
    reason: str = ""
    retry_in_s: float | None = None
    model: str = ""
    channel: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat(Message):
    """Sent each second and to every new subscriber: which journal this is and how far it goes."""

    topic: ClassVar[str] = "heartbeat"
    type: Literal["heartbeat"] = "heartbeat"
    epoch: str
    last_seq: int
    at_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFrame(Message):
    """50 ms of sound: 800 samples of 16-bit little-endian mono PCM at 16 kHz.

    `number` counts 50 ms steps of this machine's sound and never goes back; a jump in it is sound
    that was never sampled. `source` is "microphone" or the recording's name, and a change of it
    begins a new meeting. `paced` says that frames come no faster than real time.
    """

    type: Literal["frame"] = "frame"
    number: int
    captured_at_ms: int
    pcm: bytes
    source: str = "microphone"
    paced: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioEnd(Message):
    """Capture has stopped; the last frame it sent was `next_number - 1`.

    "paused": somebody has asked for privacy, and what is missing from here on was not to be heard.
    """

    type: Literal["frames_end"] = "frames_end"
    next_number: int
    reason: Literal["drained", "stopped", "paused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioGap(Message):
    """The frames `from_number` to `to_number - 1` were never sampled, and why.

    Of "drift" nothing is missing: the numbers go on where a slow microphone has fallen behind the clock.
    """

    type: Literal["frames_gap"] = "frames_gap"
    from_number: int
    to_number: int
    reason: str


MESSAGES: Final[dict[str, type[Message]]] = {
    "turn": Turn,
    "revision": Turn,
    "gap": Gap,
    "session": Session,
    "heartbeat": Heartbeat,
    "frame": AudioFrame,
    "frames_end": AudioEnd,
    "frames_gap": AudioGap,
}

TOPICS: Final = ("turn.partial", "turn.final", "turn.revised", "session", "gap", "heartbeat")


def topic_of(message: Message) -> str:
    """Name the topic a message is published under."""
    return message.topic_of() if isinstance(message, Turn) else message.topic


def encode(message: Message) -> bytes:
    """Pack a message into its msgpack map."""
    return pack(message.to_map())


def decode(data: bytes) -> Message:
    """Read one message. Raises MalformedMessageError for anything that is not one of ours."""
    return from_map(unpack(data))


def from_map(values: dict[str, Any]) -> Message:
    """Build a message from its map, checking every field's type."""
    if values.get("v") != VERSION:
        raise MalformedMessageError(f"wire version {values.get('v')!r} is not {VERSION}")
    kind = values.get("type")
    cls = MESSAGES.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise MalformedMessageError(f"no message has the type {kind!r}")
    return _build(cls, values)


def pack(values: Any) -> bytes:
    """Pack plain values: control requests, cursors and the like."""
    return bytes(msgpack.packb(values))


def unpack(data: bytes) -> dict[str, Any]:
    """Read one msgpack map with string keys. Raises MalformedMessageError."""
    if len(data) > MESSAGE_BYTES_MAX:
        raise MalformedMessageError(f"{len(data)} bytes are more than {MESSAGE_BYTES_MAX}")
    try:
        values = msgpack.unpackb(data)
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise MalformedMessageError(f"not msgpack: {error}") from None
    if not isinstance(values, dict):
        raise MalformedMessageError(f"a map was expected, not {type(values).__name__}")
    if not all(isinstance(key, str) for key in values):
        raise MalformedMessageError("a map's keys are strings")
    return values


_T = TypeVar("_T")


def _build(cls: type[_T], values: dict[str, Any]) -> _T:
    hints = _hints(typing.cast("typing.Hashable", cls))
    given = {}
    for field in fields(cls):  # type: ignore[arg-type]  # every caller passes a dataclass
        if field.name in values:
            where = f"{cls.__name__}.{field.name}"
            given[field.name] = _checked(hints[field.name], values[field.name], where)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise MalformedMessageError(f"{cls.__name__}.{field.name} is missing")
    return cls(**given)


def _checked(hint: Any, value: Any, where: str) -> Any:
    """Give `value` as `hint` wants it, or say where it does not fit."""
    origin = typing.get_origin(hint)
    if origin is typing.Union or origin is types.UnionType:
        return None if value is None else _checked(typing.get_args(hint)[0], value, where)
    if origin is Literal:
        if value in typing.get_args(hint):
            return value
    elif origin is tuple:
        if isinstance(value, list | tuple):
            return tuple(_checked(typing.get_args(hint)[0], item, where) for item in value)
    elif hint is Word:
        if isinstance(value, dict):
            return _build(Word, value)
    elif hint is float:
        # JSON, into which records go, has no NaN.
        if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
            return float(value)
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise MalformedMessageError(f"{where} cannot be {type(value).__name__}")


@cache
def _hints(cls: typing.Hashable) -> dict[str, Any]:
    return typing.get_type_hints(cls)
