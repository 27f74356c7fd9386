"""The transcription process's loop: sound and events in, decisions by the pure parts, actions out."""

import queue
import threading
import time
from typing import Any, Final

import structlog

from minuted.bus import FramesIn, Poller, Wakeup
from minuted.config import Settings
from minuted.journal.turns import TurnJournalFullError
from minuted.runtime import pulse
from minuted.transcription.channel import Channel
from minuted.transcription.cost import Meter
from minuted.transcription.intake import Intake
from minuted.transcription.meetings import Meetings
from minuted.transcription.publisher import Publisher
from minuted.transcription.retention import Retention
from minuted.transcription.session import Event, Session

TICK_S: Final = 0.05
ROOM_WAIT_S: Final = 5.0
"""With no room on the disk for a turn, how long until the next try."""
LEAVE_S_MAX: Final = 2.0
"""How long the sessions may take to end when the process is to be replaced."""

log = structlog.get_logger(__name__)


class Transcriber:
    """Turns sound into records by way of sessions. One thread: the caller of `run`.

    `drain`, `force_endpoint`, `wake` and `status` may be called from any thread.
    """

    def __init__(self, settings: Settings, frames: FramesIn, publisher: Publisher, intake: Intake) -> None:
        self._settings = settings
        self._publisher = publisher
        self._events: queue.SimpleQueue[tuple[Session, Event]] = queue.SimpleQueue()
        self._meetings = Meetings(publisher.journal.state("meetings"))
        self._meter = Meter(settings, publisher.journal)
        self._channels = [
            Channel(settings, frames, intake, publisher, self._meetings, self._meter, self._post)
        ]
        self._wakeup = Wakeup()
        self._pollers: dict[tuple[Channel, ...], Poller] = {}
        self._drain = threading.Event()
        self._drained = threading.Event()
        self._endpoint = threading.Event()
        self._leave = threading.Event()
        self._halted_at_s: float | None = None
        self._retention = Retention(settings, publisher.journal)

    # What other threads may call.

    def drain(self) -> None:
        """Finish: send what is left, terminate the session, commit the last turns."""
        self._drain.set()
        self._wakeup.set()

    def leave(self) -> None:
        """End the sessions and `run`; what has no words yet, the next process hears again."""
        self._leave.set()
        self._wakeup.set()

    def force_endpoint(self) -> None:
        """End the current turn now."""
        self._endpoint.set()
        self._wakeup.set()

    def wake(self) -> None:
        self._wakeup.set()

    def status(self) -> dict[str, Any]:
        """Tell what `minuted status` shows; times in seconds."""
        (channel,), journal = self._channels, self._publisher.journal
        own = channel.status(time.monotonic())
        sockets = (channel.frames, self._publisher.turns, self._publisher.replay)
        return {
            "service": self._settings.service,
            **own,
            "state": self._state_of(own["state"]),
            **self._meter.status(),
            "partials": self._publisher.partials,
            "replayed": self._publisher.replayed,
            "pruned": self._retention.pruned,
            "refused": self._publisher.refused,
            "malformed": sum(socket.malformed for socket in sockets),
            "epoch": journal.epoch,
            "last_seq": journal.last_seq,
        }

    def _state_of(self, state: str) -> str:
        if self._drain.is_set():
            return "drained" if self._drained.is_set() else "draining"
        return state

    # The loop.

    def run(self, stop: threading.Event) -> bool:
        """Work, as `_run` says, and leave the account in order."""
        try:
            return self._run(stop)
        finally:
            self._meter.tick(time.monotonic())
            self._meter.store(time.monotonic())

    def _run(self, stop: threading.Event) -> bool:
        """Work until `stop` is set and everything is drained; False when that took too long.

        After `stop_timeout_s` it is given up; at once, when a supervisor has asked for it in vain before.
        Asked to leave, it does not drain.
        Raises ConfigError when the service refuses a recording's key or parameters for good, SpentError
        when the day's limit is reached while a recording is played, and
        OSError or sqlite3.Error when a journal cannot be read or written.
        """
        give_up_s = leave_s = float("inf")
        while not (stop.is_set() and self._drained.is_set()):
            pulse.beat()
            if self._leave.is_set() and not stop.is_set():
                leave_s = min(leave_s, time.monotonic() + LEAVE_S_MAX)
                have_left = [channel.lanes.leave() for channel in self._channels]
                if all(have_left) or time.monotonic() >= leave_s:
                    log.info("left", unheard_s=self._unheard_s)
                    return True
            if stop.is_set() and give_up_s == float("inf"):
                asked_before = self._drain.is_set()
                give_up_s = time.monotonic() + (0 if asked_before else self._settings.stop_timeout_s)
                self._drain.set()
            if time.monotonic() >= give_up_s:
                reason = next(filter(None, (channel.lanes.failure for channel in self._channels)), "")
                log.error("not_drained", unheard_s=self._unheard_s, reason=reason)
                return False
            self._wait()
            self._work(time.monotonic())
        return True

    @property
    def _unheard_s(self) -> float:
        return sum(channel.minutes.unheard_s for channel in self._channels)

    def _wait(self) -> None:
        has_more = any(channel.intake.has_more for channel in self._channels)
        listened_to = tuple(channel for channel in self._channels if not channel.is_full)
        if listened_to not in self._pollers:
            frames = (channel.frames for channel in listened_to)
            self._pollers[listened_to] = Poller(
                *frames, self._publisher.turns, self._publisher.replay, self._wakeup
            )
        self._pollers[listened_to].wait(0 if has_more else TICK_S)
        self._wakeup.clear()

    def _work(self, now_s: float) -> None:
        try:
            if self._halted_at_s is None:
                self._transcribe(now_s)
            elif now_s - self._halted_at_s >= ROOM_WAIT_S:
                for channel in self._channels:
                    channel.minutes.store()
                for channel in self._channels:
                    channel.go_on()
                self._halted_at_s = None
                log.info("going_on")
        except TurnJournalFullError as error:
            if self._halted_at_s is None:
                log.error("halted", reason=str(error))
                for channel in self._channels:
                    channel.halt(str(error))
            self._halted_at_s = now_s
        now_ms = time.time_ns() // 1_000_000
        self._meter.tick(now_s)
        self._publisher.tick(now_s, now_ms)
        self._retention.tick(now_s, now_ms)

    def _transcribe(self, now_s: float) -> None:
        for channel in self._channels:
            if channel.take_in(now_s):
                self._drained.clear()
        self._take_events(now_s)
        for channel in self._channels:
            channel.watch(now_s)
        if self._leave.is_set():
            return
        if self._endpoint.is_set():
            self._endpoint.clear()
            for channel in self._channels:
                channel.lanes.force_endpoint()
        for channel in self._channels:
            channel.serve(now_s)
        if self._drain.is_set():
            self._finish(now_s)
        else:
            for channel in self._channels:
                channel.hand_over(now_s)
        for channel in self._channels:
            channel.minutes.keep()

    def _finish(self, now_s: float) -> None:
        """When asked to drain: say so once all is safe."""
        if self._drained.is_set():
            return
        have_finished = [channel.finish(now_s) for channel in self._channels]
        if all(have_finished):
            for channel in self._channels:
                channel.minutes.keep(always=True)
            self._publisher.heartbeat(time.time_ns() // 1_000_000)
            self._channels[0].minutes.tell("drained")
            self._drained.set()

    def _post(self, session: Session, event: Event) -> None:
        """Take an event on a session's thread."""
        self._events.put((session, event))
        self._wakeup.set()

    def _take_events(self, now_s: float) -> None:
        while True:
            try:
                session, event = self._events.get_nowait()
            except queue.Empty:
                return
            for channel in self._channels:
                for lane in channel.lanes.all:
                    if lane.session is session:
                        channel.hear(lane, event, now_s)
