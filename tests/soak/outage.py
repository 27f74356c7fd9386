"""An outage of minutes, in real time: are captions live all the while afterwards, and is all of it caught up?

    python tests/soak/outage.py --minutes 10

A whole daemon plays a coded recording; after half a minute nobody listens at the service's port, for so
many minutes; then the recording goes on until what was missed has been heard at 1.2 times its pace. Prints
one line of JSON; exits with 1 when a word is not right. It takes about twice the outage.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from kills.daemon import Daemon
from minuted.bus import TurnsIn
from minuted.messages import Message, Session, Turn
from simulator import Service
from simulator.coded import compose
from simulator.oracle import HEADING, from_file_log, from_srt, judge

BEFORE_S: Final = 30.0
TURN_S: Final = 2.9
"""How long a turn and the pause after it are in the mean."""
TABLES: Final = '[sinks.file_log]\npath = "{0}/turns.jsonl"\n[sinks.srt]\ndirectory = "{0}/srt"\n'


class Watch:
    """What a caption reader sees: how late each partial turn is, and when the outage's turns come."""

    def __init__(self) -> None:
        self.began_ms = 0
        """The time of day at which the sound began."""
        self.late_s: list[float] = []
        self.states: list[tuple[float, str]] = []
        self.behind_s: list[float] = []
        self.behind = 0

    def hear(self, message: Message, now_s: float) -> None:
        if isinstance(message, Session):
            self.states.append((now_s, message.event))
        elif isinstance(message, Turn) and message.words:
            said_ms = message.meeting_started_at_ms + message.words[-1].end_ms
            if message.backfilled:
                self.behind += 1
                self.behind_s.append(now_s)
            else:
                self.late_s.append(time.time() - said_ms / 1000)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="how long the service is away (default: 10)"
    )
    outage_s = parser.parse_args().minutes * 60
    # It is caught up with at 1.2 times its pace.
    recording = compose(
        int((BEFORE_S + outage_s + outage_s / 1.2 + 15) / TURN_S),
        words=(2, 9),
        word_ms=(150, 300),
        pause_ms=(40, 80),
        turn_pause_ms=(250, 1200),
    )
    watch = Watch()
    with tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as name, Service(keep_audio=False) as service:
        folder = Path(name)
        config = f'[engine]\nservice = "assemblyai"\nurl = "{service.url}"\n' + TABLES.format(folder)
        with Daemon(folder, folder, config) as daemon, TurnsIn(daemon.settings.turns_endpoint) as turns:
            daemon.start(recording.save(folder / "talk.wav"))
            service.wait_until(lambda: service.sessions and service.sessions[0].audio_ms > 0, 60)
            down_s = time.monotonic() + BEFORE_S
            listen(turns, watch, until_s=down_s)
            before = len(watch.late_s)
            service.fault("refuse", for_s=outage_s)
            service.fault("reset")
            listen(turns, watch, until_s=down_s + outage_s)
            up_s, heard = time.monotonic(), len(watch.late_s)
            while daemon.is_running:
                listen(turns, watch, until_s=time.monotonic() + 0.5)
            status = daemon.wait(10)
        verdicts = {
            "file_log": judge(recording.words, from_file_log((folder / "turns.jsonl").read_text())),
            "srt": judge(recording.words, from_srt(next((folder / "srt").glob("*.srt")).read_text())),
        }
    print(HEADING, *(verdict.row(sink) for sink, verdict in verdicts.items()), sep="\n", file=sys.stderr)
    live_s = next(at_s for at_s, event in watch.states if event == "started" and at_s > up_s)
    caption_s = watch.late_s[heard:]
    result: dict[str, Any] = {
        "bench": "outage",
        "outage_s": outage_s,
        "run": status,
        "live_again_s": round(live_s - up_s, 2),
        "captions_late_p50_s": round(statistics.median(caption_s), 2),
        "captions_late_max_s": round(max(caption_s), 2),
        "captions_late_before_max_s": round(max(watch.late_s[:before]), 2),
        "turns_behind": watch.behind,
        "caught_up_after_s": round(watch.behind_s[-1] - up_s, 1),
        "sessions": len(service.sessions),
        "is_perfect": all(verdict.is_perfect(50) for verdict in verdicts.values()),
    }
    print(json.dumps(result))
    return 0 if result["is_perfect"] else 1


def listen(turns: TurnsIn, watch: Watch, *, until_s: float) -> None:
    while time.monotonic() < until_s:
        if message := turns.receive(timeout_s=0.2):
            watch.hear(message, time.monotonic())


if __name__ == "__main__":
    sys.exit(main())
