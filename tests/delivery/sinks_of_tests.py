"""Sinks that note what they are given, and a runner for them in a thread."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minuted import Gap, Sink, Turn
from minuted.bus import Wakeup
from minuted.delivery.calls import shows_partials
from minuted.delivery.runner import Runner, Status, placer
from minuted.delivery.subscription import Subscription
from minuted.journal.cursor import Cursor, DeadLetter

WAIT_S = 30.0


class Noting(Sink):
    """Notes every call, and first does what it is told to do at it."""

    secret: str = "whsec_c2VjcmV0"

    def __post_init__(self) -> None:
        self.calls: list[str] = []
        self.at_call: Callable[[str, int], None] = lambda *_: None
        self._counts: dict[str, int] = {}

    def open(self) -> None:
        self._note("open")

    def write(self, turn: Turn) -> None:
        self._note(f"write {turn.seq}")

    def revise(self, turn: Turn) -> None:
        self._note(f"revise {turn.seq}")

    def gap(self, gap: Gap) -> None:
        self._note(f"gap {gap.seq}")

    def close(self) -> None:
        self._note("close")

    def _note(self, call: str) -> None:
        self._counts[call] = self._counts.get(call, 0) + 1
        self.calls.append(call)
        self.at_call(call, self._counts[call])


class Delivery:
    """A runner at work on a thread of its own, as in its own process."""

    def __init__(self, runtime_dir: Path, state_dir: Path, sink: Sink, **values: Any) -> None:
        self._endpoints = (f"ipc://{runtime_dir}/turns.sock", f"ipc://{runtime_dir}/replay.sock")
        self._state_dir = state_dir
        self._values = values
        self.sink = sink
        self.exit_status: int | None = None
        self.stop = threading.Event()
        self.wakeup = Wakeup()
        self.cursor: Cursor
        self.cursor_letters: list[DeadLetter] = []
        """Those left at the end."""
        self.status: Status
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> "Delivery":
        self._thread.start()
        assert self._up.wait(WAIT_S)
        return self

    def ask_to_stop(self) -> None:
        self.stop.set()
        self.wakeup.set()

    def end(self) -> int | None:
        self.ask_to_stop()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        return self.exit_status

    def _run(self) -> None:
        self.cursor = Cursor(self._state_dir / "noting.db")
        place = (self.cursor.seq if self.cursor.epoch else None, self.cursor.epoch)
        with Subscription(
            *self._endpoints,
            place[0],
            epoch=place[1],
            partials=shows_partials(type(self.sink)),
            on_position=placer(self.cursor, "noting"),
            wakeup=self.wakeup,
        ) as subscription:
            self.sink.name = "noting"
            self.status = Status("noting", Path(__file__), self.cursor, subscription)
            subscription.find_place(WAIT_S)
            self._up.set()
            arguments = (self.sink, Path(__file__), self.cursor, subscription, self.status, self.stop)
            self.exit_status = Runner(*arguments, **self._values).run()
        self.cursor_letters = self.cursor.dead_letters()
        self.cursor.close()
        self.wakeup.close()


MakeDelivery = Callable[..., Delivery]


def failing(call: str, *errors: Exception) -> Callable[[str, int], None]:
    """Make `call` fail with each of the errors in turn, and then no more."""

    def at_call(made: str, count: int) -> None:
        if made == call and count <= len(errors):
            raise errors[count - 1]

    return at_call


def _wait(event: threading.Event) -> None:
    assert event.wait(WAIT_S)
