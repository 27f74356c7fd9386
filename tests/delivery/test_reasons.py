"""Errors as they may be shown."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted.delivery.reasons import CHARACTERS_MAX, one_line, secrets_of


def test_an_error_is_its_class_and_message_in_one_line() -> None:
    """That is what fits into a status."""
    assert one_line(ValueError("no\n  such thing")) == "ValueError: no such thing"
    assert one_line(TimeoutError()) == "TimeoutError"
    assert len(one_line(ValueError("x" * 1000))) == CHARACTERS_MAX


def test_the_line_of_the_sink_s_own_file_is_told() -> None:
    """Its author looks there first."""
    with pytest.raises(ValueError) as raised:
        raise ValueError("no")
    assert one_line(raised.value, Path(__file__)).startswith("ValueError: no (test_reasons.py:")
    assert one_line(raised.value, Path("/elsewhere.py")) == "ValueError: no"


def test_an_option_s_value_is_replaced_by_its_name() -> None:
    """Addresses carry tokens, and a status is read by more people than the configuration."""
    hidden = secrets_of(
        {
            "url": "https://user:pass-word@example.org/hooks/T0KEN-T0KEN?key=abc%2Fdef",
            "secret": "whsec_c2VjcmV0",
            "_signing_key": b"raw-bytes",
            "path": Path("/var/lib/minuted/turns.jsonl"),
            "headers": {"Authorization": "Bearer 12345"},
            "mode": "on",
            "tries": 3,
        }
    )
    shown = one_line(
        OSError(
            "POST https://user:pass-word@example.org/hooks/T0KEN-T0KEN?key=abc%2Fdef with whsec_c2VjcmV0 and "
            "raw-bytes, Bearer 12345, /var/lib/minuted/turns.jsonl, /hooks/T0KEN-T0KEN, T0KEN-T0KEN, "
            "pass-word: on, 3"
        ),
        hidden=hidden,
    )
    assert shown == (
        "OSError: POST <url> with <secret> and <signing_key>, <headers>, <path>, <url>, <url>, <url>: on, 3"
    )


def test_what_was_said_is_not_repeated() -> None:
    """Logs never hold a transcript, also not a piece of it in somebody's error."""
    text = "We shall close the Leeds office in May"
    assert "Leeds" not in one_line(ValueError(f"cannot send {text!r}"), words=text)
    assert "Leeds" not in one_line(ValueError("input_value='shall close the Leeds off"), words=text)
    assert "Leeds" not in one_line(ValueError("Leeds office in May"), words=text)


@given(st.text(min_size=8, alphabet=st.characters(exclude_categories=("Z", "C"))), st.text())
def test_no_secret_of_any_shape_gets_through(secret: str, around: str) -> None:
    """Whatever characters it is made of."""
    around = around.replace(secret, "")
    shown = one_line(ValueError(f"{around} {secret} {secret!r}"), hidden=secrets_of({"k": secret}))
    assert secret not in shown


def test_half_a_character_is_shown_as_none() -> None:
    """A reason is stored with a dead letter and sent with the status."""
    assert (
        one_line(ValueError("\ud83d is none"), hidden=secrets_of({"key": "\ud83d-abc"}))
        == "ValueError: ? is none"
    )
