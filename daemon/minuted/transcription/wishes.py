"""What people ask of the loop from outside: asked on one thread, done and answered on another."""

import threading
import time
from collections import OrderedDict, deque
from typing import Any, Final

WAITING_MAX: Final = 16
"""Wishes that may wait for the loop; beyond that they are refused."""
ANSWERS_MAX: Final = 32
"""Answers kept for those who have not asked for them yet; the oldest goes."""
LATE: Final = "it could not be done in time"


class Wishes:
    """A wish has a name that whoever asks has chosen, and asks for its answer by."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[dict[str, Any]] = deque()
        self._answers: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Take a wish, unless it is too late for it. For any thread. Raises ValueError."""
        name, before_s = question.get("wish"), question.get("before_s")
        if not isinstance(name, str) or not isinstance(before_s, int | float):
            raise ValueError("a wish has a name and a time by which it is to be done")  # noqa: TRY004
        if time.monotonic() > before_s:
            raise ValueError(LATE)
        with self._lock:
            if len(self._waiting) >= WAITING_MAX:
                raise ValueError("too much is asked for at once")
            self._waiting.append(question)
        return {}

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Say what has become of a wish: busy, done or refused, or that it is not known here."""
        name = str(question.get("wish"))
        with self._lock:
            if name in self._answers:
                return {"state": "done", **self._answers[name]}
            is_waiting = any(waiting.get("wish") == name for waiting in self._waiting)
        return {"state": "busy" if is_waiting else "unknown"}

    def first(self) -> dict[str, Any] | None:
        """Give the wish that has waited longest and is not too late; it waits until it is settled."""
        while self._waiting and time.monotonic() > self._waiting[0]["before_s"]:
            self.settle({"error": LATE})
        return self._waiting[0] if self._waiting else None

    def settle(self, answer: dict[str, Any]) -> None:
        """Answer that one."""
        with self._lock:
            question = self._waiting.popleft()
            self._answers[question["wish"]] = answer
            if len(self._answers) > ANSWERS_MAX:
                self._answers.popitem(last=False)
