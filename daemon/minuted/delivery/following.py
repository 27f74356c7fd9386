"""What to give, what to ask for, what to drop, so that each record comes once and in order. Pure.

The turn socket may lose messages; the replay socket has them all. A record's number says where it
belongs, a heartbeat how far the journal goes, and the replay's end marker, which answers our own
question, has the last word on which journal it is.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from minuted.journal.stored import DAMAGED
from minuted.messages import Gap, Heartbeat, MalformedMessageError, Message, Record, Turn, from_map

PAGE_MAX: Final = 500
"""Records asked for at once."""
READY_MAX: Final = 1_000
"""Records that wait to be taken; what comes live beyond that is dropped, and asked for again later."""
HELD_MAX: Final = 1_000
"""Live records that wait for earlier ones; when it is full all are dropped, and asked for again."""
PARTIALS_MAX: Final = 16
"""Unfinished turns of which the newest partial is kept; the oldest turn's goes first."""
ANSWER_S: Final = 1.0
"""How long a question may stay unanswered at first; doubled each time up to ANSWER_S_MAX."""
ANSWER_S_MAX: Final = 10.0
SILENCE_S: Final = 3.0
"""Without a sign of life for so long, the replay socket is asked for one."""
FINISH_S: Final = 2.0
"""When finishing, a replay socket that says nothing for so long is taken for gone."""
PAUSE_S_MAX: Final = 5.0
"""Between questions whose answers bring nothing new."""


@dataclass(frozen=True, slots=True)
class Position:
    """The next record given is the one after `seq` of the journal `epoch`.

    start: the place to begin with. new journal: the numbers begin again. missed: the last
    `missed` records up to `seq` are no longer kept, or unreadable. went back: the journal ends before
    the place the subscriber came from. forked: the journal was put back to what it was at `seq`, and what
    follows has a new epoch; what came before is the same records as ever.
    """

    epoch: str
    seq: int
    reason: Literal["start", "new journal", "missed", "went back", "forked"]
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """A page to ask the replay socket for; `fresh`: on a new socket, so that no old answer mixes in."""

    from_seq: int
    limit: int
    fresh: bool

    def to_map(self) -> dict[str, Any]:
        return {"from_seq": self.from_seq, "limit": self.limit}


@dataclass(slots=True)
class _Page:
    question: Question
    deadline_s: float
    last: bool
    records: list[tuple[int, Record | None]] = field(default_factory=list)


