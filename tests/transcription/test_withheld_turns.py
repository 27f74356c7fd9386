"""A service that is alive and tells no words: it is noticed, and nothing is lost, doubled or moved."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from simulator import Service
from simulator.coded import compose
from simulator.oracle import HEADING, from_turns, judge

FIRST_MS = 1_000_000 * 50 + 7
SIGNS = "session_heartbeat = true\nacknowledge_silence = true\n"
"""Heartbeats, SpeechStarted and Silence go on all the while."""
PADDED_MS = 1000
"""The service puts a first word up to 990 ms too early."""


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    service: dict[str, Any]
    engine: str = ""
    session: str = SIGNS
    sound: dict[str, Any] = field(default_factory=dict)
    left: int = 1
    """Sessions that are left."""

    def __str__(self) -> str:
        return self.name


WITHHELD = [
    Case(name="announced", service={"withhold_s": (4.0, 22.0), "edge_padding": True}),
    Case(name="not announced", service={"withhold_s": (4.0, 22.0), "announces": False}),
    Case(
        name="without heartbeats",
        service={"withhold_s": (3.0, 14.0), "announces": False},
        session="",
        sound={"turns": 5},
    ),
    Case(
        # Within a long turn nothing is told, and nobody can know.
        name="without partials",
        service={"withhold_s": (3.0, 14.0)},
        session=f"{SIGNS}include_partial_turns = false\n",
        sound={"turns": 5},
        left=0,
    ),
    Case(
        name="one session at a time",
        service={"withhold_s": (3.0, 14.0)},
        engine="sessions_max = 1\n",
        sound={"turns": 5},
    ),
    Case(
        name="for longer than two sessions take",
        service={"withhold_s": (3.0, 30.0), "edge_padding": True, "announces": False},
        sound={"turns": 11},
    ),
]
DROPPED = [
    Case(name="announced", service={"drop_every": 7, "edge_padding": True}),
    Case(name="not announced", service={"drop_every": 7, "announces": False}),
    Case(
        name="short turns",
        service={"drop_every": 3, "edge_padding": True, "announces": False},
        sound={"words": (1, 3)},
    ),
    Case(
        name="short pauses",
        service={"drop_every": 3, "edge_padding": True, "announces": False},
        sound={"turn_pause_ms": (150, 400)},
    ),
    Case(name="without partials", service={"drop_every": 3}, session="include_partial_turns = false\n"),
    Case(
        name="an older model",
        service={"drop_every": 3},
        session='speech_model = "universal-streaming-english"\n',
    ),
    Case(name="one session at a time", service={"drop_every": 3}, engine="sessions_max = 1\n"),
]


def check(case: Case, recording: Any, room: Any) -> None:
    turns = [turn.to_map() for turn in (*room.finals, *room.gaps)]
    verdict = judge(recording.words, from_turns(turns, origin_ms=FIRST_MS))
    print(HEADING, verdict.row(case.name), room.session_events, sep="\n")
    # What is heard again behind comes when it is heard: its times tell where it belongs.
    verdict = replace(verdict, disordered=())
    assert verdict.is_perfect(PADDED_MS if case.service.get("edge_padding") else 50), verdict
    assert not room.gaps


@pytest.mark.parametrize("case", WITHHELD, ids=str)
def test_a_service_that_withholds_all_turns_for_a_while_costs_no_word(
    make_room: Callable, case: Case
) -> None:
    """A session that tells no words is left; what it was sent is heard again, behind what is live."""
    recording = compose(**{"turns": 9, **case.sound})
    with Service(heartbeat_s=1.0, **case.service) as service:
        room = make_room(service, f"{case.engine}[session]\n{case.session}")
        room.play(recording, in_real_time=True)
        room.end()
    check(case, recording, room)
    assert room.session_events.count("retrying") == case.left


@pytest.mark.parametrize("case", DROPPED, ids=str)
def test_a_service_that_drops_turns_costs_no_word(make_room: Callable, case: Case) -> None:
    """What is missing is heard again by a second session, and the live one goes on."""
    recording = compose(**{"turns": 15, "seed": 3, **case.sound})
    with Service(**case.service) as service:
        room = make_room(service, f"{case.engine}[session]\n{case.session}")
        room.play(recording)
        room.end()
        assert len(service.sessions) > 1
    check(case, recording, room)
    assert "retrying" not in room.session_events
    assert room.transcriber.status()["heard_again"] >= 1


def test_a_turn_that_comes_after_it_was_given_up_is_not_recorded_twice(make_room: Callable) -> None:
    """Its sound is being heard again when the service tells it after all."""
    recording = compose(4)
    with Service(drop_every=3) as service:
        room = make_room(service)
        room.play(recording)
        room.wait_for(lambda: room.transcriber.status()["heard_again"])
        late = {
            "type": "Turn",
            "turn_order": 2,
            "end_of_turn": True,
            "transcript": "too late",
            "words": [{"text": "too", "start": 0, "end": 100}, {"text": "late", "start": 100, "end": 200}],
        }
        service.fault("say", message=late, session=0)
        room.end()
    check(Case(name="late", service={}), recording, room)
