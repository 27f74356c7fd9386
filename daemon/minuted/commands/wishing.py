"""Have the running transcription do something, and wait until it has done it."""

import os
import secrets
import time
from pathlib import Path
from typing import Any, Final

from minuted import status
from minuted.config import Settings
from minuted.control import ask, status_of
from minuted.messages import MalformedMessageError

STAGE: Final = "transcription"
DONE_S_MAX: Final = 8.0
"""What is not done by then is not done at all …"""
ANSWER_S_MAX: Final = DONE_S_MAX + 2.0
"""… so that there is an answer by then."""
LOOK_S: Final = 0.02


class NotDoneError(OSError):
    """It was not done; the text says why."""


def wish(settings: Settings, op: str, **details: Any) -> dict[str, Any]:
    """Give what came of it. Raises NotDoneError."""
    _look(settings, "; nothing was changed")
    name, began_s = secrets.token_hex(8), time.monotonic()
    try:
        ask(settings, STAGE, op, DONE_S_MAX, wish=name, before_s=began_s + DONE_S_MAX, **details)
        while (answer := ask(settings, STAGE, "answer", ANSWER_S_MAX, wish=name))["state"] == "busy":
            if time.monotonic() > began_s + ANSWER_S_MAX:
                raise TimeoutError
            time.sleep(LOOK_S)
    except TimeoutError:
        raise NotDoneError("transcription does not answer; see `minuted status`") from None
    except (ValueError, MalformedMessageError) as error:
        raise NotDoneError(f"not done: {error}") from None
    if answer["state"] == "unknown":
        raise NotDoneError("transcription was restarted in the middle of it; see `minuted status`")
    if reason := answer.get("error"):
        raise NotDoneError(f"refused: {reason}; nothing was changed")
    return answer


def told(settings: Settings) -> dict[str, Any]:
    """Give what the running transcription tells of itself. Raises NotDoneError."""
    _look(settings)
    found = status_of(settings, STAGE, timeout_s=2.0)
    if found is None:
        raise NotDoneError(status.absence(settings))
    return found


def _look(settings: Settings, more: str = "") -> None:
    """Raise NotDoneError, saying why, where there is no socket to ask on, or none for us."""
    socket = Path(settings.control_endpoint(STAGE).removeprefix("ipc://"))
    if not os.access(socket, os.W_OK):
        raise NotDoneError(f"{status.absence(settings)}{more}")
