"""The damage loop: so many rounds, and what came of them.

make damage N=2000 SEED=1 JOBS=2
"""

import argparse
import multiprocessing
import queue
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

from simulator.process import Process
from simulator.receiver import Receiver

from . import base as bases
from .round import Outcome, run

WRONG_MAX: Final = 20
"""After so many wrong rounds it is given up: they are enough to look at."""
AT_ONCE: Final = 5
"""Rounds of a job: most of each is waiting for sound to be heard at its pace."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m damage.loop", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1, help="the first round's; the others' follow")
    parser.add_argument("--jobs", type=int, default=1, help="rounds at once")
    given = parser.parse_args()
    _heed_sigterm()
    began_s = time.monotonic()
    context = multiprocessing.get_context("spawn")
    seeds, outcomes = context.Queue(), context.Queue()
    for seed in range(given.seed, given.seed + given.rounds):
        seeds.put(seed)
    count = min(given.rounds, given.jobs * AT_ONCE)
    for _ in range(count):
        seeds.put(None)
    workers = [context.Process(target=work, args=(seeds, outcomes)) for _ in range(count)]
    for worker in workers:
        worker.start()
    done: list[Outcome] = []
    try:
        while len(done) < given.rounds and sum(bool(each.wrong) for each in done) < WRONG_MAX:
            try:
                done.append(outcomes.get(timeout=1))
                print(done[-1].line(), flush=True)
            except queue.Empty:
                if not any(worker.is_alive() for worker in workers):
                    break
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
        seeds.cancel_join_thread()
    print(summary(done, time.monotonic() - began_s))
    return 1 if len(done) < given.rounds or any(outcome.wrong for outcome in done) else 0


def work(seeds: "multiprocessing.Queue[int | None]", outcomes: "multiprocessing.Queue[Outcome]") -> None:
    """Play rounds, all on a base of this worker's own."""
    _heed_sigterm()
    place = Path(tempfile.mkdtemp(prefix="md-", dir="/tmp"))
    try:
        with Receiver() as receiver, Process(options={"begin_s": 0.0}) as service:
            base = bases.make(place / "run", service.url, receiver.url, lambda: list(receiver.requests))
            while (seed := seeds.get()) is not None:
                outcome = run(seed, base, receiver)
                if outcome.wrong:
                    kept = Path(tempfile.mkdtemp(prefix=f"minuted-damage-{seed}-"))
                    shutil.copytree(base.folder, kept, dirs_exist_ok=True, ignore=bases.sockets_in)
                    outcome.wrong.append(
                        f"again with: make damage N=1 SEED={seed} JOBS=1; all of it is kept in {kept}"
                    )
                outcomes.put(outcome)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _heed_sigterm() -> None:
    """Raise an exception at an end that is asked for: then nothing is left running."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))


def summary(outcomes: list[Outcome], passed_s: float) -> str:
    told = sum((outcome.told for outcome in outcomes), Counter[str]())
    wrong = [outcome.seed for outcome in outcomes if outcome.wrong]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime + used.ru_stime
    count = max(1, len(outcomes))
    return "\n".join(
        [
            "",
            f"{len(outcomes)} rounds in {passed_s:.0f} s, {cpu_s / count:.2f} s of a processor each",
            f"rounds with words lost: {sum(bool(outcome.lost) for outcome in outcomes)}",
            f"rounds with words twice: {sum(bool(outcome.doubled) for outcome in outcomes)}",
            f"rounds with unexpected ends: {sum(bool(outcome.ends) for outcome in outcomes)}",
            f"told: {dict(told.most_common())}",
            f"failing seeds: {', '.join(map(str, wrong)) or 'none'}",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
