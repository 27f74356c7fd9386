"""What a query string and an UpdateConfiguration may say."""

import json
from urllib.parse import urlencode

import pytest

from minuted.engine.parameters import Parameters, Refusal, parse_query, update

TAKEN = [
    ("", {}),
    ("sample_rate=8000", {"sample_rate": 8000}),
    ("sample_rate=96000", {"sample_rate": 96000}),
    ("encoding=pcm_mulaw", {"encoding": "pcm_mulaw"}),
    ("min_turn_silence=560&max_turn_silence=2000", {"min_turn_silence": 560, "max_turn_silence": 2000}),
    ("min_turn_silence=1", {"min_turn_silence": 50}),
    ("max_turn_silence=99999", {"max_turn_silence": 10_000}),
    ("min_end_of_turn_silence_when_confident=300", {"min_turn_silence": 300}),
    (
        "session_heartbeat=True&acknowledge_silence=true",
        {"session_heartbeat": True, "acknowledge_silence": True},
    ),
    ("session_heartbeat=False", {}),
    ("include_partial_turns=false", {"include_partial_turns": False}),
    ("inactivity_timeout=5", {"inactivity_timeout": 5}),
    ("speech_model=u3-rt-pro&format_turns=True&mode=balanced", {}),
    ("no_such_parameter=1&min_turn_silenc=9", {}),
    ("token=abc", {}),
    ("filter_profanity=true&speaker_labels=True", {"without_effect": ("filter_profanity", "speaker_labels")}),
    ("filter_profanity=false&redact_pii=False&speaker_labels=0", {}),
    ("voice_focus=far-field&voice_focus_threshold=0.5", {"without_effect": ("voice_focus",)}),
    ("noise_suppression_model=near-field", {"without_effect": ("voice_focus",)}),
    (urlencode({"keyterms_prompt": json.dumps(["Siobhan"])}), {"without_effect": ("keyterms_prompt",)}),
    ("keyterms_prompt=Siobhan&keyterms_prompt=Kubernetes", {"without_effect": ("keyterms_prompt",)}),
    ("keyterms_prompt=[]", {}),
    ("language_codes=en,de", {"without_effect": ("language_codes",)}),
]


@pytest.mark.parametrize(("query", "changed"), TAKEN, ids=[query or "nothing" for query, _ in TAKEN])
def test_a_query_becomes_parameters(query: str, changed: dict) -> None:
    assert parse_query(query) == Parameters(**changed)


REFUSED = [
    ("sample_rate=7000", "sample_rate", "must be at least 8,000 Hz"),
    ("sample_rate=96001", "sample_rate", "must be at most 96,000 Hz"),
    ("sample_rate=16000.5", "sample_rate", "must be a whole number"),
    ("sample_rate=", "sample_rate", "must be a number"),
    ("sample_rate=nan", "sample_rate", "must be a number"),
    ("sample_rate=1&sample_rate=2", "sample_rate", "must be a number"),
    ("encoding=flac", "encoding", "this engine takes pcm_s16le and pcm_mulaw"),
    ("encoding=opus", "encoding", "this engine takes pcm_s16le and pcm_mulaw"),
    ("min_turn_silence=-1", "min_turn_silence", "must be a whole number of milliseconds"),
    ("vad_threshold=1.5", "vad_threshold", "must be between 0 and 1"),
    ("session_heartbeat=yes", "session_heartbeat", "must be true or false"),
    ("inactivity_timeout=4", "inactivity_timeout", "must be at least 5"),
    ("max_speakers=11", "max_speakers", "must be at most 10"),
    ("mode=fast", "mode", "must be one of min_latency, balanced, max_accuracy"),
    ("voice_focus_threshold=0.5", "voice_focus_threshold", "needs 'voice_focus'"),
    ("domain=law-v1", "domain", "must be one of medical-v1"),
    (urlencode({"prompt": "x" * 1751}), "prompt", "Max 1,750 characters"),
    (urlencode({"keyterms_prompt": json.dumps(["x"] * 101)}), "keyterms_prompt", "Max 100 items"),
    ("keyterms_prompt=[1]", "keyterms_prompt", "must be an array of strings"),
    ("keyterms_prompt=[", "keyterms_prompt", "must be an array of strings"),
    ("keyterms_prompt=" + "[" * 100_000, "keyterms_prompt", "must be an array of strings"),
]


@pytest.mark.parametrize(("query", "name", "reason"), REFUSED, ids=[query[:40] for query, *_ in REFUSED])
def test_a_known_parameters_wrong_value_is_refused(query: str, name: str, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_query(query)
    assert refused.value.code == 3006
    assert refused.value.text == f"User Input Validation Error: Invalid '{name}': {reason}"


def test_redaction_is_refused_and_not_left_out() -> None:
    """Whoever asks for it would take names in the clear for redacted ones."""
    with pytest.raises(Refusal, match="cannot redact"):
        parse_query("redact_pii=true")


def test_too_many_parameters_are_refused() -> None:
    with pytest.raises(Refusal, match="Too many parameters"):
        parse_query("&".join(f"a{number}=1" for number in range(1000)))


def test_an_update_changes_what_is_live_and_nothing_else() -> None:
    """The service leaves out what can only be set at connect, and nulls change nothing."""
    before = parse_query("min_turn_silence=100&session_heartbeat=true")
    values = {
        "min_turn_silence": 560,
        "acknowledge_silence": True,
        "session_heartbeat": None,
        "sample_rate": 8000,
        "include_partial_turns": False,
        "novelty": 1,
    }
    assert update(before, values) == Parameters(
        min_turn_silence=560, session_heartbeat=True, acknowledge_silence=True
    )


@pytest.mark.parametrize(
    "values",
    [{"prompt": "x" * 1751}, {"keyterms_prompt": ["x"] * 101}, {"min_turn_silence": "soon"}, {"prompt": 5}],
)
def test_an_update_over_a_limit_is_refused(values: dict) -> None:
    with pytest.raises(Refusal) as refused:
        update(Parameters(), values)
    assert refused.value.code == 3006


def test_key_terms_that_are_cleared_are_no_longer_missed() -> None:
    missing = update(Parameters(), {"keyterms_prompt": ["Siobhan"]})
    assert missing.without_effect == ("keyterms_prompt",)
    assert update(missing, {"keyterms_prompt": []}).without_effect == ()
