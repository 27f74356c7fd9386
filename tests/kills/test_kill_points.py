"""Every place in the daemon that is named to be killed at, each passed by a real daemon that dies there.

A run kills at one place in each of its processes; its successor has to bring everything to its end.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import pytest

import minuted
from kills.plan import SINKS, Event, Plan
from kills.round import Outcome, Round
from simulator import Fault
from simulator.oracle import HEADING

PACKAGE = Path(minuted.__file__).parent
AT_ONCE = 3
"""Most of a run is waiting for sound."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """How often a place is passed before the end there, and what makes the daemon come by."""

    count: int = 1
    plan: dict[str, Any] = field(default_factory=dict)


_REVISED: Final = """
[session]
speaker_labels = true
speaker_labels_revision_interval_ms = 1000
"""


def _broken_early() -> tuple[Fault, ...]:
    """Three sessions break on the silence before the first word: it is declared a gap."""
    return tuple(
        Fault(name="say", session=number, at_audio_ms=200, message="turn_without_words")
        for number in range(3)
    )


TRANSCRIPTION: Final = {
    "turn-heard": Point(count=3),
    "turn-committed": Point(count=2),
    "turn-published": Point(count=2),
    "sound-released": Point(count=3),
    "marks-kept": Point(),
    "gap-committed": Point(plan={"script": _broken_early(), "lead_in_ms": 5000}),
    "range-split": Point(
        plan={"engine": "live_first_s = 1", "events": (Event(at_s=2, what="down", for_s=3),), "turns": 6}
    ),
    "revisions-committed": Point(
        plan={"engine": _REVISED, "options": {"mislabel_every": 1, "revision_ms_min": 1000}, "turns": 6}
    ),
    # The first session is not believed to be so short.
    "session-handed-over": Point(plan={"options": {"session_s": 9.0}, "turns": 12}),
}
CAPTURE: Final = {
    "frame-journalled": Point(count=70),
    "frame-pushed": Point(count=90),
    "recording-noted": Point(),
}
DELIVERY: Final = {
    "record-received": Point(count=2),
    "record-written": Point(count=2),
    "cursor-moved": Point(count=2),
    "checkpoint-restored": Point(),
}
OF_SOME: Final = {
    "record-prepared": ("delivery/webhook", Point(count=2)),
}
"""Places only some sinks come by."""
PREPARED: Final = {name: point for name, (_, point) in OF_SOME.items()}
POINTS: Final = {**TRANSCRIPTION, **CAPTURE, **DELIVERY, **PREPARED}


def named() -> set[str]:
    """Find the places in the source."""
    texts = (file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py"))
    return {name for text in texts for name in re.findall(r'\breached\("([^"]+)"\)', text)}


def test_every_place_named_in_the_source_is_in_the_table() -> None:
    """One that is added is killed at; one that is gone leaves the table."""
    assert named() == POINTS.keys()


def rounds() -> list[tuple[Plan, dict[str, Point]]]:
    """Give the runs: each place of delivery at each sink, and with them all places of the others."""
    others = zip(cycle(TRANSCRIPTION), cycle(CAPTURE), strict=False)
    made = []
    of_sinks = [(name, sink) for name in DELIVERY for sink in SINKS]
    of_sinks += [(name, sink) for name, (sink, _) in OF_SOME.items()]
    for number, (delivered, sink) in enumerate(of_sinks):
        transcribed, captured = next(others)
        plan = Plan(seed=number, sinks=(sink,), **{"turns": 5, **TRANSCRIPTION[transcribed].plan})
        made.append((plan, {name: POINTS[name] for name in (transcribed, captured, delivered)}))
    return made


def run(plan: Plan, points: dict[str, Point], folder: Path) -> tuple[Outcome, list[str]]:
    """Give what a run showed, and the places at which nobody died."""
    folder.mkdir()
    crash_at = [f"{name}:{point.count}:{folder}/{name}" for name, point in points.items()]
    outcome = Round(plan, folder, crash_at=" ".join(crash_at)).run()
    return outcome, [name for name in points if not (folder / name).exists()]


@pytest.mark.timeout(400)
def test_a_kill_at_any_named_place_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """Between any two steps that belong together a process may die."""
    plans = rounds()
    assert {name for _, points in plans for name in points} == POINTS.keys()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [pool.submit(run, plan, points, tmp_path / str(plan.seed)) for plan, points in plans]
        results = [future.result() for future in running]
    print(HEADING)
    wrong = []
    for (_, points), (outcome, missed) in zip(plans, results, strict=True):
        print(f"{', '.join(points)}\n{outcome.table()}")
        if missed or not outcome.is_perfect:
            wrong.append(f"{', '.join(points)}: not passed: {missed}\n{outcome.table()}")
    assert not wrong, "\n".join(["", HEADING, *wrong])
