"""A bound on each call of a sink. A call that takes longer ends the process, which is started anew.

Nothing else ends a thread that sleeps, waits for a disk or computes in C. The cursor has not moved by then,
so the next process offers the same record again.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog

from minuted.runtime import notify

CUT_OFF: Final = 124
"""The exit status of a process whose sink's call took too long; timeout(1) has the same one."""
TIMEOUT_S: Final = 600.0
"""How long a call may take where the sink's table does not say: somebody else's code may have to wait."""
LAST_WORDS_S_MAX: Final = 5.0
"""How long noting why may take; the disk that the call waits for may be the one that notes are kept on."""
LOOK_EVERY_S: Final = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call that is being made; times on the monotonic clock."""

    what: str
    since_s: float
    timeout_s: float


class Deadline:
    """Watches one call at a time. A loop that comes round between calls is watched by its own pulse.

    `on_late` is told of the call that is cut off, on the watching thread, just before the process ends.
    """

    def __init__(
        self,
        timeout_s: float,
        on_late: Callable[[Call], None],
        leave: Callable[[int], Any] = os._exit,
    ) -> None:
        self.timeout_s = timeout_s
        self.current: Call | None = None
        self._on_late = on_late
        self._leave = leave
        self._is_watched = notify.watchdog_s(os.environ) is not None
        self._begun = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def call(self, what: str, count: int = 1) -> Iterator[None]:
        """Bound what is done inside; a call that does the work of `count` may take as many times as long."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="deadline", daemon=True)
            self._thread.start()
        self.current = Call(what, time.monotonic(), self.timeout_s * count)
        if not self._begun.is_set():
            self._begun.set()
        try:
            yield
        finally:
            self.current = None

    def _watch(self) -> None:
        """Sleep while nothing is called, and look once a second while something is."""
        while True:
            self._begun.wait()
            call = self.current
            if call is None:
                self._begun.clear()
                if self.current is not None:
                    self._begun.set()
                continue
            left_s = call.since_s + call.timeout_s - time.monotonic()
            if left_s <= 0:
                self._end(call)
                return
            if self._is_watched:
                # systemd watches our loop; how long a sink may take is for its table to say.
                notify.alive()
            time.sleep(min(left_s, LOOK_EVERY_S))

    def _end(self, call: Call) -> None:
        last = threading.Timer(LAST_WORDS_S_MAX, self._leave, (CUT_OFF,))
        last.daemon = True
        last.start()
        try:
            self._on_late(call)
        except Exception:
            log.exception("cut_off_not_noted", call=call.what)
        last.cancel()
        self._leave(CUT_OFF)
