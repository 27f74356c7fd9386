"""Every command, as root, in a folder where somebody waits for that.

The folder is another user's and writable by all. In it are a configuration that would run code, a .env file,
modules named like those Python looks for, and links with the names of our files, to a file of root's.
Nothing in it may be run, and the links may not be followed, whatever is printed.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minuted.cli import _COMMANDS
from rights import NOBODY, needs_root
from simulator.coded import compose

pytestmark = needs_root

SECRET = "what only root may read\n" * 200
RUN_BY = "import pathlib\npathlib.Path('{marks}', '{name}').touch()\n"
SINK = """
from minuted import Sink


class Evil(Sink):
    def write(self, turn):
        pass
"""
CONFIG = """
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
sink_dirs = ["{folder}/sinks"]
[engine]
service = "assemblyai"
url = "ws://127.0.0.1:9"
token_command = ["{folder}/program"]
[sinks.evil]
"""
LINKS = (
    *(
        "state/turns.db",
        "state/turns.db-wal",
        "state/sinks/evil.db",
        "state/minuted.log",
        "state/minuted.lock",
    ),
    *("state/transcription.lock", "state/capture.lock", "state/token-clients", "state/paused.json"),
    *("state/recordings.json", "state/keys/server.key", "state/keys/clients/tablet.pub"),
    *("run/minuted.lock", "run/turns.sock.lock", "run/engine.key", "run/minuted.accepted.toml"),
    *("run/minuted.offered.toml", "run/credentials", "talk.srt", "tablet.key.json", "out.txt"),
)
MODULES = ("structlog", "msgpack", "zmq", "assemblyai", "minuted_sink_evil", "sitecustomize")


class Folder:
    """The folder, and what would show that it has had its way."""

    def __init__(self, root: Path) -> None:
        root.chmod(0o755)
        self.path, self.marks, self.secret = root / "hostile", root / "marks", root / "secret"
        self.marks.mkdir()
        self.marks.chmod(0o777)
        self.secret.write_text(SECRET)
        self.secret.chmod(0o600)
        (root / "talk.wav").write_bytes(compose(1).save(root / "said.wav").read_bytes())
        for name in ("state/sinks", "state/keys/clients", "run", "sinks", "minuted"):
            (self.path / name).mkdir(parents=True)
        (self.path / "minuted.toml").write_text(CONFIG.format(folder=self.path))
        (self.path / ".env").write_text("ASSEMBLYAI_API_KEY=a-key-of-somebody\n")
        (self.path / "sinks/evil.py").write_text(self.run_by("sink") + SINK)
        (self.path / "program").write_text(f"#!/bin/sh\ntouch {self.marks}/program\necho token\n")
        (self.path / "minuted/__main__.py").write_text(self.run_by("package"))
        (self.path / "minuted/__init__.py").write_text("")
        for name in MODULES:
            (self.path / f"{name}.py").write_text(self.run_by(name))
        for name in LINKS:
            (self.path / name).symlink_to(self.secret)
        for place in (self.path, *self.path.rglob("*")):
            os.lchown(place, NOBODY, NOBODY)
            if not place.is_symlink():
                place.chmod(0o777)

    def close(self) -> None:
        """Leave it writable for its owner alone: a configuration in it may be named."""
        for place in (self.path, *self.path.rglob("*")):
            if not place.is_symlink():
                place.chmod(0o755)

    def run_by(self, name: str) -> str:
        return RUN_BY.format(marks=self.marks, name=name)

    def minuted(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("minuted"), *words],
            cwd=self.path,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def judge(self) -> None:
        """Fail where something foreign was run, or a link was followed."""
        assert [mark.name for mark in self.marks.iterdir()] == []
        assert self.secret.read_text() == SECRET
        status = self.secret.stat()
        assert (status.st_uid, status.st_mode & 0o777) == (0, 0o600)
        made = [path for path in self.path.rglob("*") if path.lstat().st_uid == 0]
        assert made == [], "root has made something there"


@pytest.fixture
def folder(runtime_dir: Path, no_key: Path) -> Folder:
    return Folder(runtime_dir)


WORDS: dict[str, tuple[str, ...]] = {
    # A line for each command of `minuted --help`, with what makes it do most.
    "run": ("run",),
    "run, a recording": ("run", "--input", "../talk.wav", "--write", "srt", "--output-dir", "."),
    "capture": ("capture",),
    "transcription": ("transcription",),
    "engine": ("engine",),
    "delivery": ("delivery", "evil"),
    "check": ("check",),
    "check --online": ("check", "--online"),
    "devices": ("devices",),
    "devices --test": ("devices", "--test"),
    "sinks": ("sinks",),
    "status": ("status",),
    "reload": ("reload",),
    "watch": ("watch", "--until-end"),
    "endpoint": ("endpoint",),
    "pause": ("pause",),
    "resume": ("resume",),
    "dead-letters": ("dead-letters", "retry", "evil", "--all"),
    "keys new": ("keys", "new", "tablet"),
    "keys list": ("keys", "list"),
    "keys revoke": ("keys", "revoke", "tablet"),
    "token": ("token",),
    "token-server": ("token-server",),
    "token-server clients new": ("token-server", "clients", "new", "attic"),
    "token-server clients list": ("token-server", "clients", "list"),
    "speakers": ("speakers",),
    "replay": ("replay",),
    "export": ("export", "--output", "out.txt"),
    "configure": ("configure", "--max-turn-silence", "900"),
    "meeting": ("meeting", "start"),
    "metrics": ("metrics",),
}


ON_STDOUT = ("check", "check --online", "reload")

NO_CODE = "root runs no code of another user's"
NO_PROGRAM = "root runs no program of another user's as engine.token_command"
NOT_RUNNING = "minuted is not running here"
NOT_THERE = "belongs to nobody: run minuted as that user (sudo -u nobody minuted …)"
NAMED: dict[str, tuple[int | None, str]] = {
    # The exit status, and what is said, where root names the configuration. None: it depends on the machine.
    "run": (78, NOT_THERE),
    "run, a recording": (78, NOT_THERE),
    "capture": (78, NOT_THERE),
    "transcription": (78, NOT_THERE),
    "engine": (78, NOT_THERE),
    "delivery": (78, NOT_THERE),
    "check": (78, NO_CODE),
    "check --online": (78, NO_PROGRAM),
    "devices": (None, ""),
    "devices --test": (None, ""),
    "sinks": (0, NO_CODE),
    "status": (1, NOT_RUNNING),
    "reload": (1, NOT_RUNNING),
    "endpoint": (1, NOT_RUNNING),
    "pause": (1, NOT_RUNNING),
    "resume": (1, NOT_RUNNING),
    "dead-letters": (1, "state/sinks/evil.db is a link: remove it"),
    "keys new": (78, "there is a client 'tablet'"),
    "keys list": (0, ""),
    "keys revoke": (0, "revoked: tablet"),
    "token": (1, NO_PROGRAM),
    "token-server": (78, "state/token-clients: line 1 is no client's"),
    "token-server clients new": (78, "state/token-clients: line 1 is no client's"),
    "token-server clients list": (78, "state/token-clients: line 1 is no client's"),
    "speakers": (1, NOT_RUNNING),
    "replay": (1, "state/turns.db may not be used by root"),
    "export": (1, "state/turns.db may not be used by root"),
    "configure": (1, NOT_RUNNING),
    "meeting": (1, NOT_RUNNING),
    "metrics": (0, NOT_RUNNING),
}


def test_every_command_is_in_the_table() -> None:
    # What `init` writes it does not read before; without --config, root's would be the machine's own.
    assert {words[0] for words in WORDS.values()} == set(_COMMANDS) - {"init"}


def test_a_first_configuration_is_written_as_the_folder_s_owner(folder: Folder) -> None:
    folder.close()
    done = folder.minuted("init", "--yes", "--force", "--config", "minuted.toml")
    folder.judge()
    assert (folder.path / "minuted.toml").read_text().startswith("# Written by"), done.stderr
    assert done.returncode == 78, "root takes no configuration of another user's there"


@pytest.mark.parametrize("name", WORDS)
def test_a_configuration_in_the_working_folder_is_not_taken(folder: Folder, name: str) -> None:
    done = folder.minuted(*WORDS[name])
    folder.judge()
    if name == "devices":
        return  # it reads no configuration
    said = done.stdout.splitlines()[-1] if name in ON_STDOUT else done.stderr
    # What runs goes on as it was: to a reload, a bad configuration is a refusal.
    assert done.returncode == (1 if name == "reload" else 78)
    assert f"{folder.path}/minuted.toml is taken only where --config names it: {folder.path}" in said
    assert "belongs to nobody" in said


@pytest.mark.parametrize("name", NAMED)
def test_of_a_named_configuration_nothing_foreign_is_run_or_followed(folder: Folder, name: str) -> None:
    """To name it is to choose its settings, not its code."""
    folder.close()
    status, text = NAMED[name]
    done = folder.minuted(*WORDS[name], "--config", "minuted.toml")
    folder.judge()
    assert done.returncode == (done.returncode if status is None else status)
    assert text in done.stdout + done.stderr
    assert SECRET.splitlines()[0] not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_named_configuration_is_looked_at_as_well() -> None:
    """All but the one that waits for a daemon to come."""
    assert NAMED.keys() == WORDS.keys() - {"watch"}


@pytest.mark.parametrize(
    "name", ["run, a recording", "sinks", "check", "keys new", "token-server clients new"]
)
def test_nothing_in_the_working_folder_is_run_for_a_configuration_of_root_s(
    folder: Folder, name: str, tmp_path: Path
) -> None:
    """Python looks for modules where it is started, and so would the processes of a run."""
    config = tmp_path / "minuted.toml"
    config.write_text(
        f'state_dir = "{tmp_path}/state"\nruntime_dir = "{folder.path.parent}/r"\nstop_timeout_s = 2\n'
        f'[engine]\nservice = "local"\n[sinks.file_log]\n'
        f'path = "{tmp_path}/turns.jsonl"\n'
    )
    words = [word if word != "." else str(tmp_path) for word in WORDS[name]]
    folder.minuted(*words, "--config", config)
    folder.judge()
