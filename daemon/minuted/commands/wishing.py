"""Have the running transcription do something, and wait until it has done it."""

import secrets
import time
from typing import Any, Final

from minuted import status
from minuted.config import Settings
from minuted.control import RefusedError, ask, is_served
from minuted.messages import MalformedMessageError

STAGE: Final = "transcription"
DONE_S_MAX: Final = 8.0
"""What is not done by then is not done at all …"""
ANSWER_S_MAX: Final = DONE_S_MAX + 2.0
"""… so that there is an answer by then."""
LOOK_S: Final = 0.02


class NotDoneError(OSError):
    """It was not done; the text says why."""


def asked(settings: Settings, stage: str, op: str, timeout_s: float = 1.0, **details: Any) -> dict[str, Any]:
    """Ask a stage for something at once, and return its answer. Raises NotDoneError."""
    try:
        if not is_served(settings.control_endpoint(stage)):
            raise TimeoutError
        return ask(settings, stage, op, timeout_s, **details)
    except TimeoutError:
        raise NotDoneError(status.absence(settings, stage)) from None
    except RefusedError as error:
        raise NotDoneError(str(error)) from None
    except MalformedMessageError:
        raise NotDoneError(f"{stage} answers what this version does not know: restart it") from None


def wish(settings: Settings, op: str, **details: Any) -> dict[str, Any]:
    """Give what came of it. Raises NotDoneError."""
    if not is_served(settings.control_endpoint(STAGE)):
        raise NotDoneError(f"{status.absence(settings, STAGE)}; nothing was changed")
    name, began_s = secrets.token_hex(8), time.monotonic()
    try:
        ask(settings, STAGE, op, DONE_S_MAX, wish=name, before_s=began_s + DONE_S_MAX, **details)
        while (answer := ask(settings, STAGE, "answer", ANSWER_S_MAX, wish=name))["state"] == "busy":
            if time.monotonic() > began_s + ANSWER_S_MAX:
                raise TimeoutError
            time.sleep(LOOK_S)
    except TimeoutError:
        raise NotDoneError("transcription does not answer; see `minuted status`") from None
    except (RefusedError, MalformedMessageError) as error:
        raise NotDoneError(f"not done: {error}") from None
    if answer["state"] == "unknown":
        raise NotDoneError("transcription was restarted in the middle of it; see `minuted status`")
    if reason := answer.get("error"):
        raise NotDoneError(f"refused: {reason}; nothing was changed")
    return answer


def told(settings: Settings) -> dict[str, Any]:
    """Give what the running transcription tells of itself. Raises NotDoneError."""
    answer = asked(settings, STAGE, "status", 2.0)
    return {key: value for key, value in answer.items() if key != "ok"}
