"""Commit first, publish after: the one way a record leaves this process, and its replay."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from minuted.bus import ReplayServer, TurnsOut
from minuted.journal.turns import PAGE_MAX, TurnJournal
from minuted.messages import VERSION, Gap, Heartbeat, Message, Record, Turn
from minuted.runtime.kill_points import reached
from minuted.transcription.speakers import Speakers, SpeakersState

log = structlog.get_logger(__name__)

HEARTBEAT_S: Final = 1.0
REPLAYS_PER_TICK_MAX: Final = 4
"""A subscriber that asks without end must not keep frames and turns waiting; the rest comes next time."""


class Publisher:
    """The turn socket and the replay socket over the turn journal."""

    def __init__(self, turns: TurnsOut, replay: ReplayServer, journal: TurnJournal) -> None:
        self.turns = turns
        self.replay = replay
        self.journal = journal
        self.partials = 0
        self.replayed = 0
        """Records given out again."""
        self.speakers = Speakers.from_state(journal.state("speakers", SpeakersState))
        self._heartbeat_at_s = float("-inf")

    def record(self, record: Record, state: Mapping[str, Any] | None = None) -> Record:
        """Commit a final or gap, with `state` in the same transaction; then publish it.

        A final comes with the service's own labels, and goes as its speakers are called in its meeting.
        """
        speakers, labels = self.speakers, {}
        if isinstance(record, Turn):
            speakers, record, found = speakers.hear(record)
            labels = {record.id: found.to_text()}
        committed = self._commit(speakers, [record], labels, state or {})
        if isinstance(record, Gap):
            reached("gap-committed")
        else:
            reached("turn-committed")
        # Several where it was too long for one.
        for each in committed:
            self.turns.publish(each)
        return committed[0]

    def revise(
        self,
        speakers: Speakers,
        revisions: Sequence[Turn],
        labels: Mapping[str, str],
        state: Mapping[str, Any],
    ) -> None:
        """Commit what has become known of speakers, all of it or nothing; then publish the revisions."""
        committed = self._commit(speakers, revisions, labels, state)
        if committed:
            reached("revisions-committed")
        for record in committed:
            self.turns.publish(record)

    def _commit(
        self,
        speakers: Speakers,
        records: Sequence[Record],
        labels: Mapping[str, str],
        state: Mapping[str, Any],
    ) -> list[Record]:
        if speakers is not self.speakers:
            state = {**state, "speakers": speakers.to_state()}
        committed = self.journal.commit_all(records, state, labels)
        self.speakers = speakers
        return committed

    def passing(self, message: Message) -> None:
        """Publish what is not kept: a partial, or what became of a session."""
        self.turns.publish(self.speakers.glance(message) if isinstance(message, Turn) else message)
        self.partials += message.type == "turn"

    def tick(self, now_s: float, now_ms: int) -> None:
        """Greet new subscribers, keep the heartbeat, answer replays. `now_s` is monotonic, `now_ms` epoch."""
        self._tend_doors(now_s)
        greet = self.turns.new_subscriptions() > 0
        if greet or now_s - self._heartbeat_at_s >= HEARTBEAT_S:
            self._heartbeat_at_s = now_s
            self.heartbeat(now_ms)
        for _ in range(REPLAYS_PER_TICK_MAX):
            if not (request := self.replay.receive()):
                break
            self._answer(*request)

    def _tend_doors(self, now_s: float) -> None:
        for name, socket in (("turns", self.turns), ("replay", self.replay)):
            if socket.door is None:
                continue
            was_open, refused = socket.door.is_open, socket.door.refused
            socket.door.tend(now_s)
            if socket.door.is_open != was_open:
                log.info("door_opened" if socket.door.is_open else "door_shut", socket=name)
            if socket.door.refused != refused:
                log.warning("client_refused", socket=name, count=socket.door.refused)

    @property
    def refused(self) -> int:
        """Handshakes over TCP with a key that is not on the list."""
        return sum(socket.door.refused for socket in (self.turns, self.replay) if socket.door)

    def heartbeat(self, now_ms: int) -> None:
        self.turns.publish(Heartbeat(epoch=self.journal.epoch, last_seq=self.journal.last_seq, at_ms=now_ms))

    def _answer(self, peer: bytes, request: dict[str, Any]) -> None:
        """Send the records from `from_seq` on, one page at the most, and the end marker.

        A peer that does not take them gets the rest when it asks again.
        """
        from_seq, limit = request.get("from_seq"), request.get("limit", PAGE_MAX)
        if not isinstance(from_seq, int) or not isinstance(limit, int):
            self.replay.malformed += 1
            return
        next_seq = max(from_seq, self.journal.first_seq, 1)
        # What a number from outside may be, SQLite cannot always hold.
        for record in self.journal.page(next_seq, limit) if next_seq <= self.journal.last_seq else ():
            if not self.replay.send(peer, record):
                return
            next_seq = record["seq"] + 1
            self.replayed += 1
        marker = {
            "v": VERSION,
            "type": "end",
            "epoch": self.journal.epoch,
            "first_seq": self.journal.first_seq,
            "next_seq": next_seq,
            "last_seq": self.journal.last_seq,
            "forks": [list(fork) for fork in self.journal.forks],
        }
        self.replay.send(peer, marker)
