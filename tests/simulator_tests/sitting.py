"""A session of the simulator without a socket: sound in, messages out, on a clock of the test's."""

from typing import Any

from simulator.actions import Action, Close, Say
from simulator.coded import bytes_in, compose
from simulator.faults import Fault, Script
from simulator.options import Options
from simulator.parameters import from_query
from simulator.session import Session

UNIX_S = 1_790_000_000
QUIET_50_MS = bytes(bytes_in(50))
RECORDING = compose(3, seed=11)


class Sitting:
    """A session and its clock."""

    def __init__(
        self, query: str = "", *script: Fault, options: Options | None = None, **changes: Any
    ) -> None:
        self.now_s = 100.0
        self.done: list[tuple[float, Action]] = []
        self.session = Session(
            from_query(f"speech_model=u3-rt-pro&{query}", "universal-3-6-pro"),
            options or Options(**changes),
            Script(script),
            number=0,
            attempt=0,
            now_s=self.now_s,
        )
        self.session.open(self.now_s, UNIX_S)
        self.wait(0)

    def wait(self, seconds: float) -> None:
        """Let time pass, doing what becomes due on the way."""
        until_s = self.now_s + seconds
        while True:
            self.done += [(self.now_s, action) for action in self.session.due(self.now_s)]
            wake_s = self.session.wake_at_s()
            if wake_s > until_s:
                break
            assert wake_s >= self.now_s - 1e-6, "it wants to be woken in the past"
            self.now_s = max(wake_s, self.now_s + 1e-9)
        self.now_s = until_s
        self.done += [(self.now_s, action) for action in self.session.due(self.now_s)]

    def take(self, *messages: bytes | str, every_s: float = 0.0) -> None:
        for message in messages:
            self.session.take(message, self.now_s)
            self.wait(every_s)

    def speak(self, recording=RECORDING, frame_ms: int = 50, speed: float = 1.0) -> None:
        for frame in recording.frames(frame_ms):
            self.wait(frame_ms / 1000 / speed)
            self.take(frame)

    def said(self, kind: str) -> list[dict[str, Any]]:
        return [m for m in self.messages() if m["type"] == kind]

    def messages(self) -> list[dict[str, Any]]:
        return [a.message for _, a in self.done if isinstance(a, Say) and isinstance(a.message, dict)]

    @property
    def finals(self) -> list[dict[str, Any]]:
        return [turn for turn in self.said("Turn") if turn["end_of_turn"]]

    @property
    def closed(self) -> tuple[int, str] | None:
        closes = [action for _, action in self.done if isinstance(action, Close)]
        assert len(closes) <= 1
        return (closes[0].code, closes[0].reason) if closes else None

    def at(self, kind: str) -> list[float]:
        return [
            round(at_s - 100.0, 3)
            for at_s, action in self.done
            if isinstance(action, Say) and isinstance(action.message, dict) and action.message["type"] == kind
        ]


def failed_with(sitting: Sitting, code: int) -> str:
    """Give the Error's text, having seen the close that follows: the same code and the fixed phrase."""
    (error,) = sitting.said("Error")
    assert error["error_code"] == code
    assert sitting.closed == (code, "See Error message for details")
    assert sitting.session.over
    return str(error["error"])
