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
from contextlib import suppress
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

from .calls import method_for, name_of, prepares, record_of, shows_partials, takes_several
from .deadline import TIMEOUT_S, Call, Deadline
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
        self.cut_off = ""
        """Why the process before this one was ended, until the like of that call has succeeded."""
        self.deadline: Deadline | None = None
        """Knows which call the sink is at work on."""
        self._module, self._path = module, path
        self._cursor, self._subscription = cursor, subscription

    def become(self, state: str, reason: str = "") -> None:
        """Take a state, and tell it to whoever watches this process."""
        if (state, reason) != (self.state, self.reason):
            self.state, self.reason = state, reason
            notify.status(f"{state}: {reason}" if reason else state)

    def to_map(self) -> dict[str, Any]:
        seq, last_seq = self._cursor.seq, self._subscription.last_seq
        timeout_s = self.deadline.timeout_s if self.deadline else TIMEOUT_S
        call = self.deadline.current if self.deadline else None
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
            "last_error": self.last_error or self.cut_off,
            "dead_letters": self.dead_letters,
            "missed": self._subscription.missed,
            "partial_failures": self.partial_failures,
            "malformed": self._subscription.malformed,
            "busy_s": round(time.monotonic() - call.since_s, 1) if call else 0.0,
            "busy_in": call.what if call else "",
            "timeout_s": call.timeout_s if call else timeout_s,
        }


class Runner:
    """Brings every record to one sink until it is told to stop, and then what is left.

    `give_up_s`: how long a stop goes on trying without success; None: until the process is killed.
    `timeout_s`: how long a call of the sink's may take before it ends the process.
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
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._sink = sink
        self._path = path
        self._cursor = cursor
        self._subscription = subscription
        self._status = status
        self._stop = stop
        self._give_up_s = give_up_s
        self._deadline = status.deadline = Deadline(timeout_s, self._note_cut_off)
        self._cut_off = cursor.cut_off()
        self._checkpoint = encoded(cursor.checkpoint)
        self._draining = False
        self._progress_s = 0.0
        self._shows_partials = shows_partials(type(sink))
        self._prepares, self._takes_several = prepares(type(sink)), takes_several(type(sink))

    def run(self) -> int:
        """Work until `stop` is set and all is delivered; give the exit status."""
        if not self._await_next_try() or not self._insist(lambda: self._call("open", self._sink.open), None):
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
                self._call("revise_all", partial(self._sink.revise_all, turns), len(turns))
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
        name, deliver = name_of(record), method_for(self._sink, record)
        try:
            delivered = self._prepare(record, seq) and self._insist(lambda: self._call(name, deliver), record)
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

        done = self._insist(lambda: self._call("prepare", prepare), record) and self._store(
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

    def _call(self, name: str, call: Callable[[], None], count: int = 1) -> None:
        """Make one try; a failed one leaves no trace in the checkpoint."""
        self._sink.checkpoint = json.loads(self._checkpoint)
        with self._deadline.call(name, count):
            try:
                call()
            except SystemExit as error:
                # It would end the process with a status that means something else.
                raise RuntimeError(f"{name} called sys.exit({error.code!r}): raise an exception") from error
            self._checkpoint = encoded(self._sink.checkpoint)
        if self._cut_off and _are_alike(name, self._cut_off.call):
            self._cut_off, self._status.cut_off = None, ""
            with suppress(CursorFullError):  # the worst is one more pause after a start
                self._cursor.forget_cut_off()

    def _note_cut_off(self, call: Call) -> None:
        """Note a call that took too long, on the deadline's thread; the process ends after that."""
        reason = f"{call.what} took longer than {call.timeout_s:g} s"
        notify.status(f"{reason}; it is tried again")
        log.error("call_cut_off", sink=self._sink.name, call=call.what, timeout_s=call.timeout_s)
        self._cursor.note_cut_off(call.what, reason)

    def _await_next_try(self) -> bool:
        """Wait where a call that took too long has ended the process before this one; False to give up."""
        if self._cut_off is None:
            return True
        wait_s = next_wait_s(self._cut_off.times, None, draining=self._draining)
        self._status.cut_off = f"{self._cut_off.reason}; tried again"
        return self._pause(self._cut_off.reason, wait_s, None)

    def _succeed(self) -> None:
        self._progress_s = time.monotonic()
        self._status.last_error = ""
        self._become_at_work()

    def _fail(self, error: Exception, record: Record | None, failures: int) -> bool:
        """Wait for the next try, and keep up with the journal meanwhile; False to give up."""
        reason = self._reason(error, record)
        self._heed_stop()
        wait_s = next_wait_s(failures, error, draining=self._draining)
        if failures & (failures - 1) == 0:  # the 1st, 2nd, 4th, 8th …
            log.warning(
                "delivery_failed",
                sink=self._sink.name,
                seq=record.seq if record else None,
                failures=failures,
                retry_in_s=round(wait_s, 2),
                reason=reason,
            )
        return self._pause(reason, wait_s, record)

    def _pause(self, reason: str, wait_s: float, record: Record | None) -> bool:
        self._status.retries += 1
        self._status.last_error = reason
        self._status.become("waiting", reason)
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
                record = record_of(letter)
                self._call(name_of(record), method_for(self._sink, record))
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
            self._call("partial", lambda: self._sink.partial(turn))
        except Exception as error:
            self._status.partial_failures += 1
            if self._status.partial_failures == 1:
                log.warning("partial_failed", sink=self._sink.name, reason=self._reason(error, turn))

    def _close(self) -> bool:
        try:
            with self._deadline.call("close"):
                self._sink.close()
        except (Exception, SystemExit) as error:
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

    def _reason(self, error: BaseException, record: Record | None, words: str = "") -> str:
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


def _are_alike(call: str, other: str) -> bool:
    return call == other or {call, other} <= {"write", "revise", "revise_all", "gap"}


def next_wait_s(failures: int, error: Exception | None, *, draining: bool) -> float:
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
