"""What is said in a round of the kill loop, and what befalls the daemon meanwhile: a function of the seed.

python -m kills.plan 17  # from tests/: print a plan
"""

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from simulator.coded import Recording, compose
from simulator.faults import Fault

SINKS: Final = ("delivery/file_log", "delivery/webhook", "delivery/srt")
CORE: Final = ("transcription", "capture")
ALONE: Final = ("",)
SIDES: Final = ("table", "far")
"""The two channels of a recording: two sources, that talk across each other."""
SIDED_EVERY: Final = 4
"""Every so many rounds there are two sources."""
CORE_KILLS: Final = (3, 4)
"""Of each: the supervisor gives up at the fifth crash of one core process within a minute."""
SINK_KILLS: Final = (4, 5)
"""Of each: its restarts wait 0.2 s, 0.4 s, 0.8 s …, so that more would find nobody."""
STOPS: Final = (3, 5)
BREAKS: Final = (2, 3)
"""Of the sessions: with more than five in a minute the daemon rests, as it should, for up to a minute."""
SERVICE_ERRORS: Final = (1011, 1013, 3005, 3008)
ANSWERS: Final = (500, 503, 429, "reset")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happens, `at_s` after the sound began."""

    at_s: float
    what: str
    """kill, stop, reset, black_hole, down, service_kill, service_stop, service_error, receiver, deaf."""
    target: str = ""
    """Which process, for kill and stop."""
    for_s: float = 0.0
    detail: Any = None
    """The error's code, the receiver's answer."""

    @property
    def name(self) -> str:
        """Say what it is counted as."""
        return f"{self.what} {self.target}".strip()

    def __str__(self) -> str:
        more = [self.target, f"for {self.for_s:.1f} s" if self.for_s else "", str(self.detail or "")]
        return " ".join([f"{self.at_s:6.2f} s", self.what, *filter(None, more)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    seed: int
    turns: int = 20
    events: tuple[Event, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    """The simulated service's."""
    script: tuple[Fault, ...] = ()
    """What goes wrong in its sessions by their own time."""
    engine: str = ""
    """More lines of the table [engine]."""
    lead_in_ms: int = 400
    sides: tuple[str, ...] = ALONE
    """The sources' names."""
    sinks: tuple[str, ...] = SINKS
    """The sinks there are."""
    ends_in_an_outage: bool = False
    """The service is away from shortly before the sound's end, and the supervisor is killed after it."""
    breaks_off_at_s: float | None = None
    """When the supervisor is killed in the middle of the sound; no later run plays the rest."""

    @property
    def ends_well(self) -> bool:
        """Whether the supervisor is left to bring the recording to its end."""
        return not self.ends_in_an_outage and self.breaks_off_at_s is None

    @property
    def kills(self) -> int:
        of_processes = sum(event.what == "kill" for event in self.events)
        return of_processes + (not self.ends_well)

    @property
    def captures(self) -> tuple[str, ...]:
        return captures_of(self.sides)

    def recordings(self) -> dict[str, Recording]:
        """Give what is said on each side; no number is said on two."""
        return {side: self.recording(place) for place, side in enumerate(self.sides)}

    def recording(self, side: int = 0) -> Recording:
        """Dense speech: about two words a second, no turn longer than what can be said again at once."""
        return compose(
            self.turns,
            words=(2, 9),
            word_ms=(150, 300),
            # Subtitles leave 83 ms between two cues, be it at the expense of the last word.
            pause_ms=(40, 80),
            turn_pause_ms=(250, 600),
            lead_in_ms=self.lead_in_ms,
            tail_ms=800,
            first_number=1 + 5000 * side,
            seed=self.seed + 1_000_000 * side,
        )

    def __str__(self) -> str:
        sound_s = length_ms(self) / 1000
        lines = [f"seed {self.seed}: {sound_s:.1f} s of sound, {len(self.sides)} sources, {self.kills} kills"]
        if self.ends_in_an_outage:
            lines.append("       the service is away at the end, and the supervisor is killed")
        if self.breaks_off_at_s is not None:
            lines.append(f"{self.breaks_off_at_s:6.2f} s the supervisor is killed, and all is over")
        return "\n".join([*lines, *map(str, self.events)])


