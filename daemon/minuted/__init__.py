"""minuted takes the minutes of a room. This is what a sink's author and a subscriber import."""

from typing import TYPE_CHECKING, Any

from .meeting_files import Meeting, MeetingFiles, Passage
from .messages import Gap, Turn, Word
from .sink import Reject, Retry, Sink

if TYPE_CHECKING:
    from . import http_client
    from .delivery.subscription import Subscription

__version__ = "0.1.0"
__all__ = [
    "Gap",
    "Meeting",
    "MeetingFiles",
    "Passage",
    "Reject",
    "Retry",
    "Sink",
    "Subscription",
    "Turn",
    "Word",
    "__version__",
    "alignment",
    "directions",
    "http_client",
    "text_layout",
]


def __getattr__(name: str) -> Any:
    """Import what needs sockets only for those who ask for it."""
    if name == "Subscription":
        from .delivery.subscription import Subscription  # noqa: PLC0415

        return Subscription
    raise AttributeError(name)
