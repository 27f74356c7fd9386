"""Every message of the service, and each with every field out of every range."""

import json
from collections.abc import Iterator
from typing import Any, Final

SENT_MS: Final = 60_000
"""How much sound the session of these messages was sent."""
LEGAL: Final[dict[str, dict[str, Any]]] = {
    "Begin": {
        "type": "Begin",
        "id": "12c77068-02b3-4941-a960-275a65230e31",
        "expires_at": 1_790_221_526,
        "configuration": {
            "model": "universal-3-5-pro",
            "mode": "balanced",
            "api_version": "2025-05-12",
            "speaker_labels": False,
            "redact_pii": False,
            "filter_profanity": False,
            "domain": None,
            "voice_focus": None,
        },
    },
    "SpeechStarted": {"type": "SpeechStarted", "timestamp": 1216, "confidence": 0.98},
    "Turn": {
        "type": "Turn",
        "turn_order": 3,
        "turn_is_formatted": True,
        "end_of_turn": True,
        "transcript": "Yes, ship it.",
        "utterance": "Yes, ship it.",
        "end_of_turn_confidence": 1,
        "speaker_label": "B",
        "language_code": "en",
        "words": [
            {
                "start": 240,
                "end": 590,
                "text": "Yes,",
                "confidence": 0.97,
                "word_is_final": True,
                "speaker": "B",
            },
            {
                "start": 640,
                "end": 900,
                "text": "ship",
                "confidence": 0.99,
                "word_is_final": True,
                "speaker": "B",
            },
            {
                "start": 920,
                "end": 1010,
                "text": "it.",
                "confidence": 0.9,
                "word_is_final": True,
                "speaker": "A",
            },
        ],
    },
    "SpeakerRevision": {
        "type": "SpeakerRevision",
        "revisions": [
            {
                "turn_order": 3,
                "speaker_label": "A",
                "words": [
                    {
                        "start": 0,
                        "end": 0,
                        "text": "",
                        "confidence": 0.0,
                        "word_is_final": True,
                        "speaker": "A",
                    }
                ],
            }
        ],
    },
    "Heartbeat": {
        "type": "Heartbeat",
        "total_audio_received_ms": 9888,
        "total_duration_ms": 10_096,
        "realtime_factor": 0.9983,
        "max_speech_probability": 0.99,
    },
    "Silence": {"type": "Silence", "start_ms": 4320, "end_ms": 5344},
    "Warning": {"type": "Warning", "warning_code": 1001, "warning": "a warning"},
    "Error": {"type": "Error", "error_code": 3006, "error": "User Input Validation Error"},
    "Termination": {"type": "Termination", "audio_duration_seconds": 13, "session_duration_seconds": 13},
}
STRANGE: Final = {
    "null": "null",
    "true": "true",
    "minus": "-1",
    "63 bits": str(2**63),
    "200 digits": "9" * 200,
    "5000 digits": "9" * 5000,
    "a day": "86400000",
    "3e14": "300000000000000",
    "fraction": "0.5",
    "NaN": "NaN",
    "infinite": "-Infinity",
    "1e999": "1e999",
    "surrogate": '"\\ud83d"',
    "escapes": '"\\u001b[2J\\u009b31m\\u0000\\n\\u202ex"',
    "long": json.dumps("x" * 5000),
    "year 1": '"0001-01-01T00:00:00"',
    "empty": '""',
    "list": "[[], {}, null]",
    "object": '{"": {"": []}}',
    "deep": "[" * 5000 + "]" * 5000,
}


def strange_messages(*kinds: str) -> Iterator[tuple[str, str]]:
    """Yield a name and a frame for each field of each message with each strange value, and without it."""
    for kind in kinds or LEGAL:
        for path in _paths(LEGAL[kind]):
            shown = ".".join(map(str, path))
            for name, value in STRANGE.items():
                yield f"{kind} {shown} {name}", _with(LEGAL[kind], path, value)
            yield f"{kind} {shown} missing", _with(LEGAL[kind], path, None)


def _paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the way to every field but the type; of several like ones, to the first."""
    for name in value if isinstance(value, dict) else range(min(1, len(value))):
        if name != "type":
            yield (*before, name)
        if isinstance(value[name], dict | list):
            yield from _paths(value[name], (*before, name))


def _with(message: dict[str, Any], path: tuple[Any, ...], value: str | None) -> str:
    """Return a message as JSON with another value at a place, itself JSON; None: the place is left out."""
    changed = json.loads(json.dumps(message))
    holder = changed
    for name in path[:-1]:
        holder = holder[name]
    if value is None:
        del holder[path[-1]]
        return json.dumps(changed)
    holder[path[-1]] = "@@"
    return json.dumps(changed).replace('"@@"', value)
