"""One sink and its turns: opened once, each record in order until it is delivered, closed after the last.

Where a sink begins: at its first start it is given the journal's last number as the first heartbeat
tells it, and keeps that place from then on in its own file, whether or not it can be loaded or opened.
Sound starts last, after the sinks are ready, so that loses nothing of a new machine's first meeting;
and a sink added later gets what is said from then on, not the months before.
"""

import json
import math
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeGuard

import structlog
import tenacity

from minuted.journal.cursor import Cursor, CursorFullError, encoded
from minuted.messages import Record, Turn
from minuted.runtime import notify, pulse
from minuted.runtime.kill_points import reached
from minuted.sink import Reject, Retry, Sink

from .calls import method_for, prepares, record_of, shows_partials, takes_several
from .following import Position
from .reasons import one_line, secrets_of
from .subscription import Subscription

FIRST_WAIT_S: Final = 0.2
WAIT_S_MAX: Final = 30.0
AFTER_S_MAX: Final = 3600.0
"""The longest wait a sink may ask for."""
DRAIN_WAIT_S_MAX: Final = 1.0
"""Between tries while stopping: there is not much time left."""
PLACE_WAIT_S: Final = 3.0
"""How long a new sink waits for the first heartbeat before it calls itself ready without one."""
IDLE_S: Final = 1.0
WANTED_MAX: Final = 10
"""Dead letters offered again before the next look for new records."""
REVISED_MAX: Final = 500
"""Revisions in one call, where a sink takes several."""
UNPREPARABLE: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What `prepare` raises over a record itself; anything else, as of a network, may pass."""
SHOWN: Final = ("name", "room", "epoch", "checkpoint")
"""Attributes of a sink that are no secrets."""

log = structlog.get_logger(__name__)


class Status:
    """What the process tells of itself. Written by the runner, read by the thread that answers."""

    def __init__(self, module: str, path: Path, cursor: Cursor, subscription: Subscription) -> None:
        self.state = "starting"
        self.reason = ""
        self.last_error = ""
        """Of what does not succeed at present; "" when all is well."""
        self.delivered = 0
        """Records the sink took, since this process began."""
        self.retries = 0
        """Calls that failed and are made again, since this process began."""
        self.partial_failures = 0
        self.dead_letters = cursor.count_dead_letters()
        self.called_s: float | None = None
        """Since when the sink has been at work, on the monotonic clock."""
        self._module, self._path = module, path
        self._cursor, self._subscription = cursor, subscription

    def become(self, state: str, reason: str = "") -> None:
        """Take a state, and tell it to whoever watches this process."""
        if (state, reason) != (self.state, self.reason):
            self.state, self.reason = state, reason
            notify.status(f"{state}: {reason}" if reason else state)

    def to_map(self) -> dict[str, Any]:
        called_s, seq, last_seq = self.called_s, self._cursor.seq, self._subscription.last_seq
        return {
            "state": self.state,
            "reason": self.reason,
            "module": self._module,
            "path": str(self._path),
            "epoch": self._cursor.epoch,
            "seq": seq,
            "last_seq": max(seq, last_seq),
            "lag": max(0, last_seq - seq),
            "delivered": self.delivered,
            "retries": self.retries,
            "last_error": self.last_error,
            "dead_letters": self.dead_letters,
            "missed": self._subscription.missed,
            "partial_failures": self.partial_failures,
            "malformed": self._subscription.malformed,
            "busy_s": 0.0 if called_s is None else round(time.monotonic() - called_s, 1),
        }


class Runner:
    """Brings every record to one sink until it is told to stop, and then what is left.

    `give_up_s`: how long a stop goes on trying without success; None: until the process is killed.
    """

    def __init__(
        self,
        sink: Sink,
        path: Path,
        cursor: Cursor,
        subscription: Subscription,
        status: Status,
        stop: threading.Event,
        *,
        give_up_s: float | None = None,
    ) -> None:
        self._sink = sink
        self._path = path
        self._cursor = cursor
        self._subscription = subscription
        self._status = status
        self._stop = stop
        self._give_up_s = give_up_s
        self._checkpoint = encoded(cursor.checkpoint)
        self._draining = False
        self._progress_s = 0.0
        self._shows_partials = shows_partials(type(sink))
        self._prepares, self._takes_several = prepares(type(sink)), takes_several(type(sink))

    def run(self) -> int:
        """Work until `stop` is set and all is delivered; give the exit status."""
        if not self._insist(lambda: self._call(self._sink.open), None):
            return self._conclude(done=self._subscription.finished)
        reached("checkpoint-restored")
        try:
            done = self._work()
        finally:
            closed = self._close()
        return self._conclude(done=done and closed)

    def _work(self) -> bool:
        """Deliver until the stop's end; False when something was given up."""
        while True:
            record = self._subscription.receive(IDLE_S)
            self._heed_stop()
            if record is None:
                if self._draining and self._subscription.finished:
                    return True
                self._offer_wanted()
            elif record.seq is None:
                self._show(record)
            elif not self._deliver_with_more(record, record.seq):
                return False

    def _deliver_with_more(self, record: Record, seq: int) -> bool:
        """Deliver a record, of revisions those with it that have come already; False when given up."""
        if not (self._takes_several and isinstance(record, Turn) and record.type == "revision"):
            return self._deliver(record, seq)
        turns = [record, *self._subscription.revisions(REVISED_MAX - 1)]
        while len(turns) > 1:
            try:
                self._sink.epoch = self._cursor.epoch
                self._call(partial(self._sink.revise_all, turns))
            except Exception:
                # Which of them it is, and why, is found with one at a time.
                first = turns.pop(0)
                if not self._deliver(first, first.seq or 0):
                    return False
            else:
                self._succeed()
                return self._move(turns[-1], len(turns))
        return self._deliver(turns[0], turns[0].seq or 0)

    def _deliver(self, record: Record, seq: int) -> bool:
        """Have a record delivered or put aside, and move the cursor; False when that was given up."""
        reached("record-received")
        deliver = method_for(self._sink, record)
        try:
            delivered = self._prepare(record, seq) and self._insist(lambda: self._call(deliver), record)
        except Reject as error:
            reason = self._reason(error, record)
            if not self._store(lambda: self._cursor.reject(record, reason), record):
                return False
            self._count_dead_letters()
            log.error("record_rejected", sink=self._sink.name, seq=seq, reason=reason)
            return True
        return delivered and self._move(record)

    def _move(self, record: Record, count: int = 1) -> bool:
        """Note that a record, with those before it, was delivered; False when that was given up."""
        reached("record-written")
        seq, checkpoint = record.seq or 0, self._checkpoint
        if not self._store(lambda: self._cursor.advance(seq, checkpoint, count), record):
            return False
        reached("cursor-moved")
        self._status.delivered += count
        return True

    def _prepare(self, record: Record, seq: int) -> bool:
        """Have ready what the tries of a record have in common, and stored; False when that was given up."""
        sink, cursor = self._sink, self._cursor
        sink.epoch = cursor.epoch
        if not self._prepares:
            return True
        sink.prepared = cursor.prepared(cursor.epoch, seq) or ""
        if sink.prepared:
            return True

        def prepare() -> None:
            try:
                prepared = str(sink.prepare(record))
                prepared.encode()
            except OSError:
                raise
            except UNPREPARABLE as error:
                # What a record is made into depends on the record alone: it would be so for ever.
                raise Reject(f"cannot be prepared: {type(error).__name__}: {error}") from error
            sink.prepared = prepared

        done = self._insist(lambda: self._call(prepare), record) and self._store(
            lambda: cursor.prepare(cursor.epoch, seq, sink.prepared), record
        )
        reached("record-prepared")
        return done

    def _store(self, move: Callable[[], None], record: Record | None) -> bool:
        """Have the cursor store something as soon as there is room; False when that was given up.

        What the sink did is not done again: only a kill meanwhile leads to that.
        """
        return self._insist(move, record, CursorFullError)

    def _insist(
        self, call: Callable[[], None], record: Record | None, again: type[Exception] = Exception
    ) -> bool:
        """Call until it returns; False when given up. Raises Reject where there is a record to reject."""
        failures = 0
        while True:
            try:
                call()
            except again as error:
                if isinstance(error, Reject) and record is not None:
                    self._succeed()
                    raise
                failures += 1
                if not self._fail(error, record, failures):
                    return False
            else:
                if failures:
                    log.info("delivery_resumed", sink=self._sink.name, failures=failures)
                self._succeed()
                return True

    def _call(self, call: Callable[[], None]) -> None:
        """Make one try; a failed one leaves no trace in the checkpoint."""
        self._sink.checkpoint = json.loads(self._checkpoint)
        self._status.called_s = time.monotonic()
        try:
            call()
            self._checkpoint = encoded(self._sink.checkpoint)
        finally:
            self._status.called_s = None

    def _succeed(self) -> None:
        self._progress_s = time.monotonic()
        self._status.last_error = ""
        self._become_at_work()

    def _fail(self, error: Exception, record: Record | None, failures: int) -> bool:
        """Wait for the next try, and keep up with the journal meanwhile; False to give up."""
        reason = self._reason(error, record)
        self._heed_stop()
        wait_s = next_wait_s(failures, error, draining=self._draining)
        self._status.retries += 1
        self._status.last_error = reason
        self._status.become("waiting", reason)
        if failures & (failures - 1) == 0:  # the 1st, 2nd, 4th, 8th …
            log.warning(
                "delivery_failed",
                sink=self._sink.name,
                seq=record.seq if record else None,
                failures=failures,
                retry_in_s=round(wait_s, 2),
                reason=reason,
            )
        until_s = time.monotonic() + wait_s
        while (left_s := until_s - time.monotonic()) > 0:
            self._subscription.pump(min(left_s, IDLE_S))
            if self._heed_stop():
                break
        return not (self._draining and self._may_give_up(record))

    def _may_give_up(self, record: Record | None) -> bool:
        if record is None and self._subscription.finished:
            return True  # there is nothing for it to deliver
        return self._give_up_s is not None and time.monotonic() - self._progress_s > self._give_up_s

    def _heed_stop(self) -> bool:
        """Begin to drain when a stop was asked for; True at that moment. Called at every turn of a loop."""
        pulse.beat()
        if self._draining or not self._stop.is_set():
            return False
        self._draining, self._progress_s = True, time.monotonic()
        self._subscription.finish()
        notify.stopping()
        self._become_at_work()
        return True

    def _become_at_work(self) -> None:
        if not self._status.last_error:
            self._status.become("draining" if self._draining else "delivering")

    def _offer_wanted(self) -> None:
        """Offer the dead letters that were taken back, each once."""
        if self._draining:
            return
        for letter in self._cursor.dead_letters(wanted=True, limit=WANTED_MAX):
            self._sink.epoch = letter.epoch
            self._sink.prepared = self._cursor.prepared(letter.epoch, letter.seq) or ""
            try:
                self._call(method_for(self._sink, record_of(letter)))
            except Exception as error:
                reason = self._reason(error, None, str(letter.record.get("text", "")))
                if not self._store(partial(self._cursor.keep, letter, reason), None):
                    break
                log.error("dead_letter_kept", sink=self._sink.name, seq=letter.seq, reason=reason)
            else:
                if not self._store(partial(self._cursor.settle, letter, self._checkpoint), None):
                    break
                log.info("dead_letter_delivered", sink=self._sink.name, seq=letter.seq)
        self._count_dead_letters()

    def _show(self, turn: Record) -> None:
        if not self._shows_partials or not isinstance(turn, Turn) or self._draining:
            return
        try:
            self._call(lambda: self._sink.partial(turn))
        except Exception as error:
            self._status.partial_failures += 1
            if self._status.partial_failures == 1:
                log.warning("partial_failed", sink=self._sink.name, reason=self._reason(error, turn))

    def _close(self) -> bool:
        try:
            self._sink.close()
        except Exception as error:
            log.error("sink_close_failed", sink=self._sink.name, reason=self._reason(error, None))
            return False
        return True

    def _conclude(self, *, done: bool) -> int:
        left = max(0, self._subscription.last_seq - self._cursor.seq)
        if left:
            # The next start goes on with them.
            log.warning("records_left", sink=self._sink.name, count=left, reason=self._status.last_error)
        self._status.become("stopped")
        return 0 if done else 1

    def _count_dead_letters(self) -> None:
        self._status.dead_letters = self._cursor.count_dead_letters()

    def _reason(self, error: Exception, record: Record | None, words: str = "") -> str:
        hidden = secrets_of({key: value for key, value in vars(self._sink).items() if key not in SHOWN})
        spoken = record.text if isinstance(record, Turn) else words
        return one_line(error, self._path, hidden, spoken)


