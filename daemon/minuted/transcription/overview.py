"""What several channels tell of themselves, as one. Pure."""

from collections.abc import Mapping
from typing import Any, Final

_STATES: Final = ("halted", "limit", "refused", "retrying", "connecting", "live", "idle", "paused")
"""What is worth telling first, what is not known here before all; paused they are only when all are."""
_ADDED: Final = (
    *("sessions", "reconnects", "handovers", "behind_s", "held_s", "taken_s", "dropped_s"),
    *("finals", "gaps", "words_known", "heard_again", "saved_today_s", "wakes", "wakes_in_vain"),
)
_LARGEST: Final = ("session_s", "backlog_s")


def overview(channels: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Join the statuses of channels, by their names; of a single one without a name it is that one's."""
    if list(channels) == [""]:
        return dict(channels[""])
    told = list(channels.values())
    leading = min(told, key=lambda status: _rank(status["state"]))
    live = next((status for status in told if status["session_id"]), leading)
    return {
        **leading,
        "session_id": live["session_id"],
        "model": live["model"],
        **{key: sum(status[key] for status in told) for key in _ADDED},
        **{key: max(status[key] for status in told) for key in _LARGEST},
        "channels": {name: dict(status) for name, status in channels.items()},
    }


def _rank(state: str) -> int:
    return _STATES.index(state) if state in _STATES else -1
