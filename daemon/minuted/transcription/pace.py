"""How fast a session may be sent audio. Pure: time comes in as an argument.

Source: the service ends a session with 3007 "Audio Transmission Rate Exceeded" when audio comes
faster than real time; no tolerance is published, and 1.2 is what careful clients keep to.
"""

from typing import Final

SPEED_MAX: Final = 1.2
BURST_MS: Final = 500
"""What may go out at once: a few frames that a busy machine held up."""
WAKE_BURST_MS: Final = 5000
"""… to a session that somebody who speaks already waits for: the service takes 7 s at once."""
LEAD_MS_MAX: Final = 40_000
"""An unpaced session's lead over what the engine says it has taken; the engine ends one at 60 s."""


class Pace:
    """Allows audio at no more than 1.2 times real time."""

    def __init__(self, now_s: float, burst_ms: int = BURST_MS) -> None:
        """`burst_ms`: what may go out at once to begin with."""
        self._allowed_ms = float(burst_ms)
        self._at_s = now_s

    def allows(self, duration_ms: int, now_s: float) -> bool:
        """Say whether this much audio may be sent now; if so, count it as sent."""
        passed_ms = (now_s - self._at_s) * 1000
        if self._allowed_ms < BURST_MS:
            self._allowed_ms = min(BURST_MS, self._allowed_ms + passed_ms * SPEED_MAX)
        self._at_s = now_s
        if self._allowed_ms < duration_ms:
            return False
        self._allowed_ms -= duration_ms
        return True
