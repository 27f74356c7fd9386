"""How long turns can be replayed: old ones go, but none that a sink still lacks."""

import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

import structlog

from minuted.config import Settings
from minuted.control import status_of
from minuted.journal.cursor import path_of, read_place
from minuted.journal.turns import PRUNED_MAX, TurnJournal, TurnJournalFullError

FIRST_S: Final = 60.0
"""After the start: sinks are up by then."""
EVERY_S: Final = 3600.0
STEP_S: Final = 1.0
"""Between the steps of a round."""
ASK_WAIT_S: Final = 0.2
"""How long a sink's process may take to say how far it is; one that does not has everything kept for it."""
DAY_MS: Final = 86_400_000
SET_S_MIN: Final = 86_400.0
"""Nothing is deleted for so long after the wall clock was set."""

log = structlog.get_logger(__name__)


class Retention:
    """Prunes the turn journal once an hour, in steps: one sink asked or one batch deleted a call.

    So a call takes no longer than ASK_WAIT_S or a batch's deletion. Ages are those of the journal's own
    clock, which nobody sets.
    """

    def __init__(
        self, settings: Settings, journal: TurnJournal, going_on: Callable[[], Collection[str]] = tuple
    ) -> None:
        """`going_on` names the meetings that go on: of those everything stays."""
        self.pruned = 0
        """Records deleted since the start."""
        self._settings = settings
        self._journal = journal
        self._going_on = going_on
        self.reason = ""
        """Why nothing is deleted for now."""
        self._due_s: float | None = None
        self._to_ask: deque[str] | None = None
        self._delivered: dict[str, int | None] = {}
        self._gone = 0

    def tick(self, now_s: float, now_ms: int, set_ago_s: float = math.inf) -> None:
        """Do the next step if its time has come. `now_s` is monotonic, `now_ms` the journal's time.

        `set_ago_s`: since when the wall clock was not set.
        """
        if self._due_s is None:
            self._due_s = now_s + FIRST_S
        if now_s < self._due_s:
            return
        if set_ago_s < SET_S_MIN:
            self.reason = "the clock was set: no record is deleted for a day"
            self._to_ask = None
            self._due_s = now_s + EVERY_S
            return
        self.reason = ""
        before_ms = now_ms - round(self._settings.journal.turns_days * DAY_MS)
        self._due_s = now_s + (STEP_S if self._step(before_ms) else EVERY_S)

    def _step(self, before_ms: int) -> bool:
        """Say whether there is more to do in this round."""
        if self._to_ask is None:
            if not self._is_old(before_ms):
                return False
            self._to_ask = deque(name for name, table in self._settings.sinks.items() if table.enabled)
            self._delivered, self._gone = {}, 0
        if self._to_ask:
            name = self._to_ask.popleft()
            self._delivered[name] = delivered_seq(
                self._settings, name, [*self._journal.forks, (self._journal.epoch, self._journal.last_seq)]
            )
            return True
        # They may have got further since, and never back: what is known is enough.
        if self._prune(before_ms) == PRUNED_MAX:
            return True
        self._to_ask = None
        self._tell(before_ms)
        return False

    def _prune(self, before_ms: int) -> int:
        first_to_keep = keep_from(self._delivered.values(), self._journal.last_seq)
        try:
            gone = self._journal.prune(before_ms, first_to_keep, self._going_on())
        except TurnJournalFullError as error:
            log.warning("prune_failed", reason=str(error))
            return 0
        self._gone += gone
        self.pruned += gone
        return gone

    def _tell(self, before_ms: int) -> None:
        first_seq, last_seq = self._journal.first_seq, self._journal.last_seq
        if self._gone:
            log.info("records_pruned", count=self._gone, first_seq=first_seq, last_seq=last_seq)
        waited_for = [name for name, seq in self._delivered.items() if seq is None or seq < first_seq]
        if waited_for and self._is_old(before_ms):
            # A sink that never gets any further lets the journal grow: somebody should know.
            log.warning("old_records_kept", sinks=waited_for, first_seq=first_seq, last_seq=last_seq)

    def _is_old(self, before_ms: int) -> bool:
        oldest_ms = self._journal.oldest_ms()
        return oldest_ms is not None and oldest_ms < before_ms


def keep_from(delivered: Iterable[int | None], last_seq: int) -> int:
    """Give the first record that a sink still lacks; None: it is not known how far a sink is."""
    return min((0 if seq is None else seq for seq in delivered), default=last_seq) + 1


def delivered_seq(settings: Settings, sink: str, epochs: Sequence[tuple[str, int]]) -> int | None:
    """Return up to where a sink has what the journal holds; None where nobody can tell.

    `epochs` are the journal's, each with the last number under it. A dead letter counts: it lies in the
    sink's own file.
    """
    place = _told_place(settings, sink) or read_place(path_of(settings.state_dir, sink))
    ends = dict(epochs)
    return min(place[1], ends[place[0]]) if place and place[0] in ends else None


def _told_place(settings: Settings, sink: str) -> tuple[str, int] | None:
    stage = f"delivery/{sink}"
    if not Path(settings.control_endpoint(stage).removeprefix("ipc://")).exists():
        return None
    told = status_of(settings, stage, ASK_WAIT_S) or {}
    epoch, seq = told.get("epoch"), told.get("seq")
    return (epoch, seq) if isinstance(epoch, str) and isinstance(seq, int) else None
