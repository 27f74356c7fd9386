"""`minuted engine` as a process of its own."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minuted.config import Settings
from minuted.control import status_of
from simulator.client import Client

READY_S_MAX = 60


class Engine:
    """A running engine, and what it tells its supervisor."""

    def __init__(self, settings: Settings, config: Path, **environment: str) -> None:
        self.settings = settings
        notices = settings.runtime_dir / "notices"
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notices.bind(str(notices))
        self._notices.settimeout(READY_S_MAX)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "minuted", "engine", "--config", str(config)],
            env={**os.environ, "NOTIFY_SOCKET": str(notices), **environment},
            stderr=subprocess.PIPE,
            text=True,
        )

    def notice(self) -> str:
        return self._notices.recv(4096).decode()

    @property
    def url(self) -> str:
        status = status_of(self.settings, "engine", timeout_s=10)
        assert status is not None
        return str(status["url"])

    def end(self) -> tuple[int, str]:
        _, said = self.process.communicate(timeout=READY_S_MAX)
        return self.process.returncode, said

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self._notices.close()


@pytest.fixture
def start(make_settings, runtime_dir: Path) -> Iterator[Callable[..., Engine]]:
    started = []

    def run(text: str = "", **environment: str) -> Engine:
        config = runtime_dir / "minuted.toml"
        settings = make_settings(f'[engine]\nservice = "local"\n{text}')
        config.write_text(
            f'state_dir = "{runtime_dir}"\nruntime_dir = "{runtime_dir}"\n[engine]\nservice = "local"\n{text}'
        )
        started.append(Engine(settings, config, **environment))
        return started[-1]

    yield run
    for engine in started:
        engine.close()


def test_it_says_where_it_listens_and_ends_its_sessions_at_sigterm(start) -> None:
    engine = start(MINUTED_ENGINE_KEY="the-key")
    assert engine.notice().startswith("READY=1\nSTATUS=ready on ws://127.0.0.1:")
    with Client(engine.url, key="another") as refused:
        assert refused.read()["error_code"] == 1008
    with Client(engine.url, key="the-key") as client:
        client.read_until("Begin")
        engine.process.send_signal(signal.SIGTERM)
        client.read_to_the_end()
    assert client.close_code == 1001
    assert engine.notice() == "STOPPING=1"
    status, said = engine.end()
    assert status == 0
    assert "the-key" not in said
    assert "Traceback" not in said
    assert '"close_code": 1001' in said


def test_on_its_own_it_takes_only_the_key_in_the_runtime_folder(start, runtime_dir: Path) -> None:
    """It took any: whoever could reach the port held all its sessions."""
    engine = start()
    assert engine.notice().startswith("READY=1\n")
    key = runtime_dir / "engine.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    for wrong in ("local", "a-key", ""):
        with Client(engine.url, key=wrong) as refused:
            assert refused.read()["error_code"] == 1008
    with Client(engine.url, key=key.read_text()) as client:
        client.read_until("Begin")
    engine.process.send_signal(signal.SIGTERM)
    status, said = engine.end()
    assert status == 0
    assert key.read_text() not in said


def test_a_port_in_use_is_said_in_one_line(start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        engine = start(f'url = "ws://127.0.0.1:{port}"')
        status, said = engine.end()
    assert status == 78
    assert said.strip().endswith(f"minuted: engine.url: port {port} of 127.0.0.1 is in use")
    assert "bad configuration: engine.url" in engine.notice()


def test_it_listens_where_it_is_told_to(start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    engine = start(f'url = "ws://127.0.0.1:{port}"')
    assert engine.notice().startswith("READY=1")
    assert engine.url == f"ws://127.0.0.1:{port}"
    engine.process.send_signal(signal.SIGINT)
    assert engine.end()[0] == 0


def test_a_folder_without_a_model_is_bad_configuration(start, runtime_dir: Path) -> None:
    status, said = start(f'model_dir = "{runtime_dir}"').end()
    assert status == 78
    assert f"engine.model_dir: {runtime_dir} holds no Moonshine model" in said
