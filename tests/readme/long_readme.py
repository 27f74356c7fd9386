"""README.md from its first line to its last, on fresh machines that boot: `make test-readme`.

A fresh machine is Debian's base system as debootstrap makes it: what README has to be installed is not there
before. Its network is the loopback alone: Debian's packages and Python's lie where apt and pip look for them.
The vendor's service is the simulated one; the microphone is a sound server's, reached by ALSA's plugins.
`make test` and its kin are looked at, not run, and the long loops are run for some rounds.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import soundfile
import soxr

from capture.virtual_microphone import VirtualMicrophones
from readme.lines import README, Piece
from readme.machines import KEY, PORT, TESTS, Fresh, speech
from readme.ways import Way, speak_coded, tell
from simulator.roads import certificate
from systemd.box import Box
from systemd.conftest import made_box
from waiting import until

ROOT = TESTS.parent
KEPT = ROOT / "build/readme"
"""What takes minutes to fetch; `make clean` removes it."""
MIRROR = [*filter(None, [os.environ.get("DEBIAN_MIRROR")])]
"""Where Debian is fetched from, unless from where debootstrap takes it."""
SUITE = "bookworm"
MICROPHONES = ("Jabra", "HDMI")
MICROPHONE = """
pcm.{name} {{ type pulse device "{name}.monitor" server "unix:/srv/sound/native"
              hint {{ show on description "{name}" }} }}
"""
PIP = "[global]\nno-index = true\nfind-links = /srv/wheels\ndisable-pip-version-check = true\n"
APT = 'APT::Get::Assume-Yes "true";\nAPT::Sandbox::User "root";\nAcquire::Retries "0";\n'

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="session")
def base() -> Path:
    """Debian's base system, with the packages that README names downloaded and not installed."""
    root = KEPT / "root"
    if not (root / "complete").exists():
        shutil.rmtree(root, ignore_errors=True)
        KEPT.mkdir(parents=True, exist_ok=True)
        subprocess.run(["debootstrap", "--include=dbus", SUITE, root, *MIRROR], check=True)
        (root / "etc/apt/apt.conf.d/99readme").write_text(APT)
        (root / "complete").touch()
    text = README.read_text(encoding="utf-8")
    (listed,) = re.findall(
        r'^readonly PACKAGES="(.*)"$', (ROOT / "deploy/install.sh").read_text(), re.MULTILINE
    )
    commands = {each.strip() for each in re.findall(r"apt-get install ([a-z0-9 .+-]+)", text)}
    commands |= {f"--no-install-recommends {listed}", "--no-install-recommends libasound2-plugins", "jq"}
    subprocess.run(["chroot", root, "apt-get", "--quiet", "--quiet", "update"], check=True)
    for words in sorted(commands):
        install = ["apt-get", "--quiet", "--quiet", "install", "--yes", "--download-only", *words.split()]
        subprocess.run(["chroot", root, *install], check=True)
    return root


@pytest.fixture(scope="session")
def packages() -> Path:
    """All that pip will be asked for."""
    folder = KEPT / "wheels"
    for name in ("constraints", "requirements"):
        listed = ROOT / f"deploy/{name}.txt"
        if not folder.is_dir() or listed.stat().st_mtime > folder.stat().st_mtime:
            words = [
                "pip",
                "download",
                "--quiet",
                "--require-hashes",
                "--dest",
                folder,
                "--requirement",
                listed,
            ]
            subprocess.run([sys.executable, "-m", *words], check=True)
    os.utime(folder)
    return folder


