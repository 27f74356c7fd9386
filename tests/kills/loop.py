"""The kill loop: rounds until so many kills have happened, and what came out of it in a table.

make kills N=1000 SEED=1 JOBS=2
"""

import argparse
import signal
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Final

from simulator.oracle import HEADING

from .outputs import total
from .plan import CORE, SINKS, plan
from .round import Outcome, play

FAILING_SEEDS: Final = Path(__file__).with_name("failing_seeds.txt")
ROUNDS_WRONG_MAX: Final = 10
"""After so many wrong rounds it is given up: they are enough to look at."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m kills.loop", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="the first round's; the others' follow")
    parser.add_argument("--jobs", type=int, default=1, help="rounds at once")
    parser.add_argument("--only", choices=("sinks",), help="kill sinks alone")
    given = parser.parse_args()
    _heed_sigterm()
    outcomes = run(given.kills, given.seed, given.jobs, sinks_only=given.only == "sinks")
    print(summary(outcomes))
    wrong = [outcome.seed for outcome in outcomes if not outcome.is_perfect]
    keep(wrong)
    return 1 if wrong else 0


def run(kills: int, seed: int, jobs: int, *, sinks_only: bool = False) -> list[Outcome]:
    """Run rounds until so many kills have happened, telling of each; give what they showed."""
    core = () if sinks_only else CORE
    outcomes: list[Outcome] = []
    began_s = time.monotonic()
    under_way: dict[Future[Outcome], int] = {}
    print(HEADING, flush=True)
    with ProcessPoolExecutor(jobs, get_context("spawn"), _heed_sigterm) as pool:
        try:
            while True:
                done = sum(outcome.kills for outcome in outcomes)
                wrong = sum(not outcome.is_perfect for outcome in outcomes)
                wanted = kills if wrong < ROUNDS_WRONG_MAX else 0
                while len(under_way) < jobs and done + sum(under_way.values()) < wanted:
                    next_plan = plan(seed, core=core, sinks=SINKS)
                    under_way[pool.submit(play, next_plan)] = next_plan.kills
                    seed += 1
                if not under_way:
                    return outcomes
                finished, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in finished:
                    del under_way[future]
                    outcomes.append(future.result())
                    print(outcomes[-1].table())
                    print(progress(outcomes, kills, time.monotonic() - began_s), flush=True)
        except BaseException:
            for process in active_children():
                process.terminate()
            raise


def _heed_sigterm() -> None:
    """Have an end that is asked for be an exception: then a round leaves nothing running."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))


def progress(outcomes: list[Outcome], wanted: int, passed_s: float) -> str:
    kills = sum(outcome.kills for outcome in outcomes)
    left_min = passed_s / max(1, kills) * max(0, wanted - kills) / 60
    verdict = total([one for outcome in outcomes for one in outcome.verdicts.values()])
    wrong = sum(not outcome.is_perfect for outcome in outcomes)
    return (
        f"── round {len(outcomes)} ({outcomes[-1].seconds:.0f} s, tail {outcomes[-1].tail_s:.0f} s): "
        f"{kills} of {wanted} kills, {len(verdict.lost)} lost, {len(verdict.doubled)} doubled, "
        f"{wrong} rounds wrong, {left_min:.0f} min left"
    )


def summary(outcomes: list[Outcome]) -> str:
    """Give the table of everything."""
    names = list(dict.fromkeys(name for outcome in outcomes for name in outcome.verdicts))
    happened = sum((outcome.happened for outcome in outcomes), start=type(outcomes[0].happened)())
    rows = [
        total([outcome.verdicts[name] for outcome in outcomes if name in outcome.verdicts]).row(name)
        for name in names
    ]
    events = ", ".join(f"{count} {name}" for name, count in sorted(happened.items()))
    wrong = [outcome.seed for outcome in outcomes if not outcome.is_perfect]
    missed = sum(len(outcome.missed) for outcome in outcomes)
    return "\n".join(
        [
            "",
            f"{len(outcomes)} rounds, {sum(outcome.kills for outcome in outcomes)} kills",
            HEADING,
            *rows,
            f"{events}; {missed} not possible",
            f"failing seeds: {', '.join(map(str, wrong)) or 'none'}",
        ]
    )


def failing_seeds() -> list[int]:
    """Give the seeds that once failed."""
    lines = FAILING_SEEDS.read_text(encoding="utf-8").splitlines() if FAILING_SEEDS.exists() else []
    return [int(line.split()[0]) for line in lines if line.strip() and not line.startswith("#")]


def keep(seeds: list[int]) -> None:
    """Remember seeds that failed; the tests run them from then on."""
    new = sorted({*seeds} - {*failing_seeds()})
    if new:
        with FAILING_SEEDS.open("a", encoding="utf-8") as file:
            file.writelines(f"{seed}\n" for seed in new)


if __name__ == "__main__":
    sys.exit(main())
