"""What a session wants done; its keeper does it on the socket."""

from dataclasses import dataclass

from .faults import Fault
from .wire import Message


@dataclass(frozen=True, slots=True)
class Say:
    """A text frame to send."""

    message: Message | str


@dataclass(frozen=True, slots=True)
class Close:
    """The close frame to send."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault has struck; what lies beyond a session (sockets, the listener) its keeper does."""

    fault: Fault


Action = Say | Close | Struck
