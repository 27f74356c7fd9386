import json
from urllib.parse import urlencode

import pytest
from assemblyai.streaming.v3 import RealTimeParameters, SpeechModel

from simulator.parameters import CHECKS, MODELS, Refused, from_query


def asked(model: str | None = "u3-rt-pro", **values: object):
    return from_query(
        urlencode(({"speech_model": model} if model else {}) | values, doseq=True), "universal-3-6-pro"
    )


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"sample_rate": 7000}, "Invalid 'sample_rate': must be at least 8,000 Hz"),
        ({"sample_rate": 96_001}, "sample_rate"),
        ({"sample_rate": "fast"}, "sample_rate"),
        ({"encoding": "flac"}, "encoding"),
        ({"domain": "law"}, "domain"),
        ({"voice_focus": "middle"}, "voice_focus"),
        ({"voice_focus_threshold": 0.5}, "voice_focus"),
        ({"voice_focus": "far-field", "voice_focus_threshold": 1.5}, "voice_focus_threshold"),
        ({"min_turn_silence": "soon"}, "min_turn_silence"),
        ({"end_of_turn_confidence_threshold": 1.1}, "end_of_turn_confidence_threshold"),
        ({"vad_threshold": -0.1}, "vad_threshold"),
        ({"mode": "best"}, "mode"),
        ({"interruption_delay": 1001}, "interruption_delay"),
        ({"keyterms_prompt": json.dumps(["a"] * 101)}, "Max 100 items"),
        ({"keyterms_prompt": '["a"'}, "JSON array"),
        ({"prompt": "a" * 1751}, "prompt"),
        ({"agent_context": "a" * 1751}, "agent_context"),
        ({"previous_context_n_turns": 101}, "previous_context_n_turns"),
        ({"language_codes": json.dumps(["en"] * 11)}, "Max 10 items"),
        ({"language_codes": '["multi", "en"]'}, "alone"),
        ({"max_speakers": 0}, "max_speakers"),
        ({"max_speakers": 11}, "max_speakers"),
        ({"speaker_labels_revision_interval_ms": -1}, "speaker_labels_revision_interval_ms"),
        ({"inactivity_timeout": 4}, "inactivity_timeout"),
        ({"inactivity_timeout": 3601}, "inactivity_timeout"),
        ({"speaker_labels": "perhaps"}, "speaker_labels"),
        ({"llm_gateway": "[]"}, "llm_gateway"),
        ({"redact_pii_sub": "stars"}, "redact_pii_sub"),
        ({"speech_model": "u3-pro"}, "speech_model"),
        ({"speech_model": "nova-3"}, "speech_model"),
    ],
)
def test_a_bad_value_of_a_known_name_is_refused(values, text):
    with pytest.raises(Refused, match=r"^User Input Validation Error: ") as refused:
        asked(**values)
    assert refused.value.code == 3006
    assert text in refused.value.text


def test_unknown_names_are_ignored_without_a_word():
    """So a misspelt one has no effect, and only Begin.configuration tells (reference 2)."""
    parameters = asked(min_turn_silense=500)
    assert parameters.ignored == {"min_turn_silense": "500"}
    assert parameters["min_turn_silence"] == 100


@pytest.mark.parametrize("text", ["True", "true", "1"])
def test_booleans_come_as_python_or_javascript_writes_them(text):
    assert asked(speaker_labels=text)["speaker_labels"] is True
    assert (
        asked(
            speaker_labels=text.replace("rue", "alse").replace("T", "F").replace("t", "f").replace("1", "0")
        )["speaker_labels"]
        is False
    )


def test_lists_come_as_json_or_repeated():
    assert asked(keyterms_prompt='["Kubernetes", "Siobhan"]')["keyterms_prompt"] == ["Kubernetes", "Siobhan"]
    assert asked(keyterms_prompt=["Kubernetes", "Siobhan"])["keyterms_prompt"] == ["Kubernetes", "Siobhan"]
    assert asked(keyterms_prompt="Kubernetes")["keyterms_prompt"] == ["Kubernetes"]
    assert asked(redact_pii_policies="date,drug")["redact_pii_policies"] == ["date", "drug"]


