"""Which file is read."""

from pathlib import Path

import pytest

from minuted import config
from minuted.config import (
    ConfigError,
    Settings,
    load,
)

pytestmark = pytest.mark.usefixtures("no_key")


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read: No such file or directory"):
        load(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "latin1.toml").write_bytes(b'room = "caf\xe9"')
    with pytest.raises(ConfigError, match=r"latin1\.toml: cannot be read: not UTF-8 text"):
        load(tmp_path / "latin1.toml")


def test_the_file_in_the_working_directory_comes_first(no_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    etc = no_key / "etc.toml"
    etc.write_text("room = 'from etc'")
    monkeypatch.setattr(config, "PLACES", (config.PLACES[0], etc))
    assert load().room == "from etc"
    (no_key / "minuted.toml").write_text("room = 'from here'")
    assert load().room == "from here"
    assert load(etc).room == "from etc"


def test_no_file_at_all_means_the_defaults(monkeypatch: pytest.MonkeyPatch, no_key: Path) -> None:
    monkeypatch.setattr(config, "PLACES", (no_key / "absent.toml",))

    assert load() == Settings()
