"""What the local engine costs and how soon its turns come: 44 s of a reading in real time.

Expected on a 2-core machine that is otherwise idle: finals in 0.6 to 0.7 s and first partials in 0.4 s
(medians) whatever the interval, 250 MB, and of one core 65 % at 0.5 s, 45 % at 1.0 s. A good third of
that are the library's helper threads, which run only where a core is idle.

Run it with the tests' Python: `python tests/benches/bench_engine.py [update_interval_s]`. Prints one line
of JSON. `final_s` is from a turn's last word to its final, `first_partial_s` from its first word to
the first partial, both as the words' own times have it, which are right to about 0.1 s.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import soundfile
import soxr
from moonshine_voice.utils import get_assets_path
from websockets.sync.client import connect

FRAME_S = 0.05
FRAME_BYTES = 1_600
SPOKEN_S = 44
QUIET_S = 3
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES / 1e6


def recording() -> bytes:
    samples, rate_hz = soundfile.read(get_assets_path() / "two_cities.wav", dtype="int16")
    spoken = soxr.resample(samples[: SPOKEN_S * rate_hz], rate_hz, 16_000).astype("<i2").tobytes()
    return bytes(spoken) + bytes(QUIET_S * 32_000)


def stream(url: str, pcm: bytes) -> tuple[float, list[tuple[float, dict[str, Any]]]]:
    """Play the PCM in real time; give the time of its first sample, and every message with its time."""
    heard: list[tuple[float, dict[str, Any]]] = []
    query = "sample_rate=16000&min_turn_silence=100&max_turn_silence=1200"
    with connect(f"{url}/v3/ws?{query}", additional_headers={"Authorization": "bench"}) as client:

        def listen() -> None:
            heard.extend((time.monotonic(), json.loads(message)) for message in client)

        listener = threading.Thread(target=listen)
        listener.start()
        began_s = time.monotonic()
        for number, start in enumerate(range(0, len(pcm), FRAME_BYTES), 1):
            # A frame is sent when its last sample has been heard.
            time.sleep(max(0.0, began_s + number * FRAME_S - time.monotonic()))
            client.send(pcm[start : start + FRAME_BYTES])
        client.send('{"type": "Terminate"}')
        listener.join()
    return began_s, heard


def latencies(began_s: float, heard: list[tuple[float, dict[str, Any]]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"final_s": [], "first_partial_s": [], "partials": []}
    orders = set()
    for at_s, message in heard:
        if message["type"] != "Turn" or not message["words"]:
            continue
        if message["turn_order"] not in orders:
            orders.add(message["turn_order"])
            found["first_partial_s"].append(at_s - began_s - message["words"][0]["start"] / 1000)
        if message["end_of_turn"]:
            found["final_s"].append(at_s - began_s - message["words"][-1]["end"] / 1000)
        else:
            found["partials"].append(at_s)
    return found


def main() -> None:
    interval = f"update_interval_s = {float(sys.argv[1])}\n" if sys.argv[1:] else ""
    with tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as folder:
        notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notices.bind(f"{folder}/notices")
        notices.settimeout(60)
        config = Path(folder, "minuted.toml")
        config.write_text(
            f'state_dir = "{folder}"\nruntime_dir = "{folder}"\n[engine]\nservice = "local"\n{interval}'
        )
        engine = subprocess.Popen(
            [sys.executable, "-m", "minuted", "engine", "--config", str(config)],
            env=os.environ | {"NOTIFY_SOCKET": f"{folder}/notices", "MINUTED_ENGINE_KEY": "bench"},
            stderr=subprocess.DEVNULL,
        )
        try:
            url = notices.recv(4096).decode().partition("ready on ")[2].partition(",")[0]
            loaded_mb, before_s, pcm = rss_mb(engine.pid), cpu_s(engine.pid), recording()
            began_s, heard = stream(url, pcm)
            used_s, lasted_s = cpu_s(engine.pid) - before_s, time.monotonic() - began_s
            found = latencies(began_s, heard)
            figures = {
                "cpu_percent": round(100 * used_s / lasted_s, 1),
                "final_s_p50": round(statistics.median(found["final_s"]), 2),
                "final_s_max": round(max(found["final_s"]), 2),
                "first_partial_s_p50": round(statistics.median(found["first_partial_s"]), 2),
                "partials": len(found["partials"]),
                "finals": len(found["final_s"]),
                "rss_mb_loaded": round(loaded_mb),
                "rss_mb": round(rss_mb(engine.pid)),
            }
        finally:
            engine.terminate()
            engine.wait()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
