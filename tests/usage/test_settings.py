"""Settings on the command line: each by its own name, and nothing that was not given."""

from dataclasses import fields

import pytest

from minuted.live_settings import LIVE
from minuted.session_settings import StreamingSession
from minuted.usage import parser


def settings(*options: str) -> dict[str, object]:
    return vars(parser("1").parse_args(["configure", *options]).settings)


def option_of(name: str) -> str:
    singular = {"keyterms_prompt": "keyterm", "language_codes": "language_code"}.get(name, name)
    return f"--{singular.replace('_', '-')}"


@pytest.mark.parametrize("name", [field.name for field in fields(StreamingSession) if field.name in LIVE])
def test_every_setting_that_may_change_has_an_option(name: str) -> None:
    """A setting that the service takes and the command does not know cannot be changed by anybody."""
    given = [] if StreamingSession.__annotations__[name] == (bool | None) else ["1"]
    assert list(settings(option_of(name), *given)) == [name]


@pytest.mark.parametrize(
    "name",
    [
        field.name
        for field in fields(StreamingSession)
        if field.name not in LIVE and field.name != "keyterms_file"
    ],
)
def test_a_setting_that_may_not_is_known_so_that_the_refusal_can_say_why(name: str) -> None:
    assert list(settings(option_of(name), "1")) == [name]


def test_what_was_not_given_is_not_changed() -> None:
    assert settings() == {}
    assert settings("--keyterm", "a", "--keyterm", "b") == {"keyterms_prompt": ["a", "b"]}
    assert settings("--no-format-turns") == {"format_turns": False}
