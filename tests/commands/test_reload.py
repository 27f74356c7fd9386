"""`minuted reload` says what came of it: the running one's own words, or why there are none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minuted.cli import main
from minuted.commands.running import stand_in
from minuted.config import Settings
from minuted.control import ControlServer

Answer = dict[str, Any]


@pytest.fixture
def file(runtime_dir: Path, no_key: Path) -> Path:
    path = runtime_dir / "minuted.toml"
    path.write_text(f'state_dir = "{runtime_dir}/state"\nruntime_dir = "{runtime_dir}/run"\n')
    (runtime_dir / "run").mkdir()
    return path


@pytest.fixture
def answers(file: Path) -> Iterator[Answer]:
    """A supervisor whose reload ends as a test says."""
    told: Answer = {"number": 1, "state": "done", "text": "file_log added"}
    handlers = {
        "status": lambda _: {"reload": told, "summary": "attic: recording"},
        "reload": lambda _: {"number": 1},
    }
    settings = Settings(runtime_dir=file.parent / "run")
    server = ControlServer(settings.control_endpoint("supervisor"), handlers)
    yield told
    server.close()


def reload(file: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = main(["reload", "--config", str(file)])
    return status, *capsys.readouterr()


def test_what_was_done_is_said(file: Path, answers: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    assert reload(file, capsys) == (0, "file_log added\n", "")


def test_a_refusal_is_a_failure_with_its_reason(
    file: Path, answers: Answer, capsys: pytest.CaptureFixture[str]
) -> None:
    answers |= {"state": "refused", "text": "[sinks.srt]: no directory; everything goes on as it was"}
    assert reload(file, capsys) == (
        1,
        "refused: [sinks.srt]: no directory; everything goes on as it was\n",
        "",
    )


@pytest.mark.parametrize("wrong", ["capture_ = 1\n", "capture = = 1\n"])
def test_of_a_wrong_file_the_running_one_is_asked_all_the_same(
    file: Path, answers: Answer, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    """So that its status and systemd's line tell the reason, too, where it can still be found."""
    file.write_text(file.read_text() + wrong)
    answers |= {"state": "refused", "text": "what the running one says"}
    status, said, _ = reload(file, capsys)
    assert status == 1
    is_found = "capture_" in wrong
    assert said.startswith("refused: what the running one says" if is_found else f"refused: {file}: not TOML")


def test_another_file_than_the_running_one_s_is_refused_whatever_that_one_does(
    file: Path, answers: Answer, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(file.read_text() + "capture_ = 1\n")
    status, said, _ = reload(file, capsys)
    assert status == 1
    assert "unknown key 'capture_'" in said
    assert said.endswith("what runs goes by another file (file_log added)\n")


def test_where_nothing_runs_it_says_so(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reload(file, capsys) == (1, "", f"minuted is not running here (runtime_dir {file.parent}/run)\n")


def test_where_each_stage_runs_by_itself_it_says_how_that_is_done(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It said that nothing runs, beside a status that shows what does."""
    settings = Settings(runtime_dir=file.parent / "run")
    server = ControlServer(
        settings.control_endpoint("transcription"), {"status": lambda _: {"state": "live"}}
    )
    try:
        status, _, said = reload(file, capsys)
    finally:
        server.close()
    assert status == 1
    assert "each stage runs by itself here" in said
    assert "systemctl restart minuted.target" in said


def test_a_file_that_is_not_there_is_bad_configuration(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reload(file.with_name("other.toml"), capsys)[0] == 78


def test_what_a_wrong_file_still_tells_is_where_the_running_one_is(file: Path) -> None:
    assert stand_in(file).runtime_dir == file.parent / "run"
    file.write_text("[[[")
    assert stand_in(file).runtime_dir == Settings().runtime_dir
