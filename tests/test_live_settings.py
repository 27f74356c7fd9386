"""What may change while a session is open: by model, in profiles, and from a file of key terms."""

import os
from dataclasses import fields
from pathlib import Path

import pytest
from assemblyai.streaming.v3 import StreamingSessionParameters

from minuted.config import ConfigError, parse, require_keyterms
from minuted.live_settings import LISTS, LIVE, TEXTS, allowed, checked, empty, read_terms, refusal, terms_of
from minuted.session_settings import StreamingSession
from simulator.parameters import MODELS, from_query

ON_THE_WIRE = {"mode", "continuous_partials"}
"""What the service takes and the SDK's own message lacks."""


def test_live_is_what_the_sdk_takes_and_what_the_wire_takes_besides() -> None:
    """Fails when the SDK gains one."""
    old_names = {"min_end_of_turn_silence_when_confident"}
    assert {*LIVE} == {*StreamingSessionParameters.model_fields} - old_names | ON_THE_WIRE
    assert {*LIVE} <= {field.name for field in fields(StreamingSession)}
    assert {*LISTS, *TEXTS} <= {*LIVE}


@pytest.mark.parametrize("model", MODELS)
def test_each_model_takes_what_the_simulated_service_lets_it(model: str) -> None:
    """Two readings of the same reference."""
    assert {*allowed(model)} == from_query(f"speech_model={model}", "")._updatable()


def test_the_local_engine_takes_what_it_honours() -> None:
    assert allowed("local") == ("min_turn_silence", "max_turn_silence")


@pytest.mark.parametrize(
    ("name", "model", "reason"),
    [
        ("max_turn_silence", "u3-rt-pro", ""),
        (
            "vad_threshold",
            "u3-rt-pro",
            "vad_threshold: a session of u3-rt-pro takes no change of it; it takes min",
        ),
        ("vad_threshold", "universal-3-9-pro", ""),
        ("keyterms_prompt", "local", "keyterms_prompt: the local engine takes no change of it"),
        (
            "speaker_labels",
            "universal-3-6-pro",
            "speaker_labels is set when a session begins: put it into [session]",
        ),
        (
            "max_turn_silense",
            "u3-rt-pro",
            "'max_turn_silense' is not known; did you mean 'max_turn_silence'?",
        ),
    ],
)
def test_a_refusal_says_why(name: str, model: str, reason: str) -> None:
    said = refusal(name, model)
    assert said.startswith(reason)
    assert bool(said) is bool(reason)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("vad_threshold", 1.5, "vad_threshold = 1.5 is not between 0 and 1"),
        ("interruption_delay", -1, "interruption_delay = -1 is not between"),
        ("mode", "fast", 'mode is "min_latency" or'),
        ("format_turns", 1, "format_turns is true or false"),
        ("keyterms_prompt", ["a", " "], "keyterms_prompt has an empty term"),
        ("language_codes", ["en", "multi"], "'multi' stands alone"),
        ("language_codes", [str(n) for n in range(11)], "more than 10 languages"),
    ],
)
def test_a_value_is_checked_before_the_service_sees_it(name: str, value: object, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^{reason}|{reason}"):
        checked(name, value)


def test_lists_and_texts_can_be_emptied() -> None:
    assert [name for name in LIVE if empty(name) is not None] == [
        "keyterms_prompt",
        "prompt",
        "agent_context",
        "language_codes",
    ]


# Profiles.


def test_a_profile_holds_what_it_names() -> None:
    settings = parse('[profiles.interview]\nkeyterms_prompt = ["a"]\nmax_turn_silence = 2000')
    assert settings.profiles == {"interview": {"keyterms_prompt": ("a",), "max_turn_silence": 2000}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "[profiles.a]\nmax_turn_silense = 1",
            r"\[profiles.a\]: unknown key .*did you mean 'max_turn_silence'",
        ),
        ("[profiles.a]\nspeaker_labels = true", "profiles.a.speaker_labels is set when a session begins"),
        ("[profiles.a]\nmax_turn_silence = 1", "profiles.a.max_turn_silence = 1 is not between 50 and 10000"),
        ('[profiles.a]\nprompt = "' + "x" * 1751 + '"', "profiles.a.prompt is longer than 1750"),
        ("[profiles.none]\nmax_turn_silence = 100", "not 'none'"),
        ('[profiles."a b"]\nmax_turn_silence = 100', "a profile's name is made of letters"),
        ("profiles = 3", "profiles is a table"),
        ("[profiles]\nmax_turn_silence = 1", "profiles.max_turn_silence is a table"),
    ],
)
def test_a_wrong_profile_is_said_at_the_start(text: str, reason: str) -> None:
    """Not when somebody switches to it in the middle of a meeting."""
    with pytest.raises(ConfigError, match=reason):
        parse(text)


# Key terms.


def test_a_file_of_key_terms_has_one_a_line() -> None:
    assert terms_of("# drugs\nmetformin\n\n  C#  \nmetformin\nJosé\n") == ("metformin", "C#", "José")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fine\n" + "x" * 51, r"line 2: 'x+'… is over 50 characters"),
        ("\n".join(str(n) for n in range(101)), "101 terms; the service takes 100"),
        ("a\x07b", "line 1 has characters that cannot be printed"),
    ],
)
def test_a_bad_file_says_where(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        terms_of(text)


def test_a_file_that_is_none_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe would hold up the loop for ever."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "latin1").write_bytes(b"caf\xe9")
    (tmp_path / "long").write_bytes(b"#" * 70_000)
    for name, reason in (
        ("pipe", "not a file"),
        ("absent", "No such file"),
        ("latin1", "not UTF-8 text"),
        ("long", "over 65536 bytes"),
    ):
        with pytest.raises(ConfigError, match=f"{name}: .*{reason}"):
            read_terms(tmp_path / name)


def test_a_byte_order_mark_is_no_term(tmp_path: Path) -> None:
    (tmp_path / "terms").write_text("metformin\r\n", encoding="utf-8-sig")
    assert read_terms(tmp_path / "terms") == ("metformin",)


def test_a_missing_file_of_key_terms_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "terms.txt"
    settings = parse(f'[session]\nkeyterms_prompt = ["Siobhan"]\nkeyterms_file = "{file}"')
    with pytest.raises(ConfigError, match=r"session\.keyterms_file: .*terms\.txt: cannot be read"):
        require_keyterms(settings)
    file.write_text("\n".join(str(n) for n in range(100)))
    with pytest.raises(ConfigError, match="101 terms"):
        require_keyterms(settings)
    file.write_text("metformin")
    require_keyterms(settings)
