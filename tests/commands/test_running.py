"""The running minuted is found also while its file has a mistake."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from minuted.cli import main
from minuted.commands import running
from minuted.config import ConfigError, Settings, load
from minuted.control import ControlServer

MISTAKE = "unknown key 'capture_'"


@pytest.fixture
def file(runtime_dir: Path, no_key: Path) -> Path:
    path = runtime_dir / "minuted.toml"
    path.write_text(f'runtime_dir = "{runtime_dir}"\ncapture_ = 1\n')
    return path


@pytest.fixture
def supervisor(runtime_dir: Path) -> Iterator[None]:
    endpoint = Settings(runtime_dir=runtime_dir).control_endpoint("supervisor")
    server = ControlServer(
        endpoint, {"status": lambda _: {"state": "running", "summary": "attic: recording"}}
    )
    yield
    server.close()


@pytest.mark.usefixtures("supervisor")
def test_a_mistake_in_the_file_is_told_and_stands_in_nobody_s_way(
    file: Path, runtime_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who corrects a file must still be able to silence the room."""
    accepted = f'room = "attic"\nruntime_dir = "{runtime_dir}"\n[sinks.srt]\ndirectory = "/srv"\n'
    (runtime_dir / running.ACCEPTED).write_text(accepted)
    settings = running.found(lambda: load(file), file)
    assert (settings.room, list(settings.sinks), settings.path) == ("attic", ["srt"], file)
    said = capsys.readouterr().err
    assert MISTAKE in said
    assert said.count("\n") == 1


@pytest.mark.usefixtures("supervisor")
def test_who_may_not_read_what_was_accepted_still_finds_the_sockets(file: Path, runtime_dir: Path) -> None:
    """It is for root and the service's own user: a sink's secret may stand in it."""
    assert running.found(lambda: load(file), file).runtime_dir == runtime_dir


def test_where_nothing_runs_the_mistake_is_all_there_is_to_say(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=MISTAKE):
        running.found(lambda: load(file), file)
    for command in ("status", "watch", "pause", "resume", "endpoint", "meeting", "configure", "speakers"):
        assert main([command, "--config", str(file)]) == 78
        assert MISTAKE in capsys.readouterr().err


def test_a_file_that_is_not_there_is_no_mistake_to_be_passed_over(file: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        running.found(lambda: load(file.with_name("other.toml")), file.with_name("other.toml"))
