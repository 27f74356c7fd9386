"""Clients' keys: made, listed and revoked as files, nobody else's to read."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from minuted import cli, keys
from minuted.config import ConfigError, Settings, parse
from minuted.doors import public_key
from rights import NOBODY, needs_root


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings('[publish]\nturns = "tcp://0.0.0.0:5555"')


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_client_s_file_holds_all_it_needs(settings: Settings, tmp_path: Path) -> None:
    file = keys.new(settings, "tablet", tmp_path)

    told = json.loads(file.read_text())
    server = (settings.state_dir / "keys/server.key").read_text().strip()
    assert file == tmp_path / "tablet.key.json"
    assert told["name"] == "tablet"
    assert told["turns"].endswith(":5555")
    assert told["replay"].endswith(":5556")
    assert "0.0.0.0" not in told["turns"]
    assert told["server"] == public_key(server)
    assert told["public"] == public_key(told["secret"])
    assert keys.listed(settings) == [keys.Client("tablet", told["public"])]
    assert keys.read_pass(file).secret == told["secret"]


def test_secrets_are_their_owner_s_alone_whatever_the_umask(settings: Settings, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        file = keys.new(settings, "tablet", tmp_path)
    finally:
        os.umask(before)

    folder = settings.state_dir / "keys"
    assert [mode(file), mode(folder / "server.key"), mode(folder / "clients")] == [0o600, 0o600, 0o700]


def test_the_first_key_can_be_made_before_the_first_start(settings: Settings, tmp_path: Path) -> None:
    """A start is refused as long as there is no key, so that neither could come first."""
    settings.state_dir.rmdir()

    keys.new(settings, "tablet", tmp_path)

    assert mode(settings.state_dir) & 0o007 == 0
    assert [client.name for client in keys.listed(settings)] == ["tablet"]


def test_a_client_s_secret_is_kept_nowhere_else(settings: Settings, tmp_path: Path) -> None:
    secret = json.loads(keys.new(settings, "tablet", tmp_path).read_text())["secret"]

    kept = [file for file in settings.state_dir.rglob("*") if file.is_file()]
    assert kept
    assert not [file for file in kept if secret in file.read_text()]


def test_the_server_keeps_its_key(settings: Settings, tmp_path: Path) -> None:
    """A new one would shut every client out."""
    first = json.loads(keys.new(settings, "one", tmp_path).read_text())
    second = json.loads(keys.new(settings, "two", tmp_path).read_text())

    assert first["server"] == second["server"]
    assert first["public"] != second["public"]


def test_a_name_has_one_key_until_it_is_revoked(settings: Settings, tmp_path: Path) -> None:
    keys.new(settings, "tablet", tmp_path)
    with pytest.raises(ConfigError, match="there is a client 'tablet'"):
        keys.new(settings, "tablet", tmp_path / "other")
    assert not (tmp_path / "other").exists()

    keys.revoke(settings, "tablet")
    assert keys.listed(settings) == []
    with pytest.raises(ConfigError, match="there is no client 'tablet'; there are: none"):
        keys.revoke(settings, "tablet")
    keys.new(settings, "tablet", tmp_path / "other")


def test_a_file_that_is_there_is_left_alone(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(ConfigError, match="is there already"):
        keys.new(settings, "tablet", tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "precious"
    assert keys.listed(settings) == []
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a b", "ü", "x" * 65, "-rf"])
def test_a_name_is_no_path(settings: Settings, tmp_path: Path, name: str) -> None:
    for act in (lambda: keys.new(settings, name, tmp_path), lambda: keys.revoke(settings, name)):
        with pytest.raises(ConfigError, match="is no client's name"):
            act()


def test_the_list_has_a_bound(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "CLIENTS_MAX", 1)
    keys.new(settings, "one", tmp_path)
    with pytest.raises(ConfigError, match="revoke the keys of some first"):
        keys.new(settings, "two", tmp_path)


def test_without_any_key_nothing_listens_on_the_network(settings: Settings, tmp_path: Path) -> None:
    """Closed by default: the daemon does not start with a door that nobody was given a key to."""
    with pytest.raises(ConfigError, match="open to nobody yet; `minuted keys new NAME` makes"):
        keys.doors(settings)
    keys.new(settings, "tablet", tmp_path)

    turns, replay = keys.doors(settings)
    assert turns
    assert replay
    assert (turns.endpoint, replay.endpoint) == ("tcp://0.0.0.0:5555", "tcp://0.0.0.0:5556")
    assert len(turns.clients()) == 1


def test_on_this_machine_alone_there_is_no_door() -> None:
    assert keys.doors(parse("")) == (None, None)


def test_a_spoilt_key_of_the_server_is_said(settings: Settings, tmp_path: Path) -> None:
    keys.new(settings, "tablet", tmp_path)
    (settings.state_dir / "keys/server.key").write_text("very-secret-rubbish")
    with pytest.raises(ConfigError, match="holds no key") as raised:
        keys.doors(settings)
    assert "rubbish" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"server": 1, "public": 2, "secret": 3}', "\xff", "SECRET"]
)
def test_a_file_that_is_no_client_s_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"is no file of `minuted keys new`") as raised:
        keys.read_pass(file)
    assert "SECRET" not in str(raised.value)


def test_the_commands_make_list_and_revoke(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "minuted.toml"
    config.write_text(f'state_dir = "{settings.state_dir}"\n[publish]\nturns = "tcp://10.0.0.5:5555"\n')
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> str:
        assert cli.main(["keys", *words, "--config", str(config)]) == 0
        return capsys.readouterr().out

    made = run("new", "tablet")
    told = json.loads((tmp_path / "tablet.key.json").read_text())
    assert made.startswith(f"{tmp_path}/tablet.key.json: ")
    assert told["secret"] not in made
    assert told["turns"] == "tcp://10.0.0.5:5555"
    assert run("list").split() == ["tablet", told["public"]]
    assert run("revoke", "tablet").startswith("revoked: tablet")
    assert run("list") == ""
    assert cli.main(["keys", "new", "--config", str(config)]) == cli.WRONG_USAGE
    assert cli.main(["keys", "revoke", "tablet", "--config", str(config)]) == cli.BAD_CONFIGURATION


@needs_root
def test_what_root_makes_the_service_can_read(settings: Settings, tmp_path: Path) -> None:
    """The state folder is the service's; a key of root's in it would be no use."""
    for folder in (settings.state_dir.parent, settings.state_dir):
        os.chown(folder, NOBODY, NOBODY)
    keys.new(settings, "tablet", tmp_path)

    made = [settings.state_dir / "keys", *(settings.state_dir / "keys").rglob("*")]
    assert {(file.stat().st_uid, file.stat().st_gid) for file in made} == {(NOBODY, NOBODY)}
    assert (tmp_path / "tablet.key.json").stat().st_uid == 0
    assert os.geteuid() == 0


def test_the_library_reads_a_client_s_file(settings: Settings, tmp_path: Path) -> None:
    """A wrong one is said at once, and not taken for a publisher that is away."""
    (tmp_path / "x").write_text("{}")
    script = (
        "import sys, minuted; minuted.Subscription('tcp://[::1]:1', 'tcp://[::1]:2', key_file=sys.argv[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "x")], capture_output=True, text=True, check=False
    )
    assert "ValueError" in done.stderr
