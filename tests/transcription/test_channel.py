"""One source's way to records: when it has had all there is."""

from collections.abc import Callable

from simulator import Service
from simulator.coded import compose

RECORDING = compose(1)


def test_a_drain_does_not_wait_for_a_capture_that_was_killed(make_room: Callable) -> None:
    """It has said no end, and never will: what it sent is heard, and the stop goes on."""
    with Service() as service:
        room = make_room(service)
        room.play(RECORDING)
        room.transcriber.drain()
        room.wait_for(lambda: "drained" in room.session_events)
    assert room.words == [word.text for word in RECORDING.words]


def test_a_channel_tells_what_its_session_does(make_room: Callable) -> None:
    """What `minuted status` shows of it."""
    with Service() as service:
        room = make_room(service)
        room.play(RECORDING)
        room.wait_for(lambda: room.transcriber.status()["finals"])
        told = room.transcriber.status()
        assert (told["state"], told["sessions"], told["finals"]) == ("live", 1, 1)
        assert "channels" not in told
        room.end()
    assert room.transcriber.status()["held_s"] == 0.0
