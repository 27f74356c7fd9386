"""Where a secret is looked for. The key's places are in tests/config/test_key.py; here are the other's."""

import os
from pathlib import Path

import pytest

from minuted.config import ConfigError, parse

BY_URL = '[engine]\ntoken_url = "https://tokens.example/token"\n'


def test_the_secret_is_looked_for_in_order(no_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is named outright, then a credential, the environment, a .env file."""
    settings = parse(BY_URL)
    assert settings.token_secret() == ""
    (no_key / ".env").write_text("MINUTED_TOKEN_SECRET=from-env-file\n")
    assert settings.token_secret() == "from-env-file"
    monkeypatch.setenv("MINUTED_TOKEN_SECRET", "from-environment")
    assert settings.token_secret() == "from-environment"
    (no_key / "token.secret").write_text("from-credential\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(no_key))
    assert settings.token_secret() == "from-credential"
    (no_key / "named").write_text("from-file\n")
    named = parse(f'{BY_URL}token_secret_file = "{no_key}/named"\n')
    assert named.token_secret() == "from-file"
    assert "from-" not in repr(named)


def test_a_secret_s_file_that_others_may_change_is_refused(no_key: Path) -> None:
    file = no_key / "named"
    file.write_text("a-secret")
    file.chmod(0o666)
    with pytest.raises(ConfigError, match="chmod o-w"):
        parse(f'{BY_URL}token_secret_file = "{file}"\n').token_secret()


def test_a_secret_handed_down_is_read_as_often_as_asked(
    no_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    descriptor = os.memfd_create("secret")
    os.pwrite(descriptor, b"handed", 0)
    monkeypatch.setenv("MINUTED_TOKEN_SECRET_FD", str(descriptor))
    settings = parse(BY_URL)
    assert [settings.token_secret(), settings.token_secret(), settings.api_key()] == ["handed", "handed", ""]
    os.close(descriptor)
