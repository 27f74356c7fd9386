"""`minuted pause` and `minuted resume`: ask capture, and wait until it has done so."""

import time
from typing import Any, Final

from minuted import status
from minuted.config import Settings
from minuted.control import ask, status_of
from minuted.messages import MalformedMessageError

VALID_S: Final = 1.0
"""A request that capture finds later than this is not heeded …"""
ANSWER_S_MAX: Final = 4.0
"""… so that nothing was changed when there has been no answer by then."""
CLOSED_S_MAX: Final = 10.0
"""How long it may take to close; a process that cannot do it ends, and the next one begins with the pause."""
LOOK_S: Final = 0.01


class NotDoneError(OSError):
    """It could not be done; the text says what holds now."""


def begin(settings: Settings, for_s: float | None) -> str:
    """Pause; return when capture has stopped reading the device. Raises NotDoneError."""
    answer = _ask(settings, "pause", for_s=for_s)
    until_s = time.monotonic() + CLOSED_S_MAX
    while not (status_of(settings, "capture") or {}).get("paused"):
        if time.monotonic() > until_s:
            raise NotDoneError(
                "the pause is noted, but capture has not confirmed that the microphone is closed: "
                "see `minuted status`, or stop minuted"
            )
        time.sleep(LOOK_S)
    how_long = "" if for_s else "; `minuted resume` ends it"
    return f"{answer['text']}{how_long}"


def end(settings: Settings) -> str:
    """End a pause. Raises NotDoneError."""
    return "resumed" if _ask(settings, "resume").get("was_paused") else "there was no pause"


def _ask(settings: Settings, op: str, **details: Any) -> dict[str, Any]:
    if not status.has_socket(settings, "capture"):
        raise NotDoneError(f"{status.absence(settings)}; nothing was changed")
    try:
        return ask(settings, "capture", op, ANSWER_S_MAX, before_s=time.monotonic() + VALID_S, **details)
    except TimeoutError:
        raise NotDoneError("capture does not answer; nothing was changed") from None
    except (ValueError, MalformedMessageError) as error:
        raise NotDoneError(f"not done: {error}") from None
