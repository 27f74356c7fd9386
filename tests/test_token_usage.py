"""The options of the commands for tokens."""

import pytest

from minuted.usage import parser


def test_options_and_words_arrive_as_they_are_meant() -> None:
    asked = parser("1").parse_args(["token", "--expires", "1", "--max-session", "10800"])
    assert (asked.expires, asked.max_session) == (1, 10800)
    plain = parser("1").parse_args(["token"])
    assert (plain.expires, plain.max_session) == (None, None)
    server = parser("1").parse_args(["token-server"])
    assert (server.what, server.action, server.name) == (None, None, None)
    new = parser("1").parse_args(["token-server", "clients", "new", "boardroom"])
    assert (new.what, new.action, new.name) == ("clients", "new", "boardroom")


@pytest.mark.parametrize(
    "words",
    [
        ("token", "--expires", "0"),
        ("token", "--expires", "1.5"),
        ("token", "--expires", "٣"),
        ("token", "--max-session", "10801"),
        ("token-server", "rooms"),
        ("token-server", "clients", "make", "boardroom"),
    ],
)
def test_what_is_not_meant_is_wrong_usage(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is asked of anyone."""
    with pytest.raises(SystemExit) as raised:
        parser("1").parse_args(words)
    assert raised.value.code == 2
