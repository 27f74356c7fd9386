import typing
from dataclasses import fields, replace

import pytest
from assemblyai.streaming.v3 import StreamingParameters
from assemblyai.streaming.v3.models import StreamingPiiPolicy

from minuted.config import ConfigError, parse
from minuted.session_settings import StreamingSession, check_session
from minuted.transcription.session import parameters_of

NOT_OFFERED = {
    "sample_rate": "always 16000",
    "encoding": "always pcm_s16le",
    "language_code": "deprecated for language_codes",
    "llm_gateway": "its answers have no place in the record",
    "min_end_of_turn_silence_when_confident": "the old name of min_turn_silence",
    "noise_suppression_model": "the old name of voice_focus",
    "noise_suppression_threshold": "the old name of voice_focus_threshold",
}
"""The SDK's parameters that are no settings, and why."""

OURS = ("keyterms_file",)
"""What is not the service's."""

NOT_IN_THE_SDK = {"previous_context_n_turns"}
"""What the service has all the same."""

PLAIN = {int: 100, float: 0.5, str: "x", bool: True}
NAMES = [field.name for field in fields(StreamingSession) if field.name not in OURS]


def a_value_of(name: str) -> object:
    hint = next(
        member
        for member in (typing.get_args(typing.get_type_hints(StreamingSession)[name]) or (str,))
        if member is not type(None)
    )
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)[0]
    if typing.get_origin(hint) is tuple:
        return ("person_name",) if name == "redact_pii_policies" else ("x",)
    return 10 if name == "max_speakers" else PLAIN[hint]


def test_the_settings_are_the_sdk_s_parameters_by_their_own_names() -> None:
    """Fails when the SDK gains one: offer it, or write down here why not."""
    assert {*NAMES, *NOT_OFFERED} == {*StreamingParameters.model_fields, *NOT_IN_THE_SDK}
    assert not {*NAMES} & {*NOT_OFFERED}


@pytest.mark.parametrize("name", NOT_OFFERED)
def test_a_parameter_that_is_not_offered_is_refused_with_its_reason(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^session\.{name} is "):
        parse(f"[session]\n{name} = 1")


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_passes_its_check_and_reaches_the_sdk(name: str) -> None:
    """What the configuration takes, the SDK must take: it is too late to fail when a meeting begins."""
    value = a_value_of(name)
    settings = replace(StreamingSession(voice_focus="far-field"), **{name: value})
    check_session(settings)

    sent = parameters_of(settings, local=False).model_dump(mode="json")[name]

    assert sent == (list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize("name", NAMES)
def test_every_choice_the_settings_have_is_one_of_the_sdk_s(name: str) -> None:
    for hint in typing.get_args(typing.get_type_hints(StreamingSession)[name]):
        if typing.get_origin(hint) is typing.Literal:
            for choice in typing.get_args(hint):
                parameters_of(replace(StreamingSession(), **{name: choice}), local=False)


def test_every_policy_of_the_sdk_is_known() -> None:
    policies = tuple(policy.value for policy in StreamingPiiPolicy)
    settings = StreamingSession(redact_pii=True, redact_pii_policies=policies)

    check_session(settings)
    assert parameters_of(settings, local=False).redact_pii_policies == [*StreamingPiiPolicy]
    with pytest.raises(ConfigError, match="'person_nam' is not known; did you mean 'person_name'"):
        check_session(StreamingSession(redact_pii_policies=("person_nam",)))


def test_unset_ones_are_not_sent() -> None:
    sent = parameters_of(StreamingSession(), local=False).model_dump(exclude_none=True, mode="json")

    assert sent == {
        "speech_model": "u3-rt-pro",
        "min_turn_silence": 100,
        "max_turn_silence": 1200,
        "session_heartbeat": True,
        "acknowledge_silence": True,
        "sample_rate": 16000,
        "encoding": "pcm_s16le",
    }


LIMITS = [
    ("end_of_turn_confidence_threshold", 0, 1),
    ("vad_threshold", 0, 1),
    ("previous_context_n_turns", 0, 100),
    ("interruption_delay", 0, 1000),
    ("inactivity_timeout", 5, 3600),
    ("max_speakers", 1, 10),
    ("min_turn_silence", 50, 10_000),
    ("max_turn_silence", 50, 10_000),
]


@pytest.mark.parametrize(("name", "low", "high"), LIMITS, ids=[name for name, *_ in LIMITS])
def test_numbers_have_the_service_s_limits(name: str, low: int, high: int) -> None:
    for value in (low, high):
        check_session(replace(StreamingSession(), **{name: value}))
    for value in (low - 1, high + 1):
        with pytest.raises(ConfigError, match=f"^session.{name} = {value} is not between {low} and {high}$"):
            check_session(replace(StreamingSession(), **{name: value}))


def test_words_have_the_service_s_limits() -> None:
    check_session(StreamingSession(prompt="x" * 1750, keyterms_prompt=("x" * 50,) * 100))
    for key in ("prompt", "agent_context"):
        with pytest.raises(ConfigError, match=f"session.{key} is longer than 1750 characters"):
            check_session(replace(StreamingSession(), **{key: "x" * 1751}))
