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


SPELT = [
    (b"\xef\xbb\xbfroom = 'here'\n", "here"),
    (b"room = 'here'\r\n[capture]\r\nchannel = 1\r\n", "here"),
    (b"room = 'here'", "here"),
]
NOT_READ = [
    ("room = 'here'\n".encode("utf-16"), "UTF-16 text: save it as UTF-8"),
    ("\ufeffroom = 'here'\n".encode("utf-16-be"), "UTF-16 text: save it as UTF-8"),
    ("room = 'here'\n".encode("utf-16-le"), "there are zero bytes in it: save it as UTF-8 text"),
    (b"room = 'here'\n\0\0\0\0", "there are zero bytes in it: save it as UTF-8 text"),
]


@pytest.mark.parametrize(("data", "room"), SPELT)
def test_a_file_of_any_editor_is_taken(tmp_path: Path, data: bytes, room: str) -> None:
    """Windows' editors begin a file with a mark of their own, and end lines with two characters."""
    (tmp_path / "minuted.toml").write_bytes(data)
    settings, text = config.load_with_text(tmp_path / "minuted.toml")
    assert settings.room == room
    assert "\r" not in text
    assert "\ufeff" not in text


@pytest.mark.parametrize(("data", "said"), NOT_READ)
def test_a_file_of_another_encoding_is_refused_with_what_to_do(
    tmp_path: Path, data: bytes, said: str
) -> None:
    (tmp_path / "minuted.toml").write_bytes(data)
    with pytest.raises(ConfigError, match=f"minuted.toml: cannot be read: {said}$"):
        load(tmp_path / "minuted.toml")


RELATIVE = """
state_dir = "state"
runtime_dir = "./run"
sink_dirs = ["sinks", "/elsewhere"]
[capture]
source = "talk.wav"
[engine]
model_dir = "model"
token_secret_file = "token"
[session]
keyterms_file = "terms.txt"
[token_server]
certificate = "cert.pem"
private_key = "../key.pem"
clients = "clients"
[sinks.file_log]
path = "turns.jsonl"
"""


def test_a_relative_path_begins_at_the_file_that_names_it(
    runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs a command, and where: all of them mean one place."""
    room = runtime_dir / "room"
    room.mkdir()
    (room / "minuted.toml").write_text(RELATIVE)
    monkeypatch.chdir(runtime_dir)
    for path in (room / "minuted.toml", Path("room/minuted.toml")):
        settings = load(path)
        assert (settings.state_dir, settings.runtime_dir) == (room / "state", room / "run")
        assert settings.sink_dirs == (room / "sinks", Path("/elsewhere"))
        assert [source.source for source in settings.sources] == [str(room / "talk.wav")]
        assert settings.engine.model_dir == room / "model"
        assert settings.engine.token_secret_file == room / "token"
        assert settings.session.keyterms_file == room / "terms.txt"
        assert settings.token_server.certificate == room / "cert.pem"
        assert settings.token_server.private_key == room / "../key.pem"
        assert settings.token_server.clients == room / "clients"
        assert settings.sinks["file_log"].folder == room


def test_several_recordings_begin_there_too(tmp_path: Path) -> None:
    table = "[[capture.sources]]\nname = '{0}'\nsource = '{0}.wav'\n"
    (tmp_path / "minuted.toml").write_text(table.format("a") + table.format("b"))
    found = [source.source for source in load(tmp_path / "minuted.toml").sources]
    assert found == [str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]


def test_a_microphone_is_no_path(tmp_path: Path) -> None:
    (tmp_path / "minuted.toml").write_text("[capture]\nsource = 'microphone'\n")
    assert not load(tmp_path / "minuted.toml").sources[0].is_recording


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            "$HOME/minuted",
            "$HOME is not replaced by its value here: write the whole path, or begin it with ~/",
        ),
        ("/run/${UID}/minuted", "${UID} is not replaced by its value here"),
        ("", "it is empty"),
        (" ", "it is empty"),
        ("~nobody-is-called-this/x", "home directory"),
    ],
)
@pytest.mark.parametrize("key", ["state_dir", "runtime_dir"])
def test_what_a_shell_would_have_replaced_is_refused(path: str, said: str, key: str) -> None:
    """A folder called $HOME is what nobody wants; it would lie where the command was run."""
    with pytest.raises(ConfigError, match=f"^{key} cannot be ") as refusal:
        config.parse(f'{key} = "{path}"')
    assert said in str(refusal.value)


def test_a_sign_that_begins_no_variable_is_a_letter_of_a_name() -> None:
    assert config.parse('state_dir = "/srv/pay$roll/$5"').state_dir == Path("/srv/pay$roll/$5")
