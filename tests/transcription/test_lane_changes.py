"""What people change, in a lane: where its turn is ended for a meeting, and what is not missed any more."""

from array import array
from collections.abc import Callable

import pytest

from minuted.messages import FRAME_MS, FRAME_SAMPLES, AudioFrame
from minuted.session_settings import StreamingSession
from minuted.transcription.changes import told
from minuted.transcription.lane import SILENT_S_MAX, Lane
from transcription.test_lane import FIRST, NOW_S, Stored, Wire, make_lane, stored, wire

__all__ = ["make_lane", "wire"]


class Ended(Wire):
    """Notes how much had been sent when a turn was ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ended_at: list[int] = []

    def force_endpoint(self) -> None:
        self.ended_at.append(FIRST + len(self.sent))


def sound(pattern: str) -> Stored:
    """Give frames from FIRST on: # is speech, . is a pause."""
    return Stored(
        [
            AudioFrame(
                number=FIRST + place,
                captured_at_ms=0,
                pcm=array("h", [3000 if each == "#" else 10] * FRAME_SAMPLES).tobytes(),
                paced=False,
            )
            for place, each in enumerate(pattern)
        ]
    )


@pytest.mark.parametrize(
    ("pattern", "cuts", "ended_at"),
    [
        ("..####..####..", [4], [8]),
        ("..####..####..", [7], [8]),
        ("..####.#####..", [4], [14]),
        ("....", [2], [2]),
        (".." + "#" * 40, [4], [25]),
        ("..####..####..", [4, 10], [8, 14]),
        ("..####..####..", [3, 5], [8]),
        ("..####..", [-3, 0, 20], []),
    ],
    ids=["in a word", "in a pause", "too short", "quiet", "no pause", "two", "two in one", "elsewhere"],
)
def test_a_turn_is_ended_once_in_the_first_pause_after_a_cut(
    pattern: str, cuts: list[int], ended_at: list[int]
) -> None:
    """Exactly there, though all of the sound is sent at once."""
    session = Ended()
    lane = Lane(1, session, sound(pattern), is_live=True, has_partials=True)  # type: ignore[arg-type]
    lane.cuts = [FIRST + cut for cut in cuts]
    lane.send(None, NOW_S)
    assert session.ended_at == [FIRST + at for at in ended_at]


def test_a_heartbeat_that_was_switched_off_is_not_missed(make_lane: Callable[..., Lane], wire: Wire) -> None:
    """Otherwise the session would be given up every seven seconds."""
    lane = make_lane(stored(1), keeps_heartbeat=True)
    lane.send(None, NOW_S)
    lane.taken_ms = FRAME_MS
    lane.told = told(StreamingSession(session_heartbeat=False))
    lane.watch(NOW_S + SILENT_S_MAX + 1)
    assert wire.given_up == []
    lane.told = told(StreamingSession())
    lane.watch(NOW_S + SILENT_S_MAX + 1)
    assert wire.given_up == ["the service has gone silent"]