def plan(seed: int, *, turns: int = 20, core: Sequence[str] = CORE, sinks: Sequence[str] = SINKS) -> Plan:
    """Make the plan of a seed: the same each time. Without `core` only sinks are killed."""
    chance = random.Random(f"minuted {seed}")
    sides = SIDES if core and seed % SIDED_EVERY == 0 else ALONE
    sound_s = length_ms(Plan(seed=seed, turns=turns, sides=sides)) / 1000
    core = [each for name in core for each in (captures_of(sides) if name == "capture" else (name,))]
    events = []
    for target in core:
        events += [_kill(at_s, target) for at_s in _spread(chance, chance.randint(*CORE_KILLS), sound_s)]
    for target in sinks:
        events += [_kill(at_s, target) for at_s in _spread(chance, chance.randint(*SINK_KILLS), sound_s)]
    for at_s in _spread(chance, chance.randint(*STOPS), sound_s):
        target = chance.choice([*core, *sinks])
        events.append(Event(at_s=at_s, what="stop", target=target, for_s=_some_s(chance, 0.2, 5)))
    ending = chance.choice(("well", "well", "in an outage", "broken off")) if core else "well"
    ends_in_an_outage = ending == "in an outage"
    breaks_off_at_s = round(sound_s * chance.uniform(0.6, 0.95), 2) if ending == "broken off" else None
    breaks = chance.randint(*BREAKS) if core else 0
    for at_s in _spread(chance, breaks, sound_s - 4 * ends_in_an_outage):
        events.append(_break(chance, at_s))
    for at_s in _spread(chance, chance.randint(1, 3), sound_s):
        events.append(Event(at_s=at_s, what="receiver", detail=chance.choice(ANSWERS)))
    events.append(
        Event(at_s=chance.uniform(1, sound_s), what="deaf", for_s=_some_s(chance, 0.5, 8)),
    )
    return Plan(
        seed=seed,
        turns=turns,
        sides=sides,
        events=tuple(
            sorted(
                (event for event in events if event.at_s < (breaks_off_at_s or sound_s + 1)),
                key=lambda event: event.at_s,
            )
        ),
        options={"inference_s": chance.choice((0, 0.1, 0.3)), "heartbeat_s": 5.0, "begin_s": 0.1},
        ends_in_an_outage=ends_in_an_outage,
        breaks_off_at_s=breaks_off_at_s,
    )


def captures_of(sides: Sequence[str]) -> tuple[str, ...]:
    """Name the processes that hear them."""
    return tuple(f"capture/{side}" if side else "capture" for side in sides)


def length_ms(plan: Plan) -> int:
    """Give how long somebody speaks, on whichever side."""
    return max(recording.duration_ms for recording in plan.recordings().values())


def _kill(at_s: float, target: str) -> Event:
    return Event(at_s=at_s, what="kill", target=target)


def _break(chance: random.Random, at_s: float) -> Event:
    what = chance.choice(("reset", "black_hole", "down", "service_kill", "service_stop", "service_error"))
    detail = chance.choice(SERVICE_ERRORS) if what == "service_error" else None
    lasting = what not in ("reset", "service_error")
    return Event(at_s=at_s, what=what, for_s=_some_s(chance, 0.3, 3) if lasting else 0.0, detail=detail)


def _spread(chance: random.Random, count: int, length_s: float) -> list[float]:
    """Give random moments, one in each of `count` equal parts, and none in the first half second."""
    part_s = (length_s - 0.5) / max(1, count)
    return [round(0.5 + (place + chance.random()) * part_s, 2) for place in range(count)]


def _some_s(chance: random.Random, least_s: float, most_s: float) -> float:
    return round(chance.uniform(least_s, most_s), 2)


if __name__ == "__main__":
    print(plan(int(sys.argv[1])))
