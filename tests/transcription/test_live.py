from typing import Any

import pytest

from minuted.messages import FRAME_BYTES, AudioFrame
from minuted.transcription.live import SILENT_S_MAX, STUCK_S_MAX, WORDLESS_MS_MAX, Live
from minuted.transcription.pace import LEAD_MS_MAX
from minuted.transcription.session import QUEUED_MS_MAX

NOW_S = 1e9
"""Far from any real clock: what is decided depends on the argument alone."""


class Wire:
    """What a Live needs of a session, whose real ones are in test_session.py."""

    def __init__(self) -> None:
        self.queued_ms = 0
        self.last_heard_s = NOW_S
        self.sent = 0
        self.given_up: list[str] = []

    def send(self, _pcm: bytes) -> None:
        self.sent += 1

    def watch(self, _now_s: float) -> None:
        """Nothing to notice."""

    def give_up(self, reason: str) -> None:
        self.given_up.append(reason)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def live(wire: Wire) -> Live:
    session: Any = wire
    live = Live(session, has_partials=True)
    turns: Any = object()
    live.turns = turns
    live.begin(NOW_S, "a-model")
    return live


def frames(count: int, *, paced: bool) -> list[AudioFrame]:
    return [
        AudioFrame(number=number, captured_at_ms=number * 50, pcm=bytes(FRAME_BYTES), paced=paced)
        for number in range(count)
    ]


def test_an_unpaced_recording_keeps_a_bounded_lead_over_what_the_engine_has_taken(
    live: Live, wire: Wire
) -> None:
    """The engine ends a session that is a minute ahead of it."""
    live.taken_ms = 5_000
    for frame in frames(3_000, paced=False):
        live.send(frame, NOW_S)
    assert wire.sent * 50 == live.taken_ms + LEAD_MS_MAX
    live.taken_ms += 1_000
    assert live.send(frames(1, paced=False)[0], NOW_S)


def test_an_engine_that_tells_nothing_gets_the_rest_at_a_careful_pace(live: Live, wire: Wire) -> None:
    """Waiting for its word would be waiting for ever."""
    for step, frame in enumerate(frames(2_000, paced=False)):
        live.send(frame, NOW_S + step * 0.05)
    assert wire.sent == 2_000


def test_nothing_is_put_into_a_full_queue(live: Live, wire: Wire) -> None:
    """The SDK's queue has no bound of its own, and what is in it is lost with the link."""
    wire.queued_ms = QUEUED_MS_MAX
    assert not live.send(frames(1, paced=True)[0], NOW_S)
    assert not wire.sent


def test_a_queue_that_stays_full_is_a_dead_link(live: Live, wire: Wire) -> None:
    wire.queued_ms = QUEUED_MS_MAX
    live.watch(NOW_S)
    wire.queued_ms = 0
    live.watch(NOW_S + STUCK_S_MAX)
    wire.queued_ms = QUEUED_MS_MAX
    live.watch(NOW_S + 2 * STUCK_S_MAX)
    assert not wire.given_up
    wire.last_heard_s = NOW_S + 2 * STUCK_S_MAX + 1
    live.watch(NOW_S + 2 * STUCK_S_MAX + 1)
    assert wire.given_up == ["the service takes no more audio"]


def test_silence_means_death_only_where_a_heartbeat_was_kept(live: Live, wire: Wire) -> None:
    """Not every model sends one, and a quiet room is no fault."""
    live.watch(NOW_S + SILENT_S_MAX + 1)
    assert not wire.given_up
    live.taken_ms = 50
    live.watch(NOW_S + SILENT_S_MAX)
    assert not wire.given_up
    live.watch(NOW_S + SILENT_S_MAX + 1)
    assert wire.given_up == ["the service has gone silent"]


def test_old_sound_without_a_turn_is_safe_and_with_an_open_one_is_not(live: Live) -> None:
    """What the service has not even received cannot have been heard."""
    for frame in frames(1_000, paced=True):
        live.clock.sent(frame)
    assert live.wordless_before_ms() is None
    live.taken_ms = 35_000
    assert live.wordless_before_ms() == 35_000 - WORDLESS_MS_MAX
    live.taken_ms = 60_000
    assert live.wordless_before_ms() == 50_000 - WORDLESS_MS_MAX
    live.has_partials = False
    assert live.wordless_before_ms() is None
    live.has_partials, live.turn_is_open = True, True
    assert live.wordless_before_ms() is None
