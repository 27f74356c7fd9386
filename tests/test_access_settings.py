"""What may stand in the configuration of tokens and money."""

from collections.abc import Callable
from pathlib import Path

import pytest

from minuted.config import ConfigError, Settings, parse, require_credentials
from minuted.supervision.trial import mark_of_key

BY_URL = '[engine]\ntoken_url = "https://tokens.example/token"\n'
BY_PROGRAM = '[engine]\ntoken_command = ["mint"]\n'


@pytest.mark.parametrize("text", [BY_URL, BY_PROGRAM])
def test_who_fetches_tokens_uses_the_service(no_key: Path, text: str) -> None:
    """As a key does: nobody configures a token server for the local engine."""
    assert parse(text).service == "assemblyai"
    assert parse("").service == "local"


def test_a_token_server_needs_a_secret_and_a_program_needs_nothing(
    no_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_credentials(parse(BY_PROGRAM))
    with pytest.raises(
        ConfigError, match=r"no secret for engine.token_url: put it into MINUTED_TOKEN_SECRET"
    ):
        require_credentials(parse(BY_URL))
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "a-key")
    with pytest.raises(ConfigError, match=r"no secret for engine\.token_url"):
        require_credentials(parse(BY_URL))
    monkeypatch.setenv("MINUTED_TOKEN_SECRET", "a-secret")
    require_credentials(parse(BY_URL))


def test_a_reload_sees_a_new_secret(no_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only then is the transcription restarted for it."""
    monkeypatch.setenv("MINUTED_TOKEN_SECRET", "one")
    before = mark_of_key(parse(BY_URL))
    assert mark_of_key(parse(BY_URL)) == before
    monkeypatch.setenv("MINUTED_TOKEN_SECRET", "two")
    assert mark_of_key(parse(BY_URL)) != before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BY_URL + 'token_command = ["x"]', "choose one"),
        (
            '[engine]\ntoken_url = "http://tokens.example"',
            "would show the secret to the network; use https://",
        ),
        ('[engine]\ntoken_url = "wss://tokens.example"', "is not an https:// address"),
        ('[engine]\ntoken_url = "https://"', "is not an https:// address"),
        ('[engine]\ntoken_url = "https://x:y@tokens.example"', "the secret goes elsewhere"),
        ('[engine]\ntoken_url = "https://tokens.example:x"', "is no address"),
        ('[engine]\ntoken_command = [""]', "begins with the program"),
        ('[engine]\ntoken_command = "mint"', "is a list"),
        ('[engine]\ntoken_secret = "s"', "name the file in engine.token_secret_file"),
        ('[engine]\ntoken = "s"', "does not belong in this file"),
        ("[cost]\nper_hour = -1", "cost.per_hour = -1.0 is not between"),
        ("[cost]\nper_hour = 0\ndaily_limit = 5", "cost.daily_limit needs a price"),
        ("[cost]\ndaily_limt = 5", "did you mean 'daily_limit'"),
        ("[token_server]\nexpires_s = 601", "token_server.expires_s = 601 is not between 1 and 600"),
        ("[token_server]\nsession_s_max = 59", "is not between 60 and 10800"),
        ("[token_server]\nper_minute = 0", "is not between 1 and 1000"),
        (
            '[token_server]\nlisten = "0.0.0.0:80"',
            "name a certificate and private_key, or listen on 127.0.0.1",
        ),
        ('[token_server]\nlisten = "127.0.0.1"', "is not ADDRESS:PORT"),
        ('[token_server]\nlisten = "127.0.0.1:x"', "is not ADDRESS:PORT"),
        ('[token_server]\ncertificate = "/x"', "need each other"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text)
    assert said in str(raised.value)
    assert "x:y" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        '[engine]\ntoken_url = "http://127.0.0.1:8970/token"',
        '[engine]\ntoken_url = "http://localhost:8970/token"',
        '[token_server]\nlisten = "[::1]:8970"',
        '[token_server]\nlisten = "0.0.0.0:443"\ncertificate = "/c"\nprivate_key = "/k"',
        "[cost]\nper_hour = 0",
    ],
)
def test_what_can_work_is_taken(text: str) -> None:
    parse(text)


def test_money_and_tokens_have_defaults_that_ask_nothing(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    assert (settings.cost.daily_limit, settings.cost.per_hour) == (0, 0.45)
    assert settings.token_server.listen.startswith("127.0.0.1:")
