"""`minuted pause` and `minuted resume`: ask capture, and wait until it has done so."""

import time
from typing import Any, Final

from minuted import status
from minuted.commands.wishing import NotDoneError
from minuted.config import Settings
from minuted.control import RefusedError, ask, status_of
from minuted.messages import MalformedMessageError

VALID_S: Final = 1.0
"""A request that capture finds later than this is not heeded …"""
ANSWER_S_MAX: Final = 4.0
"""… so that nothing was changed when there has been no answer by then."""
CLOSED_S_MAX: Final = 10.0
"""How long it may take to close; a process that cannot do it ends, and the next one begins with the pause."""
LOOK_S: Final = 0.01


def begin(settings: Settings, for_s: float | None) -> str:
    """Pause every source; return when none reads its device any more. Raises NotDoneError."""
    answer = _ask(settings, "pause", for_s=for_s)
    until_s = time.monotonic() + CLOSED_S_MAX
    for stage in _stages(settings):
        while not (status_of(settings, stage) or {}).get("paused"):
            if time.monotonic() > until_s:
                raise NotDoneError(
                    f"the pause is noted, but {stage} has not confirmed that the microphone is closed: "
                    "see `minuted status`, or stop minuted"
                )
            time.sleep(LOOK_S)
    how_long = "" if for_s else "; `minuted resume` ends it"
    return f"{answer['text']}{how_long}"


def end(settings: Settings) -> str:
    """End a pause. Raises NotDoneError."""
    return "resumed" if _ask(settings, "resume").get("was_paused") else "there was no pause"


def _stages(settings: Settings) -> list[str]:
    """Name the captures that there are, or were."""
    stages = [source.stage for source in settings.sources]
    return [stage for stage in stages if status.has_socket(settings, stage)]


def _ask(settings: Settings, op: str, **details: Any) -> dict[str, Any]:
    """Ask every source; give the first one's answer. They share one note, which a late one finds."""
    stages = _stages(settings)
    if not stages:
        raise NotDoneError(f"{status.absence(settings, 'capture')}; nothing was changed")
    answers: list[dict[str, Any]] = []
    for stage in stages:
        before_s = time.monotonic() + VALID_S
        # One that is down will find the note when it is started; one that hangs may be hearing.
        done = f"only {' and '.join(stages[: len(answers)])} did so" if answers else "nothing was changed"
        try:
            answers.append(ask(settings, stage, op, ANSWER_S_MAX, before_s=before_s, **details))
        except TimeoutError:
            raise NotDoneError(f"{stage} does not answer; {done}") from None
        except (RefusedError, MalformedMessageError) as error:
            also = f"; {done}" if answers else ""
            raise NotDoneError(f"not done: {error}{also}") from None
    return answers[0]
