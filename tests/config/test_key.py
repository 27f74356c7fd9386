"""Which service is used, and where its key is looked for."""

import dataclasses
import os
from pathlib import Path

import pytest

from config.samples import DESIGN
from minuted.config import (
    KEY_NAME,
    SERVICE_NAME,
    ConfigError,
    Settings,
    load,
    parse,
    require_credentials,
)

pytestmark = pytest.mark.usefixtures("no_key")


@pytest.mark.parametrize("name", ["minuted.toml", ".env"])
def test_a_file_others_may_write_is_refused(no_key: Path, name: str) -> None:
    """Whoever changes it says what is run, and where the minutes go."""
    (no_key / "minuted.toml").write_text("")
    (no_key / ".env").write_text("ASSEMBLYAI_API_KEY=a-key")
    (no_key / name).chmod(0o666)
    with pytest.raises(ConfigError, match=r"can be changed by every user of this machine; run: chmod o-w"):
        load(no_key / "minuted.toml").api_key()
    (no_key / name).chmod(0o664)
    assert load(no_key / "minuted.toml").api_key() == "a-key"


def test_a_key_handed_down_is_read_as_often_as_asked(no_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = os.memfd_create("key")
    os.write(descriptor, b"a-key")
    monkeypatch.setenv("MINUTED_KEY_FD", str(descriptor))
    assert [Settings().api_key(), Settings().api_key()] == ["a-key", "a-key"]
    os.close(descriptor)


def test_the_service_is_the_local_one_where_no_key_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first run works with nothing set; a key is all it takes to change that."""
    assert parse("").service == "local"
    assert parse("").service_url == ""
    monkeypatch.setenv(KEY_NAME, "abc")
    assert parse("").service == "assemblyai"
    assert parse("").service_url == "wss://streaming.assemblyai.com"
    assert parse("[engine]\nservice = 'local'").service == "local"


def test_a_service_that_is_named_is_taken_whatever_keys_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse("[engine]\nservice = 'assemblyai'").service == "assemblyai"
    monkeypatch.setenv(KEY_NAME, "abc")
    assert parse("[engine]\nservice = 'local'").service == "local"


def test_a_child_believes_its_supervisor_about_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees no key of its own."""
    monkeypatch.setenv(SERVICE_NAME, "assemblyai")
    assert parse("").service == "assemblyai"
    monkeypatch.setenv(SERVICE_NAME, "local")
    monkeypatch.setenv(KEY_NAME, "abc")
    assert parse("").service == "local"
    assert parse("[engine]\nservice = 'assemblyai'").service == "assemblyai"


def test_the_service_without_a_key_is_an_error() -> None:
    with pytest.raises(
        ConfigError, match=r"no AssemblyAI key: put it into ASSEMBLYAI_API_KEY, .*\.env.*local"
    ):
        require_credentials(parse("[engine]\nservice = 'assemblyai'"))
    require_credentials(parse("[engine]\nservice = 'local'"))
    require_credentials(parse(""))


def test_the_key_is_looked_for_in_order(
    no_key: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The credential, the environment, .env where we are, .env beside the configuration."""
    beside = tmp_path_factory.mktemp("beside")
    credentials = tmp_path_factory.mktemp("credentials")
    (beside / "minuted.toml").write_text("")
    settings = load(beside / "minuted.toml")

    assert settings.api_key() == ""
    (beside / ".env").write_text(f"# keys\n{KEY_NAME}='from-beside'\n")
    assert settings.api_key() == "from-beside"
    (no_key / ".env").write_text(f"export {KEY_NAME}=from-here # mine\n")
    assert settings.api_key() == "from-here"
    monkeypatch.setenv(KEY_NAME, " from-the-environment\n")
    assert settings.api_key() == "from-the-environment"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert settings.api_key() == "from-the-environment"
    (credentials / "assemblyai.key").write_text("from-a-credential\n")
    assert settings.api_key() == "from-a-credential"


def test_a_place_without_a_key_in_it_is_passed_over(
    no_key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(f"{KEY_NAME}=\nOTHER=1\n")
    (tmp_path / "assemblyai.key").write_text(" \n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert parse("").api_key() == ""
    monkeypatch.setenv(KEY_NAME, "abc")
    assert parse("").api_key() == "abc"


def test_a_key_s_file_that_cannot_be_read_is_said(no_key: Path) -> None:
    (no_key / ".env").write_bytes(b"ASSEMBLYAI_API_KEY=\xff\xfe\n")

    with pytest.raises(ConfigError, match=r"^[^\n]*\.env cannot be read[^\n]*$"):
        parse("").api_key()


@pytest.mark.parametrize("key", ["sesame\n# the new one", "sesame open", "sés@me", "sesame\x01"])
def test_what_cannot_be_a_key_is_said_without_showing_it(
    key: str, no_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that refuses a header shows it, and its error is logged and published."""
    (no_key / "assemblyai.key").write_text(key)
    monkeypatch.setenv(KEY_NAME, key)
    with pytest.raises(ConfigError, match=f"^{KEY_NAME}: the key is more than one word") as refused:
        parse("").api_key()
    assert "same" not in str(refused.value)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(no_key))
    with pytest.raises(ConfigError, match=r"^/.*assemblyai\.key: the key is more than one word"):
        parse("").api_key()


def test_the_key_is_never_in_the_settings(no_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are shown in tracebacks, and some day in a log."""
    key = "0123456789abcdef0123456789abcdef"
    (no_key / ".env").write_text(f"{KEY_NAME}={key}")
    monkeypatch.setenv(KEY_NAME, key)
    monkeypatch.setenv("MINUTED_ENGINE_KEY", key)
    settings = parse(DESIGN)
    assert settings.api_key() == settings.engine_key() == key

    assert key not in repr(settings)
    assert key not in str(dataclasses.asdict(settings))


def test_a_sink_s_secret_is_not_shown_with_the_settings() -> None:
    settings = parse(
        '[sinks.webhook]\nsecret = "whsec_c2VjcmV0"\n[session]\nwebhook_auth_header_value = "hush"'
    )

    assert "whsec" not in repr(settings)
    assert "hush" not in repr(settings)
