"""A flood at every server that speaks HTTP: it stays small, and whoever asks is answered meanwhile."""

import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import httpx
import pytest

from floods.process import Process
from floods.test_sockets import judged
from waiting import until

WAIT_S: Final = 20.0
CONNECTIONS: Final = int(os.environ.get("FLOOD_CONNECTIONS", "600"))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def flood(port: int, count: int, said: bytes) -> list[socket.socket]:
    """Open connections that say so much and no more."""
    made = []
    for _ in range(count):
        with suppress(OSError):
            made.append(socket.create_connection(("127.0.0.1", port), WAIT_S))
            made[-1].sendall(said)
    return made


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    make = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=tokens"
    )
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run([*make.split(), *names, *files], check=True, capture_output=True)
    return tmp_path / "cert.pem"


SERVERS: Final = {
    "token-server": ("token_server_ready", "/health", b"GET /hea"),
    "token-server over TLS": ("token_server_ready", "/health", b""),
    "metrics": ("metrics_ready", "/metrics", b"GET /met"),
    "engine": ("engine_ready", "/v3/health", b"GET /v3/hea"),
}


@pytest.fixture(params=SERVERS)
def server(
    request: pytest.FixtureRequest, runtime_dir: Path, certificate: Path
) -> Iterator[tuple[str, int, Process]]:
    port, name = free_port(), request.param
    text = f'[token_server]\nlisten = "127.0.0.1:{port}"\n'
    if name.endswith("TLS"):
        text += f'certificate = "{certificate}"\nprivate_key = "{certificate.with_name("key.pem")}"\n'
    if name == "engine":
        text = f'[engine]\nservice = "local"\nurl = "ws://127.0.0.1:{port}"\n'
    command = f"metrics --listen 127.0.0.1:{port}" if name == "metrics" else name.split()[0]
    with closing(Process(runtime_dir, command, text)) as process:
        process.wait_for(SERVERS[name][0])
        yield name, port, process


def test_silence_and_half_heads_do_not_keep_it_from_others(
    server: tuple[str, int, Process], certificate: Path
) -> None:
    name, port, process = server
    _, path, half = SERVERS[name]
    is_safe = name.endswith("TLS")
    trusting = ssl.create_default_context(cafile=str(certificate))

    def answered() -> bool:
        url = f"{'https' if is_safe else 'http'}://127.0.0.1:{port}{path}"
        with suppress(httpx.TransportError):
            return httpx.get(url, verify=trusting, trust_env=False, timeout=WAIT_S).status_code == 200
        return False

    until(answered, "an answer")
    before_bytes, logged_bytes = process.memory_bytes(), process.log.stat().st_size
    made = flood(port, CONNECTIONS // 2, half) + flood(port, CONNECTIONS // 2, b"")
    for _ in range(10):
        assert answered(), "it does not answer while they wait"
    for each in made:
        each.close()
    judged(process, before_bytes)
    assert process.log.stat().st_size - logged_bytes < 100_000
