"""A meeting-room machine in a box: minuted's units, a sound server, the simulated service."""

import json
import sys
import sysconfig
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from minuted.config import parse
from minuted.status import collect
from simulator.coded import Recording
from systemd.box import Box

ROOT: Final = Path(__file__).parents[2]
KEY: Final = "a-key-that-nobody-else-may-see"
PORT: Final = 9310
SOCKETS: Final = "/run/minuted"
TURNS: Final = "/var/lib/minuted/turns.jsonl"
READY_S_MAX: Final = 60.0
STAGES: Final = {"capture", "transcription", "delivery/file_log", "delivery/srt"}
UNWELL: Final = ("waiting", "starting", "backoff", "failed", "failed to load", "not answering")

CONFIG: Final = f"""
room = "boardroom"
[capture]
device = "table"
[engine]
service = "assemblyai"
url = "ws://127.0.0.1:{PORT}"
[sinks.file_log]
path = "{TURNS}"
[sinks.srt]
directory = "/var/lib/minuted/srt"
"""
MICROPHONE: Final = """
</usr/share/alsa/alsa.conf>
pcm.table { type pulse device "table.monitor" server "unix:/srv/sound/native"
            hint { show on description "table" } }
"""
SOUND_SERVER: Final = """
.fail
load-module module-native-protocol-unix auth-anonymous=1 socket=/srv/sound/native
load-module module-null-sink sink_name=table rate=16000 channels=1 format=s16le norewinds=1
"""
# What a real card would not need; the sandbox is the unit's own.
HEARS_A_SERVER: Final = "[Service]\nEnvironment=ALSA_CONFIG_PATH=/etc/minuted-asound.conf\n"
LAUNCHER: Final = """\
#!/bin/sh
export PYTHONDONTWRITEBYTECODE=1 LD_LIBRARY_PATH={libraries}
export PYTHONPATH=/srv/source/daemon:/srv/source/tests:/srv/packages
exec {python} {words} "$@"
"""


class Room:
    """The box, and what a person at that machine would do."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self._began_s = time.time()

    def prepare(self) -> None:
        """Start what stands for the world around minuted."""
        (self.box.root / "srv/sound").mkdir(parents=True)
        server = "pulseaudio -n -F /etc/minuted-pulse.pa --daemonize=no --exit-idle-time=-1 --disable-shm=yes"
        own = "HOME=/srv/sound XDG_RUNTIME_DIR=/srv/sound PULSE_RUNTIME_PATH=/srv/sound/run"
        self._serve("sound", *server.split(), "--use-pid-file=no", environment=own.split())
        options = json.dumps({"keys": [KEY], "heartbeat_s": 1.0})
        self._serve("simulator", "/srv/simulated-service", "--port", str(PORT), "--options", options)
        self.box.wait_until((self.box.root / "srv/sound/native").is_socket)
        self.box.wait_until(lambda: "listening" in self.file("/srv/simulator.log"))

    def make_user(self) -> None:
        self.box.run("systemd-sysusers", "/usr/lib/sysusers.d/minuted.conf")
        self.box.run("systemd-tmpfiles", "--create", "/usr/lib/tmpfiles.d/minuted.conf")

    def _serve(self, unit: str, *command: str, environment: Iterable[str] = ()) -> None:
        given = [f"--setenv={each}" for each in environment]
        given.append(f"--property=StandardOutput=file:/srv/{unit}.log")
        self.box.run("systemd-run", f"--unit={unit}", "--quiet", *given, *command)

    def file(self, path: str) -> str:
        """Give a file's text; nothing where there is none."""
        place = self.box.root / path.lstrip("/")
        return place.read_text(encoding="utf-8") if place.exists() else ""

    def configure(self, text: str) -> None:
        (self.box.root / "etc/minuted/minuted.toml").write_text(text, encoding="utf-8")

    def systemctl(self, *words: str, check: bool = True) -> str:
        return self.box.run("systemctl", *words, check=check).strip()

    def property(self, name: str, unit: str = "minuted") -> str:
        return self.systemctl("show", unit, "--value", f"--property={name}")

    def start(self, unit: str = "minuted") -> None:
        """Start it, and wait until it says that it is ready, as `systemctl start` does."""
        self.box.run("systemctl", "start", unit, timeout_s=READY_S_MAX)

    def end(self) -> None:
        """End it in whatever state it is, and forget how it went and what it wrote."""
        self.systemctl("kill", "--signal=KILL", "minuted*.service", check=False)
        self.systemctl("stop", "minuted*.service", "minuted.target", check=False)
        self.systemctl("reset-failed", check=False)
        self.box.run("sh", "-c", "rm -rf /var/lib/minuted/* /etc/systemd/system/minuted*.service.d/9*")
        self.configure(CONFIG)
        # After the file is written: minuted.target has the stages that stand in it.
        self.systemctl("daemon-reload")
        self._began_s = time.time()

    def drop_in(self, name: str, text: str, unit: str = "minuted") -> None:
        """Change the unit for this test, as `systemctl edit` does."""
        folder = self.box.root / f"etc/systemd/system/{unit}.service.d"
        folder.mkdir(exist_ok=True)
        (folder / f"9-{name}.conf").write_text(f"[Service]\n{text}\n", encoding="utf-8")
        self.systemctl("daemon-reload")

    def stages(self) -> dict[str, dict[str, Any]]:
        """What `minuted status` tells; nothing where nobody answers."""
        folder = self.box.root / SOCKETS.lstrip("/")
        settings = parse(CONFIG + f'[publish]\nturns = "ipc://{folder}/turns.sock"\n')
        return dict(collect(replace(settings, runtime_dir=folder))["stages"])

    def are_ready(self) -> bool:
        stages = self.stages()
        return stages.keys() >= STAGES and not any(row["state"] in UNWELL for row in stages.values())

    def as_user(self, user: str, *command: str) -> str:
        return self.box.run(*setpriv(user), *command, check=False)

    def journal(self, *options: str, unit: str = "minuted") -> str:
        """What the journal has of a unit since the machine's test began."""
        since = f"--since=@{self._began_s:.6f}"
        wanted = options or ("--output=cat",)
        return self.box.run("journalctl", "--unit", unit, "--no-pager", "--quiet", since, *wanted)

    def say(self, recording: Recording) -> None:
        """Play a recording into the microphone; returns when all of it has been said."""
        recording.save(self.box.root / "srv/sound/said.wav")
        self.box.run("paplay", "--server=unix:/srv/sound/native", "--device=table", "/srv/sound/said.wav")

    def words(self) -> list[str]:
        """Every word the file log has, in its order."""
        lines = self.file(TURNS).splitlines()
        return [word for line in lines for word in json.loads(line).get("text", "").split()]

    def hears(self, recording: Recording) -> bool:
        """Say it, and wait for its last word; tell whether its words and no others stand at the end."""
        self.say(recording)
        said = [word.text for word in recording.words]
        self.box.wait_until(lambda: said[-1] in self.words())
        return self.words()[-len(said) :] == said

    def main_pid(self) -> int:
        return int(self.property("MainPID"))


