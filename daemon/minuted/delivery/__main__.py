"""`minuted delivery NAME`: bring every record to one sink."""

import os
import sys
import threading
from contextlib import closing
from functools import partial

import structlog

from minuted.bus import AddressInUseError, Wakeup
from minuted.cli import main
from minuted.config import ConfigError, Settings
from minuted.control import ControlServer
from minuted.journal.cursor import Cursor, CursorInUseError
from minuted.runtime import notify, signals
from minuted.sink import Sink

from . import dead_letters, discovery
from .calls import shows_partials
from .deadline import Call, Deadline
from .runner import PLACE_WAIT_S, Runner, Status, placer
from .subscription import Subscription

log = structlog.get_logger(__name__)


def run(settings: Settings, name: str) -> int:
    """Deliver until SIGTERM, then what is left; give the exit status.

    Raises ConfigError for a sink that is not configured, not there, or has bad options.
    """
    exit_status = _run(settings, name)
    left = [each.name for each in threading.enumerate() if each.daemon is False]
    if len(left) > 1:
        # Python would wait for threads of the sink's, and perhaps for ever.
        log.warning("sink_threads_left", sink=name, threads=left)
        os._exit(exit_status)
    return exit_status


def _run(settings: Settings, name: str) -> int:
    table = settings.sinks.get(name)
    if table is None:
        configured = ", ".join(settings.sinks) or "none"
        raise ConfigError(f"there is no table [sinks.{name}]; configured: {configured}")
    file = discovery.find(name, settings)
    try:
        bound = Deadline(discovery.LOAD_S_MAX, partial(_note_hanging, name), leave=_leave_unloaded)
        with bound.call(file.path.name):
            sink: Sink | None = discovery.make(name, table, discovery.load(file), file)
        failure = ""
    except discovery.LoadError as error:
        sink, failure = None, str(error)
    try:
        cursor = Cursor(dead_letters.cursor_path(settings, name))
    except PermissionError as error:
        raise ConfigError(f"state_dir: {error.filename}: {error.strerror}") from None
    except CursorInUseError as error:
        raise AddressInUseError(str(error)) from None
    with (
        closing(cursor),
        closing(Wakeup()) as wakeup,
        Subscription(
            settings.turns_endpoint,
            settings.replay_endpoint,
            cursor.seq if cursor.epoch or cursor.is_damaged else None,
            epoch=cursor.epoch,
            partials=sink is not None and shows_partials(type(sink)),
            on_position=placer(cursor, name),
            on_silence=partial(_note_silence, name),
            wakeup=wakeup,
        ) as subscription,
    ):
        stop = signals.stop_event(on_stop=wakeup.set)
        status = Status(file.name, file.path, cursor, subscription)

        def look_at_dead_letters() -> None:
            status.dead_letters = cursor.count_dead_letters()
            wakeup.set()

        handlers = dead_letters.handlers(cursor, look_at_dead_letters)
        handlers["status"] = lambda _: status.to_map()
        with closing(ControlServer(settings.control_endpoint(f"delivery/{name}"), handlers)):
            if sink is None:
                log.error("sink_failed_to_load", sink=name, reason=failure)
                status.become("failed to load", failure)
            # Also for what cannot be loaded yet: the place it will begin at is now.
            subscription.find_place(PLACE_WAIT_S)
            if sink is None:
                return 1
            sink.room = settings.room
            log.info("sink_ready", sink=name, path=str(file.path), after_seq=cursor.seq)
            notify.ready(status.state)
            # Under a supervisor, it decides how long a stop may take.
            give_up_s = None if signals.PARENT in os.environ else settings.stop_timeout_s
            runner = Runner(
                sink,
                file.path,
                cursor,
                subscription,
                status,
                stop,
                give_up_s=give_up_s,
                timeout_s=discovery.timeout_of(table, sink),
            )
            return runner.run()


def _note_silence(name: str, reason: str) -> None:
    if reason:
        log.warning("publisher_silent", sink=name, reason=reason)
    else:
        log.info("publisher_heard", sink=name)


def _note_hanging(name: str, call: Call) -> None:
    reason = f"loading {call.what} takes longer than {call.timeout_s:g} s"
    log.error("sink_failed_to_load", sink=name, reason=reason)
    notify.status(f"failed to load: {reason}")


def _leave_unloaded(_exit_status: int) -> None:
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(["delivery", *sys.argv[1:]]))
