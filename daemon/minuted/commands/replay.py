"""Records again, by their numbers, and those to come. `minuted replay`."""

import argparse
import threading
from collections.abc import Callable, Iterator
from typing import Final

from minuted import status
from minuted.config import Settings
from minuted.control import is_served
from minuted.delivery.following import Position
from minuted.delivery.subscription import Subscription
from minuted.messages import Record, pack
from minuted.runtime import signals

from . import printing
from .records import Records, opened
from .watch import closed
from .wishing import NotDoneError

Form = Callable[[Record], bytes]
LOOK_EVERY_S: Final = 0.25
"""How soon Ctrl-C is heeded."""


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print records; 1 where some of those that were asked for are not there."""
    from_seq, to_seq, follow = arguments.from_seq, arguments.to_seq, arguments.follow
    if from_seq and to_seq and from_seq > to_seq:
        printing.complain(f"minuted: --from-seq {from_seq} is after --to-seq {to_seq}")
        return 2
    form = packed if arguments.msgpack else line_of
    stop = signals.stop_event()
    with opened(settings) as records:
        # Looked at before anything is printed: what is kept may change meanwhile.
        trouble = shortage(records, from_seq, to_seq, follow=follow)
        done_seq, epoch = records.last_seq, records.epoch
        for record in records.between(from_seq or 1, to_seq or records.last_seq):
            if stop.is_set():
                return 0
            _give(record, form)
        if records.unreadable:
            trouble = trouble or f"{records.unreadable} records are damaged, or of another version: left out"
    if trouble:
        printing.complain(f"minuted: {trouble}")
    if follow and (to_seq is None or to_seq > done_seq):
        printing.flush()
        for record in _to_come(settings, max(done_seq, (from_seq or 1) - 1), epoch, stop):
            _give(record, form)
            printing.flush()
            if record.seq == to_seq:
                break
    printing.flush()
    return 1 if trouble else 0


def shortage(records: Records, from_seq: int | None, to_seq: int | None, *, follow: bool) -> str:
    """Say which of the records that are asked for there will not be; "" where there will be all."""
    first, last = records.first_seq, records.last_seq
    if not follow and last == 0:
        return "there are no records yet" if from_seq or to_seq else ""
    if not follow and (from_seq or 1) > last:
        return f"there is no record {from_seq}: the last one is {last}"
    if from_seq is not None and from_seq < first:
        gone = min(first - 1, to_seq or first - 1)
        return f"records {from_seq} to {gone} are no longer kept: the first one is {first}"
    if not follow and to_seq is not None and to_seq > last:
        return f"there are no records {last + 1} to {to_seq}: the last one is {last}"
    return ""


def line_of(record: Record) -> bytes:
    """Give a record as the file log has it."""
    return f"{record.to_json()}\n".encode()


def packed(record: Record) -> bytes:
    """Give a record as the turn socket has it; one map follows on the other."""
    return pack(record.to_map())


def _give(record: Record, form: Form) -> None:
    printing.give(form(record))


def _to_come(settings: Settings, after_seq: int, epoch: str, stop: threading.Event) -> Iterator[Record]:
    """Give what follows until somebody says stop, also over the daemon's restarts."""

    def tell(position: Position) -> None:
        if position.reason == "missed":
            what = f"{position.missed} records are no longer kept"
        elif position.reason == "new journal":
            what = "the journal is a new one: numbers begin again"
        elif position.reason == "forked":
            what = f"the journal was put back to what it was at {position.seq}"
        elif position.reason == "went back":
            what = f"the journal ends at {position.seq}"
        else:
            return
        printing.complain(f"minuted: {what}")

    if not is_served(settings.turns_endpoint):
        printing.complain(f"{status.absence(settings)}; waiting for it")
    with Subscription(
        settings.turns_endpoint, settings.replay_endpoint, after_seq, epoch=epoch, on_position=tell
    ) as subscription:
        while not stop.is_set():
            if record := subscription.receive(LOOK_EVERY_S):
                yield record
            elif refusal := closed(settings):
                raise NotDoneError(refusal)
