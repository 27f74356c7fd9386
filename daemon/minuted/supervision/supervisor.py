"""Start, watch and restart the processes, and have them stop in order, so that no word is left behind."""

import os
import random
import secrets
import selectors
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any, Final

import structlog

from minuted import bus
from minuted.claims import claim_whole
from minuted.config import ConfigError, Settings
from minuted.control import ControlServer, done
from minuted.runtime import notify, signals
from minuted.runtime.files import UnsafeFileError

from .child import Child, Notices, environment
from .draining import Stop
from .liveness import Watcher, is_hung
from .orphans import Orphans
from .reloading import Reloading
from .restarts import BROKE_OFF, MISCONFIGURED, WAIT_S_MAX, Kind, Then, after_end, note_end
from .roster import Roster, Stages
from .stages import commands, is_capture, is_recording
from .telling import Teller
from .trial import Source

STOP_MARGIN_S: Final = 5.0
"""What systemd is asked for beyond the stop's own bound, so that its kill is the last resort."""
READY_S_MAX: Final = 60.0
"""A core process that is not ready by then is killed, which counts as a crash."""
SINKS_WAIT_S_MAX: Final = 10.0
"""How long capture waits for sinks that are slow to start; they catch up by themselves."""
TWICE_S: Final = 0.2
"""A second SIGINT sooner than this is the first one's echo."""
BAD_CONFIGURATION: Final = "bad configuration: "
"""How the one line of a process that exits with 78 begins."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a run ended: an exit status, and what to tell a person where it is not 0."""

    status: int
    reason: str = ""
    whole: bool = field(default=False, compare=False)
    """A recording was played to its end, and all its words are in the journal."""
    broke_off: str = field(default="", compare=False)
    """What of a recording could not be played; it was played as far as it goes."""
    asked: bool = field(default=False, compare=False)
    """Somebody has asked for the end, before or while the rest was finished."""


def supervise(settings: Settings, text: str, source: Source) -> Outcome:
    """Run everything until it is stopped or the recording is over.

    `text` is what `settings` were made of; `source` reads it anew when a reload is asked for.

    Raises ConfigError, also when another minuted has this runtime directory: a new try would not help.
    """
    try:
        lock = bus.lock(settings.runtime_dir / "minuted.lock", str(settings.runtime_dir))
    except bus.AddressInUseError as error:
        raise ConfigError(f"{error}; stop it, or set another runtime_dir and state_dir") from None
    except UnsafeFileError as error:
        raise ConfigError(f"runtime_dir: {error}") from None
    except PermissionError as error:
        raise ConfigError(f"runtime_dir: {error.filename} belongs to someone else: remove it") from None
    try:
        with claim_whole(settings):
            return Supervisor(settings, text, source, commands, orphans=Orphans()).run()
    finally:
        os.close(lock)


