from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from minuted.messages import FRAME_BYTES, FRAME_MS, AudioFrame
from minuted.transcription.lane import (
    LEVELS_MAX,
    SESSION_S_MAX,
    STUCK_S_MAX,
    WORDLESS_MS_MAX,
    Lane,
)
from minuted.transcription.pace import BURST_MS, LEAD_MS_MAX
from minuted.transcription.progress import SILENT_FRAMES, SILENT_S_MAX, STALL_FRAMES
from minuted.transcription.session import QUEUED_MS_MAX

NOW_S = 1e9
"""Far from any real clock: what is decided depends on the argument alone."""
FIRST = 1000


class Wire:
    """What a Lane needs of a session, whose real ones are in test_session.py."""

    def __init__(self) -> None:
        self.queued_ms = 0
        self.last_heard_s = NOW_S
        self.sent: list[bytes] = []
        self.given_up: list[str] = []
        self.terminated = 0

    def send(self, pcm: bytes) -> None:
        self.sent.append(pcm)

    def watch(self, _now_s: float) -> None:
        """Nothing to notice."""

    def give_up(self, reason: str) -> None:
        self.given_up.append(reason)

    def terminate(self) -> None:
        self.terminated += 1


class Stored:
    """Frames that are all there."""

    def __init__(self, frames: list[AudioFrame]) -> None:
        self.frames = frames
        self.is_closed = False

    def peek(self) -> AudioFrame | None:
        return self.frames[0] if self.frames else None

    def advance(self) -> None:
        del self.frames[0]

    def close(self) -> None:
        self.is_closed = True


