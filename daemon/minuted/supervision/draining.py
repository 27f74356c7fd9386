"""Stopping in order: sound first, then words, then those who deliver them."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, Final

import structlog

from minuted.config import Settings
from minuted.control import ask
from minuted.messages import MalformedMessageError
from minuted.runtime.durations import duration
from minuted.status import gather

from .child import Child
from .restarts import Kind

ASK_EVERY_S: Final = 0.2
KILLED_S_MAX: Final = 2.0
"""How long the kernel may take to end a killed process; one that takes longer is left to it."""

log = structlog.get_logger(__name__)


class Step(IntEnum):
    """The order of a stop."""

    CAPTURE = 1
    DRAIN = 2
    SINKS = 3
    TRANSCRIPTION = 4
    ENGINE = 5
    DONE = 6


_SHARES: Final = {
    Step.CAPTURE: 0.25,
    Step.DRAIN: 0.65,
    Step.SINKS: 0.9,
    Step.TRANSCRIPTION: 0.95,
    Step.ENGINE: 1.0,
}
"""How much of the whole bound has gone when a step ends, so that one that hangs leaves time for the rest."""


def step_of(stage: str) -> Step:
    """Name the step in which a stage is stopped."""
    kind = stage.partition("/")[0]
    return Step.SINKS if kind == "delivery" else Step[kind.upper()]


def bound_s(step: Step, timeout_s: float, *, began_s: float, moved_s: float, asked: bool) -> float:
    """Say when to wait no longer.

    A stop that was asked for has `timeout_s` in all. At a recording's end there is no hurry: what
    is left has `timeout_s` since something last moved on.
    """
    return began_s + timeout_s * _SHARES[step] if asked else moved_s + timeout_s


def progress(statuses: Mapping[str, Mapping[str, Any]]) -> tuple[object, ...]:
    """Give what changes as long as something moves on."""
    moving = ("last_seq", "seq", "backlog_s", "held_s", "taken_s")
    return tuple(status.get(key) for _, status in sorted(statuses.items()) for key in moving)


def shortfall(stage: str, status: Mapping[str, Any], reason: str) -> str:
    """Say in a few words what a stage did not finish; `status` is the last it told."""
    name = stage.removeprefix("delivery/")
    left = "did not finish"
    if lag := status.get("lag"):
        left = f"is {lag} {'turn' if lag == 1 else 'turns'} behind"
    elif left_s := status.get("held_s") or status.get("backlog_s"):
        left = f"has {duration(round(left_s))} of sound left"
    told = status.get("last_error") or status.get("reason") or ""
    why = reason if told in reason else told
    return f"{name} {left}" + (f" ({why})" if why else "")


class Stop:
    """One stop of everything. `advance` does what is to be done now; `bound_s` says when to look again.

    `asked`: by a person or by systemd, as against a recording's end. Without `drain` nobody can finish
    what was heard, and all are stopped at once; so it is where nothing was heard. What was not finished
    within the bounds stands in `shortfalls`.
    """

    def __init__(
        self,
        settings: Settings,
        children: Sequence[Child],
        *,
        now_s: float,
        asked: bool,
        drain: bool = True,
        wake: Callable[[], None],
    ) -> None:
        self.asked = asked
        self.step = Step.CAPTURE
        self.shortfalls: list[str] = []
        self._settings = settings
        self._children = {child.name: child for child in children}
        self._at_once = not drain or not any(child.starts for child in self._at(Step.CAPTURE))
        self._began_s = self._moved_s = now_s
        self._killed_s: float | None = None
        self._seen: tuple[object, ...] = ()
        self._asker = Asker(settings, self._up, wake)
        self._enter(Step.CAPTURE, now_s)
        if self._at_once:
            self._asker.finish()
            for child in children:
                child.stop()
            self.step = Step.ENGINE

    @property
    def is_over(self) -> bool:
        return self.step is Step.DONE

    @property
    def bound_s(self) -> float:
        if self._killed_s is not None:
            return self._killed_s + KILLED_S_MAX
        timeout_s = self._settings.stop_timeout_s
        step = Step.CAPTURE if self._at_once else self.step
        return bound_s(step, timeout_s, began_s=self._began_s, moved_s=self._moved_s, asked=self.asked)

    @property
    def has_drained(self) -> bool:
        """Whether every word that was heard is in the journal."""
        return self._asker.has_drained

    def has_reached(self, child: Child) -> bool:
        """Tell whether this process has been stopped already, and is not to be started again."""
        return self.step >= step_of(child.name)

    def hurry(self, now_s: float) -> None:
        """Someone asks for an end while a recording drains: from here the bound is for all that is left."""
        self.asked = True
        self._began_s = now_s

    def kill(self, now_s: float) -> None:
        """End everything at once."""
        for child in self._children.values():
            child.stop()
            child.kill()
        self.shortfalls.append("it was ended at once, as asked")
        self.step = Step.ENGINE
        self._killed_s = now_s

    def advance(self, now_s: float) -> None:
        if (seen := progress(self._asker.statuses)) != self._seen:
            self._seen, self._moved_s = seen, now_s
        while not self.is_over:
            if not self._step_is_over():
                if now_s < self.bound_s:
                    return
                if self.step is not Step.DRAIN and self._killed_s is None:
                    self._kill_step(now_s)
                    return
                if self.step is Step.DRAIN:
                    self._fall_short("transcription", "not drained within the bound")
            self._enter(Step(self.step + 1), now_s)

    def ended(self, child: Child, exit_status: int) -> None:
        """Note a process that ended after it was asked to."""
        if exit_status != 0 and self._owes(child) and self._killed_s is None:
            self._fall_short(child.name, child.trouble or child.status)

    def close(self) -> None:
        self._asker.close()

    def _enter(self, step: Step, now_s: float) -> None:
        self.step = step
        self._moved_s = now_s
        self._killed_s = None
        if step is Step.DONE:
            return
        log.debug("stop_step", step=step.name.lower())
        if step is Step.DRAIN:
            self._asker.may_drain = True
        elif step is Step.TRANSCRIPTION:
            self._asker.finish()
        for child in self._at(step):
            if step is Step.SINKS and not child.is_up:
                self._fall_short(child.name, child.trouble or child.status)
            child.stop()

    def _step_is_over(self) -> bool:
        if self.step is Step.ENGINE:
            return not self._up()
        if self.step is not Step.DRAIN:
            return not any(child.is_up for child in self._at(self.step))
        transcription = self._children.get("transcription")
        gone = transcription is None or transcription.state in ("failed", "stopped")
        return gone or self._asker.has_drained

    def _owes(self, child: Child) -> bool:
        """Tell whether something may be left undone: a stop may come before the first start is over."""
        if child.kind is Kind.SINK:
            return child.is_at_work or child.restarts > 0 or not self.asked
        return child.is_at_work

    def _kill_step(self, now_s: float) -> None:
        stages = [*self._at(self.step)] if self.step is not Step.ENGINE else [*self._children.values()]
        for child in stages:
            if child.is_up:
                self._fall_short(child.name, f"killed after {now_s - self._began_s:.0f} s")
                child.kill()
        self._killed_s = now_s

    def _fall_short(self, stage: str, reason: str) -> None:
        status = self._asker.statuses.get(stage, {})
        # What was not drained in time also ends with a failure: one sentence says both.
        if (text := shortfall(stage, status, reason)) not in self.shortfalls:
            self.shortfalls.append(text)
        log.error("not_finished", child=stage, reason=reason, lag=status.get("lag", 0))

    def _at(self, step: Step) -> list[Child]:
        return [child for name, child in self._children.items() if step_of(name) is step]

    def _up(self) -> list[str]:
        return [name for name, child in self._children.items() if child.is_up]


class Asker:
    """Has the transcription drain and asks everyone how far they are, on a thread of its own.

    A process that hangs must not hold up the supervisor.
    """

    def __init__(
        self, settings: Settings, stages: Callable[[], Iterable[str]], wake: Callable[[], None]
    ) -> None:
        self.statuses: dict[str, dict[str, Any]] = {}
        """The last each stage told of itself."""
        self.may_drain = False
        """From when on the transcription is asked to drain."""
        self._settings = settings
        self._stages = stages
        self._wake = wake
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="asker", daemon=True)
        self._thread.start()

    @property
    def has_drained(self) -> bool:
        return self.statuses.get("transcription", {}).get("state") == "drained"

    def finish(self) -> None:
        """Ask no more; what was told stays."""
        self._closing.set()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        told: int | None = None
        while not self._closing.is_set():
            answers = gather(self._settings, self._stages(), timeout_s=0.5)
            pid = answers.get("transcription", {}).get("pid")
            if self.may_drain and pid not in (None, told) and self._tell():
                told = pid
            self.statuses = {**self.statuses, **answers}
            self._wake()
            self._closing.wait(ASK_EVERY_S)

    def _tell(self) -> bool:
        """Ask for the drain; a transcription that was restarted meanwhile is asked again."""
        try:
            ask(self._settings, "transcription", "drain", timeout_s=0.5)
        except (TimeoutError, ValueError, MalformedMessageError):
            return False
        return True
