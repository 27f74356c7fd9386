"""One round: a daemon plays a recording while a plan befalls it, and the oracle judges what came out.

with TemporaryDirectory() as folder:
    outcome = Round(plan(17), Path(folder)).run()
print(outcome.table())
"""

import heapq
import shutil
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from minuted.journal.turns import TurnJournal
from simulator.coded import Recording, Spoken, compose, save_side_by_side
from simulator.oracle import HEADING, Output, Verdict, number_of
from simulator.process import Process
from simulator.proxy import Proxy
from simulator.receiver import Receiver

from .daemon import WELL, Daemon
from .outputs import TIME_ERROR_MS_MAX, Subscriber, changed_bodies, gather, verdicts
from .plan import ALONE, Event, Plan, length_ms
from .striking import Striker

STARTED_S_MAX: Final = 60.0
OVER_S_MAX: Final = 120.0
"""From the sound's end to the run's; more is a hang."""
LATE_S_MAX: Final = 6.0
"""How long an event waits for its target to be there; then it is counted as not happened."""
RETRY_S: Final = 0.1
RUNS_MAX: Final = 4
"""A run that was killed or could not finish is followed by others, in which nothing is said."""
CAUGHT_UP_S: Final = 2.0
NEAR_S: Final = 0.3
"""How long before the end of a recording that is broken off its place is looked at."""
SHOWN_MAX: Final = 12
"""Words named of each kind that went wrong."""
ENGINE: Final = """
[engine]
service = "assemblyai"
url = "{service}"
"""
SOURCE: Final = """
[[capture.sources]]
name = "{side}"
source = "{sound}"
channel = {channel}
"""
TABLES: Final = {
    "delivery/file_log": '[sinks.file_log]\npath = "{folder}/turns.jsonl"\n',
    "delivery/srt": '[sinks.srt]\ndirectory = "{folder}/srt"\n',
    "delivery/webhook": '[sinks.webhook]\nurl = "{receiver}"\nwords = true\ntimeout_s = 3\n',
}


@dataclass(kw_only=True)
class Outcome:
    """What a round showed."""

    seed: int
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    happened: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    """Events whose target was not there in time: they count for nothing."""
    wrong: list[str] = field(default_factory=list)
    """What went wrong beside the words: an exit status, a changed body, a fault that left no trace."""
    ends: list[str] = field(default_factory=list)
    """How the runs ended."""
    seconds: float = 0.0
    tail_s: float = 0.0
    """From the sound's end to everything being delivered."""

    @property
    def kills(self) -> int:
        return sum(count for name, count in self.happened.items() if name.startswith("kill "))

    @property
    def is_perfect(self) -> bool:
        return not self.wrong and bool(self.verdicts) and all(map(_is_perfect, self.verdicts.values()))

    def table(self) -> str:
        rows = [verdict.row(f"{self.seed} {name}") for name, verdict in self.verdicts.items()]
        events = ", ".join(f"{count} {name}" for name, count in sorted(self.happened.items()))
        ends = ", ".join(self.ends)
        lines = [*rows, f"{self.seed}: {events}; {len(self.missed)} not possible; runs ended {ends}"]
        lines += [f"{self.seed} WRONG: {text}" for text in self.wrong]
        for name, verdict in self.verdicts.items():
            for part in ("lost", "declared", "doubled", "disordered", "unknown"):
                if found := getattr(verdict, part):
                    lines.append(f"{self.seed} {name} {part}: {' '.join(map(str, found[:SHOWN_MAX]))}")
        return "\n".join(lines)


