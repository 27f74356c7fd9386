"""Lets the events of a plan happen, says whether they did, and undoes those that last."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

from simulator.process import Process
from simulator.proxy import Proxy
from simulator.receiver import Receiver

from .daemon import Daemon
from .outputs import Subscriber
from .plan import Event


class Striker:
    """Strikes at once and never waits for a fault's end: `undo_what_is_due` does that when called."""

    def __init__(
        self, daemon: Daemon, service: Process, proxy: Proxy, receiver: Receiver, subscriber: Subscriber
    ) -> None:
        self._daemon = daemon
        self._service = service
        self._proxy = proxy
        self._receiver = receiver
        self._subscriber = subscriber
        self._starting: list[threading.Thread] = []
        self._undo: dict[str, tuple[float, Callable[[], None]]] = {}
        """What lasts, by its name: only one of each at a time."""

    @property
    def is_owing(self) -> bool:
        return bool(self._undo)

    def strike(self, event: Event, now_s: float) -> bool:
        """Let it happen; False when it cannot, as its target is not there just now."""
        undo: Callable[[], None] | None = None
        name = f"stop {event.target}" if event.what == "stop" else "service"
        if event.for_s and name in self._undo and event.what != "deaf":
            return False
        match event.what:
            case "kill":
                return self._daemon.kill(event.target)
            case "stop":
                pid = self._daemon.stop(event.target)
                undo = (lambda: _wake(pid)) if pid else None
            case "receiver":
                before = len(self._receiver.requests)
                self._receiver.then(event.detail)
                return len(self._receiver.requests) >= before
            case "deaf":
                self._subscriber.be_deaf(event.for_s)
                return True
            case _:
                if "service" in self._undo or not self._proxy.connected:
                    return False
                undo = self._break(event)
                if undo is None:
                    return True
        if undo is None:
            return False
        self._undo[name] = (now_s + event.for_s, undo)
        return True

    def undo_what_is_due(self, now_s: float) -> None:
        for name, (until_s, undo) in list(self._undo.items()):
            if now_s >= until_s:
                del self._undo[name]
                undo()

    def undo_all(self) -> None:
        self.undo_what_is_due(float("inf"))
        for thread in self._starting:
            thread.join()

    def _start_service(self) -> None:
        # It takes a second, in which other things shall go on happening.
        self._starting.append(threading.Thread(target=self._service.start, daemon=True))
        self._starting[-1].start()

    def _break(self, event: Event) -> Callable[[], None] | None:
        """Break the open session; give what mends it, or None where nothing needs to be."""
        proxy, service = self._proxy, self._service
        match event.what:
            case "reset":
                proxy.reset()
            case "service_error":
                service.fault("error", code=event.detail)
            case "black_hole":
                proxy.black_hole()
                return proxy.heal
            case "down":
                proxy.down()
                return proxy.up
            case "service_kill":
                service.kill()
                return self._start_service
            case "service_stop":
                service.pause()
                return service.resume
            case _:
                raise ValueError(f"nothing is called {event.what!r}")
        return None


def _wake(pid: int) -> None:
    with suppress(ProcessLookupError):  # it was killed meanwhile
        os.kill(pid, signal.SIGCONT)
