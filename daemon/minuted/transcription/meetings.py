"""Which meeting a stretch of sound belongs to. Pure: sound time comes in as an argument."""

import secrets
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

from minuted.transcription.clock import Stretch

LEAD_IN_MS: Final = 2000
"""A meeting at the microphone begins this long before its first word, whose start may still be refined."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """What the people think they are in; every word's time counts from `sound_ms`."""

    id: str
    started_at_ms: int
    sound_ms: int
    source: str
    last_word_ms: int

    def to_state(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any] | None) -> Self | None:
        return cls(**state) if state else None

    def heard_until(self, sound_ms: int) -> "Meeting":
        return replace(self, last_word_ms=max(self.last_word_ms, sound_ms))


def meeting_at(before: Meeting | None, start_ms: int, stretch: Stretch, gap_ms: float) -> Meeting:
    """Give the meeting that a turn beginning at sound time `start_ms` belongs to.

    A recording is one meeting and begins with its first sample. At the microphone a meeting begins
    with the first words after `gap_ms` without any.
    """
    recorded = stretch.source != "microphone"
    if before and before.source == stretch.source:
        if recorded and stretch.sound_ms == before.sound_ms:
            return before
        if not recorded and abs(start_ms - before.last_word_ms) < gap_ms:
            return before
    begins_ms = stretch.sound_ms if recorded else max(stretch.sound_ms, start_ms - LEAD_IN_MS)
    return Meeting(
        id=secrets.token_hex(8),
        started_at_ms=begins_ms + stretch.wall_offset_ms,
        sound_ms=begins_ms,
        source=stretch.source,
        last_word_ms=start_ms,
    )
