"""The gate at the service's door: each message within bounds, or malformed. Pure.

Only the fields that are used go through. What a message can be understood without is put right or left
out; what cannot be put right without losing words makes it malformed. Source of what is legal: the
vendor's streaming reference, version 3.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final

from minuted.runtime.texts import clean
from minuted.transcription.pauses import END_LATE_MS_MAX

INTEGER_MAX: Final = 2**53 - 1
"""The largest integer that every reader of a record holds exactly: to many, JSON's numbers are floats."""
BEYOND_MS_MAX: Final = 5_000
"""How far a time may lie beyond the sound that was sent. Up to here it is put back to END_LATE_MS_MAX, which
was measured; a time further off would move the mark over sound whose words are still to come."""
WORDS_MAX: Final = 4_000
"""Words of a turn. The service ends its longest within a minute, which has some 300."""
TURN_BYTES_MAX: Final = 512 << 10
"""Of a turn as a record, estimated: half of what a message may have."""
WORD_BYTES: Final = 100
"""Of a word in a record beside its text and its speaker."""
REVISIONS_MAX: Final = 20_000
"""Turns in one revision of speakers, more than a session of three hours has."""
NAME_CHARACTERS_MAX: Final = 200
"""Of ids, models, languages and speakers' labels; what is longer is cut."""
REMARK_CHARACTERS_MAX: Final = 500
"""Of warnings and errors."""
SETTINGS_MAX: Final = 100
"""Settings that Begin tells of."""
EXPIRES_S_MAX: Final = 4_102_444_800
"""The year 2100, epoch seconds: later moments are taken for it."""
MILLISECONDS_FROM: Final = 2e10
"""A moment beyond this is in milliseconds, as the SDK takes it."""

_SPACES: Final = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"
_CLEAN: Final[dict[int, str]] = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), ""),
    **{ord(character): " " for character in _SPACES},
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
}

Said = Mapping[str, Any]


class MalformedMessageError(ValueError):
    """The service has said something that cannot be understood."""

    def __init__(self, kind: str, *, costs_session: bool) -> None:
        """`costs_session`: it may have held words, which have to be heard again."""
        super().__init__(f"malformed {kind} from the service")
        self.kind = kind
        self.costs_session = costs_session


class _OutOfBoundsError(ValueError):
    """A field that cannot be put right."""


