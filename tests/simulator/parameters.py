"""A session's parameters: what a query string or an UpdateConfiguration may say (reference 2 and 3.3)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs

INVALID: Final = 3006
MODELS: Final = (
    "universal-streaming-english",
    "universal-streaming-multilingual",
    "whisper-rt",
    "u3-rt-pro",
    "u3-rt-pro-beta-1",
    "u3-rt-agent",
    "universal-3-5-pro",
    "universal-3-6-pro",
    "universal-3-6",
    "universal-3-7-preview",
    "_universal-3-5-notetaker",
)
"""As the server listed them itself."""
FAILING_MODELS: Final = ("u3-rt-agent", "universal-3-7-preview")
"""They send Begin, and Error 3005 about 5 s later."""
_SILENCE_MS: Final = (50, 10_000)
_ALIASES: Final = {
    "min_end_of_turn_silence_when_confident": "min_turn_silence",
    "noise_suppression_model": "voice_focus",
    "noise_suppression_threshold": "voice_focus_threshold",
    "_customer_support_audio_capture": "customer_support_audio_capture",
}


class Refused(Exception):  # noqa: N818
    """The service ends the session with this code and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def invalid(name: str, why: str) -> Refused:
    return Refused(INVALID, f"User Input Validation Error: Invalid '{name}': {why}")


@dataclass(slots=True)
class Parameters:
    """What is set, by the service's own names; what is not set has the model's default."""

    model: str
    values: dict[str, Any] = field(default_factory=dict)
    ignored: dict[str, Any] = field(default_factory=dict)
    """What was asked for and has no effect: unknown names, or not to be changed now."""

    @property
    def is_u3(self) -> bool:
        return not self.model.startswith("universal-streaming") and self.model != "whisper-rt"

    @property
    def is_preset_model(self) -> bool:
        """Say whether `mode` sets the defaults, as in 3.5 and 3.6."""
        return self.is_u3 and not self.model.startswith("u3-rt")

    @property
    def mode(self) -> str | None:
        return self.values.get("mode", "balanced") if self.is_u3 else None

    @property
    def partials(self) -> bool:
        return self["include_partial_turns"] and not self["redact_pii"]

    def __getitem__(self, name: str) -> Any:
        value = self.values.get(name)
        return self._default(name) if value is None else value

    def _default(self, name: str) -> Any:
        if name in ("min_turn_silence", "max_turn_silence", "interruption_delay", "vad_threshold"):
            return self._timing()[name]
        if name == "continuous_partials":
            return not self["speaker_labels"]
        return _DEFAULTS.get(name, False)

    def _timing(self) -> dict[str, Any]:
        """Give the model's minimum and maximum silence, interruption delay and VAD threshold."""
        names = ("min_turn_silence", "max_turn_silence", "interruption_delay", "vad_threshold")
        if not self.is_u3:
            return dict(zip(names, (400, 1280, 500, 0.4), strict=True))
        if not self.is_preset_model:
            return dict(zip(names, (100, 1000, 500, 0.3), strict=True))
        if self["speaker_labels"]:
            return dict(zip(names, (640, 768, 500, 0.5), strict=True))
        presets = {
            "min_latency": (128, 640, 0),
            "balanced": (128, 1280, 500),
            "max_accuracy": (512, 2560, 500),
        }
        return dict(zip(names, (*presets[self.mode or "balanced"], 0.2), strict=True))

    def update(self, message: Mapping[str, Any]) -> None:
        """Take an UpdateConfiguration. Raises Refused for a value that no session may have."""
        allowed = self._updatable()
        for name, given in _renamed(message).items():
            if name == "type" or given is None:
                continue
            if name not in allowed:
                self.ignored[name] = given
                continue
            self.values[name] = CHECKS[name](name, given)

    def _updatable(self) -> frozenset[str]:
        if self.model == "whisper-rt":
            return frozenset({"min_turn_silence", "max_turn_silence"})
        if not self.is_u3:
            return _UPDATABLE_SILENCE | {
                "end_of_turn_confidence_threshold",
                "format_turns",
                *_UPDATABLE_MORE - _UPDATABLE_U3,
            }
        if self.is_preset_model:
            return _UPDATABLE_SILENCE | {"prompt", "mode", "continuous_partials", *_UPDATABLE_MORE}
        return _UPDATABLE_SILENCE | {"prompt"}


_DEFAULTS: Final = {
    "sample_rate": 16_000,
    "encoding": "pcm_s16le",
    "include_partial_turns": True,
    "end_of_turn_confidence_threshold": 0.4,
}
_UPDATABLE_SILENCE: Final = frozenset({"min_turn_silence", "max_turn_silence", "keyterms_prompt"})
_UPDATABLE_U3: Final = frozenset(
    {"interruption_delay", "agent_context", "language_codes", "acknowledge_silence"}
)
_UPDATABLE_MORE: Final = _UPDATABLE_U3 | {
    "vad_threshold",
    "filter_profanity",
    "turn_left_pad_ms",
    "session_heartbeat",
}


