"""The list of clients: hashes in one file, read anew when it changes, nobody else's to write."""

import os
import stat
from hashlib import sha256
from pathlib import Path

import pytest

from minuted.config import ConfigError, Settings
from minuted.tokens import clients


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "token-clients"


def test_a_secret_is_recognised_and_kept_nowhere(file: Path) -> None:
    secret = clients.new(file, "boardroom")

    text = file.read_text()
    assert secret not in text
    assert f"boardroom sha256:{sha256(secret.encode()).hexdigest()}\n" in text
    found = clients.recognise(clients.listed(file), secret)
    assert found
    assert found.name == "boardroom"
    assert len(secret) >= 43


@pytest.mark.parametrize("given", ["", "x", "boardroom", "\udc80"])
def test_what_is_no_secret_is_nobody_s(file: Path, given: str) -> None:
    clients.new(file, "boardroom")

    assert clients.recognise(clients.listed(file), given) is None


def test_a_client_s_hash_is_no_secret(file: Path) -> None:
    """Who reads the list must not get in by it."""
    clients.new(file, "boardroom")
    (client,) = clients.listed(file)

    assert clients.recognise([client], client.digest) is None


def test_the_file_is_its_owner_s_alone(file: Path) -> None:
    before = os.umask(0)
    try:
        clients.new(file, "boardroom")
    finally:
        os.umask(before)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["token-clients"]


def test_a_name_has_one_secret_until_it_is_revoked(file: Path) -> None:
    first = clients.new(file, "boardroom")
    other = clients.new(file, "attic")
    with pytest.raises(ConfigError, match="there is a client 'boardroom'"):
        clients.new(file, "boardroom")
    clients.revoke(file, "boardroom")

    assert [client.name for client in clients.listed(file)] == ["attic"]
    assert clients.recognise(clients.listed(file), first) is None
    assert clients.recognise(clients.listed(file), other)
    with pytest.raises(ConfigError, match="there is no client 'boardroom'; there are: attic"):
        clients.revoke(file, "boardroom")


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a b", "a\nb", "ü", "x" * 65, "-rf", "#a"])
def test_a_name_is_one_word(file: Path, name: str) -> None:
    """It is a line's beginning in a file."""
    with pytest.raises(ConfigError, match="is no client's name"):
        clients.new(file, name)


def test_the_list_has_a_bound(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "CLIENTS_MAX", 1)
    clients.new(file, "one")
    with pytest.raises(ConfigError, match="revoke the secrets of some first"):
        clients.new(file, "two")


def test_a_change_of_the_file_is_seen_at_once(file: Path) -> None:
    """Revoked is revoked: without a restart of the server."""
    looked = clients.List(file)
    assert looked.recognise("x") is None
    secret = clients.new(file, "boardroom")
    found = looked.recognise(secret)
    assert found
    clients.revoke(file, "boardroom")
    assert looked.recognise(secret) is None
    again = clients.new(file, "boardroom")
    assert looked.recognise(again)
    file.unlink()
    assert looked.recognise(again) is None


def test_a_spoilt_line_is_named_and_not_shown(file: Path) -> None:
    clients.new(file, "boardroom")
    file.write_text(file.read_text() + "attic my-secret-in-clear\n")
    with pytest.raises(ConfigError, match="line 3 is no client's") as raised:
        clients.listed(file)
    assert "in-clear" not in str(raised.value)


def test_a_list_that_others_may_write_is_not_believed(file: Path) -> None:
    clients.new(file, "boardroom")
    file.chmod(0o666)
    with pytest.raises(ConfigError, match="chmod o-w"):
        clients.listed(file)


def test_it_is_in_the_state_folder_unless_said_otherwise(make_settings, tmp_path: Path) -> None:
    plain: Settings = make_settings()
    named: Settings = make_settings(f'[token_server]\nclients = "{tmp_path}/rooms"\n')

    assert clients.place(plain) == plain.state_dir / "token-clients"
    assert clients.place(named) == tmp_path / "rooms"