class Supervisor:
    """One run of all the processes. Its loop sleeps until a signal, a notice or a bound."""

    def __init__(
        self,
        settings: Settings,
        text: str,
        source: Source,
        stages_of: Callable[[Settings], Stages],
        *,
        ready_s_max: float = READY_S_MAX,
        sinks_wait_s_max: float = SINKS_WAIT_S_MAX,
        restart_wait_s_max: float = WAIT_S_MAX,
        orphans: Orphans | None = None,
    ) -> None:
        self._text = text
        self._roster = Roster(settings, stages_of)
        self._ready_s_max = ready_s_max
        self._sinks_wait_s_max = sinks_wait_s_max
        self._restart_wait_s_max = restart_wait_s_max
        self._id = secrets.token_hex(8)
        self._orphans = orphans
        self._began_s = time.monotonic()
        self._stop: Stop | None = None
        self._outcome = Outcome(0)
        self._stop_asked = self._kill_asked = self._reload_asked = False
        self._has_played = self._was_asked = False
        self._reloads_on_hangup = not signals.has_terminal(os.environ)
        self._interrupted_s: float | None = None
        self._was_ready = False
        self._notices = Notices()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._watcher = Watcher(settings, self._roster.ready_pids, self._wake, notify.watchdog_s(os.environ))
        self._teller = Teller(self._roster, self._watcher)
        self._reloading = Reloading(self._roster, source, self._unwell, self._wake)

    def run(self) -> Outcome:
        """Run until all is over. Raises ConfigError when a process finds the configuration at fault."""
        try:
            return self._run()
        finally:
            self._notices.close()
            self._wake_in.close()
            self._wake_out.close()
            self._reloading.close()

    def _run(self) -> Outcome:
        self._reloading.begin_with(self._roster.settings, self._text)
        control = ControlServer(
            self._roster.settings.control_endpoint("supervisor"),
            {
                "status": lambda _: self.to_map(),
                "stop": done(self.stop),
                "reload": lambda _: {"number": self._reloading.ask()},
            },
        )
        self._watcher.start()
        # To the last moment: an impatient third Ctrl-C must not break into the end.
        with signals.waking(self._wake_out.fileno(), self._hear_signal):
            try:
                self._loop()
            finally:
                for child in self._roster:
                    child.kill()
                if self._orphans:
                    self._orphans.end(self._pids())
                if self._stop:
                    self._stop.close()
                self._watcher.close()
                self._reloading.close()
                control.close()
        return self._conclude()

    def _loop(self) -> None:
        with selectors.DefaultSelector() as events:
            events.register(self._wake_in, selectors.EVENT_READ)
            events.register(self._notices, selectors.EVENT_READ)
            while self._work(time.monotonic()):
                events.select(self._pause_s(time.monotonic()))
                with suppress(BlockingIOError):
                    self._wake_in.recv(4096)

    def stop(self) -> None:
        """Ask for a stop in order. May be called from any thread."""
        self._stop_asked = True
        self._wake()

    def to_map(self) -> dict[str, Any]:
        """Give the state of the run and of every process."""
        return {
            "state": self._state(),
            "room": self._roster.settings.room,
            "service": self._roster.service,
            "summary": self._teller.told,
            "reload": self._reloading.result.to_map(),
            "stages": {child.name: child.to_map() for child in self._roster},
        }

    def _work(self, now_s: float) -> bool:
        """Do all there is to do now; False when everything is over."""
        ended = [(child, status) for child in self._roster if (status := child.poll()) is not None]
        # After polling, so that the last words of what has ended are taken.
        self._read_notices()
        for child, exit_status in ended:
            self._hear_end(child, exit_status, now_s)
        self._hear_wishes(now_s)
        has_reloaded = False
        if self._stop:
            self._stop.advance(now_s)
        else:
            has_reloaded = self._reloading.advance(now_s, is_ready=self._was_ready)
            self._look_after(now_s)
        for child in self._roster:
            if self._is_due(child, now_s):
                self._start(child, now_s)
            elif self._is_overdue(child, now_s):
                log.error("not_ready", child=child.name, after_s=self._ready_s_max)
                child.become("stopping")
                child.kill()
        if self._orphans:
            self._orphans.reap(now_s, self._pids())
        self._tell(now_s, has_reloaded=has_reloaded)
        return self._stop is None or not self._stop.is_over

    def _look_after(self, now_s: float) -> None:
        """End what hangs, and what takes too long to make place."""
        seen = self._watcher.seen
        for child in self._roster:
            if child.is_killed or child.pid is None:
                continue
            if child.retiring and now_s >= child.retire_by_s:
                log.error("retired_late", child=child.name)
                child.kill("killed as it did not end in time")
            elif child.state == "ready" and child.pid in seen and is_hung(seen[child.pid], child.kind):
                silent_s = seen[child.pid].silent_s
                log.error("hung", child=child.name, silent_s=round(silent_s, 1))
                child.kill(f"killed as it had not answered for {silent_s:.0f} s")

    def _read_notices(self) -> None:
        by_pid = {child.pid: child for child in self._roster}
        for pid, notice in self._notices.receive():
            if child := by_pid.get(pid):
                before = child.state
                child.take(notice)
                if child.state != before:
                    log.info("ready", child=child.name, pid=pid)
                self._watcher.look_soon()

    def _hear_end(self, child: Child, exit_status: int, now_s: float) -> None:
        """Decide what follows the end of a process."""
        healthy_s = now_s - child.changed_s if child.state == "ready" else 0.0
        first = not child.was_ready and not child.restarts and not self._was_ready
        child.end(exit_status)
        if self._stop and self._stop.has_reached(child):
            child.become("stopped")
            self._stop.ended(child, exit_status)
            return
        if child.retiring:
            log.info("retired", child=child.name, reason=child.status)
            child.succeed()
            if child.retiring:
                self._roster.remove(child)
            return
        child.history = note_end(child.history, exit_status, healthy_s, now_s)
        attended = is_recording(self._roster.settings)
        match after_end(child.kind, exit_status, child.history, first=first, attended=attended):
            case Then.AGAIN:
                chance = random.random()  # noqa: S311  # no secret hangs on a pause
                child.rest(now_s, chance, self._restart_wait_s_max)
                wait_s = round(child.next_start_s - now_s, 2)
                log.warning("ended", child=child.name, reason=child.status, restart_in_s=wait_s)
            case Then.STAY_DOWN:
                child.become("failed")
                log.error("failed", child=child.name, reason=child.status)
            case Then.DRAIN:
                child.become("stopped")
                log.info("recording_over", child=child.name, exit_status=exit_status)
                if exit_status and not self._outcome.status:
                    is_over = exit_status == BROKE_OFF
                    why = child.status if is_over else f"the recording broke off: {child.status}"
                    self._outcome = Outcome(1, why, broke_off=child.status if is_over else "")
                if not self._roster.plays():
                    self._has_played = not self._outcome.status or bool(self._outcome.broke_off)
                    self._begin_stop(self._outcome, now_s)
            case Then.GIVE_UP:
                child.become("failed")
                log.error("gave_up", child=child.name, reason=child.status)
                reason = f"{child.name} crashed again and again: {child.status}"
                # Without these two nothing can be drained.
                drain = child.name not in ("transcription", "engine")
                self._begin_stop(Outcome(1, reason), now_s, asked=True, drain=drain)
            case Then.MISCONFIGURED:
                child.become("failed")
                reason = child.status.removeprefix(BAD_CONFIGURATION)
                log.error("bad_configuration", child=child.name, reason=reason)
                self._begin_stop(Outcome(MISCONFIGURED, reason), now_s, asked=True, drain=False)

    def _hear_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            now_s = time.monotonic()
            # `timeout -s INT` and others send the same one twice.
            if self._interrupted_s is not None and now_s - self._interrupted_s > TWICE_S:
                self._kill_asked = True
            self._interrupted_s = now_s
        if number == signal.SIGHUP and self._reloads_on_hangup:
            self._reload_asked = True
        else:
            self._stop_asked = True

    def _hear_wishes(self, now_s: float) -> None:
        # A flag is taken down before it is acted on: a signal may put it up again at any moment.
        if self._reload_asked:
            self._reload_asked = False
            self._reloading.ask()
        if self._kill_asked and self._stop:
            self._kill_asked = self._stop_asked = False
            self._stop.kill(now_s)
        elif self._stop_asked:
            self._stop_asked, self._was_asked = False, True
            if self._stop is None:
                log.info("stop_asked")
                self._begin_stop(Outcome(0), now_s, asked=True)
            elif not self._stop.asked:
                self._stop.hurry(now_s)

    def _begin_stop(self, outcome: Outcome, now_s: float, *, asked: bool = False, drain: bool = True) -> None:
        """Stop everything in order; a later reason does not replace an earlier one."""
        if not self._outcome.status:
            self._outcome = outcome
        if self._stop is None:
            notify.stopping(self._roster.settings.stop_timeout_s + STOP_MARGIN_S)
            self._watcher.finish()
            self._stop = Stop(
                self._roster.settings,
                list(self._roster),
                now_s=now_s,
                asked=asked,
                drain=drain,
                wake=self._wake,
            )

    def _is_due(self, child: Child, now_s: float) -> bool:
        if self._stop and self._stop.has_reached(child):
            return False
        if child.state == "waiting":
            patient = now_s < self._began_s + self._sinks_wait_s_max
            return not is_capture(child.name) or self._roster.may_listen(patient=patient)
        return child.state in ("backoff", "failed to load") and now_s >= child.next_start_s

    def _is_overdue(self, child: Child, now_s: float) -> bool:
        starting = child.kind is not Kind.SINK and child.state == "starting"
        return starting and now_s >= child.changed_s + self._ready_s_max

    def _start(self, child: Child, now_s: float) -> None:
        ours = environment(
            os.environ,
            child.name,
            supervisor_pid=os.getpid(),
            notices=self._notices.address,
            service=self._roster.service,
            engine_key=self._engine_key(),
            run=self._id,
            accepted=self._reloading.accepted.path,
            credentials=self._reloading.accepted.credentials.path,
        )
        try:
            child.start(ours)
        except OSError as error:
            child.status = str(error)
            self._hear_end(child, 1, now_s)
            return
        log.info("started", child=child.name, pid=child.pid, restarts=child.restarts)

    def _pids(self) -> set[int]:
        """Name the processes that are ours to wait for."""
        return {child.pid for child in self._roster if child.pid}

    def _engine_key(self) -> str:
        """Return the local engine's key; "" where it cannot be had: the process itself says why."""
        if self._roster.service != "local":
            return ""
        with suppress(ConfigError):
            return self._roster.settings.engine_key()
        return ""

    def _pause_s(self, now_s: float) -> float | None:
        """Give the time until the next bound; signals and notices wake the loop by themselves."""
        times_s = [self._stop.bound_s] if self._stop else [self._began_s + self._sinks_wait_s_max]
        for child in self._roster:
            if child.state in ("backoff", "failed to load"):
                times_s.append(child.next_start_s)
            elif child.state == "starting":
                times_s.append(child.changed_s + self._ready_s_max)
        return min((time_s - now_s for time_s in times_s if time_s > now_s), default=None)

    def _state(self) -> str:
        if self._stop:
            return "stopped" if self._stop.is_over else "stopping"
        if not self._was_ready:
            return "starting"
        return "running" if self._roster.is_well() else "degraded"

    def _tell(self, now_s: float, *, has_reloaded: bool) -> None:
        became_ready = not self._was_ready and self._stop is None and self._roster.may_be_called_ready()
        self._was_ready = self._was_ready or became_ready
        self._teller.tell(self._state(), self._reloading.note, is_ready=became_ready or has_reloaded)
        self._teller.pat(now_s, is_stopping=self._stop is not None)

    def _unwell(self) -> set[str]:
        """Name those that a reload is to try again; a service that has refused may take a new key."""
        told = self._watcher.statuses
        return self._roster.unwell() | {name for name in told if told[name].get("state") == "refused"}

    def _conclude(self) -> Outcome:
        outcome = self._outcome
        if outcome.status == MISCONFIGURED:
            raise ConfigError(outcome.reason)
        if self._stop and self._stop.shortfalls and not outcome.status:
            outcome = Outcome(1, f"not everything was finished: {'; '.join(self._stop.shortfalls)}")
        log.info("run_over", exit_status=outcome.status)
        whole = self._has_played and self._stop is not None and self._stop.has_drained
        return replace(outcome, whole=whole, asked=self._was_asked)

    def _wake(self) -> None:
        with suppress(OSError):  # full: it is awake; closed: it is over
            self._wake_out.send(b".")
