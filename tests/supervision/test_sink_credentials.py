"""What of systemd's credentials a sink's process is shown."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from minuted.config import ConfigError, Settings
from minuted.supervision.sink_credentials import SinkCredentials, without_ours
from minuted.supervision.stages import commands
from minuted.supervision.supervisor import Supervisor


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "given"
    folder.mkdir()
    for name in ("assemblyai.key", "token.secret", "webhook.secret"):
        (folder / name).write_text(f"the {name}")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


def test_all_but_the_service_s_own_are_copied(given: Path, tmp_path: Path) -> None:
    credentials = SinkCredentials(tmp_path)
    folder = Path(credentials.path)
    assert [(file.name, file.read_text()) for file in folder.iterdir()] == [
        ("webhook.secret", "the webhook.secret")
    ]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "webhook.secret")]
    assert modes == [0o700, 0o400]
    # What a run that was killed has left is replaced.
    (given / "webhook.secret").write_text("another")
    again = SinkCredentials(tmp_path)
    assert (Path(again.path) / "webhook.secret").read_text() == "another"
    again.discard()
    assert not folder.exists()


def test_without_any_other_there_is_no_folder(given: Path, tmp_path: Path) -> None:
    (given / "webhook.secret").unlink()
    assert SinkCredentials(tmp_path).path == ""
    assert not (tmp_path / "credentials").exists()


def test_a_link_in_its_place_is_not_followed(given: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").touch()
    (tmp_path / "credentials").symlink_to(other)
    SinkCredentials(tmp_path).discard()
    assert os.listdir(other) == ["file"]  # noqa: PTH208


def test_an_environment_names_these_or_none() -> None:
    ours = {"CREDENTIALS_DIRECTORY": "/run/credentials/minuted.service", "PATH": "/bin"}
    assert (
        without_ours(ours, "/run/minuted/credentials")["CREDENTIALS_DIRECTORY"] == "/run/minuted/credentials"
    )
    # To be hidden where anybody could name it.
    hidden = {"MINUTED_HIDDEN_CREDENTIALS": "/run/credentials/minuted.service", "PATH": "/bin"}
    assert without_ours(ours, "") == hidden
    assert without_ours({"CREDENTIALS_DIRECTORY": "/home/me/keys", "PATH": "/bin"}, "") == {"PATH": "/bin"}


def test_a_supervisor_leaves_no_copies_and_removes_what_a_killed_one_left(
    no_key: None, given: Path, make_settings: Callable[[str], Settings]
) -> None:
    """Also where it ends before anything is started: here its key is none."""
    settings = make_settings('[engine]\nservice = "assemblyai"\n')
    folder = settings.runtime_dir / "credentials"
    folder.mkdir(parents=True)
    (folder / "left.secret").write_text("of a run that was killed")
    supervisor = Supervisor(settings, "", lambda: (settings, ""), commands)
    assert [file.name for file in folder.iterdir()] == ["webhook.secret"]
    with pytest.raises(ConfigError, match="more than one word"):
        supervisor.run()
    assert not folder.exists()
