"""What capture costs and how evenly its frames come, over 10 s of a recording and of a microphone.

Every frame goes into the audio journal on the disk and then into the socket; `journal_kb_s` is what the
journal grew by in a second, `unpushed` how many frames nobody was there for yet.

Expected on a 2-core machine that is otherwise idle: the recording (48 kHz stereo, resampled) under
2.5 % of a core and the virtual microphone (16 kHz mono) under 1.5 %, 99 frames of 100 within 2 ms (recording)
and 5 ms (microphone, whose blocks PulseAudio deals out) of their place on a 50 ms grid.

Run it with the tests' Python: `python tests/benches/bench_capture.py`. Prints one line of JSON.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1]))

from capture.virtual_microphone import VirtualMicrophones
from minuted.bus import FramesIn, Poller
from minuted.config import load
from minuted.control import status_of
from minuted.messages import AudioFrame

FRAMES = 200
WARM_UP_FRAMES = 20
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES / 1e6


def measure(folder: Path, capture: str, environment: dict[str, str]) -> dict[str, float]:
    """Start a capture with this [capture] table, take its frames, and give its figures."""
    config = folder / "minuted.toml"
    config.write_text(f'state_dir = "{folder}"\nruntime_dir = "{folder}"\n[capture]\n{capture}\n')
    frames_in = FramesIn(load(config).frames_endpoint)
    poller = Poller(frames_in)
    command = [sys.executable, "-m", "minuted", "capture", "--config", str(config)]
    process = subprocess.Popen(command, env=os.environ | environment, stderr=subprocess.DEVNULL)
    arrived_s: list[float] = []
    began_s = used_s = held_kb = 0.0
    try:
        while len(arrived_s) < WARM_UP_FRAMES + FRAMES and process.poll() is None:
            poller.wait(1)
            while isinstance(frames_in.receive(), AudioFrame):
                arrived_s.append(time.monotonic())
                if len(arrived_s) == WARM_UP_FRAMES:
                    began_s, used_s = time.monotonic(), cpu_s(process.pid)
                    held_kb = sum(file.stat().st_size for file in (folder / "audio").iterdir()) / 1000
        took_s = time.monotonic() - began_s
        used_s = cpu_s(process.pid) - used_s
        memory_mb = rss_mb(process.pid)
        unpushed = (status_of(load(config), "capture") or {}).get("unpushed")
        stored_kb = sum(file.stat().st_size for file in (folder / "audio").iterdir()) / 1000
    finally:
        process.terminate()
        process.wait()
        frames_in.close()
    off_s = [at_s - 0.05 * place for place, at_s in enumerate(arrived_s[WARM_UP_FRAMES:])]
    middle_s = statistics.median(off_s)
    off_ms = sorted(abs(at_s - middle_s) * 1000 for at_s in off_s)
    return {
        "cpu_percent": round(100 * used_s / took_s, 2),
        "jitter_ms_p50": round(off_ms[len(off_ms) // 2], 2),
        "jitter_ms_p99": round(off_ms[len(off_ms) * 99 // 100], 2),
        "jitter_ms_max": round(off_ms[-1], 2),
        "rss_mb": round(memory_mb, 1),
        "journal_kb_s": round((stored_kb - held_kb) / took_s, 1),
        "unpushed": unpushed,
    }


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as name:
        folder = Path(name)
        noise = np.random.default_rng(1).uniform(-0.3, 0.3, (48000 * 15, 2))
        soundfile.write(folder / "noise.wav", noise, 48000)
        recording = measure(folder, f'source = "{folder}/noise.wav"', {})
        microphones = VirtualMicrophones(folder, "room")
        try:
            microphone = measure(folder, 'device = "room"', microphones.environment)
        finally:
            microphones.stop()
    print(json.dumps({"bench": "capture", "recording": recording, "microphone": microphone}))


if __name__ == "__main__":
    main()