class Round:
    """Everything a plan needs, in a folder of its own."""

    def __init__(self, plan: Plan, folder: Path, *, crash_at: str = "") -> None:
        self._plan = plan
        self._folder = folder
        self._crash_at = crash_at
        self._said = plan.recordings()
        self._sound = folder / "talk.wav"
        self._played_ms: int | None = None
        """Of a recording that was broken off: how much was surely played."""
        self._outcome = Outcome(seed=plan.seed)

    def run(self) -> Outcome:
        outcome, plan, began_s = self._outcome, self._plan, time.monotonic()
        # A socket's path must be short.
        runtime_dir = Path(tempfile.mkdtemp(prefix="m-", dir="/tmp"))
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, runtime_dir, ignore_errors=True)
            self._receiver = stack.enter_context(Receiver())
            self._service = stack.enter_context(Process(plan.script, options=plan.options))
            self._proxy = stack.enter_context(Proxy(self._service.port))
            tables = "".join([ENGINE, plan.engine, "\n", *(TABLES[sink] for sink in plan.sinks)])
            config = tables.format(service=self._proxy.url, receiver=self._receiver.url, folder=self._folder)
            config += self._sources()
            self._daemon = Daemon(self._folder, runtime_dir, config)
            self._subscriber = stack.enter_context(Subscriber(self._daemon.settings))
            stack.enter_context(self._daemon)
            try:
                self._play()
                self._finish()
            except (TimeoutError, AssertionError) as error:
                outcome.wrong.append(f"{type(error).__name__}: {error}")
            requests = list(self._receiver.requests)
        for side in plan.sides:
            outputs = gather(self._folder, requests, self._subscriber, plan.sinks, side)
            outcome.verdicts |= verdicts(self._expected(side, outputs), outputs, side)
        outcome.wrong += [f"message {name} came with two bodies" for name in changed_bodies(requests)]
        if self._subscriber.missed:
            outcome.wrong.append(f"the subscriber missed {self._subscriber.missed}")
        self._check_kills()
        outcome.seconds = time.monotonic() - began_s
        return outcome

    @property
    def _is_alone(self) -> bool:
        return self._plan.sides == ALONE

    def _sources(self) -> str:
        """Give the tables of the sources where there are several: each has a channel of the recording."""
        tables = [
            SOURCE.format(side=side, sound=self._sound, channel=place)
            for place, side in enumerate(self._plan.sides, 1)
        ]
        return "" if self._is_alone else "".join(tables)

    def _start(self, *said: Recording, crash_at: str = "") -> None:
        """Play what is said on each side."""
        save_side_by_side(self._sound, *said)
        self._daemon.start(self._sound if self._is_alone else None, crash_at=crash_at)

    def _have_captures(self, state: str, stages: dict[str, dict[str, Any]]) -> bool:
        return all(stages.get(capture, {}).get("state") == state for capture in self._plan.captures)

    def _played_of_all_ms(self) -> int:
        return min(self._daemon.played_ms(capture) for capture in self._plan.captures)

    def _play(self) -> None:
        """Start, and let the plan's events happen at their times."""
        plan, daemon = self._plan, self._daemon
        self._start(*self._said.values(), crash_at=self._crash_at)
        daemon.wait_for(partial(self._have_captures, "ready"), STARTED_S_MAX)
        sound_began_s = time.monotonic()
        sound_s = length_ms(plan) / 1000
        self._sound_ended_s = sound_began_s + sound_s
        striker = Striker(daemon, self._service, self._proxy, self._receiver, self._subscriber)
        queue = [(event.at_s, place, event) for place, event in enumerate(plan.events)]
        if plan.ends_in_an_outage:
            outage = Event(at_s=sound_s - 3, what="down", for_s=600)
            queue.append((outage.at_s, len(queue), outage))
        heapq.heapify(queue)
        breaks_off_at_s = plan.breaks_off_at_s or float("inf")
        played_ms = 0
        while daemon.is_running:
            now_s = time.monotonic() - sound_began_s
            if now_s > sound_s + OVER_S_MAX:
                raise TimeoutError("the recording does not come to its end")
            striker.undo_what_is_due(now_s)
            if now_s > breaks_off_at_s:
                # Capture may be away at just this moment: then it is an earlier word that counts.
                self._played_ms = self._played_of_all_ms() or played_ms
                self._kill_supervisor()
                break
            if now_s > breaks_off_at_s - NEAR_S:
                played_ms = self._played_of_all_ms() or played_ms
            if queue and queue[0][0] <= now_s:
                _, place, event = heapq.heappop(queue)
                if striker.strike(event, now_s):
                    self._outcome.happened[event.name] += 1
                elif now_s < event.at_s + LATE_S_MAX:
                    heapq.heappush(queue, (now_s + RETRY_S, place, event))
                else:
                    self._outcome.missed.append(str(event))
            elif plan.ends_in_an_outage and now_s > sound_s and not queue and self._capture_is_over():
                self._kill_supervisor()
                break
            elif not queue and not striker.is_owing and plan.ends_well:
                break
            else:
                time.sleep(0.02)
        self._outcome.missed += [str(event) for _, _, event in queue]
        striker.undo_all()

    def _kill_supervisor(self) -> None:
        if not self._daemon.kill_supervisor():
            self._outcome.wrong.append("processes outlived their supervisor")
        self._outcome.happened["kill supervisor"] += 1

    def _expected(self, side: str, outputs: dict[str, Output]) -> tuple[Spoken, ...]:
        """Give the words that must be in every output: those that were played, and any one of them has."""
        words = self._said[side].words
        if self._played_ms is None:
            return words
        delivered = [number_of(word.text) or 0 for output in outputs.values() for word in output.words]
        last = max(delivered, default=0)
        return tuple(word for word in words if word.end_ms <= self._played_ms or word.number <= last)

    def _capture_is_over(self) -> bool:
        return self._have_captures("stopped", self._daemon.stages())

    def _finish(self) -> None:
        """Let the run end; what it could not bring to an end, further runs must."""
        daemon = self._daemon
        ends = self._outcome.ends
        ends.append("killed" if self._outcome.happened["kill supervisor"] else daemon.wait(OVER_S_MAX))
        while ends[-1] != WELL or not self._is_caught_up():
            if len(ends) == RUNS_MAX:
                self._outcome.wrong.append(f"unfinished after {RUNS_MAX} runs")
                return
            self._start(*[compose(0, lead_in_ms=500)] * len(self._plan.sides))
            ends.append(daemon.wait(OVER_S_MAX))
        self._outcome.tail_s = time.monotonic() - self._sound_ended_s

    def _is_caught_up(self) -> bool:
        """Say whether the subscriber has every record; what was published last may be on its way."""
        until_s = time.monotonic() + CAUGHT_UP_S
        journal = TurnJournal(self._daemon.settings.state_dir / "turns.db")
        last_seq = journal.last_seq
        journal.close()
        while self._subscriber.seq < last_seq:
            if time.monotonic() > until_s:
                return False
            time.sleep(0.02)
        return True

    def _check_kills(self) -> None:
        """Every kill that is counted must be one the supervisor saw."""
        seen = self._daemon.killed()
        planned = Counter(self._outcome.happened)
        for name, count in planned.items():
            what, _, stage = name.partition(" ")
            if what == "kill" and stage != "supervisor" and seen[stage] < count:
                self._outcome.wrong.append(f"{stage}: {count} kills, of which {seen[stage]} were seen")


def play(plan: Plan, *, crash_at: str = "") -> Outcome:
    """Run a round in a folder that is gone afterwards, unless something was wrong."""
    folder = Path(tempfile.mkdtemp(prefix=f"minuted-round-{plan.seed}-"))
    try:
        outcome = Round(plan, folder, crash_at=crash_at).run()
    except Exception as error:  # one round that cannot be judged is wrong, and the others go on
        outcome = Outcome(seed=plan.seed, wrong=[f"{type(error).__name__}: {error}"])
    if outcome.is_perfect:
        shutil.rmtree(folder)
    else:
        outcome.wrong.append(f"all of it is kept in {folder}")
    return outcome


def _is_perfect(verdict: Verdict) -> bool:
    return verdict.expected > 0 and verdict.is_perfect(TIME_ERROR_MS_MAX)


__all__ = ["HEADING", "Outcome", "Round", "play"]
