"""A meeting-room day at many times its pace: is every word there at its time, and does no process grow?

    python tests/soak/day.py --hours 8

A coded recording goes through real capture, transcription and sink processes as fast as they take it;
the simulated service ends its sessions every half minute, so that one hands over to the next some dozens of
times. Prints one line of JSON; exits with 1 when a word is not right or a process has grown by more than
GROWTH_MB_MAX since its first quarter.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from minuted.config import load
from minuted.control import ask, status_of
from simulator.coded import SAMPLE_RATE_HZ, Spoken, compose
from simulator.oracle import HEADING, Verdict, from_file_log, from_srt, judge
from simulator.process import Process

GROWTH_MB_MAX: Final = 5.0
SESSION_S: Final = 30.0
STUCK_S_MAX: Final = 120.0
"""Without any progress for so long, it hangs."""
SINKS: Final = ("file_log", "srt")
PART_TURNS: Final = 100


def record(path: Path, hours: float) -> list[Spoken]:
    """Write a coded recording of at least so many hours; give its words."""
    words: list[Spoken] = []
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        while file.tell() < hours * 3600 * SAMPLE_RATE_HZ:
            part = compose(
                PART_TURNS,
                first_number=len(words) + 1,
                starts_at_ms=file.tell() * 1000 // SAMPLE_RATE_HZ,
                seed=len(words),
            )
            file.writeframes(part.pcm)
            words += part.words
    return words


@contextmanager
def stage(config: Path, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run one of minuted's processes."""
    log = (config.parent / "log.jsonl").open("ab")
    environment = {**os.environ, "MINUTED_ENGINE_KEY": "a-key"}
    with (
        log,
        subprocess.Popen(
            [sys.executable, "-m", "minuted", *words, "--config", config], stderr=log, env=environment
        ) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def rss_mb(pid: int) -> float:
    """Give what a process has in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def growth_mb(samples: list[tuple[float, float]]) -> float:
    """Give how much larger a process was at the most than at the end of its first quarter."""
    quarter = samples[-1][0] / 4
    warm = next(size for heard, size in samples if heard >= quarter)
    return max(size for heard, size in samples if heard >= quarter) - warm


def play(folder: Path, recording: Path, *, tell: bool) -> tuple[dict[str, list[tuple[float, float]]], int]:
    """Play the recording through all processes; give the memory each had over the turns, and the sessions."""
    config = folder / "minuted.toml"
    with (
        Process(options={"session_s": SESSION_S, "pace_slack_s": None, "heartbeat_s": 0.1}) as service,
        ExitStack() as stages,
    ):
        config.write_text(
            f'room = "boardroom"\nstate_dir = "{folder}/state"\nruntime_dir = "{folder}"\nsink_dirs = []\n'
            f'[capture]\nsource = "{recording}"\npace = "fast"\n'
            f'[engine]\nservice = "local"\nurl = "{service.url}"\n'
            f'[sinks.file_log]\npath = "{folder}/turns.jsonl"\n[sinks.srt]\ndirectory = "{folder}/srt"\n',
            encoding="utf-8",
        )
        settings = load(config)
        processes = {"transcription": stages.enter_context(stage(config, "transcription"))}
        _until(lambda: status_of(settings, "transcription"))
        for sink in SINKS:
            processes[sink] = stages.enter_context(stage(config, "delivery", sink))
        # A sink that never ran begins with what comes from then on.
        _until(
            lambda: all(
                (status_of(settings, f"delivery/{sink}") or {}).get("seq") is not None for sink in SINKS
            )
        )
        capture = stages.enter_context(stage(config, "capture"))
        sizes: dict[str, list[tuple[float, float]]] = {name: [] for name in (*processes, "capture")}
        moved_s, seen = time.monotonic(), ()
        while True:
            time.sleep(0.5)
            status: Mapping[str, Any] = status_of(settings, "transcription") or {}
            sound = status.get("finals", 0)
            for name, process in (*processes.items(), ("capture", capture)):
                if process.poll() is None and sound:
                    sizes[name].append((sound, rss_mb(process.pid)))
            if capture.poll() is not None:
                ask(settings, "transcription", "drain")
            if status.get("state") == "drained":
                break
            now = (status.get("last_seq"), status.get("taken_s"), capture.poll())
            moved_s, seen = (time.monotonic(), now) if now != seen else (moved_s, seen)
            assert time.monotonic() - moved_s < STUCK_S_MAX, f"it hangs: {dict(status)}"
            if tell:
                print(f"\r{sound} turns, {status.get('handovers', 0)} handed over ", end="", file=sys.stderr)
        # A sink's own lag counts from what it has heard of, which need not be the last.
        last = (status_of(settings, "transcription") or {})["last_seq"]
        _until(
            lambda: all((status_of(settings, f"delivery/{sink}") or {}).get("seq") == last for sink in SINKS)
        )
        return sizes, len(service.sessions)


def outputs(folder: Path, words: list[Spoken]) -> dict[str, Verdict]:
    """Judge what the sinks have written."""
    (subtitles,) = (folder / "srt").glob("*.srt")
    return {
        "file_log": judge(words, from_file_log((folder / "turns.jsonl").read_text(encoding="utf-8"))),
        "srt": judge(words, from_srt(subtitles.read_text(encoding="utf-8"))),
    }


def _until(come: Any) -> None:
    until_s = time.monotonic() + STUCK_S_MAX
    while not come():
        assert time.monotonic() < until_s, "it does not come"
        time.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hours", type=float, default=8.0, help="how much sound (default: 8)")
    hours = parser.parse_args().hours
    with tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as name:
        folder = Path(name)
        words = record(folder / "day.wav", hours)
        began_s = time.monotonic()
        sizes, sessions = play(folder, folder / "day.wav", tell=sys.stderr.isatty())
        took_s = time.monotonic() - began_s
        verdicts = outputs(folder, words)
    print(HEADING, *(verdict.row(sink) for sink, verdict in verdicts.items()), sep="\n", file=sys.stderr)
    grown = {name: round(growth_mb(samples), 2) for name, samples in sizes.items()}
    result = {
        "bench": "day",
        "hours": hours,
        "took_s": round(took_s),
        "words": len(words),
        "sessions": sessions,
        "is_perfect": all(verdict.is_perfect(50) for verdict in verdicts.values()),
        "rss_mb": {name: round(samples[-1][1], 1) for name, samples in sizes.items()},
        "growth_mb": grown,
    }
    print(json.dumps(result))
    return 0 if result["is_perfect"] and max(grown.values()) <= GROWTH_MB_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
