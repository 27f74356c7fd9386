"""What Begin says of a session against what was asked for."""

from typing import Any

import pytest

from minuted.session_settings import StreamingSession
from minuted.transcription.echo import differences
from minuted.transcription.session import parameters_of

TOLD = {
    "model": "u3-rt-pro",
    "mode": "balanced",
    "api_version": "2025-05-12",
    "speaker_labels": False,
    "redact_pii": False,
    "filter_profanity": False,
    "domain": None,
    "voice_focus": None,
}


def found(told: dict[str, Any], **asked: Any) -> list[str]:
    return differences(parameters_of(StreamingSession(**asked), local=False), told)


def test_a_session_as_it_was_asked_for_is_nothing_to_tell_of() -> None:
    assert found(TOLD) == []
    asked = {"speaker_labels": True, "domain": "medical-v1", "voice_focus": "far-field", "mode": "balanced"}
    assert found({**TOLD, **asked}, **asked) == []
    assert found(TOLD, speaker_labels=False, redact_pii=False) == []


def test_a_service_that_says_nothing_is_taken_at_its_word() -> None:
    """Older ones say nothing of their configuration."""
    assert found({}, speaker_labels=True, redact_pii=True, mode="balanced") == []


@pytest.mark.parametrize(
    ("told", "asked", "text"),
    [
        ({"model": "another"}, {}, "asked for the model u3-rt-pro, got another"),
        ({}, {"speaker_labels": True}, "asked for speaker_labels = true, the session has false"),
        ({"redact_pii": True}, {}, "asked for redact_pii = false, the session has true"),
        (
            {"filter_profanity": None},
            {"filter_profanity": True},
            "filter_profanity = true, the session has false",
        ),
        ({}, {"domain": "medical-v1"}, "asked for domain = medical-v1, the session has none"),
        (
            {"voice_focus": "near-field"},
            {"voice_focus": "far-field"},
            "asked for voice_focus = far-field, the session has near-field",
        ),
        ({"mode": None}, {"mode": "max_accuracy"}, "asked for mode = max_accuracy, the session has none"),
    ],
)
def test_each_difference_is_a_sentence(told: dict[str, Any], asked: dict[str, Any], text: str) -> None:
    """The service ignores what it does not know without a word."""
    (said,) = found({**TOLD, **told}, **asked)
    assert text in said
