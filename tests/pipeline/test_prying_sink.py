"""A sink that looks for the service's key wherever a process of the same user may look."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from simulator.coded import compose
from simulator.process import Process

KEY, CREDENTIAL, SECRET = "planted-key-of-the-environment", "planted-key-of-a-credential", "planted-secret"
SINK = '''
"""Look for secrets, and write down where they are."""

import ctypes
import json
import os
from pathlib import Path

from minuted import Sink


def found_in(place, read):
    try:
        data = read()
    except OSError:
        return []
    return [place] if b"planted" in data else []


def hunt():
    found = found_in("own environment", lambda: repr(dict(os.environb)).encode())
    folder = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"))
    for file in sorted(folder.glob("*")):
        found += found_in(f"credential {file.name}", file.read_bytes)
    pids = [name for name in os.listdir("/proc") if name.isdigit()]
    for pid in pids:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\\0")
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        # Those of this run: the machine may have others.
        if os.getppid() not in (parent, int(pid)):
            continue
        name = pid if int(pid) != os.getppid() else "parent"
        name = "self" if int(pid) == os.getpid() else f"{name} {b' '.join(command[3:]).decode()}"
        found += found_in(f"{name}: environ", Path(f"/proc/{pid}/environ").read_bytes)
        found += found_in(f"{name}: cmdline", Path(f"/proc/{pid}/cmdline").read_bytes)
        try:
            descriptors = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for number in descriptors:
            path = f"/proc/{pid}/fd/{number}"
            try:
                target = os.readlink(path)
            except OSError:
                continue
            if target.startswith("/memfd") or "credential" in target:
                found += found_in(f"{name}: descriptor", Path(path).read_bytes)
    return found


class Prying(Sink):
    output: Path

    def open(self):
        self.looked = False

    def write(self, turn):
        if not self.looked:
            new = self.output.with_suffix(".new")
            new.write_text(json.dumps(hunt()))
            new.rename(self.output)
            self.looked = True
'''
CONFIG = """
stop_timeout_s = 3
[engine]
service = "assemblyai"
url = "{service}"
[sinks.prying]
output = "@output/found.json"
"""


@pytest.mark.parametrize("how", ["environment", "credential"])
def test_the_service_s_key_is_nowhere_a_sink_can_look(make_daemon: Callable[[str], Any], how: str) -> None:
    """Root's own processes see all there is, and yet not what is no longer there."""
    with Process() as service:
        daemon = make_daemon(CONFIG.format(service=service.url))
        output = daemon.output
        (output / "sinks").mkdir()
        (output / "sinks/prying.py").write_text(SINK)
        text = daemon.config.read_text()
        daemon.config.write_text(text.replace("sink_dirs = []", f'sink_dirs = ["{output}/sinks"]'))
        sound = compose(3).save(output / "talk.wav")
        given = output / "credentials-of-systemd"
        given.mkdir(mode=0o700)
        (given / "assemblyai.key").write_text(CREDENTIAL)
        (given / "token.secret").write_text(SECRET)
        (given / "prying.secret").write_text("planted for the sink itself")
        extra = {"ASSEMBLYAI_API_KEY": KEY} if how == "environment" else {"CREDENTIALS_DIRECTORY": str(given)}
        daemon.start("--input", str(sound), **extra)
        assert daemon.wait() == 0
        assert service.sessions
    found = json.loads((output / "found.json").read_text())
    # Its own, which it may need, and nothing else.
    assert found == (["credential prying.secret"] if how == "credential" else [])