def test_long_key_terms_are_dropped_without_a_word():
    assert asked(keyterms_prompt=json.dumps(["short", "l" * 51]))["keyterms_prompt"] == ["short"]


def test_old_names_still_work():
    assert asked(min_end_of_turn_silence_when_confident=300)["min_turn_silence"] == 300
    assert asked(min_end_of_turn_silence_when_confident=300, min_turn_silence=500)["min_turn_silence"] == 500
    assert asked(noise_suppression_model="far-field")["voice_focus"] == "far-field"


@pytest.mark.parametrize(("asked_ms", "is_ms"), [(1, 50), (50, 50), (10_001, 10_000)])
def test_silences_are_clamped_and_not_refused(asked_ms, is_ms):
    assert asked(min_turn_silence=asked_ms, max_turn_silence=asked_ms)["max_turn_silence"] == is_ms


@pytest.mark.parametrize(
    ("model", "values", "silences"),
    [
        ("u3-rt-pro", {}, (100, 1000)),
        ("universal-streaming-english", {}, (400, 1280)),
        ("universal-3-5-pro", {}, (128, 1280)),
        ("universal-3-5-pro", {"mode": "min_latency"}, (128, 640)),
        ("universal-3-6-pro", {"mode": "max_accuracy"}, (512, 2560)),
        ("universal-3-6-pro", {"mode": "max_accuracy", "speaker_labels": "true"}, (640, 768)),
        ("universal-3-6-pro", {"speaker_labels": "true", "max_turn_silence": 2000}, (640, 2000)),
    ],
)
def test_each_model_has_its_own_silences(model, values, silences):
    parameters = asked(model, **values)
    assert (parameters["min_turn_silence"], parameters["max_turn_silence"]) == silences


def test_without_a_model_the_newest_is_taken():
    assert asked(None).model == "universal-3-6-pro"


def test_redaction_switches_partials_off():
    assert asked().partials
    assert not asked(include_partial_turns="false").partials
    assert not asked(redact_pii="true", include_partial_turns="true").partials


def test_an_update_changes_what_may_change_and_ignores_the_rest():
    parameters = asked(min_turn_silence=300)
    parameters.update({"type": "UpdateConfiguration", "max_turn_silence": 2000, "speaker_labels": True})
    assert (parameters["min_turn_silence"], parameters["max_turn_silence"]) == (300, 2000)
    assert parameters.ignored == {"speaker_labels": True}
    assert parameters["speaker_labels"] is False


def test_an_update_clears_with_an_empty_value_and_leaves_what_is_null():
    parameters = asked(keyterms_prompt="a", prompt="about ships")
    parameters.update({"type": "UpdateConfiguration", "keyterms_prompt": [], "prompt": None})
    assert parameters["keyterms_prompt"] == []
    assert parameters["prompt"] == "about ships"


def test_an_update_beyond_a_limit_is_refused():
    """It ends the session, even in the middle of a meeting (reference 3.3)."""
    with pytest.raises(Refused, match="Max 1750"):
        asked().update({"type": "UpdateConfiguration", "prompt": "a" * 1751})


def test_u3_rt_pro_takes_fewer_updates_than_its_successors():
    heartbeat = {"type": "UpdateConfiguration", "session_heartbeat": True}
    old, new = asked(), asked("universal-3-5-pro")
    old.update(heartbeat)
    new.update(heartbeat)
    assert (old["session_heartbeat"], new["session_heartbeat"]) == (False, True)


def test_universal_streaming_overlooks_what_only_its_siblings_have():
    parameters = asked("universal-streaming-english")
    parameters.update({"type": "UpdateConfiguration", "interruption_delay": 5, "format_turns": True})
    assert parameters.ignored == {"interruption_delay": 5}
    assert parameters["format_turns"] is True


def test_every_parameter_of_the_sdk_is_known():
    """A parameter the simulator does not know would pass every test and mean nothing."""
    handled = {*CHECKS, "speech_model", "language_code"} | {
        "min_end_of_turn_silence_when_confident",
        "noise_suppression_model",
        "noise_suppression_threshold",
    }
    assert set(RealTimeParameters.model_fields) <= handled


def test_every_model_of_the_sdk_but_the_withdrawn_one_is_known():
    assert {str(model) for model in SpeechModel} - set(MODELS) == {"u3-pro"}