def setpriv(user: str) -> list[str]:
    group = "nogroup" if user == "nobody" else user
    return ["setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups"]


def seed_world(box: Box) -> None:
    """Put into the box what a machine has that minuted comes to: a microphone, somebody to hear it."""
    box.seed("/etc/minuted-asound.conf", MICROPHONE)
    box.seed("/etc/minuted-pulse.pa", SOUND_SERVER)
    for unit in ("minuted", "minuted-capture"):
        box.seed(f"/etc/systemd/system/{unit}.service.d/10-sound.conf", HEARS_A_SERVER)
    box.bind(ROOT, "/srv/source")
    box.bind(Path(sysconfig.get_path("platlib")), "/srv/packages")
    launch(box, "/srv/simulated-service", "-m simulator")
    launch(box, "/srv/interpreter", "")


def seed_program(box: Box) -> None:
    """Put into the box what an installation puts onto a machine, with this very Python."""
    for unit in [*(ROOT / "systemd").glob("*.service"), *(ROOT / "systemd").glob("*.target")]:
        box.seed(f"/etc/systemd/system/{unit.name}", unit)
    box.seed("/etc/systemd/system-generators/minuted-generator", ROOT / "systemd/minuted-generator", 0o755)
    box.seed("/usr/lib/sysusers.d/minuted.conf", ROOT / "deploy/minuted.sysusers.conf")
    box.seed("/usr/lib/tmpfiles.d/minuted.conf", ROOT / "deploy/minuted.tmpfiles.conf")
    box.seed("/etc/minuted/minuted.toml", CONFIG)
    box.seed("/etc/credstore/assemblyai.key", KEY + "\n", 0o600)
    launch(box, "/opt/minuted/current/bin/minuted", "-m minuted")


def launch(box: Box, path: str, words: str) -> None:
    """Put a program into the box that runs a module of ours, or the interpreter itself."""
    python = _python(box)
    text = LAUNCHER.format(python=python, libraries=python.parents[1] / "lib", words=words)
    box.seed(path, text, 0o755)


def _python(box: Box) -> Path:
    """Give the interpreter's place in the box; where it lies may be closed to other users here."""
    binary = Path(sys.executable).resolve()
    base = Path(sys.base_prefix).resolve()
    if base == Path("/usr"):
        return binary
    box.bind(base, "/srv/python")
    return Path("/srv/python") / binary.relative_to(base)
