"""The processes of a run: who they are, and how they change when the configuration does."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import structlog

from minuted.config import Settings

from .child import Child
from .plans import Plan
from .restarts import Kind
from .stages import is_capture, kind_of

Stages = Mapping[str, Sequence[str]]
"""The command of each process, by its name, in the order in which they are started."""

WELL: Final = "well"
_DOWN: Final = ("backoff", "failed", "failed to load")

log = structlog.get_logger(__name__)


class Roster:
    """The processes of a run and the configuration they go by. Changed by the supervisor's loop alone."""

    def __init__(self, settings: Settings, stages_of: Callable[[Settings], Stages]) -> None:
        self.settings = settings
        self.stages_of = stages_of
        self.service = settings.service
        stages = stages_of(settings)
        self.children = [Child(name, kind_of(name, settings), stages[name]) for name in stages]

    def __iter__(self) -> Iterator[Child]:
        # A list of its own: a process may be struck off meanwhile, and other threads look as well.
        return iter(list(self.children))

    @property
    def core(self) -> list[Child]:
        return [child for child in self if child.kind is not Kind.SINK]

    @property
    def sinks(self) -> list[Child]:
        return [child for child in self if child.kind is Kind.SINK]

    def ready_pids(self) -> dict[str, int]:
        """Give those that can be asked how they are."""
        return {child.name: child.pid for child in self if child.state == "ready" and child.pid}

    def may_listen(self, *, patient: bool) -> bool:
        """Tell whether everything that words go through is there; a sink may be late or broken."""
        if patient and any(sink.state in ("waiting", "starting") for sink in self.sinks):
            return False
        return all(child.state == "ready" for child in self.core if not is_capture(child.name))

    def may_be_called_ready(self) -> bool:
        """Tell whether journals and sockets are open, and sound comes or capture has said why it does not."""
        return all(
            child.state == "ready" or child.is_done or (is_capture(child.name) and child.has_told_why)
            for child in self.core
        )

    def is_well(self) -> bool:
        """Tell whether all are there that have not done their work."""
        return all(child.state == "ready" or child.is_done for child in self)

    def plays(self) -> bool:
        """Tell whether a recording is still to be heard to its end."""
        return any(is_capture(child.name) and not child.is_done for child in self)

    def remove(self, child: Child) -> None:
        self.children.remove(child)

    # What a reload asks.

    def unwell(self) -> set[str]:
        """Name the sinks that a reload is to try again."""
        return {child.name for child in self.sinks if child.state in _DOWN}

    def change(self, settings: Settings, stages: Stages, plan: Plan, now_s: float) -> dict[str, int]:
        """Begin to bring a plan about; give how often each of those touched had been started."""
        self.settings, self.service = settings, settings.service
        by_s = now_s + settings.stop_timeout_s
        for child in self:
            child.command = tuple(stages.get(child.name, child.command))
            if child.name in plan.restarted:
                child.retire("restart", by_s)
            elif child.name in plan.removed:
                child.retire("remove", by_s)
                if not child.is_up:
                    self.remove(child)
        self.children += [Child(name, kind_of(name, settings), stages[name]) for name in plan.added]
        log.info("configuration_accepted", restarted=plan.restarted, added=plan.added, removed=plan.removed)
        return {child.name: child.starts for child in self if child.name in plan.touched}

    def how(self, name: str, starts: int) -> str:
        """Say how a process is since then: "" as long as that is open, WELL, or what is wrong."""
        child = next((child for child in self if child.name == name), None)
        if child is None or (child.state == "ready" and child.starts > starts):
            return WELL
        if child.starts > starts and child.state in _DOWN:
            return f"is down: {child.status}"
        return ""
