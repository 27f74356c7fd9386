"""What people change while it runs, against the engine on this machine: the real recogniser, real speech."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from engine.conftest import silence
from simulator.coded import Recording
from transcription.conftest import Room
from transcription.test_changing import wish

CONFIG = """
[engine]
service = "local"
url = "@url"
[session]
min_turn_silence = 100
max_turn_silence = 400
"""


@pytest.fixture
def room(engine: Any, make_settings: Callable) -> Iterator[Room]:
    made = Room(make_settings(CONFIG.replace("@url", engine.url)))
    yield made
    made.close()


def test_the_silence_that_ends_a_turn_changes_in_the_middle_and_an_endpoint_ends_it_at_once(
    room: Room, speech: Callable[..., bytes]
) -> None:
    """A pause of a second and a half: first it ends the turn, then it does not."""
    pause = silence(1.5)
    room.play(Recording(speech(0.8, 5) + pause, ()))
    room.wait_for(lambda: room.finals)

    found = wish(room, set={"min_turn_silence": 10_000, "max_turn_silence": 10_000})["configured"]
    assert found["live"] == ["min_turn_silence", "max_turn_silence"]
    before = len(room.finals)
    both = Recording(speech(5, 9.5) + pause + speech(9.5, 14) + pause, ())
    room.play(both)
    room.wait_for(lambda: room.transcriber.status()["held_s"] >= both.duration_ms / 1000)
    room.wait_for(
        lambda: room.partials and room.partials[-1].end_ms - room.partials[-1].start_ms > 4500 + 1500
    )
    assert len(room.finals) == before

    room.transcriber.force_endpoint()
    room.wait_for(lambda: len(room.finals) == before + 1)
    assert {"wisdom", "foolishness"} <= {word.strip(".,").lower() for word in room.finals[-1].text.split()}
    room.end()


def test_what_the_engine_does_not_have_is_refused_and_a_meeting_is_begun_by_hand(
    room: Room, speech: Callable[..., bytes]
) -> None:
    """Key terms that nobody listens for must not seem to hold; meetings are ours alone."""
    refused = wish(room, set={"keyterms_prompt": ["wisdom"], "max_turn_silence": 2000})
    assert refused["error"].startswith("keyterms_prompt: the local engine takes no change of it")
    assert room.transcriber.status()["settings"]["changed"] == {}

    room.play(Recording(speech(0.8, 5) + silence(1.5), ()))
    room.wait_for(lambda: room.finals)
    wish(room, "meeting", action="start", title="Two cities")
    room.play(Recording(speech(5, 9) + silence(1.5), ()))
    room.end()
    titles = [turn.meeting_title for turn in room.finals]
    assert titles[0] is None
    assert titles[-1] == "Two cities"
    assert titles == sorted(titles, key=lambda title: title is not None)
