"""Whoever is outside the service's group hears the same from every command, and at once."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from minuted.bus import TurnsOut
from minuted.config import Settings
from minuted.control import ControlServer
from rights import NOBODY, as_user, needs_root

pytestmark = needs_root

AUDIO = 29
"""A group that every Debian has; nobody is in it here."""
COMMANDS = (
    *("status", "status --json", "metrics", "metrics --listen 127.0.0.1:0", "watch", "watch --until-end"),
    *("reload", "endpoint", "pause", "resume", "configure", "configure --reset", "meeting", "meeting start"),
    *("speakers", "speakers A=Anna", "replay --follow", "export"),
)
ASK = """
import contextlib, io, os, sys
import minuted.commands.watch, minuted.commands.replay, minuted.commands.export, minuted.commands.metrics
import minuted.commands.configuring, minuted.commands.meeting, minuted.commands.speakers
import minuted.commands.pausing, minuted.commands.reload, minuted.commands.running
from minuted.cli import main

os.chdir("/")
for command in sys.argv[2:]:
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        status = main([*command.split(), *(["--config", sys.argv[1]] if sys.argv[1] else [])])
    print(status, command, said.getvalue().strip(), sep="|")
"""
LET_IN = "to be let in, run: sudo usermod -aG audio nobody, and log in again"


@pytest.fixture
def file(runtime_dir: Path) -> Iterator[Path]:
    """A minuted that runs for a group, and its configuration, for everybody."""
    runtime_dir.chmod(0o755)
    for name in ("run", "state"):
        (runtime_dir / name).mkdir(mode=0o750)
        os.chown(runtime_dir / name, 0, AUDIO)
        (runtime_dir / name).chmod(0o750)
    path = runtime_dir / "minuted.toml"
    path.write_text(f'state_dir = "{runtime_dir}/state"\nruntime_dir = "{runtime_dir}/run"\n')
    settings = Settings(runtime_dir=runtime_dir / "run")
    with TurnsOut(settings.turns_endpoint):
        servers = [
            ControlServer(settings.control_endpoint(stage), {"status": lambda _: {"state": "live"}})
            for stage in ("supervisor", "transcription", "capture")
        ]
        yield path
        for server in servers:
            server.close()


def test_every_command_says_who_may_and_ends(file: Path) -> None:
    """`watch` waited for ever for what it could never have, and metrics told of a minuted that was down."""
    said = as_user(ASK, str(file), *COMMANDS).splitlines()
    assert [line.split("|")[1:2] for line in said] == [[command] for command in COMMANDS], said
    for line in said:
        status, _, text = line.split("|")
        assert status == "1", line
        assert text.startswith(f"minuted: {file.parent}/"), line
        assert LET_IN in text, line
        assert "Errno" not in text, line


def test_a_configuration_that_is_closed_is_told_as_such_and_no_default_is_taken(file: Path) -> None:
    os.chown(file, 0, AUDIO)
    file.chmod(0o640)
    for line in as_user(ASK, str(file), *COMMANDS).splitlines():
        status, command, text = line.split("|")
        assert (status, text) == ("78", f"minuted: {file} is for root and the group audio; {LET_IN}"), command


def test_a_closed_folder_of_the_configuration_is_told_too(runtime_dir: Path) -> None:
    """What is in /etc/minuted nobody can tell then, not even whether there is anything."""
    runtime_dir.chmod(0o755)
    (runtime_dir / "etc").mkdir(mode=0o750)
    os.chown(runtime_dir / "etc", 0, AUDIO)
    place = f"config.PLACES = (config.PLACES[0], Path('{runtime_dir}/etc/minuted.toml'))\n"
    script = ASK.replace("os.chdir", f"from pathlib import Path\nfrom minuted import config\n{place}os.chdir")
    said = as_user(script, "", "status", "watch")
    assert said.count(f"{runtime_dir}/etc/minuted.toml is for root and the group audio; {LET_IN}") == 2


def test_a_working_folder_that_is_closed_holds_no_configuration(file: Path) -> None:
    """`sudo -u minuted minuted status`, typed in root's own folder."""
    closed = file.parent / "closed"
    closed.mkdir(mode=0o700)
    os.chown(file.parent / "run", NOBODY, NOBODY)
    place = f"config.PLACES = (config.PLACES[0], Path('{file}'))\n"
    head = f"from pathlib import Path\nfrom minuted import config\n{place}os.chdir('{closed}')\n"
    script = ASK.replace("import contextlib", f"import os\nos.chdir('{closed}')\nimport contextlib", 1)
    script = script.replace('os.chdir("/")\n', head.rpartition("os.chdir")[0])
    (status, *_) = as_user(script, "", "status").split("|")
    assert status.endswith("1")
    assert "Permission" not in as_user(script, "", "status")
