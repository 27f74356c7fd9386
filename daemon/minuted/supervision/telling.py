"""What systemd and people are told of a run: that it is ready, that it lives, and how it is."""

import os
from typing import Final

from minuted.runtime import clock, notify
from minuted.status import merged
from minuted.summary import note_since, summary

from .liveness import Watcher, is_well
from .roster import Roster

PATS: Final = 4
"""systemd's watchdog is calmed this many times within the time it allows."""


class Teller:
    """Tells what has changed since it last told it. Used from the supervisor's loop."""

    def __init__(self, roster: Roster, watcher: Watcher) -> None:
        self.told = ""
        """How the run is, in one line."""
        self._roster = roster
        self._watcher = watcher
        self._since_boot_ms: dict[str, int] = {}
        self._watchdog_s = notify.watchdog_s(os.environ)
        self._patted_s = float("-inf")

    def tell(self, state: str, note: str = "", *, is_ready: bool = False) -> None:
        """Tell how the run is; `is_ready`: and that a start or a reload is over."""
        told, self.told = self.told, self._summary(state, note)
        if is_ready:
            notify.ready(self.told)
        elif self.told != told:
            notify.status(self.told)

    def pat(self, now_s: float, *, is_stopping: bool) -> None:
        """Calm systemd's watchdog as long as every core process answers. A stop has bounds of its own."""
        every_s = self._watchdog_s
        if every_s is None or now_s < self._patted_s + every_s / PATS:
            return
        pids = [child.pid for child in self._roster.core if child.pid]
        looked_s = self._watcher.looked_ago_s(now_s)
        if is_stopping or is_well(self._watcher.seen, pids, looked_s=looked_s, watchdog_s=every_s):
            self._patted_s = now_s
            notify.alive()

    def _summary(self, state: str, note: str) -> str:
        told = self._watcher.statuses
        rows = {child.name: child.to_map() for child in self._roster}
        stages = {name: merged(row, told[name]) if name in told else row for name, row in rows.items()}
        now = clock.read()
        self._since_boot_ms = note_since(self._since_boot_ms, stages, now.boot_ms)
        # As moments of the wall clock as it is set now.
        set_ms = now.wall_ms - now.boot_ms
        since_ms = {what: boot_ms + set_ms for what, boot_ms in self._since_boot_ms.items()}
        return summary(self._roster.settings.room, state, stages, now.wall_ms, since_ms, note)
