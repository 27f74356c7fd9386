"""What a first configuration says, and what a person is told to do with it."""

from pathlib import Path

import pytest

from capture.cards import device
from hostile_texts import HOSTILE
from minuted.commands import first_configuration
from minuted.commands.first_configuration import (
    SYSTEM,
    Answers,
    compose,
    folders,
    key_place,
    lasting_name,
    next_steps,
    obstacle,
    usual_place,
    write,
)
from minuted.config import ConfigError, parse

pytestmark = pytest.mark.usefixtures("no_key")

HOME = Path("/home/me/minuted.toml")
CARDS = [
    device("HDA Intel: ALC257 (hw:0,0)"),
    device("Jabra: Audio (hw:1,0)"),
    device("Twin: Audio (hw:2,0)"),
    device("Twin: Audio (hw:3,0)"),
    device("pulse"),
    device("default", is_default=True),
]


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed service, and where its key would be."""
    (tmp_path / "minuted.service").touch()
    monkeypatch.setattr(first_configuration, "UNIT_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(first_configuration, "CREDENTIALS", tmp_path / "credstore")
    return tmp_path


@pytest.mark.parametrize("text", ["attic", 'a "b" \\ c # d', "会議室 1", HOSTILE])
def test_what_was_answered_is_read_as_it_was_meant(text: str) -> None:
    answers = Answers(room=text, device=text, service="local", sink="txt", place=f"/srv/{text}")
    found = parse(compose(answers, HOME))
    assert (found.room, found.capture.device, found.engine.service) == (text, text, "local")
    assert {name: table.options for name, table in found.sinks.items()} == {
        "txt": {"directory": f"/srv/{text}"}
    }


def test_what_is_usual_is_left_out() -> None:
    answers = Answers(room="attic", device="", service="", sink="file_log", place="/srv/turns.jsonl")
    first, *rest = compose(answers, SYSTEM).splitlines()
    assert first.startswith("# ")
    assert rest == ['room = "attic"', "", "[sinks.file_log]", 'path = "/srv/turns.jsonl"']


def test_own_folders_are_the_user_s_and_no_other_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert folders(HOME) == (Path("/home/me/.local/state/minuted"), tmp_path / "minuted")
    # After su: the folder of who was there before.
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    assert folders(HOME)[1] == Path("/home/me/.cache/minuted")
    assert folders(SYSTEM) == (None, None)
    assert usual_place("srt", HOME) == "/home/me/subtitles"
    assert usual_place("file_log", SYSTEM) == "/var/lib/minuted/turns.jsonl"
    assert usual_place("webhook", HOME) == ""


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (0, "HDA Intel: ALC257"),
        (1, "Jabra: Audio"),
        (2, "Twin: Audio"),
        (3, "Twin: Audio (hw:3,0)"),
        (4, "pulse"),
    ],
)
def test_a_card_s_number_is_written_only_where_nothing_else_tells_it(index: int, name: str) -> None:
    """The next start of the machine counts its cards anew."""
    assert lasting_name(CARDS[index], CARDS) == name


def test_the_default_input_has_no_name() -> None:
    assert lasting_name(CARDS[-1], CARDS) == ""


def test_what_is_in_the_way_is_told_before_anybody_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "minuted.toml"
    assert obstacle(file, force=False) == ""
    assert obstacle(tmp_path / "new/minuted.toml", force=False) == ""
    file.touch()
    assert "is there already" in obstacle(file, force=False)
    assert obstacle(file, force=True) == ""
    assert "is no folder of yours" in obstacle(file / "minuted.toml", force=False)


def test_a_run_by_hand_comes_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_configuration, "UNIT_FOLDERS", ())
    assert next_steps(SYSTEM, "local", is_well=True)[0] == "Next: minuted run --watch"
    needs_a_key, first, *_ = next_steps(HOME, "assemblyai", is_well=True)
    assert needs_a_key == (
        "The key never goes into minuted.toml: put ASSEMBLYAI_API_KEY=… into /home/me/.env, "
        "a file with mode 0600."
    )
    assert first == "Next: minuted run --watch --config /home/me/minuted.toml"
    assert "marked above" in next_steps(HOME, "local", is_well=False)[0]


def test_a_service_is_restarted_and_has_its_key_from_systemd(unit: Path) -> None:
    needs_a_key, following = next_steps(SYSTEM, "assemblyai", is_well=True)
    assert f"{unit}/credstore/assemblyai.key, a file of root's with mode 0600" in needs_a_key
    assert "systemctl restart minuted" in following
    (unit / "credstore").mkdir()
    (unit / "credstore/assemblyai.key").touch()
    assert key_place(SYSTEM) == f"{unit}/credstore/assemblyai.key"
    assert len(next_steps(SYSTEM, "assemblyai", is_well=True)) == 1


def test_where_a_key_was_found_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert key_place(tmp_path / "minuted.toml") == ""
    (tmp_path / ".env").write_text("ASSEMBLYAI_API_KEY=planted\n")
    assert key_place(tmp_path / "minuted.toml") == f"{tmp_path}/.env"
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "planted")
    assert key_place(tmp_path / "minuted.toml") == "the environment (ASSEMBLYAI_API_KEY)"


def test_a_key_is_written_for_its_owner_alone_and_never_over_another(tmp_path: Path) -> None:
    write(tmp_path / "new/minuted.toml", "# text\n", "planted", force=False)
    assert (tmp_path / "new/.env").stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="File exists"):
        write(tmp_path / "new/other.toml", "# text\n", "another", force=False)
    assert (tmp_path / "new/.env").read_text() == "ASSEMBLYAI_API_KEY=planted\n"
    assert not (tmp_path / "new/other.toml").exists()
