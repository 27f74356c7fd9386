"""`minuted token` and `minuted token-server` as their users run them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from minuted import cli
from rights import as_user, needs_root
from simulator import Service
from simulator.client import Client

KEY = "the-planted-key"
WAIT_S = 30.0


class Command:
    """The command line with a configuration of its own."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "minuted.toml"
        self.folder = folder
        self.log = folder / "log"
        self.started: list[subprocess.Popen[str]] = []

    def configure(self, text: str) -> None:
        self.file.write_text(
            f'state_dir = "{self.folder}/state"\nruntime_dir = "{self.folder}/run"\n{text}', encoding="utf-8"
        )

    def ask(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "minuted", *words, "--config", str(self.file)],
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S,
            env={**os.environ, **environment},
        )

    def start(self, *words: str, ready: str, **environment: str) -> str:
        """Start what goes on, and give what `ready` finds in its log."""
        with self.log.open("w") as log:
            self.started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "minuted", *words, "--config", str(self.file)],
                    stderr=log,
                    text=True,
                    env={**os.environ, **environment},
                )
            )
        until_s = time.monotonic() + WAIT_S
        while not (found := re.search(ready, self.log.read_text())):
            assert self.started[-1].poll() is None, self.log.read_text()
            assert time.monotonic() < until_s, self.log.read_text()
            time.sleep(0.02)
        return found[1]

    def stop(self) -> int:
        process = self.started.pop()
        process.send_signal(signal.SIGTERM)
        return process.wait(WAIT_S)


@pytest.fixture
def command(no_key: Path) -> Iterator[Command]:
    made = Command(no_key)
    made.configure("")
    yield made
    for process in made.started:
        process.kill()
        process.wait()


