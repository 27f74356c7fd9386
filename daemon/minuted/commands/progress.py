"""How far recordings are: a bar in a terminal, a line now and then elsewhere."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, Final

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from minuted.config import Settings
from minuted.runtime.texts import clean
from minuted.status import gather

from . import styles
from .watch import clock

LOOK_EVERY_S: Final = 0.5
TELL_EVERY_S: Final = 30.0
"""Where nobody watches a bar."""
PACE_FROM_S: Final = 3.0
"""Less sound than this tells nothing about the pace."""


@dataclass(frozen=True)
class Position:
    """How far a recording is heard."""

    heard_s: float
    length_s: float
    passed_s: float
    """Since its first sound was heard."""
    is_guess: bool = False
    """Nobody knows how long it is before it has been heard."""

    @property
    def pace(self) -> float:
        """Sound heard in a second; 0 where that is not known yet."""
        return self.heard_s / self.passed_s if self.heard_s >= PACE_FROM_S and self.passed_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        if self.is_guess and self.heard_s >= self.length_s:
            return None
        return max(0.0, self.length_s - self.heard_s) / self.pace if self.pace else None

    def __str__(self) -> str:
        text = clock(int(self.heard_s * 1000))
        if not self.is_guess or self.heard_s < self.length_s:
            text += f" of {length(self.length_s, is_guess=self.is_guess)}"
        if self.pace:
            text += f", {self.pace:.1f}x"
        if self.left_s is not None:
            text += f", {'about ' if self.is_guess else ''}{clock(int(self.left_s * 1000))} left"
        return text


def length(length_s: float, *, is_guess: bool) -> str:
    """Return a recording's length for people."""
    return f"{'about ' if is_guess else ''}{clock(int(length_s * 1000))}"


def heard_s(statuses: Mapping[str, Mapping[str, Any]], length_s: float) -> float:
    """Say how much of a recording has been heard, by what the processes tell of themselves."""
    capture, transcription = statuses.get("capture", {}), statuses.get("transcription", {})
    played_s = float(capture.get("position_s", 0.0 if not transcription.get("held_s") else length_s))
    return max(0.0, played_s - float(transcription.get("held_s", played_s)))


class Display:
    """One line for the recording at hand, and those that stay, on `screen`."""

    def __init__(self, screen: IO[str], count: int, *, is_quiet: bool = False) -> None:
        """`is_quiet`: the screen is for something else until the end."""
        self._count = count
        self._is_quiet = is_quiet
        self._console = styles.console(screen, soft_wrap=True)
        self._bar: Progress | None = None
        if self._console.is_terminal and not self._console.is_dumb_terminal and not is_quiet:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.fields[at]}", markup=False),
            )
            # stderr is the log's by now.
            self._bar = Progress(
                *columns,
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar.start()
        self._task: TaskID | None = None
        self._told_s = 0.0

    def begin(self, number: int, name: str, length_s: float, *, is_guess: bool = False) -> None:
        """Show a recording that is about to be heard."""
        self._title = f"[{number}/{self._count}] {clean(name)}"
        self._told_s = time.monotonic()
        if self._bar:
            self._task = self._bar.add_task(self._title, total=length_s or None, at="starting")
            self._bar.refresh()
        elif not self._is_quiet:
            known = (
                f"{length(length_s, is_guess=is_guess)} of sound" if length_s else "sound of unknown length"
            )
            self._print(f"{self._title}: {known}")

    def show(self, position: Position) -> None:
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=position.heard_s, at=str(position), refresh=True)
        elif not self._is_quiet and time.monotonic() - self._told_s >= TELL_EVERY_S:
            self._told_s = time.monotonic()
            self._print(f"{self._title}: {position}")

    def tell(self, number: int, name: str, what: str) -> None:
        """Say what became of a recording."""
        if self._bar and self._task is not None:
            self._bar.remove_task(self._task)
            self._bar.refresh()
            self._task = None
        self._print(f"[{number}/{self._count}] {name}: {what}")

    def note(self, text: str) -> None:
        self._print(text)

    def close(self) -> None:
        if self._bar:
            self._bar.stop()

    def _print(self, text: str) -> None:
        self._console.print(styles.styled(text))


class Looking:
    """Looks how far a run is, on a thread of its own, for as long as it lasts."""

    def __init__(
        self, settings: Settings, length_s: float, show: Callable[[Position], None], *, is_guess: bool = False
    ) -> None:
        self.heard_s = 0.0
        self._settings = settings
        self._length_s = length_s
        self._is_guess = is_guess
        self._show = show
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        began_s: float | None = None
        while not self._closing.wait(LOOK_EVERY_S):
            with suppress(OSError, ValueError):
                told = gather(self._settings, ("capture", "transcription"), timeout_s=LOOK_EVERY_S)
                # It never goes back, whatever a process that was restarted says.
                self.heard_s = max(self.heard_s, heard_s(told, self._length_s))
            now_s = time.monotonic()
            if self.heard_s:
                began_s = now_s - LOOK_EVERY_S if began_s is None else began_s
                length_s = max(self._length_s, 0.0 if self._is_guess else self.heard_s)
                self._show(Position(self.heard_s, length_s, now_s - began_s, self._is_guess))
