"""One session, opened and ended at once: does the service take the key and the parameters?"""

import queue
import time
from typing import Any, Final

from assemblyai.streaming.v3 import TerminationEvent

from minuted.config import Settings
from minuted.transcription.access import Access
from minuted.transcription.echo import differences
from minuted.transcription.session import (
    BEGIN_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    Begun,
    Closed,
    Session,
    parameters_of,
)

ANSWER_S_MAX: Final = CONNECT_TIMEOUT_S + BEGIN_TIMEOUT_S + 2.0
END_S_MAX: Final = 5.0
"""A service that takes longer to end the session ends it by itself: no sound was sent."""
_LOOK_S: Final = 0.05


def try_out(settings: Settings) -> tuple[str, list[str]]:
    """Give the model a session is answered by, and what in it is not as it was asked for.

    Raises ConnectionError with the reason when it is refused.
    """
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    session = Session(
        Access(settings),
        parameters_of(settings.session, local=False),
        lambda _, event: events.put(event),
    )
    try:
        begun = _wait_for(Begun, session, events, ANSWER_S_MAX)
        session.terminate()
        _wait_for(TerminationEvent, session, events, END_S_MAX)
    finally:
        session.abandon()
    model = str(begun.told.get("model") or settings.session.speech_model)
    return model, differences(session.parameters, begun.told)


def _wait_for(kind: type, session: Session, events: "queue.SimpleQueue[Any]", timeout_s: float) -> Any:
    until_s = time.monotonic() + timeout_s
    while (now_s := time.monotonic()) < until_s:
        session.watch(now_s)
        try:
            event = events.get(timeout=_LOOK_S)
        except queue.Empty:
            continue
        if isinstance(event, Closed):
            raise ConnectionError(event.failure.text)
        if isinstance(event, kind):
            return event
    raise ConnectionError(f"no answer within {timeout_s:.0f} s")
