"""Whether the processes really work: asked again and again, on a thread that waits for nobody."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from minuted.config import Settings
from minuted.status import gather, has_socket

from .restarts import Kind

LOOK_EVERY_S: Final = 2.0
SOON_S: Final = 0.1
ANSWER_S_MAX: Final = 1.0
"""How long an answer may take; one that comes later counts as none."""
LOOK_SHARE: Final = 4
"""At least so many looks fit into the time that systemd's watchdog allows."""
HUNG_CORE_S: Final = 10.0
"""A core process that has been silent for so long is replaced. Disks have pauses of a few seconds."""
HUNG_SINK_S: Final = 30.0
SINK_CALL_S_MAX: Final = 600.0
"""How long one call of a sink may take where its process does not say. It ends itself then: HUNG_SINK_S later
it is killed, as one whose threads do not run."""


@dataclass(frozen=True)
class Seen:
    """What is known of a process's main loop."""

    pid: int
    silent_s: float = 0.0
    """For how long it has not come round, as far as it was looked at."""
    at_work_s: float = 0.0
    """For how long it has been in a sink's call."""
    call_s_max: float = SINK_CALL_S_MAX
    """How long that call may take."""


def note(seen: Seen, elapsed_s: float, answer: Mapping[str, Any] | None) -> Seen:
    """Add what was seen `elapsed_s` after the last time.

    Time in which nobody looked, the machine's own pauses among it, is no silence: a loop's age counts
    only as far as the process was there to be asked.
    """
    silent_s = seen.silent_s + elapsed_s
    if answer is None:
        return replace(seen, silent_s=silent_s)
    silent_s = min(silent_s, answer.get("loop_age_s", 0.0))
    return Seen(seen.pid, silent_s, answer.get("busy_s", 0.0), answer.get("timeout_s", seen.call_s_max))


def is_hung(seen: Seen, kind: Kind) -> bool:
    if kind is not Kind.SINK:
        return seen.silent_s >= HUNG_CORE_S
    return seen.silent_s >= HUNG_SINK_S + (seen.call_s_max if seen.at_work_s else 0.0)


def is_well(
    seen: Mapping[int, Seen], core_pids: Collection[int], *, looked_s: float, watchdog_s: float
) -> bool:
    """Say whether systemd may be told so: the looking goes on, and every core process answers."""
    answers = all(pid not in seen or seen[pid].silent_s < watchdog_s for pid in core_pids)
    return answers and looked_s < watchdog_s


class Watcher:
    """Asks the processes for their status every few seconds, until closed.

    `pids` gives those that are ready, by name; it is called on the watcher's thread, as is `wake`
    after each look.
    """

    def __init__(
        self,
        settings: Settings,
        pids: Callable[[], Mapping[str, int]],
        wake: Callable[[], None],
        watchdog_s: float | None = None,
    ) -> None:
        self.statuses: dict[str, dict[str, Any]] = {}
        """What each process that is ready told of itself last."""
        self.seen: dict[int, Seen] = {}
        self._settings = settings
        self._pids = pids
        self._wake = wake
        self._every_s = min(LOOK_EVERY_S, watchdog_s / LOOK_SHARE) if watchdog_s else LOOK_EVERY_S
        self._looked_s = time.monotonic()
        self._closing = threading.Event()
        self._soon = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def looked_ago_s(self, now_s: float) -> float:
        return now_s - self._looked_s

    def look_soon(self) -> None:
        """Do not wait for the next look's time: something has changed."""
        self._soon.set()

    def finish(self) -> None:
        """Look no more; what was seen stays."""
        self._closing.set()
        self._soon.set()

    def close(self) -> None:
        self.finish()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            if self._soon.wait(self._every_s):
                self._soon.clear()
                # What has just said that it is ready has more to tell when it has begun.
                self._closing.wait(SOON_S)
            if not self._closing.is_set():
                self._look()
                self._wake()

    def _look(self) -> None:
        pids = {name: pid for name, pid in self._pids().items() if has_socket(self._settings, name)}
        answers = gather(self._settings, pids, timeout_s=ANSWER_S_MAX)
        own = {name: answer for name, answer in answers.items() if answer.get("pid") == pids[name]}
        now_s = time.monotonic()
        elapsed_s = min(now_s - self._looked_s, self._every_s + ANSWER_S_MAX)
        self.seen = {
            pid: note(before, elapsed_s, own.get(name)) if (before := self.seen.get(pid)) else Seen(pid)
            for name, pid in pids.items()
        }
        kept = {name: told for name, told in self.statuses.items() if told.get("pid") == pids.get(name)}
        self.statuses = {**kept, **own}
        self._looked_s = now_s
