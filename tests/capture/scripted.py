"""A sender at work in this process, with a source that says just what a test wants."""

import threading
import time
from collections.abc import Callable
from typing import Any

from minuted.capture.backlog import Backlog
from minuted.capture.outlets import Outlet
from minuted.capture.pause import Pause
from minuted.capture.sender import Sender
from minuted.messages import FRAME_BYTES, FRAME_MS, AudioFrame
from minuted.runtime.clock import wall_ms

WAIT_S = 20.0
FIRST = 1000
LOUD = b"\x00\x40" * (FRAME_BYTES // 2)


class Script:
    """A source that gives some frames and then ends, fails, or waits to be told."""

    def __init__(
        self,
        count: int,
        *,
        first: int = FIRST,
        pauses_after: int = 0,
        error: Exception | None = None,
        stays: bool = False,
    ) -> None:
        self.go = threading.Event()
        self.name = "script"
        self.missing = ""
        self.overflows = 0
        self.doubt = ""
        self.broken = ""
        self.given = 0
        self._first = first
        self._count = count
        self._pauses_after = pauses_after
        self._error = error
        self._stays = stays

    def run(self, put: Callable[[AudioFrame], bool], stop: threading.Event) -> None:
        for number in range(self._first, self._first + self._count):
            if not put(AudioFrame(number=number, captured_at_ms=number * 50, pcm=LOUD)):
                return
            self.given += 1
            if self.given == self._pauses_after:
                self.go.wait(WAIT_S)
        if self._error:
            raise self._error
        if self._stays:
            stop.wait(WAIT_S)

    def fault(self, now_s: float) -> str:
        return self.broken

    def status(self) -> dict[str, Any]:
        return {"own": 1}


class Run:
    """A sender at work on a thread of its own."""

    def __init__(
        self,
        source: Script,
        backlog: Backlog,
        outlet: Callable[[threading.Event], Outlet],
        stop_timeout_s: float,
        pause: Pause | None = None,
    ) -> None:
        self.stop = threading.Event()
        self.backlog = backlog
        pause = pause or Pause()
        self.sender = Sender(
            source,
            backlog,
            outlet(self.stop),
            self.stop,
            stop_timeout_s,
            pause,
            lambda: wall_ms() // FRAME_MS,
        )
        self.error: Exception | None = None
        self.exit_status: int | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.exit_status = self.sender.run()
        except Exception as error:
            self.error = error

    def wait_for(self, is_so: Callable[[], Any]) -> None:
        until_s = time.monotonic() + WAIT_S
        while not is_so():
            assert time.monotonic() < until_s, self.sender.status()
            time.sleep(0.01)

    def end(self) -> int | None:
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        return self.exit_status
