"""Planted secrets: a whole run with everything that fails, and none of them anywhere it does not belong."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from simulator import Fault
from simulator.coded import compose
from simulator.process import Process
from simulator.receiver import Receiver
from test_doors import free_ports

WAIT_S = 60
KEY = "planted-key-of-the-environment"
FILE_KEY = "planted-key-of-the-env-file"
WEBHOOK_SECRET = "whsec_cGxhbnRlZC1zZWNyZXQtb2YtdGhlLXdlYmhvb2shIQ=="
PASSWORD, PATH_TOKEN, QUERY = "planted-password", "planted-path-token", "planted-query-token"
PLANTED = [KEY, FILE_KEY, WEBHOOK_SECRET, WEBHOOK_SECRET.removeprefix("whsec_"), PASSWORD, PATH_TOKEN, QUERY]
CONFIG = """
stop_timeout_s = 3
[engine]
service = "assemblyai"
url = "{service}"
[publish]
turns = "tcp://127.0.0.1:{port}"
[sinks.file_log]
path = "@output/turns.jsonl"
[sinks.webhook]
url = "http://me:{password}@127.0.0.1:{hook}/{path}?token={query}"
secret = "{secret}"
put_aside_after_s = 0
[sinks.away]
use = "webhook"
url = "http://me:{password}@127.0.0.1:9/{path}?token={query}"
secret_file = "@output/hook.secret"
"""


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Iterator[Process]:
    with Process(**getattr(request, "param", {})) as process:
        yield process


def children(daemon: Any) -> list[int]:
    return [stage["pid"] for stage in daemon.status().get("stages", {}).values() if stage.get("pid")]


def told_by_the_kernel(pid: int) -> dict[str, str]:
    """What everybody (cmdline), and root or the same user (environ), can see of a process."""
    told = {}
    for name in ("cmdline", "environ"):
        with suppress(OSError):
            told[f"{pid} {name}"] = Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    return told


def found_in(places: dict[str, str], planted: list[str]) -> list[str]:
    return [f"{secret} in {place}" for place, text in places.items() for secret in planted if secret in text]


def files_of(daemon: Any, own: set[Path]) -> dict[str, str]:
    """Everything a run wrote: logs, journals, cursors with dead letters, what sinks made."""
    files = [file for file in daemon.output.rglob("*") if file.is_file() and file not in own]
    assert {"log.jsonl", "turns.db", "webhook.db", "turns.jsonl"} <= {file.name for file in files}
    return {str(file): file.read_bytes().decode("latin-1") for file in files}


def test_no_secret_is_anywhere_it_does_not_belong(
    service: Process, make_daemon: Callable[[str], Any]
) -> None:
    with Receiver([500, 401, 401, 401]) as receiver:
        config = CONFIG.format(
            service=service.url,
            port=free_ports(),
            hook=receiver.port,
            secret=WEBHOOK_SECRET,
            password=PASSWORD,
            path=PATH_TOKEN,
            query=QUERY,
        )
        daemon = make_daemon(config)
        output = daemon.output
        (output / "hook.secret").write_text(WEBHOOK_SECRET)
        (output / "hook.secret").chmod(0o600)
        (output / ".env").write_text(f"ASSEMBLYAI_API_KEY={FILE_KEY}\n")
        sound = compose(6).save(output / "talk.wav")
        (output / "state").mkdir()
        made = daemon.ask("keys", "new", "tablet", "--output", str(output / "tablet.json"))
        client = json.loads((output / "tablet.json").read_text())["secret"]
        server = (output / "state/keys/server.key").read_text().strip()
        planted = [*PLANTED, client, server]
        daemon.start("--input", str(sound), ASSEMBLYAI_API_KEY=KEY)
        places = {"keys new": made.stdout + made.stderr}
        assert daemon.process
        until_s = time.monotonic() + WAIT_S
        seen: set[int] = set()
        while daemon.process.poll() is None and time.monotonic() < until_s:
            pids = children(daemon)
            seen.update(pids)
            for pid in pids:
                places |= told_by_the_kernel(pid)
            for words in (("status", "--json"), ("status",)):
                said = daemon.ask(*words)
                places[" ".join(words)] = places.get(" ".join(words), "") + said.stdout + said.stderr
            if len(receiver.requests) >= 4 and daemon.turns:
                break
        own = str(daemon.process.pid)
        places[f"{own} cmdline"] = Path(f"/proc/{own}/cmdline").read_text()
        daemon.stop()
        for words in (("dead-letters", "list", "webhook"), ("check",), ("sinks",)):
            said = daemon.ask(*words)
            places[" ".join(words)] = said.stdout + said.stderr
        assert len(receiver.requests) >= 4
        assert "401" in places["dead-letters list webhook"]
        assert len(seen) >= 4, "capture, transcription and two sinks were looked at"
        configured = {"minuted.toml", ".env", "hook.secret", "tablet.json", "server.key"}
        files = files_of(daemon, {file for file in output.rglob("*") if file.name in configured})

    assert found_in(places | files, planted) == []
    # The service was opened with the right key all the same.
    assert service.sessions


@pytest.mark.parametrize(
    "service",
    [
        {"options": {"keys": ["another"]}},
        {"script": [Fault(name="error", code=1008, text=f"Unauthorized: {KEY} is no key")]},
    ],
    ids=["refused", "refused and quoted"],
    indirect=True,
)
def test_a_refused_key_is_not_said(service: Process, make_daemon: Callable[[str], Any]) -> None:
    """Also where the service itself quotes it."""
    daemon = make_daemon(f'[engine]\nservice = "assemblyai"\nurl = "{service.url}"\n')
    sound = compose(3).save(daemon.output / "talk.wav")
    daemon.start("--input", str(sound), ASSEMBLYAI_API_KEY=KEY)
    status = ""
    assert daemon.process
    while daemon.process.poll() is None:
        status += daemon.ask("status", "--json").stdout
    log = (daemon.output / "log.jsonl").read_text()

    assert daemon.wait() == 78
    assert "Unauthorized" in log or "1008" in log
    assert KEY not in log + status
