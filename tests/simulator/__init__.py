"""A simulator of the streaming service on real sockets, and the sound it understands."""

from .faults import FAULTS, MALFORMED, Fault
from .options import Options, lifelike
from .service import Service

__all__ = ["FAULTS", "MALFORMED", "Fault", "Options", "Service", "lifelike"]
