"""Folders of its own for a recording beside another minuted; whole runs: pipeline/test_odd_recordings.py."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from minuted.commands import own_folders
from minuted.config import RUNTIME_NAME, STATE_NAME, ConfigError, Settings, in_other_folders, parse
from minuted.runtime import locks

OTHER = """
import os, sys
from pathlib import Path
from minuted.runtime import locks
locks.take(Path(sys.argv[1]), "it")
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def taken():
    """Have another process hold a lock."""
    held: list[subprocess.Popen[str]] = []

    def take(path: Path) -> None:
        pipe = subprocess.PIPE
        process = subprocess.Popen([sys.executable, "-c", OTHER, path], stdin=pipe, stdout=pipe, text=True)
        held.append(process)
        assert process.stdout
        assert process.stdout.readline() == "taken\n"

    yield take
    for process in held:
        process.communicate()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return tmp_path / "minuted"


def test_where_nobody_is_the_configured_folders_are_used(make_settings: Callable[[], Settings]) -> None:
    settings = make_settings()
    with own_folders.beside_others(settings) as own:
        assert own is None
        assert locks.holder(settings.state_dir / own_folders.LOCK).pid == os.getpid()
    assert not locks.holder(settings.state_dir / own_folders.LOCK).pid


@pytest.mark.parametrize(
    "name", ["state/minuted.lock", "minuted.lock", "state/transcription.lock", "state/recordings.lock"]
)
def test_where_another_is_there_are_others(
    make_settings: Callable[[], Settings], runtime_dir: Path, home: Path, taken: Callable, name: str
) -> None:
    """A daemon as a whole, one of its stages, a run that is between two recordings."""
    settings = make_settings()
    taken(runtime_dir / name)
    with own_folders.beside_others(settings) as own:
        assert own == home / "recordings"
        sockets = Path(os.environ[RUNTIME_NAME])
        moved = in_other_folders(settings, os.environ)
        assert (moved.state_dir, moved.runtime_dir) == (own, sockets)
        assert sockets.stat().st_mode & 0o777 == 0o700
        with own_folders.beside_others(settings) as third:
            assert third == home / "recordings-2"
    assert not sockets.exists()
    assert STATE_NAME not in os.environ


def test_where_none_can_be_made_it_is_said(
    make_settings: Callable[[], Settings], runtime_dir: Path, monkeypatch: pytest.MonkeyPatch, taken: Callable
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    taken(runtime_dir / "minuted.lock")
    with (
        pytest.raises(
            ConfigError, match="another minuted runs in state_dir, and a folder beside it cannot be made"
        ),
        own_folders.beside_others(make_settings()),
    ):
        pass


def test_what_two_runs_cannot_share_moves_along() -> None:
    settings = parse(
        """
        state_dir = "/var/lib/minuted"
        [engine]
        service = "local"
        url = "ws://127.0.0.1:8765"
        [publish]
        turns = "tcp://127.0.0.1:5555"
        [sinks.file_log]
        path = "/srv/turns.jsonl"
        [sinks.srt]
        directory = "/var/lib/minuted/sub/srt"
        [sinks.webhook]
        url = "https://example.org/turns"
        secret_file = "/etc/minuted/webhook.secret"
        """
    )
    assert in_other_folders(settings, {}) is settings
    moved = in_other_folders(settings, {STATE_NAME: "/home/me/own"})
    assert len(str(moved.runtime_dir)) < 40, "whatever state_dir is called"
    assert (moved.publish.turns, moved.engine.url) == ("", "")
    assert moved.sinks["file_log"].options == {"path": "/home/me/own/turns.jsonl"}
    assert moved.sinks["srt"].options == {"directory": "/home/me/own/sub/srt"}
    assert moved.sinks["webhook"].options == settings.sinks["webhook"].options