class Follower:
    """Follows one journal. Messages and the time (monotonic seconds) go in; records come out.

    `after_seq` is the last record already had, None to begin with what comes from now on; `epoch`
    the journal it was of, "" for whichever there is.
    """

    def __init__(self, after_seq: int | None, epoch: str, now_s: float, *, partials: bool = False) -> None:
        self.epoch = epoch
        self.seq = after_seq or 0
        """The last record given."""
        self.last_seq = after_seq or 0
        """The journal's last record, as far as is known."""
        self.malformed = 0
        """Answers of the replay socket that were none."""
        self.overflows = 0
        """How often live records were dropped because too many waited."""
        self._next = None if after_seq is None else after_seq + 1
        self._epoch = epoch
        """Of the next record: before a fork that is still to come it is not the journal's newest."""
        self._forks: deque[tuple[int, str]] = deque()
        """The forks still to come: the last number before each, and the epoch behind it."""
        self._wants_partials = partials
        self._partials: dict[str, Turn] = {}
        self._ready: deque[Record | Position] = deque()
        self._held: dict[int, Record] = {}
        self._met = False
        self._first_live: int | None = None
        self._doubt = False
        self._page: _Page | None = None
        self._limit = PAGE_MAX
        self._unanswered = 0
        self._fruitless = 0
        self._ask_from_s = now_s
        self._heard_s = now_s
        self._silent_from_s: float | None = None
        self._finishing = False
        self._end_seq: int | None = None

    @property
    def placed(self) -> bool:
        """Whether it is known which record comes next."""
        return self._next is not None

    def hear(self, message: Message, now_s: float) -> None:
        """Take a message of the turn socket."""
        self._heard_s = now_s
        if isinstance(message, Heartbeat):
            self._hear_heartbeat(message, now_s)
        elif isinstance(message, Turn | Gap):
            if message.seq is not None:
                self._hear_live(message, message.seq)
            elif self._wants_partials and isinstance(message, Turn) and not self._doubt:
                self._partials.pop(message.id, None)
                self._partials[message.id] = message
                if len(self._partials) > PARTIALS_MAX:
                    del self._partials[next(iter(self._partials))]

    def hear_replay(self, values: dict[str, Any], now_s: float) -> None:
        """Take a message of the replay socket: a record's map or the end marker."""
        self._heard_s = now_s
        page = self._page
        if page is None:
            return
        page.deadline_s = now_s + ANSWER_S
        self._silent_from_s = now_s
        if values.get("type") == "end":
            self._turn_page(page, values, now_s)
            return
        seq = values.get("seq")
        if not isinstance(seq, int) or len(page.records) >= page.question.limit:
            self.malformed += 1
            return
        try:
            message = from_map(values)
        except MalformedMessageError:
            message = None
        record = message if isinstance(message, Turn | Gap) else None
        self.malformed += record is None and values.get("type") != DAMAGED
        page.records.append((seq, record))

    def ask(self, now_s: float) -> Question | None:
        """Give the question to put to the replay socket now, if any."""
        fresh = self._page is None and self._unanswered > 0
        if self._page is not None:
            if now_s < self._page.deadline_s:
                return None
            self._page, fresh = None, True
            self._unanswered += 1
            self._limit = max(1, self._limit // 2)
        if not self._has_a_question(now_s):
            return None
        limit = self._limit
        if self._next is None:
            limit = 1
        elif self._held:
            limit = max(1, min(limit, min(self._held) - self._next))
        question = Question(self._next or 1, limit, fresh)
        wait_s = min(ANSWER_S * 2 ** min(self._unanswered, 10), ANSWER_S_MAX)
        self._page = _Page(question, now_s + wait_s, last=self._finishing)
        if self._silent_from_s is None:
            self._silent_from_s = now_s
        return question

    def take_position(self) -> Position | None:
        """Give the change of place that comes before the next record, if there is one."""
        if not self._ready or not isinstance(position := self._ready[0], Position):
            return None
        self._ready.popleft()
        self.seq = position.seq
        return position

    def take(self) -> Record | None:
        """Give the next record, or the newest partial where no record is ready.

        Every change of place must have been taken before.
        """
        self._join_held()
        if self._ready:
            record = self._ready.popleft()
            assert not isinstance(record, Position)
            self.seq = record.seq or 0
            return record
        if self._partials:
            return self._partials.pop(next(iter(self._partials)))
        return None

    def take_revision(self) -> Turn | None:
        """Give the next record where that is a revision and here already."""
        self._join_held()
        first = self._ready[0] if self._ready else None
        if not isinstance(first, Turn) or first.type != "revision":
            return None
        self._ready.popleft()
        self.seq = first.seq or 0
        return first

    def finish(self, now_s: float) -> None:
        """Go no further than the journal's present end, which the replay socket is asked for."""
        if not self._finishing:
            self._finishing = True
            self._abandon_question(now_s)

    def finished(self, now_s: float) -> bool:
        """Whether everything up to that end was taken, or nobody is there to give the rest."""
        if not self._finishing or any(not isinstance(item, Position) for item in self._ready):
            return False
        reached = self._end_seq is not None and self._next is not None and self._next > self._end_seq
        return reached or (self._silent_from_s is not None and now_s - self._silent_from_s >= FINISH_S)

    def wait_s(self, now_s: float) -> float:
        """How long nothing needs doing unless a message comes."""
        times_s = [now_s + 1.0]
        if self._page is not None:
            times_s.append(self._page.deadline_s)
        elif self._ask_from_s > now_s:
            times_s.append(self._ask_from_s)
        if self._finishing and self._silent_from_s is not None:
            times_s.append(self._silent_from_s + FINISH_S)
        return max(0.0, min(times_s) - now_s)

    def _abandon_question(self, now_s: float) -> None:
        """Ask anew: an answer under way would be older than the reason to ask."""
        if self._page is not None:
            self._page = None
            self._unanswered = max(1, self._unanswered)
        self._ask_from_s = now_s
        self._silent_from_s = None

    def _has_a_question(self, now_s: float) -> bool:
        if now_s < self._ask_from_s or len(self._ready) > READY_MAX - PAGE_MAX:
            return False
        wants_end = self._finishing and self._end_seq is None
        return self._behind or self._doubt or wants_end or now_s - self._heard_s >= SILENCE_S

    @property
    def _behind(self) -> bool:
        return self._next is not None and self._next <= self.last_seq

    def _hear_heartbeat(self, heartbeat: Heartbeat, now_s: float) -> None:
        if self._page is not None:
            # Somebody is there: a question that a killed publisher took along is soon put again.
            self._page.deadline_s = min(self._page.deadline_s, now_s + ANSWER_S)
        if self.epoch and heartbeat.epoch != self.epoch:
            if not self._doubt:
                self._doubt = True
                self._abandon_question(now_s)
            return
        self._meet(heartbeat.epoch, heartbeat.last_seq)
        self.last_seq = max(self.last_seq, heartbeat.last_seq)

    def _hear_live(self, record: Record, seq: int) -> None:
        if self._next is None:
            self._first_live = min(seq, self._first_live or seq)
        if self._next is None or not self._met or self._doubt:
            return  # whose number it is is not known: it will be asked for
        self.last_seq = max(self.last_seq, seq)
        if seq < self._next:
            return
        if seq == self._next and len(self._ready) < READY_MAX:
            self._accept(record)
        elif len(self._held) < HELD_MAX:
            self._held[seq] = record
        else:
            self._held.clear()
            self.overflows += 1

    def _meet(self, epoch: str, last_seq: int) -> None:
        """See this journal for the first time."""
        if self._met:
            return
        nameless = not self.epoch
        self._met, self.epoch = True, epoch
        self._epoch = self._epoch or epoch
        if self._next is None:
            # What was heard live before the first heartbeat is part of "from now on".
            after_seq = last_seq if self._first_live is None else min(last_seq, self._first_live - 1)
            self._place(after_seq, "start")
        elif last_seq < self._next - 1:
            self.last_seq = last_seq
            self._place(last_seq, "went back")
        elif nameless:
            self._place(self._next - 1, "start")

    def _turn_page(self, page: _Page, end: dict[str, Any], now_s: float) -> None:
        epoch, first_seq, last_seq = end.get("epoch"), end.get("first_seq"), end.get("last_seq")
        if not (isinstance(epoch, str) and isinstance(first_seq, int) and isinstance(last_seq, int)):
            self.malformed += 1
            return  # as good as unanswered
        self._page, self._unanswered, self._limit, self._doubt = None, 0, PAGE_MAX, False
        self._silent_from_s = None
        before = self._next
        if self.epoch and epoch != self.epoch:
            forks = forks_of(end, self._epoch)
            self._met, self.epoch, self.last_seq = True, epoch, last_seq
            self._held.clear()
            self._partials.clear()
            if forks and self._next is not None:
                self._forks = deque(forks)
                self._next = min(self._next, forks[0][0] + 1)
                self._pass_forks()
            else:
                self._epoch, self._forks = epoch, deque()
                self._place(0, "new journal")
        else:
            self._meet(epoch, last_seq)
            self.last_seq = max(self.last_seq, last_seq)
            self._read(page, first_seq, last_seq)
        if page.last:
            self._end_seq = last_seq
        self._join_held()
        self._fruitless = self._fruitless + 1 if self._behind and self._next == before else 0
        pause_s = min(0.05 * 2 ** min(self._fruitless, 10), PAUSE_S_MAX) if self._fruitless else 0.0
        self._ask_from_s = now_s + pause_s

    def _read(self, page: _Page, first_seq: int, last_seq: int) -> None:
        assert self._next is not None
        kept_from = first_seq or last_seq + 1
        if self._next < kept_from:
            self._place(kept_from - 1, "missed")
        # A full page has lost nothing on its way: a hole in it is the journal's own.
        full = len(page.records) == page.question.limit
        for seq, record in page.records:
            if seq < self._next:
                continue
            if seq > self._next and not full:
                self._limit = 1
                return
            if seq > self._next:
                self._place(seq - 1, "missed")
            if record is None:
                self._place(seq, "missed")
            else:
                self._accept(record)

    def _place(self, seq: int, reason: Literal["start", "new journal", "missed", "went back"]) -> None:
        missed = seq + 1 - (self._next or 0) if reason == "missed" else 0
        self._next = seq + 1
        self._pass_forks()
        last = self._ready[-1] if self._ready else None
        if isinstance(last, Position) and last.reason == reason == "missed":
            # A stretch of them is one thing to tell.
            self._ready.pop()
            missed += last.missed
        self._ready.append(Position(self._epoch, seq, reason, missed))

    def _pass_forks(self) -> None:
        """Announce each fork that lies before the next record."""
        while self._forks and self._next is not None and self._next > self._forks[0][0]:
            seq, self._epoch = self._forks.popleft()
            self._ready.append(Position(self._epoch, seq, "forked"))

    def _accept(self, record: Record) -> None:
        assert self._next is not None
        assert record.seq == self._next
        self._ready.append(record)
        self._next += 1
        self._pass_forks()
        if isinstance(record, Turn):
            self._partials.pop(record.id, None)

    def _join_held(self) -> None:
        """Let in the live records whose time has come, and forget those that were replayed."""
        if not self._held or self._next is None:
            return
        while self._next in self._held and len(self._ready) < READY_MAX:
            self._accept(self._held.pop(self._next))
        for seq in [seq for seq in self._held if seq < self._next]:
            del self._held[seq]


def forks_of(end: Mapping[str, Any], epoch: str) -> list[tuple[int, str]]:
    """Return the forks behind `epoch` of which an end marker tells: the last number before, the epoch after.

    Empty where the journal does not go on from that epoch.
    """
    told = end.get("forks")
    if not isinstance(told, list) or not all(
        isinstance(fork, list) and [type(each) for each in fork] == [str, int] for fork in told
    ):
        return []
    epochs = [fork[0] for fork in told]
    if epoch not in epochs:
        return []
    behind = told[epochs.index(epoch) :]
    after = [*(fork[0] for fork in behind[1:]), end["epoch"]]
    return [(seq, next_epoch) for (_, seq), next_epoch in zip(behind, after, strict=True)]
