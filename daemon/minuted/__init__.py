"""minuted takes the minutes of a room. This is what a sink's author imports."""

from .messages import Gap, Turn, Word
from .sink import Reject, Retry, Sink

__version__ = "0.1.0"
__all__ = ["Gap", "Reject", "Retry", "Sink", "Turn", "Word", "__version__"]
