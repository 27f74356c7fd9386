"""The records of the turn journal, each once and in order, from the turn and the replay socket."""

import itertools
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Self

from minuted.bus import Poller, ReplayClient, TurnsIn, Wakeup
from minuted.keys import read_pass
from minuted.messages import Record, Turn

from . import silence
from .following import Follower, Position

TOPICS: Final = ("turn.final", "turn.revised", "gap", "heartbeat")
SILENT_S: Final = 5.0
"""Without a word for so long it is said why; a publisher has one every second."""
READ_MAX: Final = 1_000
"""Messages read from a socket before what they brought is looked at."""


def _warn(reason: str) -> None:
    if reason:
        logging.getLogger("minuted").warning("nothing heard for %.0f s: %s", SILENT_S, reason)


class Subscription:
    """An ordered, gap-free iterator over finals, revisions and gaps: `for record in Subscription(…)`.

    `after_seq` is the last record already had, of the journal `epoch`; None begins with what comes
    from now on. With `partials`, the newest partial of each turn comes too whenever nothing else
    waits; those are lossy. `on_position` is called, before the next record is given, when that
    record's place is not the one after the last: at the start, in a new journal (its numbers begin
    at 1 again) and after records that are no longer kept. `wakeup` makes a wait end early. Nothing
    is raised for a publisher that is away: there is nothing to give until it is back. When nothing was
    heard for 5 s, as from a wrong path, without the rights or with a wrong key, `on_silence` is called with
    the reason, once, and with "" when something is heard again; what it raises ends the iteration. Unless
    given, the reason is logged as a warning of the logger "minuted". Over tcp://,
    `key_file` is what `minuted keys new` made; a key that is not on the list any more is as a
    publisher that is away. Raises OSError or ValueError for a key file that is none.
    """

    def __init__(
        self,
        turns_endpoint: str,
        replay_endpoint: str,
        after_seq: int | None = None,
        *,
        epoch: str = "",
        partials: bool = False,
        on_position: Callable[[Position], None] = lambda _: None,
        on_silence: Callable[[str], None] = _warn,
        wakeup: Wakeup | None = None,
        key_file: Path | str | None = None,
    ) -> None:
        self.epoch = epoch
        """The journal of the last record given."""
        self.missed = 0
        """Records that are no longer kept, or unreadable."""
        self.finished = False
        """After `finish`: everything up to the journal's end was given, or nobody is there to ask."""
        self._follower = Follower(after_seq, epoch, time.monotonic(), partials=partials)
        self._turns_endpoint, self._replay_endpoint = turns_endpoint, replay_endpoint
        self._on_silence, self._key_file = on_silence, key_file
        self._silence_told = False
        self._heard_s = time.monotonic()
        self._unanswered_s: float | None = None
        self._on_position = on_position
        self._wakeup = wakeup
        self._pass = read_pass(Path(key_file)) if key_file else None
        self._turns = TurnsIn(turns_endpoint, ("turn.partial", *TOPICS) if partials else TOPICS, self._pass)
        self._replay = ReplayClient(replay_endpoint, self._pass)
        self._poller = self._make_poller()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Record]:
        """Give records for ever, or to the end after `finish`."""
        while not self.finished:
            if record := self.receive(timeout_s=1.0):
                yield record

    @property
    def seq(self) -> int:
        """The last record given."""
        return self._follower.seq

    @property
    def last_seq(self) -> int:
        """The journal's last record, as far as is known."""
        return self._follower.last_seq

    @property
    def placed(self) -> bool:
        """Whether it is known which record comes next: without `after_seq` the publisher must be heard."""
        return self._follower.placed

    @property
    def malformed(self) -> int:
        """Messages dropped because they were none of ours."""
        return self._turns.malformed + self._replay.malformed + self._follower.malformed

    def caught_up(self, to_seq: int | None = None) -> bool:
        """Whether everything up to `to_seq`, or up to the last record known of, was given."""
        return self.placed and self.seq >= (self.last_seq if to_seq is None else to_seq)

    def finish(self) -> None:
        """Give what is left up to the journal's last record, which is asked for, and then no more.

        A replay socket that does not answer for 2 s is taken for gone.
        """
        self._follower.finish(time.monotonic())

    def receive(self, timeout_s: float) -> Record | None:
        """Give the next record (or partial); None after `timeout_s`, when woken, or when finished."""
        until_s = time.monotonic() + timeout_s
        while True:
            self.pump(0)
            self._announce()
            if record := self._follower.take():
                return record
            now_s = time.monotonic()
            if now_s >= until_s or self.finished or self.pump(until_s - now_s):
                return None

    def revisions(self, count: int) -> list[Turn]:
        """Give the next records as far as they are revisions and here already, up to `count`."""
        return list(itertools.islice(iter(self._follower.take_revision, None), count))

    def find_place(self, timeout_s: float) -> bool:
        """Wait until it is known which record comes next, and announce it; False when it is not."""
        until_s = time.monotonic() + timeout_s
        woken = self.pump(0)
        while not self.placed and not woken and (left_s := until_s - time.monotonic()) > 0:
            woken = self.pump(left_s)
        self._announce()
        return self.placed

    def pump(self, timeout_s: float) -> bool:
        """Keep up with the sockets while nothing is taken; True when woken by `wakeup`.

        Waits up to `timeout_s` for something to arrive, reads it, and asks for what is missing.
        """
        if timeout_s > 0:
            # A millisecond more: poll counts in whole ones, and a wait rounded down is a busy loop.
            self._poller.wait(min(timeout_s, self._follower.wait_s(time.monotonic())) + 0.001)
        now_s = time.monotonic()
        for _ in range(READ_MAX):
            message = self._turns.receive()
            if message is None:
                break
            self._heard_s = now_s
            self._follower.hear(message, now_s)
        for _ in range(READ_MAX):
            values = self._replay.receive()
            if values is None:
                break
            self._unanswered_s = None
            self._follower.hear_replay(values, now_s)
        # Only now: an answer that lay waiting while the caller was busy is not late.
        self._ask(now_s)
        self._tell_silence(now_s)
        self.finished = self._follower.finished(now_s)
        return self._wakeup is not None and self._wakeup.clear()

    def close(self) -> None:
        self._turns.close()
        self._replay.close()

    def _announce(self) -> None:
        while position := self._follower.take_position():
            self.epoch = position.epoch
            self.missed += position.missed
            self._on_position(position)

    def _ask(self, now_s: float) -> None:
        question = self._follower.ask(now_s)
        if question is None:
            return
        if question.fresh:
            # An answer to the question given up must not be taken for this one's.
            self._replay.close()
            self._replay = ReplayClient(self._replay_endpoint, self._pass)
            self._poller = self._make_poller()
        self._replay.ask(question.to_map())
        if self._unanswered_s is None:
            self._unanswered_s = now_s

    def _tell_silence(self, now_s: float) -> None:
        """Report a silence that has become long, and its end."""
        turns = now_s - self._heard_s >= SILENT_S
        replay = self._unanswered_s is not None and now_s - self._unanswered_s >= SILENT_S
        if (turns or replay) == self._silence_told:
            return
        self._silence_told = not self._silence_told
        if not self._silence_told:
            self._on_silence("")
            return
        endpoint = self._turns_endpoint if turns else self._replay_endpoint
        self._on_silence(silence.reason(endpoint, self._key_file))

    def _make_poller(self) -> Poller:
        return Poller(self._turns, self._replay, *([self._wakeup] if self._wakeup else []))