def placer(cursor: Cursor, name: str) -> Callable[[Position], None]:
    """Give what keeps a sink's file in step with where its subscription goes on."""

    def place(position: Position) -> None:
        values = {"sink": name, "after_seq": position.seq, "epoch": position.epoch}
        if position.reason == "missed":
            log.error("records_missed", count=position.missed, **values)
        elif position.reason == "start":
            log.info("delivery_begins", **values)
        else:
            log.warning("journal_changed", reason=position.reason, **values)
        try:
            cursor.place(position.epoch, position.seq)
        except CursorFullError:
            log.warning("place_not_stored", **values)

    return place


def next_wait_s(failures: int, error: Exception, *, draining: bool) -> float:
    """Give the wait after the failures-th failure in a row: 0.2 s doubling to 30 s, half of it random.

    A Retry may say how long instead, up to an hour; a stop has no patience for either.
    """
    half: dict[str, float] = {"multiplier": FIRST_WAIT_S / 2, "max": WAIT_S_MAX / 2}
    wait = tenacity.wait_exponential(**half) + tenacity.wait_random_exponential(**half)
    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    state.attempt_number = failures
    wait_s = wait(state)
    if isinstance(error, Retry) and _is_time(error.after_s):
        wait_s = min(max(error.after_s, FIRST_WAIT_S), AFTER_S_MAX)
    return min(wait_s, DRAIN_WAIT_S_MAX) if draining else wait_s


def _is_time(after_s: object) -> TypeGuard[float]:
    return isinstance(after_s, int | float) and not math.isnan(after_s)
