"""`minuted configure`: options in, a request out; what is in force, line by line."""

from dataclasses import fields
from pathlib import Path

import pytest

from minuted.commands.configuring import lines, request_of, text_of
from minuted.commands.wishing import NotDoneError
from minuted.live_settings import LIVE
from minuted.session_settings import StreamingSession
from minuted.transcription.changes import Changes, changed, described
from minuted.transcription.changes import request_of as read
from minuted.usage import parser

PROFILES = {"interview": {"max_turn_silence": 3000}}


def request(*words: str) -> dict:
    return request_of(parser("1").parse_args(["configure", *words]))


def test_there_is_an_option_for_every_setting() -> None:
    """Those that cannot change while a session is open are known too: the refusal says where they belong."""
    values = {"mode": "balanced", "prompt": "x", "agent_context": "x"}
    for field in fields(StreamingSession):
        if field.name in ("keyterms_file", "keyterms_prompt", "language_codes"):
            continue
        flag = f"--{field.name.replace('_', '-')}"
        takes = "bool" not in str(field.type) or field.name not in LIVE
        given = request(flag, *([values.get(field.name, "1")] if takes else []))["set"]
        assert list(given) == [field.name]


def test_what_is_given_is_asked_for() -> None:
    asked = request(
        *("--max-turn-silence", "2000", "--keyterm", "metformin", "--keyterm", "C#", "--no-format-turns"),
        *("--vad-threshold", "0.4", "--language-code", "en", "--language-code", "de", "--prompt", ""),
    )
    assert asked == {
        "set": {
            "max_turn_silence": 2000,
            "keyterms_prompt": ["metformin", "C#"],
            "format_turns": False,
            "vad_threshold": 0.4,
            "language_codes": ["en", "de"],
            "prompt": "",
        },
        "until_restart": False,
    }


def test_profile_clear_reset_and_how_long() -> None:
    assert request("--profile", "none", "--until-restart") == {"profile": "none", "until_restart": True}
    assert request("--clear", "prompt", "--clear", "keyterms_prompt")["clear"] == [
        "prompt",
        "keyterms_prompt",
    ]
    assert request("--reset") == {"reset": [], "until_restart": False}
    assert request("--reset", "prompt", "mode")["reset"] == ["prompt", "mode"]


def test_without_options_nothing_is_asked_for() -> None:
    assert request() == {}
    assert request("--until-restart") == {}


def test_a_file_of_terms_is_added_to_those_that_are_named(tmp_path: Path) -> None:
    (tmp_path / "terms").write_text("# drugs\nstatins\nmetformin\n")
    asked = request("--keyterm", "metformin", "--keyterms-file", str(tmp_path / "terms"))
    assert asked["set"] == {"keyterms_prompt": ["metformin", "statins"]}
    (tmp_path / "terms").write_text("")
    assert request("--keyterms-file", str(tmp_path / "terms"))["set"] == {"keyterms_prompt": []}
    with pytest.raises(NotDoneError, match=r"^refused: .*No such file.*; nothing was changed"):
        request("--keyterms-file", str(tmp_path / "absent"))


def test_one_command_does_not_remember_another_s() -> None:
    request("--max-turn-silence", "2000")
    assert request() == {}


def test_what_is_in_force_is_shown_with_what_it_was_before() -> None:
    base = StreamingSession()
    question = {"profile": "interview", "set": {"prompt": "A ward\nround.", "min_turn_silence": 300}}
    changes = changed(Changes(), read(question), PROFILES, "u3-rt-pro")
    found = described(changes, base, {**PROFILES, "plenary": {}}, "u3-rt-pro")
    shown = lines({**found, "keyterms_file": "/etc/terms", "problem": "line 3"})
    assert shown == [
        "profile              interview  (also: plenary)",
        "min_turn_silence     300  (until reset; the configuration says 100)",
        "max_turn_silence     3000  (profile interview; the configuration says 1200)",
        "prompt               A ward round.  (until reset; the configuration says nothing)",
        "session_heartbeat    true  (fixed)",
        "acknowledge_silence  true  (fixed)",
        "key terms come from /etc/terms too",
        "! the key terms stay as they were: line 3",
        "u3-rt-pro takes changes of min_turn_silence, max_turn_silence, keyterms_prompt, prompt",
    ]


def test_what_was_cleared_is_shown_as_that() -> None:
    base = StreamingSession(keyterms_prompt=("metformin",))
    changes = changed(Changes(), read({"clear": ["keyterms_prompt"]}), {}, "u3-rt-pro")
    shown = lines({**described(changes, base, {}, "u3-rt-pro"), "keyterms_file": "", "problem": ""})
    assert "keyterms_prompt      cleared  (until reset; the configuration says metformin)" in shown


def test_a_long_text_is_cut() -> None:
    assert len(text_of("x" * 1000)) == 60
    assert (text_of(False), text_of(None), text_of(0.5), text_of(["a", "b"])) == ("false", "", "0.5", "a, b")
