"""A publisher of made-up turns: the turn socket and the replay socket, and ways to make them fail.

As a program (`python fake_publisher.py TURNS REPLAY JOURNAL`) it keeps its turns in a real journal,
publishes as many as each line on its standard input says, and answers each line with the last number.
"""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from minuted.bus import ReplayServer, TurnsOut
from minuted.journal.turns import TurnJournal
from minuted.messages import Gap, Heartbeat, Record, Turn, Word

TICK_S = 0.01
HEARTBEAT_TICKS = 20


def turn(seq: int | None, text: str = "", **values: Any) -> Turn:
    text = text or f"This is turn {seq}."
    start_ms = (seq or 0) * 1000
    given: dict[str, Any] = {
        "seq": seq,
        "id": f"t{seq}",
        "room": "boardroom",
        "meeting_id": "m1",
        "meeting_started_at_ms": 1_790_000_000_000,
        "session_id": "s1",
        "turn_order": seq or 0,
        "final": True,
        "start_ms": start_ms,
        "end_ms": start_ms + 900,
        "text": text,
        "words": (Word(text=text, start_ms=start_ms, end_ms=start_ms + 900),),
    }
    return Turn(**{**given, **values})


def gap(seq: int) -> Gap:
    return Gap(seq=seq, room="boardroom", meeting_id="m1", start_ms=0, end_ms=50, reason="outage")


class FakePublisher:
    """Publishes records of its own making. Heartbeats come five times a second, and on subscription."""

    def __init__(
        self, turns_endpoint: str, replay_endpoint: str, *, epoch: str = "one", records: int = 0
    ) -> None:
        self.epoch = epoch
        self.records: list[Record] = [turn(seq) for seq in range(1, records + 1)]
        self.first_seq = 1
        """Earlier ones are no longer kept."""
        self.forks: list[tuple[str, int]] = []
        self.silent = False
        """No live messages and no heartbeats."""
        self.deaf = False
        """No answers from the replay socket."""
        self.subscriptions = 0
        """Made so far, one for each topic."""
        self.asked: list[dict[str, Any]] = []
        self.lose: Callable[[dict[str, Any]], bool] = lambda _: False
        """Which messages of an answer get lost."""
        self._lock = threading.Lock()
        self._turns = TurnsOut(turns_endpoint)
        self._replay = ReplayServer(replay_endpoint)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def last_seq(self) -> int:
        return len(self.records)

    def publish(self, count: int = 1, *, lost: bool = False, make: Callable[[int], Record] = turn) -> None:
        """Commit records, and send them unless they are to get lost."""
        with self._lock:
            for _ in range(count):
                record = make(self.last_seq + 1)
                self.records.append(record)
                if not lost and not self.silent:
                    self._turns.publish(record)

    def show(self, partial: Turn) -> None:
        with self._lock:
            self._turns.publish(partial)

    def begin_anew(self, epoch: str) -> None:
        with self._lock:
            self.epoch, self.records = epoch, []

    def close(self) -> None:
        """Go at once, as a killed process does."""
        self._closing.set()
        self._thread.join()
        self._turns.close()
        self._replay.close()

    def _serve(self) -> None:
        ticks = 0
        while not self._closing.wait(TICK_S):
            with self._lock:
                ticks += 1
                made = self._turns.new_subscriptions()
                if made or ticks % HEARTBEAT_TICKS == 0:
                    self._beat()
                self.subscriptions += made
                while request := self._replay.receive():
                    self.asked.append(request[1])
                    if not self.deaf:
                        self._answer(*request)

    def _beat(self) -> None:
        if not self.silent:
            self._turns.publish(Heartbeat(epoch=self.epoch, last_seq=self.last_seq))

    def _answer(self, peer: bytes, request: dict[str, Any]) -> None:
        from_seq = max(request["from_seq"], self.first_seq)
        page = self.records[from_seq - 1 : from_seq - 1 + request["limit"]]
        for message in [*(record.to_map() for record in page), end_marker(self, from_seq + len(page))]:
            if not self.lose(message):
                self._replay.send(peer, message)


def end_marker(publisher: Any, next_seq: int) -> dict[str, Any]:
    return {
        "v": 1,
        "type": "end",
        "epoch": publisher.epoch,
        "first_seq": publisher.first_seq if publisher.last_seq >= publisher.first_seq else 0,
        "next_seq": next_seq,
        "last_seq": publisher.last_seq,
        "forks": [list(fork) for fork in publisher.forks],
    }


def _main(turns_endpoint: str, replay_endpoint: str, journal_path: str) -> None:
    journal = TurnJournal(Path(journal_path))
    with FakePublisher(turns_endpoint, replay_endpoint, epoch=journal.epoch) as publisher:
        publisher.records = [turn(seq) for seq in range(1, journal.last_seq + 1)]
        print(publisher.last_seq, flush=True)
        for line in sys.stdin:
            for _ in range(int(line)):
                journal.commit(turn(None))
                publisher.publish()
            print(publisher.last_seq, flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
