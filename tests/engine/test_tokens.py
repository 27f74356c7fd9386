"""Temporary tokens."""

import pytest

from minuted.engine import tokens

SECRET = b"s" * 32


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("expires_in_seconds=1", (1, 10_800)),
        ("expires_in_seconds=600&max_session_duration_seconds=60", (600, 60)),
        ("max_session_duration_seconds=10800&expires_in_seconds=60", (60, 10_800)),
    ],
)
def test_a_request_is_read(query: str, expected: tuple[int, int]) -> None:
    assert tokens.parse_request(query) == expected


@pytest.mark.parametrize(
    ("query", "name", "kind"),
    [
        ("", "expires_in_seconds", "missing"),
        ("expires_in_seconds=0", "expires_in_seconds", "greater_than_equal"),
        ("expires_in_seconds=601", "expires_in_seconds", "less_than_equal"),
        ("expires_in_seconds=soon", "expires_in_seconds", "int_parsing"),
        ("expires_in_seconds=", "expires_in_seconds", "int_parsing"),
        (
            "expires_in_seconds=60&max_session_duration_seconds=59",
            "max_session_duration_seconds",
            "greater_than_equal",
        ),
        (
            "expires_in_seconds=60&max_session_duration_seconds=10801",
            "max_session_duration_seconds",
            "less_than_equal",
        ),
    ],
)
def test_a_bad_request_says_what_is_wrong_with_it(query: str, name: str, kind: str) -> None:
    with pytest.raises(tokens.BadTokenRequest) as bad:
        tokens.parse_request(query)
    (fault,) = bad.value.detail
    assert (fault["loc"], fault["type"]) == (["query", name], kind)
    assert fault["msg"]


def test_a_token_carries_its_terms_until_it_expires() -> None:
    token = tokens.mint(SECRET, 1_000.0, 60, 600)
    assert tokens.session_s_max(SECRET, token, 1_059.9) == 600
    with pytest.raises(tokens.TokenExpired):
        tokens.session_s_max(SECRET, token, 1_060.0)


def test_what_was_not_minted_here_is_no_token() -> None:
    token = tokens.mint(SECRET, 1_000.0, 60, 600)
    head, _, tail = token.partition(".")
    for wrong in ("", ".", "a-key", "ÿ.ÿ", head, f"{head}.", f".{tail}", f"{head[:-4]}AAAA.{tail}"):
        assert tokens.session_s_max(SECRET, wrong, 1_000.0) is None
    assert tokens.session_s_max(b"t" * 32, token, 1_000.0) is None
