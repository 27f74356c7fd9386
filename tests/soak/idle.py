"""Silence after silence, in real time: is every first word there after the session was closed each time?

    python tests/soak/idle.py --wakes 200 --kills 8

Whole daemons play recordings in which somebody speaks now and then; each time the session has been closed
and is opened again by the speech. Now and then a transcription is killed, mostly while nobody speaks.
Prints one line of JSON; exits with 1 when a word is not right. 200 take five minutes.
"""

import argparse
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from kills.daemon import Daemon
from simulator import Service
from simulator.oracle import HEADING, Verdict, from_file_log, judge
from voices import utterances

DAEMONS: Final = 4
SILENCE_S: Final = 3.8
TABLES: Final = '[sinks.file_log]\npath = "{}/turns.jsonl"\n'


def listen(wakes: int, kills: int) -> tuple[Verdict, dict[str, Any]]:
    """Have one daemon hear a recording with so many utterances."""
    said = utterances(wakes, SILENCE_S)
    with (
        tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as name,
        Service(keep_audio=False, begin_s=0.3) as service,
    ):
        folder = Path(name)
        config = f'[engine]\nservice = "assemblyai"\nurl = "{service.url}"\nidle_after_s = 1\n'
        with Daemon(folder, folder, config + TABLES.format(folder)) as daemon:
            daemon.start(said.save(folder / "talk.wav"))
            length_s = said.duration_ms / 1000
            began_s, killed = time.monotonic(), 0
            while daemon.is_running and time.monotonic() - began_s < length_s + 120:
                if killed < kills and time.monotonic() - began_s > length_s * (killed + 1) / (kills + 1):
                    killed += daemon.kill("transcription")
                time.sleep(0.2)
            status = daemon.wait(10)
            woken = sum(entry.get("event") == "woken" for entry in daemon.log)
            open_s = sum((session.ended_at_s or 0) - session.at_s for session in service.sessions)
        output = from_file_log((folder / "turns.jsonl").read_text())
    first_ms = output.words[0].start_ms - said.words[0].start_ms if output.words else 0
    details = {
        "status": status,
        "woken": woken,
        "killed": killed,
        "sessions": len(service.sessions),
        "open_of_time": round(open_s / length_s, 3),
    }
    return judge(said.words, output, offset_ms=first_ms), details


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--wakes", type=int, default=200, help="how often somebody speaks (default: 200)")
    parser.add_argument(
        "--kills", type=int, default=0, help="how often a transcription is killed (default: 0)"
    )
    asked = parser.parse_args()
    with ThreadPoolExecutor(DAEMONS) as pool:
        running = [
            pool.submit(listen, asked.wakes // DAEMONS + 3, asked.kills // DAEMONS) for _ in range(DAEMONS)
        ]
        results = [each.result() for each in running]
    print(HEADING)
    for place, (verdict, details) in enumerate(results):
        print(verdict.row(f"daemon {place}: {details['woken']} wakes"))
    perfect = all(verdict.is_perfect(50) and details["status"] == "well" for verdict, details in results)
    summed = {key: sum(details[key] for _, details in results) for key in ("woken", "killed", "sessions")}
    lost = sum(len(verdict.lost) + len(verdict.declared) for verdict, _ in results)
    print(json.dumps({**summed, "words_lost": lost, "open_of_time": [d["open_of_time"] for _, d in results]}))
    return 0 if perfect else 1


if __name__ == "__main__":
    sys.exit(main())
