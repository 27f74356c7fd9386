"""`minuted metrics` as its users run it."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from minuted import cli
from scraped import samples

WAIT_S = 30.0


@pytest.fixture
def config(runtime_dir: Path) -> Path:
    path = runtime_dir / "minuted.toml"
    path.write_text(f'state_dir = "{runtime_dir}/state"\nruntime_dir = "{runtime_dir}/run"\n[sinks.srt]\n')
    return path


@pytest.fixture
def serve(config: Path) -> Iterator[Callable[[], "tuple[subprocess.Popen[str], str]"]]:
    """Serve in a process; give it and its address."""
    started: list[subprocess.Popen[str]] = []

    def serve() -> "tuple[subprocess.Popen[str], str]":
        log = config.parent / "log"
        words = ["metrics", "--listen", "127.0.0.1:0", "--config", str(config)]
        with log.open("w") as err:
            started.append(subprocess.Popen([sys.executable, "-m", "minuted", *words], stderr=err, text=True))
        until_s = time.monotonic() + WAIT_S
        while not (found := re.search(r'"listen": ?"([^"]+)"', log.read_text())):
            assert started[-1].poll() is None, log.read_text()
            assert time.monotonic() < until_s, log.read_text()
            time.sleep(0.02)
        return started[-1], found[1]

    yield serve
    for process in started:
        process.kill()
        process.wait()


def test_where_nothing_runs_that_is_what_is_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A status that says 1 would leave the file of yesterday standing, in which all is well."""
    status = cli.main(["metrics", "--config", str(config)])
    told = capsys.readouterr()

    assert status == 0
    assert samples(told.out) == {
        "minuted_up": 0,
        "minuted_stage_up stage=capture": 0,
        "minuted_stage_up stage=transcription": 0,
        "minuted_stage_up stage=delivery/srt": 0,
    }
    assert "minuted is not running here" in told.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(serve: Callable, number: signal.Signals) -> None:
    process, address = serve()
    assert samples(httpx.get(f"http://{address}/metrics", trust_env=False).text)["minuted_up"] == 0

    process.send_signal(number)

    assert process.wait(WAIT_S) == 0


def test_an_address_in_use_is_1_and_one_line(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status = cli.main(["metrics", "--listen", address, "--config", str(config)])

    assert status == 1
    assert capsys.readouterr().err == f"minuted: cannot listen on {address}: Address already in use\n"
