"""The transcription process's loop: sound and events in, decisions by the pure parts, actions out."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import structlog

from minuted import messages
from minuted.bus import Poller, Wakeup
from minuted.config import Settings
from minuted.journal.sound_clock import SoundClock
from minuted.journal.turns import TurnJournalFullError
from minuted.runtime import pulse
from minuted.runtime.clock import wall_ms
from minuted.transcription import by_hand
from minuted.transcription.among import Among
from minuted.transcription.changing import Changing
from minuted.transcription.channel import Channel, Sound
from minuted.transcription.containment import containing
from minuted.transcription.cost import Meter
from minuted.transcription.meetings import CutsState, Meetings, MeetingsState, Unheard
from minuted.transcription.order import Order
from minuted.transcription.overview import overview
from minuted.transcription.publisher import Publisher
from minuted.transcription.retention import Retention
from minuted.transcription.revisions import Revisions
from minuted.transcription.session import Event, Session
from minuted.transcription.sounds import leave_nothing
from minuted.transcription.wishes import Wishes

TICK_S: Final = 0.05
CLOCK_EVERY_S: Final = 30.0
"""How often it is looked whether the wall clock was set."""
ROOM_WAIT_S: Final = 5.0
"""With no room on the disk for a turn, how long until the next try."""
LEAVE_S_MAX: Final = 2.0
"""How long the sessions may take to end when the process is to be replaced."""
EVENTS_MAX: Final = 20
"""Events taken before sound is sent again; a final among them waits for the disk."""

log = structlog.get_logger(__name__)


class Transcriber:
    """Turns sound into records by way of sessions. One thread: the caller of `run`.

    `drain`, `force_endpoint`, `wish`, `wake` and `status` may be called from any thread.
    """

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        sounds: Sequence[Sound],
        sound_clock: SoundClock | None = None,
    ) -> None:
        """Without a `sound_clock`, use the one of the state folder."""
        self._sound_clock = sound_clock or SoundClock(settings.state_dir)
        self._clock_due_s = 0.0
        self._settings = settings
        self._publisher = publisher
        self._changing = Changing(settings, publisher.journal, self._tell)
        self.wishes = Wishes()
        self._events: queue.SimpleQueue[tuple[Session, Event]] = queue.SimpleQueue()
        journal = publisher.journal
        self._meetings = Meetings(journal.state("meetings", MeetingsState), journal.state("cuts", CutsState))
        self._order: Order[Callable[[], None]] = Order()
        self._meter = Meter(settings, publisher.journal, self._sound_clock.steady_ms)
        self.revisions = revisions = Revisions(publisher)
        self._channels = [
            Channel(
                settings,
                sound,
                publisher,
                self._meetings,
                self._meter,
                self._changing,
                revisions,
                self._post,
                self._among(sound, sounds),
            )
            for sound in sounds
        ]
        self._wakeup = Wakeup()
        self._pollers: dict[tuple[Channel, ...], Poller] = {}
        self._drain = threading.Event()
        self._drained = threading.Event()
        self._endpoint = threading.Event()
        self._leave = threading.Event()
        self._is_kept = True
        """What was left unheard is there for the next process."""
        self._halted_at_s: float | None = None
        self._retention = Retention(settings, publisher.journal, self._meetings_going_on)

    def _among(self, sound: Sound, sounds: Sequence[Sound]) -> Among | None:
        """Give a channel's place among several; the only one of a configuration without names has none."""
        if not sound.name and len(sounds) == 1:
            return None

        def unheard() -> list[Unheard]:
            others = (channel for channel in self._channels if channel.name != sound.name)
            return [part for channel in others for part in channel.unheard]

        return Among(sound.name, self._order, unheard)

    # What other threads may call.

    def drain(self) -> None:
        """Finish: send what is left, terminate the session, commit the last turns."""
        self._drain.set()
        self._wakeup.set()

    def leave(self) -> None:
        """End the sessions and `run`; what has no words yet, the next process hears again."""
        self._leave.set()
        self._wakeup.set()

    def force_endpoint(self) -> int:
        """End the current turn now; return how many, of several sources, are being spoken."""
        spoken = sum(channel.lanes.is_spoken for channel in list(self._channels))
        self._endpoint.set()
        self._wakeup.set()
        return spoken

    def wish(self, question: dict[str, Any]) -> dict[str, Any]:
        """Take a wish; what becomes of it is in `wishes`."""
        taken = self.wishes.ask(question)
        self._wakeup.set()
        return taken

    def wake(self) -> None:
        self._wakeup.set()

    def status(self) -> dict[str, Any]:
        """Tell what `minuted status` shows; times in seconds."""
        channels, journal, now_s = list(self._channels), self._publisher.journal, time.monotonic()
        own = overview({channel.name: channel.status(now_s) for channel in channels})
        frames = [channel.frames for channel in channels if channel.frames]
        sockets = (*frames, self._publisher.turns, self._publisher.replay)
        return {
            "service": self._settings.service,
            **own,
            **({"billed": len(self._settings.sources)} if self._is_billed_for_each else {}),
            "state": self._state_of(own["state"]),
            **self._meter.status(),
            **self._changing.status(),
            "meeting": (meeting := by_hand.shown(self._foremost.minutes.meeting)),
            "meeting_title": meeting and meeting["title"],
            "revised": self.revisions.revised,
            "revising": self.revisions.left,
            "partials": self._publisher.partials,
            "replayed": self._publisher.replayed,
            "pruned": self._retention.pruned,
            "kept_because": self._retention.reason,
            "refused": self._publisher.refused,
            "malformed": sum(socket.malformed for socket in sockets),
            "damaged": journal.damaged,
            "resets": journal.resets,
            "put_back": "the journal was put back or copied: a new epoch" if journal.is_put_back else "",
            "epoch": journal.epoch,
            "last_seq": journal.last_seq,
        }

    @property
    def _is_billed_for_each(self) -> bool:
        return len(self._settings.sources) > 1 and self._settings.service != "local"

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
        At the day's limit nothing is waited for: True where the audio journal keeps what was heard.
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
        return self._is_kept

    @property
    def _unheard_s(self) -> float:
        return sum(channel.minutes.unheard_s for channel in self._channels)

    def _wait(self) -> None:
        has_more = any(channel.intake.has_more for channel in self._channels) or not self._events.empty()
        listened_to = tuple(channel for channel in self._channels if not channel.is_full)
        if listened_to not in self._pollers:
            frames = (channel.frames for channel in listened_to if channel.frames)
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
        self._meter.tick(now_s)
        self._publisher.tick(now_s, time.time_ns() // 1_000_000)
        if now_s >= self._clock_due_s:
            self._clock_due_s = now_s + CLOCK_EVERY_S
            self._sound_clock.look()
        self._retention.tick(now_s, self._sound_clock.steady_ms(), self._sound_clock.set_ago_s())

    def _transcribe(self, now_s: float) -> None:
        # Before sound is taken in: whatever came before somebody asked is then there.
        drains = self._drain.is_set()
        for channel in self._each():
            if channel.take_in(now_s):
                self._drained.clear()
        self._take_events(now_s)
        self._grant_wishes(now_s)
        for channel in self._each():
            channel.watch(now_s)
        self._commit_in_order(now_s)
        self.revisions.work()
        if self._leave.is_set():
            return
        has_ended_turn = self._endpoint.is_set()
        self._endpoint.clear()
        for channel in self._each():
            if has_ended_turn:
                channel.lanes.force_endpoint()
            channel.serve(now_s)
        self._lose_failed(now_s)
        if drains:
            self._finish(now_s)
        else:
            for channel in self._each():
                channel.hand_over(now_s)
        for channel in self._each():
            channel.minutes.keep()
            if channel.is_left_behind and channel.finish(now_s):
                self._close(channel)

    def _grant_wishes(self, now_s: float) -> None:
        """Do what people have asked for, and have the sessions know what changed."""
        self._changing.look(now_s)
        has_more = any(channel.intake.has_more for channel in self._channels)
        while question := self.wishes.first():
            if question["op"] == "configure":
                answer = self._changing.configure(question, self._models)
            elif has_more:
                break  # its moment is where the sound is now, not where we are with it
            else:
                now = (wall_ms(), self._sound_clock.now_ms())
                answer = by_hand.obey(question, self._foremost.minutes, now, self._tell)
            self.wishes.settle(answer)
        for channel in self._channels:
            self._changing.reach(channel.lanes.all)

    @property
    def _models(self) -> set[str]:
        """The models of the sessions that are live, as they have said themselves."""
        lives = [channel.lanes.live for channel in self._channels]
        return {live.model for live in lives if live and live.model}

    def _meetings_going_on(self) -> set[str]:
        going_on = [channel.minutes.meeting for channel in self._channels]
        return {meeting.id for meeting in going_on if meeting}

    @property
    def _foremost(self) -> Channel:
        """The channel whose sound is the newest."""
        return max(list(self._channels), key=lambda channel: channel.intake.next_number)

    def _tell(self, event: str, **details: Any) -> None:
        """Publish what is true of all channels."""
        at_ms = time.time_ns() // 1_000_000
        self._publisher.passing(
            messages.Session(event=event, room=self._settings.room, at_ms=at_ms, **details)
        )

    def _each(self) -> Iterator[Channel]:
        for channel in list(self._channels):
            with channel.named():
                yield channel

    def _commit_in_order(self, now_s: float) -> None:
        """Commit what no other channel has to come before."""
        pending = {channel.name: channel.pending_ms(now_s) for channel in self._channels}
        known = {name: from_ms for name, from_ms in pending.items() if from_ms is not None}
        for commit in self._order.take(now_s, known):
            commit()
        self._lose_failed(now_s)

    def _close(self, channel: Channel) -> None:
        """Let go of a channel that was left behind, once it is heard to its end."""
        if leave_nothing(self._settings, self._publisher.journal, channel.name):
            log.info("left_behind_heard", channel=channel.name)
            self._channels.remove(channel)
            self._pollers.clear()

    def _finish(self, now_s: float) -> None:
        """When asked to drain: say so once all is safe."""
        if self._drained.is_set():
            return
        have_finished = [channel.finish(now_s) or channel.waits_for_money for channel in self._each()]
        if all(have_finished) and not self.revisions.left:
            if self._unheard_s:
                # Nobody waits until tomorrow: the next process has it from the audio journal.
                self._is_kept = self._settings.journal.audio == "disk"
                log.warning("stopped_at_limit", unheard_s=self._unheard_s, is_kept=self._is_kept)
            for channel in self._channels:
                channel.minutes.keep(always=True)
            self._publisher.heartbeat(time.time_ns() // 1_000_000)
            self._tell("drained")
            self._drained.set()

    def _post(self, session: Session, event: Event) -> None:
        """Take an event on a session's thread."""
        self._events.put((session, event))
        self._wakeup.set()

    def _take_events(self, now_s: float) -> None:
        """Take what sessions say: so much that sound goes on being sent, and the rest the next time."""
        for _ in range(EVENTS_MAX):
            try:
                session, event = self._events.get_nowait()
            except queue.Empty:
                return
            session.taken(event)
            for channel in self._each():
                for lane in channel.lanes.all:
                    if lane.session is session:
                        with containing(channel.minutes, lane):
                            channel.hear(lane, event, now_s)
            self._lose_failed(now_s)

    def _lose_failed(self, now_s: float) -> None:
        for channel in self._each():
            channel.lose_failed(now_s)
