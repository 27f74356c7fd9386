"""Turns whose speakers are named anew: by the service, which thinks again, and by people.

Every one becomes a `turn.revised` record with a number of its own. There may be thousands: they are
worked through in steps, one transaction each, in which what is left to do is stored as well. So a kill
or a full disk leaves nothing out and nothing half done.
"""

import queue
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypedDict

import structlog
from assemblyai.streaming.v3 import SpeakerRevisionEvent

from minuted.journal.turns import Kept
from minuted.messages import Turn, from_map
from minuted.transcription.publisher import Publisher
from minuted.transcription.speakers import Labels, Speakers, checked_names
from minuted.transcription.turns import Turns

STEP: Final = 50
"""Turns in one transaction; some 20 ms in which nothing else is done."""
WAITING_MAX: Final = 20_000
"""Turns that may wait to be revised, more than a session of three hours has; the oldest go first."""
ASKED_MAX: Final = 16
"""Requests of people that may wait; beyond that they are asked to come again."""

log = structlog.get_logger(__name__)


class RevisionsState(TypedDict):
    """What is still to be done: turns' ids with their labels, and meetings with a place."""

    waiting: list[tuple[str, str | None, list[str | None]]]
    renaming: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Asked:
    meeting_id: str
    names: Mapping[str, str]


class Revisions:
    """What is still to be revised. Used from the loop's thread, but for `ask` and `tell`."""

    def __init__(self, publisher: Publisher) -> None:
        """Go on where another process was."""
        self.revised = 0
        self.dropped = 0
        self._publisher = publisher
        self._journal = publisher.journal
        state = self._journal.state("revisions", RevisionsState) or {}
        self._waiting = {key: Labels(turn, tuple(words)) for key, turn, words in state.get("waiting", ())}
        """The service's own labels, by the turn's id."""
        self._renaming: dict[str, int] = dict(state.get("renaming", {}))
        """Meetings whose names have changed, each with the place up to which its turns have them."""
        self._asked: queue.Queue[_Asked] = queue.Queue(ASKED_MAX)

    @property
    def left(self) -> int:
        """How much is still to be done: turns, and meetings."""
        return len(self._waiting) + len(self._renaming) + self._asked.qsize()

    def hear(self, turns: Turns | None, event: SpeakerRevisionEvent) -> None:
        """Take a session's second thoughts about its own turns; also of one that was taken over from."""
        for item in event.revisions if turns else ():
            assert turns is not None
            if found := turns.relabelled(item):
                turn_id, labels = found
                self._waiting.pop(turn_id, None)
                self._waiting[turn_id] = labels
        while len(self._waiting) > WAITING_MAX:
            del self._waiting[next(iter(self._waiting))]
            self.dropped += 1
        self._revise()

    def work(self) -> None:
        """Do a step of what there is to do. Raises TurnJournalFullError, and goes on there another time."""
        if not self._asked.empty():
            self._name(self._asked.queue[0])
            self._asked.get_nowait()
        self._revise()
        for meeting_id in list(self._renaming)[:1]:
            self._rename(meeting_id)

    # What people ask for, on the thread that answers them.

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Take names for labels: done when `tell` shows them and nothing is left. Raises ValueError."""
        names = request.get("names")
        if not isinstance(names, dict) or not names:
            raise ValueError("names has to be a map of labels")
        meeting = self._publisher.speakers.find(str(request.get("meeting") or ""))
        asked = _Asked(meeting.id, checked_names(meeting, names))
        try:
            self._asked.put_nowait(asked)
        except queue.Full:
            raise ValueError("too many changes at once: try again") from None
        return {"meeting": meeting.id, "names": asked.names}

    def tell(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Tell who speaks in a meeting, and what is still being revised. Raises ValueError."""
        meeting = self._publisher.speakers.find(str(request.get("meeting") or ""))
        labels = [
            {"label": label, "name": meeting.names.get(label, ""), "turns": turns, "seconds": ms / 1000}
            for label, (turns, ms) in meeting.tally.items()
            if turns or ms or label in meeting.names
        ]
        return {
            "meeting": meeting.id,
            "started_at_ms": meeting.started_at_ms,
            "speakers": labels,
            "left": self.left,
        }

    # Details.

    def _revise(self) -> None:
        step = list(self._waiting.items())[:STEP]
        if not step:
            return
        speakers, records, labels = self._publisher.speakers, [], {}
        for turn_id, said in step:
            if kept := self._journal.turn(turn_id):
                before, was = _opened(kept)
                speakers, after, found = speakers.relabel(before, was, said)
                if found != was:
                    labels[turn_id] = found.to_text()
                if after != before:
                    records.append(_revision(after))
        left = dict(list(self._waiting.items())[len(step) :])
        if records or labels or left:
            self._record(speakers, records, labels, left, self._renaming)
        self._waiting = left

    def _name(self, asked: _Asked) -> None:
        speakers = self._publisher.speakers.named(asked.meeting_id, asked.names)
        renaming = {**self._renaming, asked.meeting_id: 0}
        self._record(speakers, [], {}, self._waiting, renaming)
        self._renaming = renaming
        log.info("speakers_named", meeting_id=asked.meeting_id, labels=list(asked.names))

    def _rename(self, meeting_id: str) -> None:
        meeting, records = self._publisher.speakers.get(meeting_id), []
        step = self._journal.turns_of(meeting_id, self._renaming[meeting_id], STEP) if meeting else []
        for kept in step:
            assert meeting is not None
            before, labels = _opened(kept)
            after = meeting.shown(before, labels)
            if after != before:
                records.append(_revision(after))
        renaming = {key: place for key, place in self._renaming.items() if key != meeting_id}
        if len(step) == STEP:
            renaming[meeting_id] = step[-1].place
        labels_kept = {
            record.id: kept.labels for record in records for kept in step if kept.record["id"] == record.id
        }
        self._record(self._publisher.speakers, records, labels_kept, self._waiting, renaming)
        self._renaming = renaming

    def _record(
        self,
        speakers: Speakers,
        records: Sequence[Turn],
        labels: Mapping[str, str],
        waiting: Mapping[str, Labels],
        renaming: Mapping[str, int],
    ) -> None:
        """Store a step's outcome and what is left to do; then publish."""
        state = {"waiting": [[key, *each] for key, each in waiting.items()], "renaming": renaming}
        self._publisher.revise(speakers, records, labels, {"revisions": state})
        self.revised += len(records)


def _opened(kept: Kept) -> tuple[Turn, Labels]:
    turn = from_map(kept.record)
    assert isinstance(turn, Turn)
    try:
        return turn, Labels.from_text(kept.labels)
    except ValueError:
        log.error("labels_damaged", seq=kept.record["seq"])
        return turn, Labels(turn.speaker, tuple(word.speaker for word in turn.words))


def _revision(turn: Turn) -> Turn:
    return replace(turn, type="revision", seq=None, revision=turn.revision + 1)
