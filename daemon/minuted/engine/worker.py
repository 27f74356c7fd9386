"""One session's recognition, on a thread of its own: sound and requests in, messages out."""

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, Final

import structlog

from minuted.engine import protocol
from minuted.engine.parameters import Parameters, Refusal
from minuted.engine.protocol import AHEAD_MS_MAX, Audio
from minuted.engine.recogniser import Ear, Model
from minuted.engine.turns import Line, Turns, TurnState

log = structlog.get_logger(__name__)

JOIN_S_MAX: Final = 5.0
"""A look in progress cannot be interrupted; it takes a second or two on a busy machine."""


class Done:
    """All that was sent before Terminate is recognised."""


Said = dict[str, Any] | Refusal | Done
"""A message for the client, the session's failure, or that it is done."""


@dataclass(frozen=True, slots=True)
class _Sound:
    data: bytes
    received_ms: int


class Worker:
    """Recognises what it is given, in order, until `terminate` or `abandon`.

    `say` is called on the worker's thread. Sound waits for at most AHEAD_MS_MAX: beyond that it is
    refused and the session is to end.
    """

    def __init__(
        self, model: Model, interval_s: float, parameters: Parameters, say: Callable[[Said], None]
    ) -> None:
        self._say = say
        self._parameters = parameters
        self._make_ear = partial(Ear, model, parameters.sample_rate, parameters.encoding, interval_s)
        self._turns = Turns(parameters.min_turn_silence, parameters.max_turn_silence)
        self._audio = Audio(parameters.sample_rate, parameters.encoding)
        self._waiting: SimpleQueue[_Sound | Parameters | type[Done] | None] = SimpleQueue()
        self._abandoned = threading.Event()
        self._heard_speech = self._hears_speech = False
        self._heard_ms = 0
        self.behind_s_max = 0.0
        self.taken_ms = 0
        """Sound taken out of the queue."""
        self._thread = threading.Thread(target=self._run, name="recogniser", daemon=True)
        self._thread.start()

    @property
    def received_ms(self) -> int:
        return self._audio.received_ms

    @property
    def behind_s(self) -> float:
        """How much received sound the recogniser has not heard yet."""
        return max(0, self._audio.received_ms - self._heard_ms) / 1000

    def add(self, data: bytes, session_s: float) -> None:
        """Take one message of sound. Raises Refusal where its length or the pace breaks the rules."""
        self._audio.take(len(data))
        if self._audio.received_ms - self.taken_ms > AHEAD_MS_MAX:
            raise protocol.too_fast(self._audio.received_ms, session_s)
        self._waiting.put(_Sound(data, self._audio.received_ms))

    def configure(self, parameters: Parameters) -> None:
        self._waiting.put(parameters)

    def end_turn(self) -> None:
        """End the open turn, after all the sound that came before."""
        self._waiting.put(None)

    def terminate(self) -> None:
        """End the open turn and be done, after all the sound that came before."""
        self._waiting.put(Done)

    def abandon(self) -> None:
        """Stop as soon as may be; what is not recognised yet is lost. `join` waits for it."""
        self._abandoned.set()
        self._waiting.put(Done)

    def join(self) -> None:
        self._thread.join(JOIN_S_MAX)

    def take_heard_speech(self) -> bool:
        """Say whether there was speech since this was last asked."""
        heard, self._heard_speech = self._heard_speech or self._hears_speech, False
        return heard

    def _run(self) -> None:
        try:
            with closing(self._make_ear()) as ear:
                while self._step(ear, self._waiting.get()):
                    pass
        except Exception:  # one session's failure is not the engine's
            log.exception("recogniser_failed")
            self._say(protocol.failed())

    def _step(self, ear: Ear, item: "_Sound | Parameters | type[Done] | None") -> bool:
        if self._abandoned.is_set():
            return False
        match item:
            case _Sound(data, received_ms):
                self.taken_ms = received_ms
                for lines in ear.hear(data):
                    self._heard(ear, lines)
                    if self._abandoned.is_set():
                        return False
            case Parameters():
                self._parameters = item
                self._turns.set_silences(item.min_turn_silence, item.max_turn_silence)
            case _:
                self._heard(ear, ear.flush())
                self._publish(self._turns.end())
        if item is Done:
            self._say(Done())
        return item is not Done

    def _heard(self, ear: Ear, lines: list[Line]) -> None:
        self._heard_ms, self._hears_speech = ear.heard_ms, ear.line_is_open
        self._heard_speech = self._heard_speech or bool(lines)
        self.behind_s_max = max(self.behind_s_max, self.behind_s)
        self._publish(self._turns.hear(lines, ear.heard_ms))
        stretch = self._turns.silence(ear.safe_ms)
        if stretch and self._parameters.acknowledge_silence:
            self._say(protocol.silence(*stretch))

    def _publish(self, states: Sequence[TurnState]) -> None:
        for message in protocol.turn_messages(states, partials=self._parameters.include_partial_turns):
            self._say(message)
