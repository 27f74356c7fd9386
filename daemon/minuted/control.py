"""pause, resume, endpoint, configure, status: one request socket per process.

A request is a map `{"op": name, …}`, its answer a map with `ok`; an error is `{"ok": False,
"error": text}`. The answering thread is a process's own, so a busy process still tells its state.

Whoever may connect (the group, by the socket's mode) may ask how things are; anything that changes
something is for the service's own user and root, whom the kernel names.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import structlog

from . import peers
from .bus import Replier, request
from .config import Settings
from .messages import MalformedMessageError
from .runtime import pulse

Handler = Callable[[dict[str, Any]], dict[str, Any]]

FOR_ALL: Final = ("status", "speakers", "dead_letters")
"""What the group may ask for."""

log = structlog.get_logger(__name__)


class RefusedError(ValueError):
    """A process does not do what it was asked for; the text says why."""


class ControlServer:
    """Answers requests on a thread of its own until closed.

    `handlers` maps an op to a function of the request; it is called on that thread and must not
    wait. A "status" handler's map is completed with the process's pid, uptime, its main loop's last turn, and
    how many connections to its sockets were cut off.
    """

    def __init__(self, endpoint: str, handlers: dict[str, Handler]) -> None:
        self._replier = Replier(endpoint)
        self._handlers = handlers
        self._started_s = time.monotonic()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        self._replier.close(linger_ms=200)

    def _serve(self) -> None:
        while not self._closing.is_set():
            if not (asked := self._replier.receive(timeout_s=0.2)):
                continue
            address, question = asked
            try:
                self._replier.reply(address, self._answer(question))
            except Exception as error:  # a request must not end the process it asks, nor its answering
                log.exception("request_failed", op=question.get("op"))
                text = (str(error) or type(error).__name__).encode(errors="replace").decode()
                self._replier.reply(address, {"ok": False, "error": text})

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        op = question.get("op")
        handler = self._handlers.get(op) if isinstance(op, str) else None
        if handler is None:
            return {"ok": False, "error": f"unknown request {op!r}; known: {', '.join(self._handlers)}"}
        if op not in FOR_ALL and self._replier.asker not in (0, os.geteuid()):
            who = f"only root and the service's own user may ask for {op!r}"
            return {"ok": False, "error": f"{who}: put sudo before the command"}
        answer = handler(question)
        if op == "status":
            uptime_s = round(time.monotonic() - self._started_s, 1)
            own = {"pid": os.getpid(), "uptime_s": uptime_s}
            if (age_s := pulse.age_s()) is not None:
                own["loop_age_s"] = round(age_s, 2)
            if cut_off := peers.cut_off():
                own["cut_off"] = cut_off
            answer = {**own, **answer}
        return {"ok": True, **answer}


def done(action: Callable[[], None]) -> Handler:
    """Make a handler of something that needs no details and answers nothing."""

    def handle(_question: dict[str, Any]) -> dict[str, Any]:
        action()
        return {}

    return handle


def refusing(handler: Handler) -> Handler:
    """Make a handler of one that raises ValueError for what cannot be done: its text is the answer."""

    def handle(question: dict[str, Any]) -> dict[str, Any]:
        try:
            return handler(question)
        except ValueError as error:
            return {"ok": False, "error": str(error)}

    return handle


def ask(settings: Settings, stage: str, op: str, timeout_s: float = 1.0, **details: Any) -> dict[str, Any]:
    """Ask a stage for something. Raises TimeoutError without an answer, RefusedError where it refuses."""
    answer = request(settings.control_endpoint(stage), {"op": op, **details}, timeout_s)
    if not answer.get("ok"):
        raise RefusedError(str(answer.get("error", "refused")))
    return answer


def is_served(endpoint: str) -> bool:
    """Whether somebody listens at an ipc:// address; what a run leaves of its sockets, nobody listens at."""
    with socket.socket(socket.AF_UNIX) as trial, suppress(OSError):
        trial.connect(endpoint.removeprefix("ipc://"))
        return True
    return False


def status_of(settings: Settings, stage: str, timeout_s: float = 1.0) -> dict[str, Any] | None:
    """Give a stage's own status, or None when it does not answer."""
    try:
        answer = ask(settings, stage, "status", timeout_s)
    except (TimeoutError, ValueError, MalformedMessageError):
        return None
    return {key: value for key, value in answer.items() if key != "ok"}
