"""What came out of a daemon's four ends, and what the oracle says of each."""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

from minuted import Subscription
from minuted.config import Settings
from simulator.coded import Spoken
from simulator.oracle import Output, Verdict, from_file_log, from_srt, from_turns, from_webhook, judge
from simulator.receiver import Request

TIME_ERROR_MS_MAX: Final = 50
NO_AUDIO: Final = re.compile(r"^\[[^]]* [\d.]+ \w+\]$", re.MULTILINE)
"""What subtitles say of a gap, as between a run that was killed and the next."""


class Subscriber:
    """A program of somebody else's that wants every record; deaf for a while when told so."""

    def __init__(self, settings: Settings) -> None:
        self.maps: list[dict[str, Any]] = []
        self.missed = 0
        self._endpoints = (settings.turns_endpoint, settings.replay_endpoint)
        self._deaf_until_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="subscriber", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def be_deaf(self, for_s: float) -> None:
        self._deaf_until_s = time.monotonic() + for_s

    @property
    def seq(self) -> int:
        return int(self.maps[-1]["seq"]) if self.maps else 0

    def _listen(self) -> None:
        with Subscription(*self._endpoints, after_seq=0) as subscription:
            while not self._over.is_set():
                if (left_s := self._deaf_until_s - time.monotonic()) > 0:
                    self._over.wait(min(left_s, 0.2))
                elif record := subscription.receive(timeout_s=0.1):
                    self.maps.append(record.to_map())
                self.missed = subscription.missed


def gather(
    folder: Path, requests: Sequence[Request], subscriber: Subscriber, sinks: Sequence[str]
) -> dict[str, Output]:
    """Read the outputs there are. A message the receiver saw again under its name counts once."""
    # One recording is one meeting and so one file; words in a second one would be out of place.
    files = sorted((folder / "srt").glob("*.srt"))
    texts = [NO_AUDIO.sub("", file.read_text(encoding="utf-8")) for file in files]
    srt = [word for text in texts for word in from_srt(text).words]
    turns = folder / "turns.jsonl"
    outputs = {
        "delivery/file_log": from_file_log(turns.read_text(encoding="utf-8") if turns.exists() else ""),
        "delivery/srt": Output(tuple(srt)),
        "delivery/webhook": from_webhook(deduplicated(requests)),
    }
    of_sinks = {sink.removeprefix("delivery/"): outputs[sink] for sink in sinks}
    return {**of_sinks, "subscriber": from_turns(subscriber.maps)}


def deduplicated(requests: Iterable[Request]) -> list[bytes]:
    """Give the bodies that were taken, each message once, as a receiver that keeps the names does."""
    bodies: dict[str, bytes] = {}
    for request in requests:
        if request.was_taken:
            bodies.setdefault(request.headers["webhook-id"], request.body)
    return list(bodies.values())


def changed_bodies(requests: Iterable[Request]) -> list[str]:
    """Give the names under which more than one body came."""
    bodies = {(request.headers["webhook-id"], request.body) for request in requests}
    return sorted(name for name, count in Counter(name for name, _ in bodies).items() if count > 1)


def verdicts(said: Sequence[Spoken], outputs: dict[str, Output]) -> dict[str, Verdict]:
    return {name: judge(said, output) for name, output in outputs.items()}


def total(verdicts: Sequence[Verdict]) -> Verdict:
    """Add verdicts up; the time error is the worst."""
    parts = ("lost", "declared", "doubled", "disordered", "unknown")
    joined = {part: tuple(each for one in verdicts for each in getattr(one, part)) for part in parts}
    return replace(
        Verdict(expected=0, delivered=0),
        expected=sum(one.expected for one in verdicts),
        delivered=sum(one.delivered for one in verdicts),
        seq_errors=sum(one.seq_errors for one in verdicts),
        time_error_ms=max((one.time_error_ms for one in verdicts), default=0),
        **joined,
    )
