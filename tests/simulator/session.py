"""One streaming session as the service keeps it: messages in with their time, actions out when due.

No socket and no clock in here: a three-hour session takes as long as its messages do.
"""

import json
import math
from collections import deque
from dataclasses import replace
from typing import Final

from . import faults as texts
from . import wire
from .actions import Action, Close, Say, Struck
from .ear import Ear
from .faults import Fault, Moment, Script
from .filters import filtered, language_of
from .limits import DURATION, Lengths, pace_complaint
from .options import Options
from .parameters import FAILING_MODELS, INVALID, Parameters, Refused
from .speakers import Speakers
from .turns import Rules, Silences, Turn, Turns, WordByWord

EXPIRED: Final = 3008
FAILS_AFTER_S: Final = 5.0
_WIDTHS: Final = {"pcm_s16le": 2, "pcm_mulaw": 1}
_LOUD: Final = 0.98
_QUIET: Final = 0.02


class Session:
    """What the service knows of one connection. Times are seconds of one clock, given by the caller."""

    def __init__(
        self,
        parameters: Parameters | Refused,
        options: Options,
        script: Script,
        *,
        number: int,
        attempt: int,
        now_s: float,
        session_id: str = "session",
        api_version: str | None = None,
        session_s: float | None = None,
    ) -> None:
        self._refused = parameters if isinstance(parameters, Refused) else None
        self.parameters = Parameters(options.default_model) if isinstance(parameters, Refused) else parameters
        self.options = options
        self.id = session_id
        self.over = False
        self._script = script
        self._number, self._attempt = number, attempt
        self._api_version = api_version
        self._opened_s = now_s
        script.opened(now_s)
        self._begun_s = now_s + options.begin_s
        self._ends_s = self._begun_s + min(options.session_s, session_s or math.inf)
        self._moment = Moment()
        self._out: deque[tuple[float, Say | Close]] = deque()
        self._urgent: list[Action] = []
        self._work: deque[tuple[float, bytes | str]] = deque()
        self._worked_s = now_s
        self._mute_until_s = -math.inf
        self._latency_s = options.latency_s
        self._doubles_finals = False
        self._terminated = False
        self._failed = False
        self._bytes = 0
        self._lengths = Lengths(options.short_messages_max, options.short_grace_s)
        self._last_message_s = now_s
        self._heartbeat_s = options.heartbeat_s
        self._beat_at_s = math.inf
        self._beat_ms = 0.0
        self._probability = 0.0
        self._started_order = -1
        self._ear = Ear(options.half_words)
        self._rules = Rules()
        self._turns = (Turns if self.parameters.is_u3 else WordByWord)(self._rules)
        self._silences = Silences(options.silence_ms, in_open_turn=options.silence_in_open_turn)
        self._speakers = Speakers(options.short_turn_label, options.mislabel_every)
        self._revise_at_s = math.inf
        self._configure(now_s)

    @property
    def audio_ms(self) -> float:
        """How much sound has been received."""
        return self._bytes / self._bytes_per_ms()

    def open(self, now_s: float, unix_s: float) -> None:
        """Begin, or refuse; faults without a moment come first."""
        model = self.parameters.model
        for fault in self._script.take(self._number, self._attempt, self._moment):
            self.strike(fault, now_s)
            if fault.name == "wrong_model":
                model = fault.text or "universal-streaming-english"
        if self.over:
            return
        if self._refused:
            self._fail(self._refused.code, self._refused.text, now_s)
            return
        shown = replace(self.parameters, model=model)
        expires_at = int(unix_s + self._ends_s - now_s)
        message = wire.begin(
            self.id, expires_at, shown, self._api_version, configured=self.options.configuration
        )
        if "configuration" in message:
            message["configuration"] |= self.options.echo or {}
        self._say(message, self._begun_s)

    def take(self, message: bytes | str, now_s: float) -> None:
        """Take what the client sent."""
        if self.over or self._terminated or self._failed:
            return
        self._last_message_s = now_s
        if isinstance(message, bytes):
            self._take_audio(message, now_s)
        else:
            self._take_control(message, now_s)

    def strike(self, fault: Fault, now_s: float) -> None:
        """Let a fault happen now."""
        if self.over:
            return
        self._urgent.append(Struck(fault))
        match fault.name:
            case "error":
                code = fault.code or INVALID
                text = fault.text or texts.TEXTS.get(code, "Error")
                self._urgent += [Say(wire.error(code, text)), Close(code, texts.REASON)]
            case "close":
                self._urgent.append(Close(fault.code or 1000, fault.text))
            case "drop" | "reset":
                self.over = True
            case "stall" | "black_hole" | "no_begin":
                self._mute_until_s = math.inf if fault.for_s is None else now_s + fault.for_s
            case "say":
                self._urgent.append(Say(wire.said_by_fault(fault.message)))
            case "warning":
                self._urgent.append(Say(wire.warning(fault.code or 1001, fault.text or "A warning")))
            case "slow_heartbeat":
                self._heartbeat_s = fault.for_s or math.inf
                self._beat_at_s = now_s + self._heartbeat_s
            case "overlapping_silence":
                self._silences.overlap_ms = int(1000 * (0.5 if fault.for_s is None else fault.for_s))
            case "duplicate_final":
                self._doubles_finals = True
            case "empty_final":
                self._say(wire.empty_final(self._turns.order), now_s)
            case "latency":
                self._latency_s = fault.for_s or 0.0
            case "heal":
                self._mute_until_s, self._latency_s = -math.inf, self.options.latency_s
        if any(isinstance(action, Close) for action in self._urgent):
            self.over = True

    def due(self, now_s: float) -> list[Action]:
        """Give what is to be done by now, in order. After a close there is nothing more."""
        while self._work and self._work[0][0] <= now_s:
            at_s, item = self._work.popleft()
            self._work_off(item, at_s)
        if not self._failed:
            self._watch_the_clock(now_s)
        if not self.over:
            self._strike_what_is_due(now_s)
        actions, self._urgent = self._urgent, []
        while not self.over and self._out and self._out[0][0] <= now_s and now_s >= self._mute_until_s:
            _, action = self._out.popleft()
            actions.append(action)
            if isinstance(action, Close):
                self.over = True
            elif isinstance(action.message, dict) and action.message.get("end_of_turn"):
                self._moment.finals += 1
                self._strike_what_is_due(now_s)
                actions += self._urgent
                self._urgent = []
        return actions

    def wake_at_s(self) -> float:
        """Say when `due` is to be asked again, should nothing arrive before."""
        if self.over:
            return math.inf
        timers = [self._opened_s + self._script.next_at_s(self._number, self._attempt, self._moment)]
        if self._out:
            timers.append(max(self._out[0][0], self._mute_until_s))
        if not self._failed:
            timers += [
                self._ends_s,
                self._beat_at_s,
                self._revise_at_s,
                self._inactive_at_s(),
                self._fails_at_s(),
            ]
            timers.append(self._short_at_s())
        if self._work:
            timers.append(self._work[0][0])
        return min(timers)

    def _bytes_per_ms(self) -> float:
        width: int = _WIDTHS.get(self.parameters["encoding"], 2)
        return width * int(self.parameters["sample_rate"]) / 1000

    def _take_audio(self, pcm: bytes, now_s: float) -> None:
        bytes_per_ms = self._bytes_per_ms()
        length_ms = len(pcm) / bytes_per_ms
        if self.parameters["encoding"] in _WIDTHS and (why := self._lengths.complaint(length_ms, now_s)):
            self._fail(DURATION, why, now_s)
            return
        self._bytes += len(pcm)
        self._moment.messages += 1
        self._moment.audio_ms = int(self.audio_ms)
        elapsed_s = max(0.0, now_s - self._begun_s)
        if why := pace_complaint(self.audio_ms / 1000, elapsed_s, *self.options.pace):
            self._fail(DURATION, why, now_s)
            return
        worked_s = max(now_s, self._worked_s)
        if self.options.drain_rate:
            worked_s += length_ms / 1000 / self.options.drain_rate
        self._put_to_work(pcm, worked_s)

    def _take_control(self, text: str, now_s: float) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            self._fail(INVALID, "Invalid JSON", now_s)
            return
        if not isinstance(message, dict):
            self._fail(INVALID, "Invalid Message", now_s)
            return
        kind = message.get("type")
        self._moment.control = kind if isinstance(kind, str) else None
        self._strike_what_is_due(now_s)
        self._moment.control = None
        if self.over:
            return
        match kind:
            case "KeepAlive":
                pass
            case "UpdateConfiguration":
                try:
                    self.parameters.update(message)
                except Refused as refused:
                    self._fail(refused.code, refused.text, now_s)
                self._configure(now_s)
            case "ForceEndpoint":
                self._put_to_work("ForceEndpoint", max(now_s, self._worked_s))
            case "Terminate":
                self._terminated = True
                self._put_to_work("Terminate", max(now_s, self._worked_s))
            case _:
                self._fail(INVALID, "Invalid Message Type", now_s)

    def _put_to_work(self, item: bytes | str, at_s: float) -> None:
        self._worked_s = at_s
        self._work.append((at_s, item))

    def _work_off(self, item: bytes | str, at_s: float) -> None:
        if isinstance(item, bytes):
            self._listen(item, at_s)
        elif item == "ForceEndpoint":
            self._say_turns(self._turns.force(), at_s + self.options.force_endpoint_s)
        else:
            self._terminate(at_s)

    def _listen(self, pcm: bytes, at_s: float) -> None:
        if (self.parameters["encoding"], self.parameters["sample_rate"]) != ("pcm_s16le", 16_000):
            return
        threshold = self.parameters["vad_threshold"]
        confirms_silence = self.options.signals and self.parameters["acknowledge_silence"]
        for step in self._ear.hear(pcm):
            probability = _LOUD if step.loud else _QUIET
            self._probability = max(self._probability, probability)
            loud = probability >= threshold
            heard = step if loud == step.loud else replace(step, loud=loud)
            self._say_turns(self._turns.hear(heard), at_s + self.options.inference_s)
            silent = self._silences.hear(heard, turn_is_open=self._turns.is_open, said=bool(step.words))
            if silent and confirms_silence:
                self._say(wire.silence(*silent), at_s)

    def _terminate(self, at_s: float) -> None:
        self._turns.words += self._ear.end()
        at_s += self.options.terminate_s
        self._say_turns(self._turns.force(), at_s)
        if self.options.empty_final:
            self._say(wire.empty_final(self._turns.order), at_s)
        if self.parameters["speaker_labels"]:
            self._say(self._revision(self._speakers.revise()), at_s)
        self._say(wire.termination(int(self.audio_ms / 1000), int(at_s - self._begun_s)), at_s)
        self._put_out(Close(1000, "Session Ended"), at_s)

    def _say_turns(self, turns: list[Turn], at_s: float) -> None:
        for turn in turns:
            is_told = self._is_told(turn, at_s)
            if not is_told and not self.options.announces:
                continue
            if turn.order != self._started_order and self.parameters.is_u3:
                self._started_order = turn.order
                self._say(wire.speech_started(turn.words[0].start_ms), at_s)
            if not is_told:
                continue
            message = self._message(turn)
            for _ in range(2 if turn.final and self._doubles_finals else 1):
                self._say(message, at_s)

    def _is_told(self, turn: Turn, at_s: float) -> bool:
        """Return whether the service tells of a turn, as it should."""
        begins_s, ends_s = self.options.withhold_s
        is_dropped = (
            self.options.drop_every and turn.order % self.options.drop_every == self.options.drop_every - 1
        )
        return not (is_dropped or begins_s <= at_s - self._script.first_s < ends_s)

    def _revision(self, turns: list[wire.Message]) -> wire.Message:
        return wire.speaker_revision(turns, bare=self.options.bare_revisions)

    def _message(self, turn: Turn) -> wire.Message:
        turn = filtered(turn, self.parameters, self.options)
        tells_speakers = self.parameters["speaker_labels"] and turn.final
        labels, label = self._speakers.label(turn.words) if tells_speakers else (None, None)
        formatted = (turn.final and turn.formatted) or self.options.formatted_partials
        message = wire.turn(turn, labels, label, formatted=formatted or not self.parameters.is_u3)
        if not turn.formatted:
            message["turn_is_formatted"] = False
        if language := language_of(turn, self.parameters, self.options):
            message |= {"language_code": language, "language_confidence": 0.98}
        if tells_speakers:
            self._speakers.remember(message, turn.words)
        return message

    def _watch_the_clock(self, now_s: float) -> None:
        if now_s >= self._ends_s:
            self._fail(EXPIRED, texts.EXPIRED, now_s)
        elif now_s >= self._inactive_at_s():
            wait_s = self.parameters["inactivity_timeout"]
            why = f"No messages received for {wait_s} seconds"
            self._fail(INVALID, f"Session terminated due to inactivity: {why}", now_s)
        elif now_s >= self._short_at_s():
            self._fail(DURATION, self._lengths.late_complaint(), now_s)
        elif now_s >= self._fails_at_s():
            self._fail(3005, texts.CANCELLED, now_s)
        while now_s >= self._beat_at_s:
            self._beat(self._beat_at_s)
        while now_s >= self._revise_at_s:
            if revised := self._speakers.revise():
                self._say(self._revision(revised), now_s)
            self._revise_at_s += self._revision_s()

    def _beat(self, at_s: float) -> None:
        factor = (self.audio_ms - self._beat_ms) / 1000 / self._heartbeat_s
        open_ms = int((at_s - self._begun_s) * 1000)
        self._say(wire.heartbeat(int(self.audio_ms), open_ms, factor, self._probability), at_s)
        self._beat_ms, self._probability = self.audio_ms, 0.0
        self._beat_at_s = at_s + self._heartbeat_s

    def _inactive_at_s(self) -> float:
        wait_s = self.parameters["inactivity_timeout"]
        waits = wait_s and not self._terminated
        return max(self._last_message_s, self._begun_s) + wait_s if waits else math.inf

    def _short_at_s(self) -> float:
        return math.inf if self._terminated else self._lengths.at_s()

    def _fails_at_s(self) -> float:
        return self._begun_s + FAILS_AFTER_S if self.parameters.model in FAILING_MODELS else math.inf

    def _revision_s(self) -> float:
        asked_ms = self.parameters["speaker_labels_revision_interval_ms"]
        return max(asked_ms, self.options.revision_ms_min) / 1000 if asked_ms else math.inf

    def _configure(self, now_s: float) -> None:
        """Put the parameters into effect."""
        parameters, options = self.parameters, self.options
        rules = self._rules
        rules.min_silence_ms = parameters["min_turn_silence"]
        rules.max_silence_ms = parameters["max_turn_silence"]
        rules.turn_ms_max = options.turn_ms_max or (10_000 if parameters["speaker_labels"] else 60_000)
        rules.partials = parameters.partials
        rules.first_partial_ms = parameters["interruption_delay"] + 256
        rules.next_partial_ms = 1000 if parameters["continuous_partials"] else 3000
        rules.confidence_threshold = parameters["end_of_turn_confidence_threshold"]
        rules.edge_padding = options.edge_padding
        rules.second_formatted_final = options.second_formatted_final and parameters["format_turns"]
        beats = parameters["session_heartbeat"] and options.signals
        if not beats:
            self._beat_at_s = math.inf
        elif self._beat_at_s == math.inf:
            self._beat_at_s = max(now_s, self._begun_s) + self._heartbeat_s
        if self._revise_at_s == math.inf and parameters["speaker_labels"]:
            self._revise_at_s = self._begun_s + self._revision_s()

    def _strike_what_is_due(self, now_s: float) -> None:
        self._moment.open_s = now_s - self._opened_s
        for fault in self._script.take(self._number, self._attempt, self._moment):
            self.strike(fault, now_s)

    def _fail(self, code: int, text: str, at_s: float) -> None:
        """Say why, then close; nothing more is taken."""
        self._failed = True
        self._work.clear()
        self._say(wire.error(code, text), at_s)
        self._put_out(Close(code, texts.REASON), at_s)

    def _say(self, message: wire.Message | str, at_s: float) -> None:
        self._put_out(Say(message), at_s)

    def _put_out(self, action: Say | Close, at_s: float) -> None:
        # Messages keep their order: one that could go sooner waits behind one that cannot.
        self._out.append((at_s + self._latency_s, action))
