"""What `minuted check` says of a session's settings, held against the reference and the local engine."""

from dataclasses import fields
from typing import Any

import pytest

from minuted.engine.parameters import Refusal, parse_query
from minuted.session_notes import EFFECTIVE, LOCAL_WITHOUT, NEEDS, family_of, has_partials, notes
from minuted.session_settings import StreamingSession

MODELS = ("u3-rt-pro", "universal-3-5-pro", "universal-3-6-pro", "universal-streaming-english", "whisper-rt")


def said(model: str, **settings: Any) -> dict[tuple[str, str], str]:
    found = notes(StreamingSession(speech_model=model, **settings))
    return {(note.key, note.kind): note.text for note in found}


def test_every_note_is_of_a_setting_that_there_is() -> None:
    names = {field.name for field in fields(StreamingSession)}

    assert {*EFFECTIVE, *NEEDS, *NEEDS.values(), *LOCAL_WITHOUT} <= names


@pytest.mark.parametrize("model", MODELS)
def test_the_defaults_are_nothing_to_remark_on(model: str) -> None:
    """A list that is never empty is not read."""
    assert notes(StreamingSession(speech_model=model)) == []
    assert notes(StreamingSession(), local=True) == []


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("u3-rt-pro-beta-1", "u3-rt"),
        ("universal-3-6", "u3"),
        ("universal-3-7-preview", "u3"),
        ("universal-streaming-english", "english"),
        ("universal-streaming-multilingual", "multilingual"),
        ("whisper-rt", "whisper"),
        ("something-new", "other"),
    ],
)
def test_models_go_by_their_kind(model: str, family: str) -> None:
    assert family_of(model) == family


@pytest.mark.parametrize(
    ("model", "settings", "key", "part"),
    [
        ("u3-rt-pro", {"redact_pii": True}, ("redact_pii", "costs"), "+$0.12"),
        ("u3-rt-pro", {"redact_pii": True}, ("redact_pii", "switches off"), "no partials"),
        ("u3-rt-pro", {"voice_focus": "far-field"}, ("voice_focus", "costs"), "+$0.10"),
        ("universal-streaming-english", {"keyterms_prompt": ("x",)}, ("keyterms_prompt", "costs"), "+$0.04"),
        (
            "u3-rt-pro",
            {"include_partial_turns": False},
            ("include_partial_turns", "switches off"),
            "captions",
        ),
        ("universal-3-6-pro", {"speaker_labels": True}, ("speaker_labels", "switches off"), "about 10 s"),
        ("universal-3-6-pro", {"speaker_labels": True}, ("min_turn_silence", "switches off"), "640 and 768"),
        ("universal-3-6-pro", {"mode": "max_accuracy"}, ("min_turn_silence", "switches off"), "max_accuracy"),
        ("u3-rt-pro", {"mode": "balanced"}, ("mode", "no effect"), "u3-rt-pro does not have it"),
        ("u3-rt-pro", {"format_turns": True}, ("format_turns", "no effect"), "does not have it"),
        ("universal-streaming-english", {"prompt": "x"}, ("prompt", "no effect"), "does not have it"),
        (
            "universal-streaming-english",
            {"language_detection": True},
            ("language_detection", "no effect"),
            "does not have it",
        ),
        ("whisper-rt", {"keyterms_prompt": ("x",)}, ("keyterms_prompt", "no effect"), "does not have it"),
        ("u3-rt-pro", {"max_speakers": 2}, ("max_speakers", "no effect"), "session.speaker_labels"),
        ("u3-rt-pro", {"redact_pii_sub": "hash"}, ("redact_pii_sub", "no effect"), "session.redact_pii"),
        (
            "u3-rt-pro",
            {"speaker_labels": True, "speaker_labels_revision_interval_ms": 60_000},
            ("speaker_labels_revision_interval_ms", "no effect"),
            "120000",
        ),
        ("u3-rt-pro", {"domain": "medical-v1"}, ("domain", "switches off"), "German"),
    ],
)
def test_what_costs_or_switches_off_or_does_nothing_is_said(
    model: str, settings: dict[str, Any], key: tuple[str, str], part: str
) -> None:
    assert part in said(model, **settings)[key]


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("universal-3-6-pro", {"mode": "balanced", "min_turn_silence": None, "max_turn_silence": None}),
        ("u3-rt-pro", {"keyterms_prompt": ("x",), "prompt": "y", "language_detection": True}),
        ("universal-streaming-multilingual", {"format_turns": True, "language_detection": True}),
        ("something-new", {"mode": "balanced", "prompt": "x", "format_turns": True}),
        ("u3-rt-pro", {"filter_profanity": True, "speaker_labels": False, "redact_pii": False}),
    ],
)
def test_what_is_as_it_seems_is_not_remarked_on(model: str, settings: dict[str, Any]) -> None:
    assert notes(StreamingSession(speech_model=model, **settings)) == []


def test_words_about_speakers_are_true_of_the_model() -> None:
    """Only 3.5 and 3.6 are known to cut turns, and only the U3 family has continuous partials."""
    parts = {
        model: [
            part in said(model, speaker_labels=True)["speaker_labels", "switches off"]
            for part in ("10 s", "3 s")
        ]
        for model in ("universal-3-6-pro", "u3-rt-pro", "universal-streaming-english")
    }
    assert list(parts.values()) == [[True, True], [False, True], [False, False]]


def test_partials_are_gone_with_redaction_too() -> None:
    assert has_partials(StreamingSession())
    assert not has_partials(StreamingSession(redact_pii=True))
    assert not has_partials(StreamingSession(include_partial_turns=False))


QUERIES = {
    "agent_context": "x",
    "domain": "medical-v1",
    "filter_profanity": "true",
    "keyterms_prompt": "x",
    "language_codes": "en",
    "language_detection": "true",
    "prompt": "x",
    "speaker_labels": "true",
    "vad_threshold": "0.5",
    "voice_focus": "far-field",
    "webhook_url": "https://example.org",
    # What it has, or what no session of its own would be another for.
    "min_turn_silence": "200",
    "session_heartbeat": "true",
    "format_turns": "true",
    "max_speakers": "3",
    "mode": "balanced",
}


@pytest.mark.parametrize("name", QUERIES)
def test_what_the_local_engine_has_not_is_what_the_engine_says_itself(name: str) -> None:
    """Two lists of one thing: this holds them together."""
    without = parse_query(f"{name}={QUERIES[name]}").without_effect

    assert (name in without) == (name in LOCAL_WITHOUT)


def test_what_the_local_engine_refuses_is_known_before() -> None:
    with pytest.raises(Refusal, match="cannot redact"):
        parse_query("redact_pii=true")
    (note,) = notes(StreamingSession(redact_pii=True), local=True)
    assert note.kind == "refused"
    assert [note.key for note in notes(StreamingSession(speaker_labels=True), local=True)] == [
        "speaker_labels"
    ]