def frame(number: int, *, paced: bool = True) -> AudioFrame:
    pcm = number.to_bytes(2, "little") * (FRAME_BYTES // 2)
    return AudioFrame(number=number, captured_at_ms=number * FRAME_MS, pcm=pcm, paced=paced)


def stored(count: int, *, paced: bool = True, first: int = FIRST) -> Stored:
    return Stored([frame(number, paced=paced) for number in range(first, first + count)])


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def make_lane(wire: Wire) -> Callable[..., Lane]:
    """Make a lane whose session has begun."""

    def make(frames: Stored, *, has_partials: bool = True, **known: Any) -> Lane:
        session: Any = wire
        lane = Lane(1, session, frames, is_live=True, has_partials=has_partials, **known)
        turns: Any = object()
        lane.begin(turns, "a-model", 600.0, NOW_S)
        return lane

    return make


# What is sent.


def test_a_range_is_sent_up_to_its_end(make_lane: Callable[..., Lane], wire: Wire) -> None:
    """What comes after it is another session's."""
    lane = make_lane(stored(10, paced=False))
    assert (lane.sent_before, lane.has_sent_all) == (0, False)
    lane.send(FIRST + 6, NOW_S)

    assert wire.sent == [frame(number).pcm for number in range(FIRST, FIRST + 6)]
    assert (lane.sent_before, lane.has_sent_all) == (FIRST + 6, True)
    assert lane.clock.sent_ms == 6 * FRAME_MS
    assert [level.number for level in lane.levels] == list(range(FIRST, FIRST + 6))


def test_live_sound_is_never_all(make_lane: Callable[..., Lane]) -> None:
    lane = make_lane(stored(3, paced=False))
    lane.send(None, NOW_S)

    assert (lane.sent_before, lane.has_sent_all) == (FIRST + 3, False)


def test_what_pace_holds_back_is_not_all_of_a_range(make_lane: Callable[..., Lane], wire: Wire) -> None:
    """Faster than 1.2 times real time the service ends a session."""
    lane = make_lane(stored(100))
    lane.send(FIRST + 100, NOW_S)
    assert (len(wire.sent), lane.has_sent_all) == (BURST_MS // FRAME_MS, False)
    for step in range(1, 41):
        lane.send(FIRST + 100, NOW_S + step * 0.1)
    assert len(wire.sent) == BURST_MS // FRAME_MS + 96 - 10 + 4
    assert lane.has_sent_all


def test_levels_are_remembered_for_two_minutes(make_lane: Callable[..., Lane], wire: Wire) -> None:
    lane = make_lane(stored(LEVELS_MAX + 10))
    for step in range(LEVELS_MAX + 10):
        lane.send(None, NOW_S + step * 0.05)

    assert len(wire.sent) == LEVELS_MAX + 10
    assert [lane.levels[0].number, lane.sent_before] == [FIRST + 10, FIRST + LEVELS_MAX + 10]


def test_an_unpaced_recording_keeps_a_bounded_lead_over_what_the_engine_has_taken(
    make_lane: Callable[..., Lane], wire: Wire
) -> None:
    """The engine ends a session that is a minute ahead of it."""
    lane = make_lane(stored(3_000, paced=False))
    lane.taken_ms = 5_000
    lane.send(None, NOW_S)
    assert len(wire.sent) * FRAME_MS == lane.taken_ms + LEAD_MS_MAX
    lane.taken_ms += 1_000
    lane.send(None, NOW_S)
    assert len(wire.sent) * FRAME_MS == lane.taken_ms + LEAD_MS_MAX


def test_an_engine_that_tells_nothing_gets_the_rest_at_a_careful_pace(
    make_lane: Callable[..., Lane], wire: Wire
) -> None:
    """Waiting for its word would be waiting for ever."""
    lane = make_lane(stored(2_000, paced=False))
    for step in range(1_200):
        lane.send(None, NOW_S + step * 0.05)
    assert len(wire.sent) == 2_000


def test_nothing_is_put_into_a_full_queue(make_lane: Callable[..., Lane], wire: Wire) -> None:
    """The SDK's queue has no bound of its own, and what is in it is lost with the link."""
    wire.queued_ms = QUEUED_MS_MAX
    lane = make_lane(stored(1))
    lane.send(FIRST + 1, NOW_S)
    assert not wire.sent
    assert not lane.has_sent_all


def test_another_stretch_may_be_chosen_before_the_first_frame_only(
    make_lane: Callable[..., Lane], wire: Wire
) -> None:
    """Its session's time begins with the first frame."""
    first, other = stored(3), stored(3, first=2 * FIRST)
    lane = make_lane(first)
    lane.start_at(7, other)
    lane.send(None, NOW_S)

    assert first.is_closed
    assert (lane.range_id, lane.sent_before) == (7, 2 * FIRST + 3)
    with pytest.raises(AssertionError):
        lane.start_at(8, stored(1))
    lane.close()
    assert other.is_closed


def test_terminate_is_asked_for_once(make_lane: Callable[..., Lane], wire: Wire) -> None:
    lane = make_lane(stored(0))
    lane.terminate()
    lane.terminate()

    assert (lane.is_terminating, wire.terminated) == (True, 1)


@pytest.mark.parametrize(
    ("told_s", "believed_s"),
    [
        (600, 600),
        (60, 60),
        (59, SESSION_S_MAX),
        (0, SESSION_S_MAX),
        (-5, SESSION_S_MAX),
        (10**9, SESSION_S_MAX),
    ],
)
def test_a_wrong_clock_makes_no_session_expire_at_once(
    make_lane: Callable[..., Lane], told_s: float, believed_s: float
) -> None:
    """The service tells the time of day; this machine's may be years off."""
    lane = make_lane(stored(0), session_s_min=60.0)
    turns: Any = object()
    lane.begin(turns, "a-model", told_s, NOW_S)

    assert lane.expires_s == NOW_S + believed_s


# When it is dead.


def test_a_queue_that_stays_full_is_a_dead_link(make_lane: Callable[..., Lane], wire: Wire) -> None:
    lane = make_lane(stored(0))
    wire.queued_ms = QUEUED_MS_MAX
    lane.watch(NOW_S)
    wire.queued_ms = 0
    lane.watch(NOW_S + STUCK_S_MAX)
    wire.queued_ms = QUEUED_MS_MAX
    lane.watch(NOW_S + 2 * STUCK_S_MAX)
    assert not wire.given_up
    wire.last_heard_s = NOW_S + 2 * STUCK_S_MAX + 1
    lane.watch(NOW_S + 2 * STUCK_S_MAX + 1)
    assert wire.given_up == ["the service takes no more audio"]


def test_silence_means_death_only_where_a_heartbeat_was_kept(
    make_lane: Callable[..., Lane], wire: Wire
) -> None:
    """Not every model sends one, and a quiet room is no fault."""
    lane = make_lane(stored(0))
    lane.watch(NOW_S + SILENT_S_MAX + 1)
    assert not wire.given_up
    lane.taken_ms = 50
    lane.watch(NOW_S + SILENT_S_MAX)
    assert not wire.given_up
    lane.watch(NOW_S + SILENT_S_MAX + 1)
    assert wire.given_up == ["the service has gone silent"]


def test_a_service_that_is_dead_is_noticed_within_the_eight_seconds_that_are_promised(
    make_lane: Callable[..., Lane], wire: Wire
) -> None:
    """Each second longer is a second of captions that do not move."""
    lane = make_lane(stored(0))
    lane.taken_ms = 50
    lane.watch(NOW_S + 8)
    assert wire.given_up == ["the service has gone silent"]


# What is safe without a turn.


def test_old_sound_without_a_turn_is_safe_and_with_an_open_one_is_not(make_lane: Callable[..., Lane]) -> None:
    """What the service has not even received cannot have been heard."""
    lane = make_lane(stored(0))
    for number in range(FIRST, FIRST + 1_000):
        lane.clock.sent(frame(number))
    begins_ms = FIRST * FRAME_MS
    assert lane.wordless_before_ms() is None
    lane.taken_ms = 35_000
    assert lane.wordless_before_ms() == begins_ms + 35_000 - WORDLESS_MS_MAX
    lane.taken_ms = 60_000
    assert lane.wordless_before_ms() == begins_ms + 50_000 - WORDLESS_MS_MAX
    lane.turn_is_open = True
    assert lane.wordless_before_ms() is None


def test_without_partials_nobody_knows_that_nobody_speaks(make_lane: Callable[..., Lane]) -> None:
    lane = make_lane(stored(0), has_partials=False)
    for number in range(1_000):
        lane.clock.sent(frame(number))
    lane.taken_ms = 50_000

    assert lane.wordless_before_ms() is None


def test_a_service_that_kept_heartbeats_before_is_dead_without_its_first(
    make_lane: Callable[..., Lane], wire: Wire
) -> None:
    """It may stall between Begin and the first heartbeat; before any sound there need be none."""
    lane = make_lane(stored(1), keeps_heartbeat=True)
    lane.watch(NOW_S + SILENT_S_MAX + 1)
    assert wire.given_up == []
    lane.send(None, NOW_S)
    lane.watch(NOW_S + SILENT_S_MAX)
    assert wire.given_up == []
    lane.watch(NOW_S + SILENT_S_MAX + 0.1)

    assert wire.given_up == ["the service has gone silent"]


def said(loud: int, quiet: int = 10) -> Stored:
    """A quiet moment and then speech, by its loudness."""
    frames = stored(quiet + loud, paced=False).frames
    hush, shout = bytes(FRAME_BYTES), b"\x00\x20" * (FRAME_BYTES // 2)
    return Stored([replace(each, pcm=hush if place < quiet else shout) for place, each in enumerate(frames)])


@pytest.mark.parametrize(
    ("loud", "silent_s", "known", "is_stalled"),
    [
        (SILENT_FRAMES, SILENT_S_MAX + 0.1, {}, True),
        (SILENT_FRAMES, SILENT_S_MAX - 0.1, {}, False),
        (SILENT_FRAMES - 1, SILENT_S_MAX + 0.1, {}, False),
        (STALL_FRAMES, 0.0, {}, True),
        (STALL_FRAMES - 1, 0.0, {}, False),
        (STALL_FRAMES, 0.0, {"has_partials": False}, False),
    ],
    ids=["silent", "silent for a moment", "little was said", "signs of life", "less was said", "no partials"],
)
def test_a_session_that_tells_nothing_of_what_is_said_has_stalled(
    make_lane: Callable[..., Lane],
    wire: Wire,
    loud: int,
    silent_s: float,
    known: dict[str, bool],
    is_stalled: bool,
) -> None:
    """A heartbeat is a sign of life, not progress."""
    lane = make_lane(said(loud), **known)
    lane.send(None, NOW_S)
    wire.last_heard_s = NOW_S + 8 - silent_s

    assert lane.is_stalled(NOW_S + 8) is is_stalled


def test_a_session_that_begins_within_a_word_holds_the_mark_before_it(make_lane: Callable[..., Lane]) -> None:
    """How quiet the room is shows only behind the word: until then nothing is louder than the rest."""
    frames = said(8, quiet=0).frames + stored(12, paced=False, first=FIRST + 8).frames
    lane = make_lane(
        Stored(
            [replace(each, pcm=bytes(FRAME_BYTES)) if each.number >= FIRST + 8 else each for each in frames]
        )
    )
    lane.send(None, NOW_S)

    hold = lane.progress.hold_before()
    assert hold is not None
    assert hold <= FIRST
