"""What a session may ask for: a query string or an UpdateConfiguration, as values or as a refusal.

Pure. Source: the vendor's v3 streaming reference. Old names are understood, unknown ones ignored, and
a value out of its range is refused as the service refuses it. Most parameters belong to the service's
own models: those are checked, have no effect here, and the session is told which they were.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qs

from minuted.session_settings import KEYTERMS_MAX, PROMPT_CHARACTERS_MAX

INVALID: Final = 3006
ENCODINGS: Final = ("pcm_s16le", "pcm_mulaw")


class Refusal(Exception):  # noqa: N818  # a session's end, not always an error of ours
    """The session ends with this Error text and close code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What a session goes by. The defaults are those of u3-rt-pro."""

    sample_rate: int = 16_000
    encoding: str = "pcm_s16le"
    min_turn_silence: int = 100
    """Milliseconds of silence after which a finished sentence ends the turn."""
    max_turn_silence: int = 1_000
    """Milliseconds of silence that end any turn."""
    include_partial_turns: bool = True
    inactivity_timeout: int | None = None
    """Seconds without a message from the client."""
    session_heartbeat: bool = False
    acknowledge_silence: bool = False
    without_effect: tuple[str, ...] = ()
    """What was asked for and this engine does not have."""


def parse_query(query: str) -> Parameters:
    """Read a session's query string. Raises Refusal for a known parameter's wrong value."""
    given = {_OLD_NAMES.get(name, name): values for name, values in _pairs(query).items()}
    known = {name: values if len(values) > 1 else values[0] for name, values in given.items()}
    if "voice_focus_threshold" in known and "voice_focus" not in known:
        raise invalid("voice_focus_threshold", "needs 'voice_focus'")
    return _with(Parameters(), known, {**_AT_CONNECT, **_LIVE})


def update(parameters: Parameters, values: Mapping[str, Any]) -> Parameters:
    """Apply an UpdateConfiguration. What can only be set at connect is ignored, as null is."""
    given = {_OLD_NAMES.get(name, name): value for name, value in values.items() if value is not None}
    return _with(parameters, given, _LIVE)


def invalid(name: str, reason: str) -> Refusal:
    return Refusal(INVALID, f"User Input Validation Error: Invalid '{name}': {reason}")


def _pairs(query: str) -> dict[str, list[str]]:
    try:
        return parse_qs(query, keep_blank_values=True, max_num_fields=500, errors="replace")
    except ValueError:
        raise Refusal(INVALID, "User Input Validation Error: Too many parameters") from None


def _with(parameters: Parameters, given: Mapping[str, Any], known: Mapping[str, "_Check"]) -> Parameters:
    own = Parameters.__dataclass_fields__
    effective, idle = {}, set(parameters.without_effect)
    for name, value in given.items():
        check = known.get(name)
        if check is None:
            continue
        try:
            checked = check(value)
        except ValueError as error:
            raise invalid(name, str(error)) from None
        if name in own:
            effective[name] = checked
        elif name not in _HARMLESS:
            (idle.add if checked not in (None, False, "", (), 0) else idle.discard)(name)
    return replace(parameters, **effective, without_effect=tuple(sorted(idle)))


_Check = Callable[[Any], Any]


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "1", "false", "0"):
        return value.lower() in ("true", "1")
    raise ValueError("must be true or false")


def _number(value: Any) -> float:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise ValueError("must be a number")


def _between(low: float, high: float) -> _Check:
    def check(value: Any) -> float:
        number = _number(value)
        if not low <= number <= high:
            raise ValueError(f"must be between {low:,} and {high:,}")
        return number

    return check


def _whole(low: int, high: int, unit: str = "") -> _Check:
    def check(value: Any) -> int:
        number = _number(value)
        if number != int(number):
            raise ValueError("must be a whole number")
        if number < low:
            raise ValueError(f"must be at least {low:,}{unit}")
        if number > high:
            raise ValueError(f"must be at most {high:,}{unit}")
        return int(number)

    return check


def _silence_ms(value: Any) -> int:
    """The service brings these into their range without a word."""
    number = _number(value)
    if number < 0 or number != int(number):
        raise ValueError("must be a whole number of milliseconds")
    return min(max(int(number), 50), 10_000)


def _choice(*choices: str) -> _Check:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return str(value)

    return check


def _text(characters_max: int) -> _Check:
    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be a string")  # noqa: TRY004  # every check raises the same
        if len(value) > characters_max:
            raise ValueError(f"Max {characters_max:,} characters")
        return value

    return check


def _encoding(value: Any) -> str:
    if value not in ENCODINGS:
        raise ValueError(f"this engine takes {' and '.join(ENCODINGS)}")
    return str(value)


def _list(items_max: int) -> _Check:
    def check(value: Any) -> tuple[str, ...]:
        """Take a list, its JSON text, a repeated parameter, or one bare word after another with commas."""
        if isinstance(value, str):
            value = _from_text(value)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError("must be an array of strings")
        if len(value) > items_max:
            raise ValueError(f"Max {items_max} items")
        return tuple(value)

    return check


def _from_text(text: str) -> Any:
    if not text.lstrip().startswith(("[", "{", '"')):
        return [item.strip() for item in text.split(",") if item.strip()]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("must be an array of strings") from None


def _never(value: Any) -> bool:
    """To take what should have been redacted for redacted would do harm; so it ends here."""
    if _flag(value):
        raise ValueError("this engine cannot redact")
    return False


_OLD_NAMES: Final = {
    "min_end_of_turn_silence_when_confident": "min_turn_silence",
    "noise_suppression_model": "voice_focus",
    "noise_suppression_threshold": "voice_focus_threshold",
}
_LIVE: Final[Mapping[str, _Check]] = {
    "min_turn_silence": _silence_ms,
    "max_turn_silence": _silence_ms,
    "session_heartbeat": _flag,
    "acknowledge_silence": _flag,
    "vad_threshold": _between(0, 1),
    "end_of_turn_confidence_threshold": _between(0, 1),
    "format_turns": _flag,
    "filter_profanity": _flag,
    "keyterms_prompt": _list(KEYTERMS_MAX),
    "prompt": _text(PROMPT_CHARACTERS_MAX),
    "agent_context": _text(PROMPT_CHARACTERS_MAX),
    "language_codes": _list(10),
    "interruption_delay": _whole(0, 1000),
    "turn_left_pad_ms": _whole(0, 60_000),
    "continuous_partials": _flag,
    "mode": _choice("min_latency", "balanced", "max_accuracy"),
}
_AT_CONNECT: Final[Mapping[str, _Check]] = {
    "sample_rate": _whole(8_000, 96_000, " Hz"),
    "encoding": _encoding,
    "include_partial_turns": _flag,
    "inactivity_timeout": _whole(5, 3600),
    "speech_model": _text(100),
    "language_detection": _flag,
    "domain": _choice("medical-v1"),
    "voice_focus": _choice("near-field", "far-field"),
    "voice_focus_threshold": _between(0, 1),
    "speaker_labels": _flag,
    "max_speakers": _whole(1, 10),
    "speaker_labels_revision_interval_ms": _whole(0, 10**9),
    "previous_context_n_turns": _whole(0, 100),
    "redact_pii": _never,
    "redact_pii_policies": _list(1_000),
    "redact_pii_sub": _choice("hash", "entity_name"),
    "webhook_url": _text(8_000),
    "customer_support_audio_capture": _flag,
}
_HARMLESS: Final = frozenset(
    # What is always so here, what only the service's other models have, and what only serves another.
    """
    speech_model format_turns continuous_partials end_of_turn_confidence_threshold mode interruption_delay
    turn_left_pad_ms previous_context_n_turns customer_support_audio_capture redact_pii_policies
    redact_pii_sub max_speakers speaker_labels_revision_interval_ms voice_focus_threshold
    """.split()  # noqa: SIM905  # so many words read better so
)
