"""How long a turn takes from the service to a subscriber, through the SDK, the journal and the bus.

Expected: a final at 5 ms or less in the median (it is committed to the disk on the way), a partial at
less. A simulated service on loopback, a real transcription process, a real subscriber.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from minuted.bus import FramesOut, TurnsIn
from minuted.messages import AudioFrame, Turn
from simulator import Service
from simulator.coded import compose

TURNS = 60


def main() -> None:
    recording = compose(TURNS, words=(2, 4), turn_pause_ms=(300, 400))
    with tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as folder, Service() as service:
        config = Path(folder, "minuted.toml")
        config.write_text(
            f'state_dir = "{folder}"\nruntime_dir = "{folder}"\n[engine]\nservice = "assemblyai"\n'
            f'url = "{service.url}"\n',
            encoding="utf-8",
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "minuted", "transcription", "--config", config],
            env={**os.environ, "ASSEMBLYAI_API_KEY": "a-key"},
            stderr=subprocess.DEVNULL,
        )
        with (
            TurnsIn(f"ipc://{folder}/turns.sock") as turns,
            FramesOut(f"ipc://{folder}/frames.sock") as frames,
        ):
            assert turns.receive(timeout_s=20)
            heard = listen(recording, turns, frames)
        process.terminate()
        process.wait(30)
        said = {
            (turn["turn_order"], turn["end_of_turn"], len(turn["words"])): sent_s
            for sent_s, turn in service.sessions[0].sent
            if isinstance(turn, dict) and turn["type"] == "Turn"
        }
    took_ms: dict[bool, list[float]] = {True: [], False: []}
    for received_s, turn in heard:
        if sent_s := said.get((turn.turn_order, turn.final, len(turn.words))):
            took_ms[turn.final].append((received_s - sent_s) * 1000)
    finals, partials = sorted(took_ms[True]), sorted(took_ms[False])
    result: dict[str, Any] = {
        "bench": "turns",
        "finals": len(finals),
        "final_p50_ms": round(statistics.median(finals), 2),
        "final_p95_ms": round(finals[int(len(finals) * 0.95)], 2),
        "partial_p50_ms": round(statistics.median(partials), 2),
        "load": os.getloadavg()[0],
    }
    print(json.dumps(result))


def listen(recording: Any, turns: TurnsIn, frames: FramesOut) -> list[tuple[float, Turn]]:
    """Play the recording at 1.2 times real time at the most, and note when each turn comes."""
    heard: list[tuple[float, Turn]] = []
    number = time.time_ns() // 50_000_000
    due_s = time.monotonic()
    for pcm in recording.frames():
        frame = AudioFrame(number=number, captured_at_ms=number * 50, pcm=pcm)
        assert frames.send(frame, wait_s=10)
        number += 1
        due_s += 0.045
        while (left_s := due_s - time.monotonic()) > 0:
            message = turns.receive(timeout_s=max(0.001, left_s))
            if isinstance(message, Turn):
                heard.append((time.monotonic(), message))
    return heard


if __name__ == "__main__":
    main()