@pytest.fixture
def run(command: Command, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run a command in this process; give its status and what it printed."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main([*words, "--config", str(command.file)])
        told = capsys.readouterr()
        return status, told.out, told.err

    return run


def test_a_token_is_printed_alone(command: Command, run, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that `$(minuted token)` is one."""
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", KEY)
    with Service(keys=(KEY,)) as service:
        command.configure(f'[engine]\nurl = "{service.url}"\n')
        status, printed, said = run("token", "--expires", "5", "--max-session", "90")
        (asked,) = [event for event in service.record.events if event["event"] == "token"]

    assert (status, said) == (0, "")
    assert re.fullmatch(r"[\w-]{2000,}\n", printed)
    assert asked["query"] == "expires_in_seconds=5&max_session_duration_seconds=90"


def test_why_there_is_none_is_said_in_a_line_and_in_the_status(
    command: Command, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "a-wrong-one")
    with Service(keys=(KEY,)) as service:
        command.configure(f'[engine]\nurl = "{service.url}"\n')
        status, printed, said = run("token")

    assert (status, printed) == (1, "")
    assert (
        said
        == f"minuted: no token: http://127.0.0.1:{service.port}/v3/token answered 401 (Invalid API key)\n"
    )


@pytest.mark.parametrize(
    ("text", "words", "status", "said"),
    [
        ('[engine]\nservice = "assemblyai"\n', (), 78, "no AssemblyAI key"),
        ('[engine]\ntoken_url = "https://tokens.example"\n', (), 78, "no secret for engine.token_url"),
        ('[engine]\ntoken_command = ["/nowhere/mint"]\n', (), 1, "mint cannot be started"),
        ('[engine]\ntoken_command = ["true"]\n', ("--expires", "5"), 78, "decides itself"),
        ("", ("--expires", "601"), 2, "no whole number from 1 to 600"),
        ("", ("--max-session", "59"), 2, "no whole number from 60 to 10800"),
        ('[engine]\nservice = "local"\n', (), 1, "not running here"),
        ('[engine]\nservice = "local"\n', (), 1, "minuted itself needs none"),
    ],
)
def test_what_is_missing_is_said(
    command: Command, run, text: str, words: tuple[str, ...], status: int, said: str
) -> None:
    command.configure(text)
    ended, _, told = run("token", *words)
    assert (ended, said in told) == (status, True), told


def test_clients_are_made_listed_and_revoked(run) -> None:
    status, secret, said = run("token-server", "clients", "new", "boardroom")
    assert status == 0
    assert re.fullmatch(r"[\w-]{43}\n", secret)
    assert "boardroom" in said
    assert secret.strip() not in said
    assert run("token-server", "clients", "list") == (0, "boardroom\n", "")
    assert run("token-server", "clients", "new", "boardroom")[0] == 78
    assert run("token-server", "clients", "revoke", "boardroom")[0] == 0
    assert run("token-server", "clients", "revoke", "boardroom")[0] == 78
    assert run("token-server", "clients", "list")[1] == ""
    assert run("token-server", "clients")[0] == 2
    assert run("token-server", "clients", "new")[0] == 2


def test_a_room_gets_its_token_from_a_server_that_runs(command: Command) -> None:
    """Both sides, as in the README; and the server ends in order."""
    with Service(keys=(KEY,)) as service:
        server = f'[engine]\nurl = "{service.url}"\n[token_server]\nlisten = "127.0.0.1:0"\n'
        command.configure(server)
        secret = command.ask("token-server", "clients", "new", "boardroom").stdout.strip()
        listen = command.start("token-server", ready=r'"listen": "([\d.:]+)"', ASSEMBLYAI_API_KEY=KEY)
        file = command.folder / "room.secret"
        file.write_text(secret)
        command.configure(
            f'[engine]\nurl = "{service.url}"\n'
            f'token_url = "http://{listen}/token"\ntoken_secret_file = "{file}"\n'
        )
        given = command.ask("token")
        refused = command.ask("token", "--expires", "0")
        file.write_text("another")
        stranger = command.ask("token")
        status = command.stop()
        token = given.stdout.strip()
        assert service._door.admit("", token, time.time())

    log = command.log.read_text()
    assert (given.returncode, refused.returncode, status) == (0, 2, 0)
    assert (stranger.returncode, stranger.stdout) == (1, "")
    assert "answered 401 (unknown client)" in stranger.stderr
    assert json.loads(log.splitlines()[-1])["event"]
    assert not [each for each in (KEY, secret, token) if each in log]


def test_the_engine_on_this_machine_gives_tokens_too(command: Command, run) -> None:
    """The same page, the same way to ask, ws:// and no https://."""
    command.configure('[engine]\nservice = "local"\n')
    url = command.start("engine", ready=r'"url": "(ws://[\d.:]+)"', MINUTED_ENGINE_KEY=KEY)
    os.environ["MINUTED_ENGINE_KEY"] = KEY
    try:
        command.configure(f'[engine]\nservice = "local"\nurl = "{url}"\n')
        status, printed, _ = run("token", "--expires", "60", "--max-session", "60")
    finally:
        del os.environ["MINUTED_ENGINE_KEY"]
    assert status == 0
    with Client(url, key=printed.strip(), model=None) as client:
        begin = client.read()
    assert 50 < begin["expires_at"] - time.time() <= 60
    assert httpx.get(f"http{url[2:]}/v3/health", trust_env=False).status_code == 200
    assert command.stop() == 0


def test_the_engine_s_own_key_is_found(command: Command) -> None:
    """Nobody has set a key: the engine has made one, and whoever asks by the command is told none."""
    command.configure('[engine]\nservice = "local"\n')
    url = command.start("engine", ready=r'"url": "(ws://[\d.:]+)"')

    given = command.ask("token")

    assert (given.returncode, given.stderr) == (0, "")
    with Client(url, key=given.stdout.strip(), model=None) as client:
        assert client.read()["type"] == "Begin"
    assert command.stop() == 0


@needs_root
def test_who_may_not_read_the_engine_s_key_is_told_who_may(runtime_dir: Path) -> None:
    """A member of the group sees the engine and may open no session there."""
    command = Command(runtime_dir)
    command.configure('[engine]\nservice = "local"\nurl = "ws://127.0.0.1:9"\n')
    (command.folder / "run").mkdir()
    (command.folder / "run/engine.key").touch(mode=0o600)
    runtime_dir.chmod(0o755)
    script = (
        "import sys\nfrom minuted import cli\nfrom minuted.commands import token\n\n"
        "sys.stderr = sys.stdout\nprint(cli.main(['token', '--config', sys.argv[1]]))\n"
    )

    said = as_user(script, str(command.file))

    assert said == (
        f"minuted: no token: only root may read {command.folder}/run/engine.key, the key that the engine "
        "asks for; run: sudo -u root minuted token\n1\n"
    )


def test_a_secret_goes_to_a_file_of_its_owner_s_alone(run, tmp_path: Path) -> None:
    """`check` warns of the one that a shell's redirection makes."""
    file = tmp_path / "boardroom.secret"

    status, said, _ = run("token-server", "clients", "new", "boardroom", "--output", str(file))

    assert status == 0
    assert said.startswith(f"{file}: the secret of boardroom")
    assert file.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"[\w-]{43}\n", file.read_text())
    assert file.read_text().strip() not in said
    assert run("token-server", "clients", "new", "attic", "--output", str(tmp_path))[0] == 0
    assert (tmp_path / "attic.secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("output", ["there.secret", "nowhere/x.secret"])
def test_a_client_whose_secret_cannot_be_written_is_not_made(run, tmp_path: Path, output: str) -> None:
    (tmp_path / "there.secret").write_text("another's")

    status, _, said = run("token-server", "clients", "new", "boardroom", "--output", str(tmp_path / output))

    assert (status, "no client was made" in said) == (78, True), said
    assert (tmp_path / "there.secret").read_text() == "another's"
    assert run("token-server", "clients", "list")[1] == ""


def test_a_redirection_that_others_can_read_is_told_of(command: Command) -> None:
    words = [sys.executable, "-m", "minuted", "token-server", "clients", "new", "boardroom"]
    file = command.folder / "boardroom.secret"
    with file.open("w") as output:
        done = subprocess.run(
            [*words, "--config", str(command.file)],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
    assert len(file.read_text()) == 44
    assert "can read: run chmod 600 on it; --output FILE" in done.stderr
