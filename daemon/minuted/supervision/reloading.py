"""Reading the configuration again while everything runs: one reload, from the wish to the last process."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import structlog

from minuted.config import Settings
from minuted.control import ask
from minuted.delivery.fingerprints import fingerprints
from minuted.runtime import notify

from .plans import Plan, names
from .roster import WELL, Roster
from .trial import Accepted, Source, Trial, mark_of_key

SETTLE_S_MAX: Final = 30.0
"""How long what was started anew may take to be ready before a reload ends without it."""
ASKED_S_MAX: Final = 90.0
"""How long `minuted reload` waits: while minuted starts, there is no reload yet."""
ASK_EVERY_S: Final = 0.1

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Result:
    """What became of the reload of that number."""

    number: int = 0
    state: Literal["none", "busy", "done", "refused"] = "none"
    text: str = ""

    def to_map(self) -> dict[str, Any]:
        return {"number": self.number, "state": self.state, "text": self.text}


class Reloading:
    """One reload at a time, from the wish for it to the word that all is well again.

    `ask` and `result` are for any thread; `advance` is the supervisor's, at every turn of its loop.
    """

    def __init__(
        self, roster: Roster, source: Source, unwell: Callable[[], Collection[str]], wake: Callable[[], None]
    ) -> None:
        self.result = Result()
        self.accepted = Accepted(roster.settings.runtime_dir)
        self._roster = roster
        self._source = source
        self._unwell = unwell
        self._wake = wake
        self._asked = 0
        self._trial: Trial | None = None
        self._waits_for: dict[str, int] = {}
        self._plan = Plan()
        self._by_s = 0.0
        self._key = ""
        self._code: Mapping[str, str] = {}

    @property
    def note(self) -> str:
        """What a person has to know of the last reload."""
        return f"reload refused: {self.result.text}" if self.result.state == "refused" else ""

    def begin_with(self, settings: Settings, text: str) -> None:
        """Have all processes read this text. Raises OSError and ConfigError."""
        self._key, self._code = mark_of_key(settings), fingerprints(settings)
        self.accepted.offer(text)
        self.accepted.accept()

    def ask(self) -> int:
        """Ask for a reload; give the number its result will have."""
        self._asked = max(self._asked, self.result.number) + 1
        self._wake()
        return self._asked

    def close(self) -> None:
        self.accepted.discard()

    def advance(self, now_s: float, *, is_ready: bool) -> bool:
        """Do what is due: begin, act on the trial's outcome, or see that all is well; True at the end."""
        if self.result.state != "busy":
            if is_ready and self._asked > self.result.number:
                self._begin()
            return False
        if self._trial and self._trial.is_done:
            trial, self._trial = self._trial, None
            self._act(trial, now_s)
        elif self._trial is None:
            self._look(now_s)
        else:
            return False
        return self.result.state != "busy"

    def _begin(self) -> None:
        notify.reloading()
        log.info("reloading")
        self.result = Result(self._asked, "busy")
        roster = self._roster
        self._trial = Trial(
            self._source,
            self.accepted,
            roster.settings,
            roster.stages_of,
            self._unwell(),
            key=self._key,
            code=self._code,
            wake=self._wake,
        )

    def _act(self, trial: Trial, now_s: float) -> None:
        if trial.refusal:
            log.error("reload_refused", reason=trial.refusal)
            self._end("refused", f"{trial.refusal}; everything goes on as it was")
            return
        self.accepted.accept()
        self._key, self._code, self._plan = trial.key, trial.code, trial.plan
        self._by_s = now_s + trial.settings.stop_timeout_s + SETTLE_S_MAX
        self._waits_for = self._roster.change(trial.settings, trial.stages, trial.plan, now_s)
        self._look(now_s)

    def _look(self, now_s: float) -> None:
        states = {name: self._roster.how(name, starts) for name, starts in self._waits_for.items()}
        if not all(states.values()) and now_s < self._by_s:
            return
        wrong = [
            f"{names([name])} {state or 'is not ready yet'}"
            for name, state in states.items()
            if state != WELL
        ]
        text = "; ".join([self._plan.describe(), *wrong])
        log.info("reloaded", changes=text)
        self._end("done", text)

    def _end(self, state: Literal["done", "refused"], text: str) -> None:
        self.result = Result(self.result.number, state, text)


def ask_for(settings: Settings, wait_s: float = ASKED_S_MAX) -> Result:
    """Have the running minuted reload, and wait for what becomes of it.

    Raises TimeoutError where none runs, and ValueError where it takes longer than `wait_s`.
    """
    number = ask(settings, "supervisor", "reload")["number"]
    until_s = time.monotonic() + wait_s
    while time.monotonic() < until_s:
        told = ask(settings, "supervisor", "status", timeout_s=2.0)["reload"]
        if told["number"] >= number and told["state"] != "busy":
            return Result(**told)
        time.sleep(ASK_EVERY_S)
    raise ValueError(
        f"the reload was not over within {wait_s:.0f} s; `minuted status` tells what it waits for"
    )
