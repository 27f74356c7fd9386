"""What came out of a daemon's four ends, and what the oracle says of each."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

from minuted import Subscription
from minuted.config import Settings
from simulator.coded import Spoken
from simulator.oracle import Output, Verdict, from_srt, from_turns, judge
from simulator.receiver import Request

TIME_ERROR_MS_MAX: Final = 50
NO_AUDIO: Final = re.compile(r"^\[[^]]* [\d.]+ \w+\]$", re.MULTILINE)
"""What subtitles say of a gap, as between a run that was killed and the next."""
LABEL: Final = re.compile(r"-->.*\n(\w+): ")
"""Before the first of a side's subtitles that follow each other."""


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
    folder: Path, requests: Sequence[Request], subscriber: Subscriber, sinks: Sequence[str], side: str = ""
) -> dict[str, Output]:
    """Read what the outputs have of a side. A message the receiver saw again under its name counts once."""
    # One recording is one meeting and so one file; words in a second one would be out of place.
    files = sorted((folder / "srt").glob("*.srt"))
    texts = [subtitles_of(file.read_text(encoding="utf-8"), side) for file in files]
    srt = [word for text in texts for word in from_srt(NO_AUDIO.sub("", text)).words]
    turns = folder / "turns.jsonl"
    logged = map(json.loads, turns.read_text(encoding="utf-8").splitlines() if turns.exists() else ())
    posted = (json.loads(body)["data"] for body in deduplicated(requests))
    outputs = {
        "delivery/file_log": from_turns(turns_of(logged, side)),
        "delivery/srt": Output(tuple(srt)),
        "delivery/webhook": from_turns(turns_of(posted, side)),
    }
    of_sinks = {sink.removeprefix("delivery/"): outputs[sink] for sink in sinks}
    return {**of_sinks, "subscriber": from_turns(turns_of(subscriber.maps, side))}


def turns_of(maps: Iterable[Mapping[str, Any]], side: str) -> list[Mapping[str, Any]]:
    """Give a side's turns and gaps, and of the others' their numbers: one record has all of them."""
    return [
        each if (each["channel"] or "") == side else {"type": "other", "seq": each["seq"]} for each in maps
    ]


def subtitles_of(text: str, side: str) -> str:
    """Give a side's subtitles; those of the only one have no label."""
    blocks, label = [], ""
    for block in re.split(r"\n\s*\n", text.strip()):
        found = LABEL.search(block)
        label = found[1] if found else label
        blocks += [block] if label == side else []
    return "\n\n".join(blocks)


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


def verdicts(said: Sequence[Spoken], outputs: dict[str, Output], side: str = "") -> dict[str, Verdict]:
    found = {f"{name} {side}".rstrip(): judge(said, output) for name, output in outputs.items()}
    # Where two talk at once, the one's subtitles make way for the other's: their times are not the words'.
    return {
        name: replace(verdict, time_error_ms=0) if side and name.startswith("srt") else verdict
        for name, verdict in found.items()
    }


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
