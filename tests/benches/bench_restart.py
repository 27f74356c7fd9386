"""How soon sound reaches the service again after `kill -9` of transcription, and of capture.

Expected: within 1.5 s for transcription. A whole daemon playing in real time, a simulated service whose
Begin takes no time (the real one was seen to take 0.6 to 1.3 s).
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from kills.daemon import Daemon
from simulator import Service
from simulator.coded import compose

KILLS = 4
APART_S = 16.0
"""Four crashes of one core process within a minute; at the fifth the supervisor gives up."""
SOUND_S_MAX = 30.0


def main() -> None:
    recording = compose(80, words=(3, 8), word_ms=(150, 300), turn_pause_ms=(250, 500))
    took_s: dict[str, list[float]] = {"transcription": [], "capture": []}
    with (
        tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as name,
        Service(keep_audio=False) as service,
        Daemon(
            Path(name), Path(name), f'[engine]\nservice = "assemblyai"\nurl = "{service.url}"\n'
        ) as daemon,
    ):
        daemon.start(recording.save(Path(name, "talk.wav")))
        service.wait_until(lambda: service.sessions and service.sessions[0].audio_ms > 1000, SOUND_S_MAX)
        for _ in range(KILLS):
            for stage, taken in took_s.items():
                killed_s = time.monotonic()
                assert daemon.kill(stage)
                service.wait_until(lambda after_s=killed_s: newest_s(service) > after_s + 0.1, SOUND_S_MAX)
                taken.append(newest_s(service) - killed_s)
                time.sleep(APART_S / 2)
    result: dict[str, object] = {"bench": "restart", "kills": KILLS}
    for stage, taken in took_s.items():
        result[f"{stage}_s"] = {
            "median": round(statistics.median(taken), 2),
            "max": round(max(taken), 2),
        }
    print(json.dumps(result))


def newest_s(service: Service) -> float:
    """Give when sound last arrived."""
    return max((connection.audio[-1][0] for connection in service.connections if connection.audio), default=0)


if __name__ == "__main__":
    main()