def decoded(data: str | bytes) -> Any:
    """Return a frame's JSON; a frame that has none passes for a Turn without words where it speaks of one."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        text = data if isinstance(data, str) else data.decode(errors="replace")
        return {"type": "Turn"} if '"Turn"' in text else {}


def checked(message: Any, sent_ms: int, key: str = "") -> dict[str, Any] | None:
    """Return a decoded message within bounds; None for one that nobody here has a use for.

    `sent_ms` is how much sound its session was sent; `key` is hidden in all that is not speech.
    Raises MalformedMessageError.
    """
    if not isinstance(message, dict):
        raise MalformedMessageError("message", costs_session=True)
    kind = message.get("type", "Error" if "error" in message else None)
    if not isinstance(kind, str) or (read := _READERS.get(kind)) is None:
        return None
    try:
        return {"type": kind, **read(message, sent_ms, key)}
    except _OutOfBoundsError:
        # What may still change is shown again, or comes as a final.
        is_partial = kind == "Turn" and message.get("end_of_turn") is False
        costs_session = kind in ("Begin", "Turn") and not is_partial
        raise MalformedMessageError(kind, costs_session=costs_session) from None


def cleaned(text: str) -> str:
    """Return what was said without control characters and halves of characters.

    Marks of direction stay: some languages need them where they are spoken.
    """
    return text if text.isprintable() else text.translate(_CLEAN)


def shown(text: str, key: str = "", characters_max: int = REMARK_CHARACTERS_MAX) -> str:
    """Return a text that may be logged and shown: clean, in one direction, short and without the key."""
    text = clean(cleaned(text))  # what is taken out may divide the key
    return (text.replace(key, "<key>") if key else text)[:characters_max]


# Messages.


def _begin(said: Said, _: int, key: str) -> dict[str, Any]:
    settings = said.get("configuration")
    told: dict[str, str | bool | None] = {}
    for name, value in list(settings.items())[:SETTINGS_MAX] if isinstance(settings, dict) else ():
        if isinstance(value, str):
            told[name] = _name(value, key)
        elif isinstance(value, bool | None):
            told[name] = value
    for name in ("model", "mode", "api_version"):
        if not isinstance(told.get(name, ""), str):
            told[name] = None
    return {
        "id": _name(_text(said.get("id")), key),
        "expires_at": _moment(said.get("expires_at")),
        "configuration": told,
    }


def _turn(said: Said, sent_ms: int, key: str) -> dict[str, Any]:
    if not isinstance(said.get("end_of_turn"), bool) or "words" not in said:
        raise _OutOfBoundsError
    turn = {
        "turn_order": _order(said.get("turn_order")),
        "turn_is_formatted": said.get("turn_is_formatted") is True,
        "end_of_turn": said["end_of_turn"],
        "transcript": cleaned(_text(said.get("transcript"))),
        "end_of_turn_confidence": _fraction(said.get("end_of_turn_confidence")),
        "words": _words(said["words"], sent_ms, key),
        "language_code": _optional_name(said.get("language_code"), key),
        "speaker_label": _optional_name(said.get("speaker_label"), key),
    }
    texts = [text for word in turn["words"] for text in (word["text"], word["speaker"] or "")]
    size_bytes = sum(len(text.encode()) for text in (turn["transcript"], *texts))
    if size_bytes + len(turn["words"]) * WORD_BYTES > TURN_BYTES_MAX:
        raise _OutOfBoundsError
    return turn


def _words(said: Any, sent_ms: int, key: str) -> list[dict[str, Any]]:
    words: list[dict[str, Any]] = []
    before_ms = 0
    for each in _list(said, WORDS_MAX):
        if not isinstance(each, dict):
            raise _OutOfBoundsError
        start_ms = max(_time_ms(each.get("start"), sent_ms), before_ms)
        words.append(
            {
                "start": start_ms,
                "end": max(_time_ms(each.get("end"), sent_ms), start_ms),
                "text": cleaned(_text(each.get("text"))),
                "confidence": _fraction(each.get("confidence")),
                "word_is_final": each.get("word_is_final") is not False,
                "speaker": _optional_name(each.get("speaker"), key),
            }
        )
        before_ms = start_ms
    return words


def _speaker_revision(said: Said, _: int, key: str) -> dict[str, Any]:
    """Of a revision the labels alone are used; one that cannot be read costs itself."""
    revisions = []
    for each in _list(said.get("revisions"), REVISIONS_MAX):
        try:
            words = [
                {
                    "start": 0,
                    "end": 0,
                    "text": "",
                    "confidence": 0.0,
                    "word_is_final": True,
                    "speaker": _optional_name(word.get("speaker"), key),
                }
                for word in _list(each.get("words"), WORDS_MAX)
            ]
            label = _optional_name(each.get("speaker_label"), key)
            order = _order(each.get("turn_order"))
        except (AttributeError, _OutOfBoundsError):
            continue
        revisions.append({"turn_order": order, "speaker_label": label, "words": words})
    return {"revisions": revisions}


def _speech_started(said: Said, sent_ms: int, _: str) -> dict[str, Any]:
    return {"timestamp": min(_count(said.get("timestamp")), sent_ms)}


def _silence(said: Said, sent_ms: int, _: str) -> dict[str, Any]:
    """Silence is a promise that there are no words: one beyond the sound is none."""
    start_ms, end_ms = _time_ms(said.get("start_ms"), sent_ms), _time_ms(said.get("end_ms"), sent_ms)
    if start_ms > end_ms:
        raise _OutOfBoundsError
    return {"start_ms": min(start_ms, sent_ms), "end_ms": min(end_ms, sent_ms)}


def _heartbeat(said: Said, sent_ms: int, _: str) -> dict[str, Any]:
    return {
        "total_audio_received_ms": min(_count(said.get("total_audio_received_ms")), sent_ms),
        "total_duration_ms": _optional_count(said.get("total_duration_ms")) or 0,
        "realtime_factor": _fraction(said.get("realtime_factor"), most=1e6),
        "max_speech_probability": _fraction(said.get("max_speech_probability")),
    }


def _termination(said: Said, _: int, __: str) -> dict[str, Any]:
    names = ("audio_duration_seconds", "session_duration_seconds")
    return {name: _optional_count(said.get(name)) for name in names}


def _warning(said: Said, _: int, key: str) -> dict[str, Any]:
    code = _optional_count(said.get("warning_code")) or 0
    return {"warning_code": code, "warning": shown(_text(said.get("warning")), key)}


def _error(said: Said, _: int, key: str) -> dict[str, Any]:
    text = said.get("error")
    code = _optional_count(said.get("error_code"))
    return {
        "error": shown(text if isinstance(text, str) else "an error without a text", key),
        "error_code": code if code and code <= 0xFFFF else None,
    }


_READERS: Final[Mapping[str, Callable[[Said, int, str], dict[str, Any]]]] = {
    "Begin": _begin,
    "Turn": _turn,
    "SpeechStarted": _speech_started,
    "Silence": _silence,
    "Heartbeat": _heartbeat,
    "SpeakerRevision": _speaker_revision,
    "Termination": _termination,
    "Warning": _warning,
    "Error": _error,
}


# Fields.


def _count(value: Any) -> int:
    """Return a number as an integer from 0 to INTEGER_MAX. Raises _OutOfBoundsError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= INTEGER_MAX:
        raise _OutOfBoundsError  # also for NaN, which is not less than anything
    return max(0, int(value))


def _order(value: Any) -> int:
    """Return a turn's number. Raises _OutOfBoundsError: put right, it would be another turn's."""
    order = _count(value)
    if order != value:
        raise _OutOfBoundsError
    return order


def _optional_count(value: Any) -> int | None:
    try:
        return _count(value)
    except _OutOfBoundsError:
        return None


def _time_ms(value: Any, sent_ms: int) -> int:
    time_ms = _count(value)
    if time_ms > sent_ms + BEYOND_MS_MAX:
        raise _OutOfBoundsError
    return min(time_ms, sent_ms + END_LATE_MS_MAX)


def _fraction(value: Any, *, most: float = 1.0) -> float:
    """Return a number from 0 to `most`; 0 for what is none: nothing depends on it."""
    try:
        number = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return min(max(0.0, number), most) if isfinite(number) else 0.0


def _moment(value: Any) -> datetime:
    """Return a moment of this century; 1970 for what is none: nobody believes it, and the session goes on."""
    seconds = 0.0
    if isinstance(value, str):
        try:
            told = datetime.fromisoformat(value)
            seconds = (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            seconds = 0.0
    elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= INTEGER_MAX:
        seconds = value / 1000 if value > MILLISECONDS_FROM else value
    return datetime.fromtimestamp(min(max(0.0, seconds), EXPIRES_S_MAX), UTC)


def _list(value: Any, most: int) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > most:
        raise _OutOfBoundsError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _OutOfBoundsError
    return value


def _name(text: str, key: str) -> str:
    return shown(text, key, NAME_CHARACTERS_MAX)


def _optional_name(value: Any, key: str) -> str | None:
    return _name(value, key) if isinstance(value, str) else None
