"""How soon sound reaches the service again after `kill -9` of transcription.

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
APART_S = 12.0
"""So that each is the first in its process's back-off."""
SOUND_S_MAX = 30.0


def main() -> None:
    recording = compose(80, words=(3, 8), word_ms=(150, 300), turn_pause_ms=(250, 500))
    took_s: list[float] = []
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
            killed_s, sessions = time.monotonic(), len(service.sessions)
            assert daemon.kill("transcription")
            service.wait_until(
                lambda before=sessions: any(later.audio for later in service.sessions[before:]), SOUND_S_MAX
            )
            took_s.append(
                min(later.audio[0][0] for later in service.sessions[sessions:] if later.audio) - killed_s
            )
            time.sleep(APART_S)
    median_s, max_s = round(statistics.median(took_s), 2), round(max(took_s), 2)
    print(json.dumps({"bench": "restart", "kills": KILLS, "median_s": median_s, "max_s": max_s}))


if __name__ == "__main__":
    main()