def from_query(query: str, default_model: str) -> Parameters:
    """Read a query string. Raises Refused for a bad value of a known name; unknown names are ignored."""
    given: dict[str, Any] = {
        name: values if name == "keyterms_prompt" and len(values) > 1 else values[-1]
        for name, values in parse_qs(query, keep_blank_values=True).items()
    }
    model = given.pop("speech_model", default_model)
    if model not in MODELS:
        raise invalid("speech_model", f"must be one of {', '.join(MODELS)}")
    parameters = Parameters(model)
    given.pop("token", None)
    for name, text in _renamed(given).items():
        if name in CHECKS:
            parameters.values[name] = CHECKS[name](name, text)
        else:
            parameters.ignored[name] = text
    if "voice_focus_threshold" in parameters.values and "voice_focus" not in parameters.values:
        raise invalid("voice_focus_threshold", "needs voice_focus")
    return parameters


def _renamed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Put the names of today for those of old; where both are given, today's counts."""
    renamed = {_ALIASES[name]: value for name, value in given.items() if name in _ALIASES}
    return renamed | {name: value for name, value in given.items() if name not in _ALIASES}


Check = Callable[[str, Any], Any]


def _whole(low: int | None = None, high: int | None = None, unit: str = "") -> Check:
    def check(name: str, given: Any) -> int:
        if isinstance(given, bool) or not isinstance(given, int | str):
            raise invalid(name, "must be an integer")
        try:
            value = int(given)
        except ValueError:
            raise invalid(name, "must be an integer") from None
        if low is not None and value < low:
            raise invalid(name, f"must be at least {low:,}{unit}")
        if high is not None and value > high:
            raise invalid(name, f"must be at most {high:,}{unit}")
        return value

    return check


def _clamped(name: str, given: Any) -> int:
    asked_ms: int = _whole()(name, given)
    return min(max(asked_ms, _SILENCE_MS[0]), _SILENCE_MS[1])


def _share(name: str, given: Any) -> float:
    try:
        value = float(given)
    except (TypeError, ValueError):
        raise invalid(name, "must be a number") from None
    if not 0 <= value <= 1:
        raise invalid(name, "must be between 0 and 1")
    return value


def _switch(name: str, given: Any) -> bool:
    value = {"true": True, "false": False, "1": True, "0": False}.get(str(given).lower())
    if value is None:
        raise invalid(name, "must be a boolean")
    return value


def _text(most: int | None = None) -> Check:
    def check(name: str, given: Any) -> str:
        if not isinstance(given, str):
            raise invalid(name, "must be a string")
        if most is not None and len(given) > most:
            raise invalid(name, f"Max {most} characters")
        return given

    return check


def _one_of(*choices: str) -> Check:
    def check(name: str, given: Any) -> str:
        if given not in choices:
            raise invalid(name, f"must be one of {', '.join(choices)}")
        return str(given)

    return check


def _texts(most: int | None = None, *, commas: bool = False) -> Check:
    """Check a list of strings: itself, or as the text of a JSON array."""

    def check(name: str, given: Any) -> list[str]:
        if isinstance(given, str):
            try:
                given = given.split(",") if commas and not given.startswith("[") else json.loads(given)
            except ValueError:
                raise invalid(name, "must be a JSON array of strings") from None
        if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
            raise invalid(name, "must be a JSON array of strings")
        if most is not None and len(given) > most:
            raise invalid(name, f"Max {most} items")
        return list(given)

    return check


def _keyterms(name: str, given: Any) -> list[str]:
    # A single bare term is one repeated parameter that was not repeated.
    if isinstance(given, str) and not given.lstrip().startswith("["):
        given = [given]
    return [term for term in _texts(100)(name, given) if len(term) <= 50]


def _languages(name: str, given: Any) -> list[str]:
    codes: list[str] = _texts(10)(name, given)
    if "multi" in codes and len(codes) > 1:
        raise invalid(name, "'multi' must stand alone")
    return codes


def _object(name: str, given: Any) -> dict[str, Any]:
    try:
        value = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise invalid(name, "must be a JSON object")
    return value


CHECKS: Final[dict[str, Check]] = {
    "sample_rate": _whole(8000, 96_000, " Hz"),
    "encoding": _one_of("pcm_s16le", "pcm_mulaw", "opus", "ogg_opus", "aac"),
    "domain": _one_of("medical-v1"),
    "voice_focus": _one_of("near-field", "far-field"),
    "voice_focus_threshold": _share,
    "min_turn_silence": _clamped,
    "max_turn_silence": _clamped,
    "end_of_turn_confidence_threshold": _share,
    "format_turns": _switch,
    "vad_threshold": _share,
    "mode": _one_of("min_latency", "balanced", "max_accuracy"),
    "continuous_partials": _switch,
    "interruption_delay": _whole(0, 1000),
    "include_partial_turns": _switch,
    "turn_left_pad_ms": _whole(),
    "keyterms_prompt": _keyterms,
    "prompt": _text(1750),
    "agent_context": _text(1750),
    "previous_context_n_turns": _whole(0, 100),
    "language_codes": _languages,
    "language_detection": _switch,
    "speaker_labels": _switch,
    "max_speakers": _whole(1, 10),
    "speaker_labels_revision_interval_ms": _whole(0),
    "inactivity_timeout": _whole(5, 3600),
    "session_heartbeat": _switch,
    "acknowledge_silence": _switch,
    "webhook_url": _text(),
    "webhook_auth_header_name": _text(),
    "webhook_auth_header_value": _text(),
    "llm_gateway": _object,
    "customer_support_audio_capture": _switch,
    "filter_profanity": _switch,
    "redact_pii": _switch,
    "redact_pii_policies": _texts(commas=True),
    "redact_pii_sub": _one_of("hash", "entity_name"),
}
