"""A journal in memory and its publisher, as a follower sees them."""

from fake_publisher import end_marker, turn
from minuted.delivery.following import (
    Follower,
    Position,
    Question,
)
from minuted.messages import Gap, Heartbeat, Record, Turn


class Journal:
    """A journal, what it sends, and a follower that it reaches or does not."""

    def __init__(self, after_seq: int | None = 0, epoch: str = "one", *, partials: bool = False) -> None:
        self.now_s = 100.0
        self.follower = Follower(after_seq, epoch, self.now_s, partials=partials)
        self.epoch = "one"
        self.first_seq = 1
        self.forks: list[tuple[str, int]] = []
        self.records: list[Record] = []
        self.question: Question | None = None
        self.given: list[tuple[str, int]] = []
        self.positions: list[Position] = []
        self.partials: list[Turn] = []

    @property
    def last_seq(self) -> int:
        return len(self.records)

    def publish(self, count: int = 1, *, arrives: bool = True) -> None:
        for _ in range(count):
            self.records.append(turn(self.last_seq + 1, session_id=self.epoch))
            if arrives:
                self.follower.hear(self.records[-1], self.now_s)

    def beat(self) -> None:
        self.follower.hear(Heartbeat(epoch=self.epoch, last_seq=self.last_seq), self.now_s)

    def put_back(self, epoch: str, to_seq: int) -> None:
        """Lose the records behind `to_seq`, and go on under another epoch."""
        del self.records[to_seq:]
        self.forks.append((self.epoch, self.last_seq))
        self.epoch = epoch

    def ask(self) -> Question | None:
        """Have the follower ask; what it asked before is lost when it asks anew."""
        question = self.follower.ask(self.now_s)
        if question:
            self.question = question
        return question

    def answer(self, losses: frozenset[int] = frozenset()) -> None:
        """Answer the question that was asked, without the messages whose places are in `losses`."""
        if self.question is None:
            return
        from_seq = max(self.question.from_seq, self.first_seq)
        page = self.records[from_seq - 1 : from_seq - 1 + self.question.limit]
        self.question = None
        messages = [*(record.to_map() for record in page), end_marker(self, from_seq + len(page))]
        for place, message in enumerate(messages):
            if place not in losses:
                self.follower.hear_replay(message, self.now_s)

    def take(self, count: int = 10_000) -> None:
        for _ in range(count):
            while position := self.follower.take_position():
                self.positions.append(position)
            record = self.follower.take()
            if record is None:
                return
            if record.seq is None:
                assert isinstance(record, Turn)
                self.partials.append(record)
            else:
                epoch = self.positions[-1].epoch if self.positions else "one"
                assert isinstance(record, Gap) or record.session_id == epoch
                self.given.append((epoch, record.seq))

    def settle(self) -> None:
        """Have everything work from now on, until nothing is left to do."""
        for _ in range(100):
            self.now_s += 10
            self.beat()
            self.ask()
            self.answer()
            self.take()

    def seqs(self) -> list[int]:
        return [seq for _, seq in self.given]
