"""Meetings begun and ended by hand: what was asked for, and the end of the turn that was being spoken."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import structlog

from minuted.journal.turns import TurnJournalFullError
from minuted.messages import FRAME_MS
from minuted.transcription.lane import Lane
from minuted.transcription.meetings import Meeting
from minuted.transcription.minutes import Minutes

TITLE_CHARACTERS_MAX: Final = 200

log = structlog.get_logger(__name__)


def title_of(given: Any) -> str | None:
    """Give a title as it stands in turns; None for none. Raises ValueError."""
    if given is None:
        return None
    title = " ".join(given.split()) if isinstance(given, str) else ""
    if not title or not title.isprintable():
        raise ValueError("a title is a line of letters")
    if len(title) > TITLE_CHARACTERS_MAX:
        raise ValueError(f"a title has at most {TITLE_CHARACTERS_MAX} characters")
    return title


def obey(
    question: dict[str, Any], minutes: Minutes, now: tuple[int, int], tell: Callable[..., None]
) -> dict[str, Any]:
    """Begin or end a meeting where the sound is now; say what there was before, and `tell` of it.

    `now` is the time in epoch milliseconds, and the sound time of a frame that is heard now.
    """
    before = minutes.meeting
    action = question.get("action")
    try:
        title = title_of(question.get("title"))
        if action not in ("start", "end"):
            raise ValueError("a meeting is started or ended")
        meeting = minutes.cut_meetings(now, title, begins=action == "start")
    except ValueError as error:
        return {"error": str(error)}
    except TurnJournalFullError:
        minutes.restore_meetings()
        return {"error": "there is no room on the disk to remember it"}
    log.info("meeting_started" if meeting else "meeting_ended", meeting_id=(meeting or before or _NO).id)
    tell("meeting-started" if meeting else "meeting-ended", reason=title or "")
    return {"before": shown(before), "meeting": shown(meeting)}


def shown(meeting: Meeting | None) -> dict[str, Any] | None:
    """Give a meeting as `minuted status` has it."""
    if meeting is None:
        return None
    return {
        "id": meeting.id,
        "title": meeting.title,
        "started_at_ms": meeting.started_at_ms,
        "by_hand": meeting.by_hand,
    }


def mark_cuts(lanes: Iterable[Lane], cuts_ms: Sequence[int]) -> None:
    """Have each session end its turn where the sound it is sent passes the moment of a wish."""
    numbers = tuple(-(-cut_ms // FRAME_MS) for cut_ms in cuts_ms)
    for lane in lanes:
        lane.cuts = numbers


_NO: Final = Meeting(id="", started_at_ms=0, sound_ms=0, source="", last_word_ms=0)
