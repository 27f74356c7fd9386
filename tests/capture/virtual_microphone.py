"""Microphones without hardware: a PulseAudio of our own, whose sinks' monitors are ALSA devices."""

import os
import shutil
import signal
import socket
import subprocess
import time
import wave
from pathlib import Path

import pytest

UP_S_MAX = 20.0
DEBIAN = {"pulseaudio": "pulseaudio", "pactl": "pulseaudio-utils", "paplay": "pulseaudio-utils"}
ALSA_PLUGIN = "libasound_module_pcm_pulse.so"


def require_packages() -> None:
    """Fail, naming the Debian package, where something is missing that a virtual microphone needs."""
    missing = {package for program, package in DEBIAN.items() if shutil.which(program) is None}
    if not any(Path("/usr/lib").glob(f"*/alsa-lib/{ALSA_PLUGIN}")):
        missing.add("libasound2-plugins")
    if not any(Path("/usr/lib").glob("*/libportaudio.so.2")):
        missing.add("libportaudio2")
    if missing:
        pytest.fail(f"the virtual microphone needs the Debian packages {', '.join(sorted(missing))}")


class VirtualMicrophones:
    """A sound server and its microphones, each known to ALSA by its own name."""

    def __init__(self, folder: Path, *names: str) -> None:
        require_packages()
        self._folder = folder
        self._modules: dict[str, str] = {}
        for name in ("home", "run", "sock"):
            (folder / name).mkdir(mode=0o700)
        server = f"unix:{folder}/sock/native"
        pcms = "".join(
            f'pcm.{name} {{ type pulse device "{name}.monitor" server "{server}" '
            f'hint {{ show on description "{name}" }} }}\n'
            for name in names
        )
        alsa = folder / "asound.conf"
        alsa.write_text(f"</usr/share/alsa/alsa.conf>\n{pcms}", encoding="utf-8")
        (folder / "pulse.pa").write_text(
            f".fail\nload-module module-native-protocol-unix auth-anonymous=1 socket={folder}/sock/native\n"
        )
        self.environment = {
            "HOME": f"{folder}/home",
            "XDG_RUNTIME_DIR": f"{folder}/run",
            "PULSE_RUNTIME_PATH": f"{folder}/run/pulse",
            "PULSE_STATE_PATH": f"{folder}/run/state",
            "PULSE_SERVER": server,
            "ALSA_CONFIG_PATH": str(alsa),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        for name in names:
            self.plug_in(name)

    def start(self) -> None:
        command = [
            "pulseaudio",
            "-n",
            "-F",
            f"{self._folder}/pulse.pa",
            "--daemonize=no",
            "--exit-idle-time=-1",
        ]
        command += ["--disable-shm=yes", "--use-pid-file=no", f"--log-target=file:{self._folder}/pulse.log"]
        self._process = subprocess.Popen(
            command, env=os.environ | self.environment, stderr=subprocess.DEVNULL
        )
        until_s = time.monotonic() + UP_S_MAX
        with socket.socket(socket.AF_UNIX) as trial:
            while trial.connect_ex(f"{self._folder}/sock/native"):
                assert self._process.poll() is None, (self._folder / "pulse.log").read_text()
                assert time.monotonic() < until_s, "the sound server does not come up"
                time.sleep(0.01)

    def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        self._process.wait(UP_S_MAX)

    def freeze(self) -> None:
        """Let it live and do nothing, as a sound server that hangs."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def plug_in(self, name: str) -> None:
        # Without norewinds=1 the sink buffers 2 s, and the first of them are lost.
        options = f"sink_name={name} rate=16000 channels=1 format=s16le norewinds=1"
        self._modules[name] = self._pactl("load-module", "module-null-sink", *options.split())

    def unplug(self, name: str) -> None:
        self._pactl("unload-module", self._modules.pop(name))

    def speak(self, name: str, pcm: bytes) -> None:
        """Say 16 kHz mono 16-bit PCM into a microphone; returns when it has been said."""
        said = self._folder / "said.wav"
        with wave.open(str(said), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(pcm)
        command = ["paplay", f"--device={name}", str(said)]
        subprocess.run(command, env=os.environ | self.environment, check=True, timeout=UP_S_MAX)

    def _pactl(self, *words: str) -> str:
        command = ["pactl", *words]
        done = subprocess.run(
            command,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=UP_S_MAX,
        )
        return done.stdout.strip()