@contextmanager
def fresh_machine(base: Path, packages: Path, scratch: Path) -> Iterator[Fresh]:
    with made_box(base) as box, ExitStack() as world:
        (scratch / "sound").mkdir()
        sound = VirtualMicrophones(scratch / "sound", *MICROPHONES)
        world.callback(sound.stop)
        (scratch / "sound/sock").chmod(0o755)
        box.bind(scratch / "sound/sock", "/srv/sound")
        box.bind(packages, "/srv/wheels")
        box.seed("/etc/asound.conf", "".join(MICROPHONE.format(name=name) for name in MICROPHONES))
        box.seed("/etc/pip.conf", PIP)
        box.seed("/etc/hosts", "127.0.0.1 localhost tokens.example.org fresh\n::1 localhost\n")
        box.seed("/etc/hostname", "fresh\n")
        box.start()
        box.run("hostname", "fresh")
        box.run("useradd", "--create-home", "--shell", "/bin/bash", "--uid", "1000", "me")
        box.run("install", "-d", "-o", "me", "-m", "700", "/run/user/1000")
        box.run("apt-get", "install", "--no-install-recommends", "libasound2-plugins", timeout_s=300)
        machine = Fresh(scratch, box)
        copy_checkout(machine)
        world.enter_context(simulated_service(box, scratch))
        machine.notes["speak"] = speak_coded(lambda pcm: sound.speak("Jabra", pcm))
        machine.notes["read aloud"] = lambda: read_aloud(sound, scratch)
        machine.notes["certify"] = lambda name: certify(machine, name)
        machine.notes["elsewhere"] = lambda file, key: elsewhere(box, scratch, file, key)
        yield machine


def copy_checkout(machine: Fresh) -> None:
    """As `git clone` would: what is tracked, and what is about to be."""
    listed = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")
    target = machine.place("/home/me/checkout")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)
    machine.box.run("chown", "--recursive", "me:", "/home/me")


@contextmanager
def simulated_service(box: Box, scratch: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "simulator", "--port", str(PORT)]
    command += ["--options", json.dumps({"keys": [KEY], "heartbeat_s": 1.0})]
    log = scratch / "simulator.log"
    with (
        log.open("wb") as out,
        subprocess.Popen(box.beside(*command), cwd=TESTS, stdout=out, stderr=out) as process,
    ):
        try:
            until(lambda: "listening" in log.read_text(), "the simulated service")
            yield
        finally:
            process.kill()


def read_aloud(sound: VirtualMicrophones, scratch: Path) -> None:
    samples, rate = soundfile.read(speech(scratch / "voice", "aloud.wav", 5.0), dtype="float32")
    at_16_khz = soxr.resample(samples, rate, 16_000)
    sound.speak("Jabra", (at_16_khz * 32767).astype("int16").tobytes() + bytes(64_000))


def certify(machine: Fresh, name: str) -> None:
    """Give a server that name's certificate, and let the machine trust it."""
    with tempfile.TemporaryDirectory(prefix="m-cert-", dir="/tmp") as folder:
        cert, key = certificate(Path(folder), [name])
        machine.write("/etc/minuted/tokens.pem", cert.read_text())
        machine.write("/etc/minuted/tokens.key", key.read_text())
        machine.write("/usr/local/share/ca-certificates/tokens.crt", cert.read_text())
    machine.run("chgrp minuted /etc/minuted/tokens.*; chmod 640 /etc/minuted/tokens.*", "root")
    machine.run("update-ca-certificates", "root")


@contextmanager
def elsewhere(box: Box, scratch: Path, file: str, key: dict[str, Any]) -> Iterator[Callable[[], str]]:
    """Run a subscriber as another machine would that reaches this one by its network alone."""
    kept = scratch / "client.json"
    kept.write_text(json.dumps(key))
    command = box.beside(sys.executable, str(ROOT / file), str(kept))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline
        finally:
            process.kill()


def say(name: str) -> None:
    print(name, flush=True)


def in_checkout(piece: Piece, _: Way) -> bool:
    return piece.heading == "In a checkout"


def test_the_commands_of_a_checkout(base: Path, packages: Path, tmp_path: Path) -> None:
    with fresh_machine(base, packages, tmp_path) as machine:
        machine.folders["me"] = "/home/me/checkout"
        tell(machine, in_checkout, say)


def test_everything_from_the_installation_by_hand_on(base: Path, packages: Path, tmp_path: Path) -> None:
    with fresh_machine(base, packages, tmp_path) as machine:
        machine.folders["me"] = "/home/me/checkout"
        tell(machine, lambda piece, way: not in_checkout(piece, way), say)
