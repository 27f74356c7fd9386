"""One session's thread: everything in its order, and a bound on what waits."""

from collections.abc import Callable
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any

import pytest

from engine.conftest import INTERVAL_S, WAIT_S_MAX, messages_of, silence
from minuted.engine.parameters import Parameters, Refusal
from minuted.engine.protocol import AHEAD_MS_MAX
from minuted.engine.recogniser import Ear, Model
from minuted.engine.worker import Done, Worker


class Heard:
    """A worker and what it has said."""

    def __init__(self, model: Model, parameters: Parameters) -> None:
        self._said: SimpleQueue[Any] = SimpleQueue()
        self.worker = Worker(model, INTERVAL_S, parameters, self._said.put)

    def add(self, pcm: bytes) -> None:
        for message in messages_of(pcm):
            self.worker.add(message, 1.0)

    def next(self) -> Any:
        return self._said.get(timeout=WAIT_S_MAX)

    def rest(self) -> list[Any]:
        """Terminate, and give all that is said until the worker is done."""
        self.worker.terminate()
        return [*iter(lambda: None if isinstance(said := self.next(), Done) else said, None)]


@pytest.fixture
def work(model: Model):
    started = []

    def start(**parameters: Any) -> Heard:
        started.append(Heard(model, Parameters(**parameters)))
        return started[-1]

    yield start
    for heard in started:
        heard.worker.abandon()
        heard.worker.join()
        assert not heard.worker._thread.is_alive()


@pytest.fixture
def busy(model: Model):
    """Keep all workers from looking until released."""
    with ExitStack() as held:

        def hold() -> Callable[[], None]:
            held.enter_context(model.lock)
            return held.close

        yield hold


def test_terminate_comes_after_all_the_sound_before_it(work, speech) -> None:
    heard = work()
    heard.add(speech(0.8, 3))
    said = heard.rest()
    assert [message["type"] for message in said[:2]] == ["SpeechStarted", "Turn"]
    assert said[-1]["end_of_turn"]
    assert said[-1]["transcript"].lower().startswith("it was the best of times")
    assert heard.worker.taken_ms == heard.worker.received_ms == 2_200
    assert heard.worker.behind_s < 0.04


def test_more_than_a_minute_ahead_is_refused(work, busy) -> None:
    """A client that sends a recording in one go would fill the memory."""
    release = busy()
    heard = work()
    # What is taken up in the look that is held comes on top.
    heard.add(silence(0.2))
    with pytest.raises(Refusal, match="Audio Transmission Rate Exceeded") as refused:
        heard.add(silence(AHEAD_MS_MAX / 1000 + 2))
    release()
    assert refused.value.code == 3007
    assert heard.worker.received_ms <= AHEAD_MS_MAX + 400


def test_an_abandoned_worker_leaves_its_sound_unheard(work, busy) -> None:
    release = busy()
    heard = work()
    heard.add(silence(30))
    heard.worker.abandon()
    release()
    heard.worker.join()
    assert not heard.worker._thread.is_alive()
    assert heard.worker.taken_ms < 2_000


def test_quiet_is_acknowledged_only_where_that_was_asked_for(work) -> None:
    heard = work(acknowledge_silence=True)
    heard.add(silence(3))
    heard.worker.configure(Parameters(acknowledge_silence=False))
    heard.add(silence(3))
    stretches = [(said["start_ms"], said["end_ms"]) for said in heard.rest()]
    assert stretches[0][0] == 0
    assert all(1_000 <= end_ms - start_ms <= 1_200 for start_ms, end_ms in stretches)
    assert stretches[-1][1] <= 3_000
    assert [end_ms for _, end_ms in stretches[:-1]] == [start_ms for start_ms, _ in stretches[1:]]


def test_no_acknowledged_quiet_ever_holds_a_word(work, speech) -> None:
    """Whoever is told that it was quiet deletes the audio: a word in it would be lost with the session."""
    heard = work(acknowledge_silence=True, max_turn_silence=500)
    heard.add(speech(0, 1.15) + silence(2) + speech(2.1, 4.7) + silence(3))
    said = heard.rest()
    quiet = [(one["start_ms"], one["end_ms"]) for one in said if one["type"] == "Silence"]
    spoken = [(word["start"], word["end"]) for one in said if one.get("end_of_turn") for word in one["words"]]
    assert quiet
    assert spoken
    assert not [(q, w) for q in quiet for w in spoken if q[0] < w[1] and w[0] < q[1]]
    final = next(place for place, one in enumerate(said) if one.get("end_of_turn"))
    assert all(one["end_ms"] <= spoken[0][0] for one in said[:final] if one["type"] == "Silence")


def test_a_failure_of_the_recogniser_is_said(work, logged, monkeypatch) -> None:
    heard = work()
    monkeypatch.setattr(Ear, "_look", lambda self: 1 / 0)
    heard.add(silence(1))
    refusal = heard.next()
    assert (refusal.code, refusal.text) == (3005, "Session Cancelled: An error occurred")
    heard.worker.join()
    assert [event["event"] for event in logged] == ["recogniser_failed"]
    logged.clear()
