"""What sound must not be: in messages too short or too long, or too much too soon (reference 3.1, 5.2)."""

import math
from dataclasses import dataclass, field
from typing import Final

DURATION: Final = 3007
MESSAGE_MS: Final = (50, 1000)
SHORT_MS_MAX: Final = 980
"""Sound in messages that are too short, after which the service minds whatever the time."""


@dataclass(slots=True)
class Lengths:
    """Too long is minded at once; more than `overlooked` too short ones in a row after `grace_s`."""

    overlooked: int
    grace_s: float
    _short: list[tuple[float, float]] = field(default_factory=list)

    def complaint(self, length_ms: float, now_s: float) -> str | None:
        """Take a message's length; give the text of the error, if it is one."""
        if length_ms > MESSAGE_MS[1]:
            return _wrong_length(length_ms)
        if length_ms >= MESSAGE_MS[0]:
            self._short.clear()
            return None
        self._short.append((now_s, length_ms))
        minds = self.grace_s == 0 or sum(ms for _, ms in self._short) >= SHORT_MS_MAX
        return _wrong_length(length_ms) if minds and len(self._short) > self.overlooked else None

    def late_complaint(self) -> str:
        return _wrong_length(self._short[-1][1])

    def at_s(self) -> float:
        """Say when the grace is over."""
        return self._short[0][0] + self.grace_s if len(self._short) > self.overlooked else math.inf


def pace_complaint(audio_s: float, elapsed_s: float, rate: float, slack_s: float | None) -> str | None:
    """Say what is wrong with so much sound in so much time; without a slack nothing is."""
    if slack_s is None or audio_s - rate * elapsed_s <= slack_s:
        return None
    return f"Audio Transmission Rate Exceeded: Received {audio_s:.1f} sec. audio in {elapsed_s:.1f} sec"


def _wrong_length(length_ms: float) -> str:
    least, most = MESSAGE_MS
    why = f"{length_ms:.1f} ms. Expected between {least} and {most} ms"
    return f"Input Duration Error: Input Duration Violation: {why}"
