"""The sender over a real socket, with sources that say just what a test wants."""

from collections.abc import Callable, Iterator

import pytest

from capture.scripted import FIRST, Run, Script
from minuted.bus import FramesOut
from minuted.capture.backlog import Backlog
from minuted.capture.microphone import MicrophoneError, NoDeviceError
from minuted.capture.outlets import Direct
from minuted.capture.sender import LOST
from minuted.messages import AudioEnd


@pytest.fixture
def send(configure) -> Iterator[Callable[..., Run]]:
    made: list[Run] = []

    def begin(source: Script, backlog: Backlog | None = None, *, stop_timeout_s: float = 1.0) -> Run:
        if backlog is None:
            backlog = Backlog(100_000, when_full="drop")
        endpoint = configure("").frames_endpoint
        made.append(Run(source, backlog, lambda _: Direct(FramesOut(endpoint)), stop_timeout_s))
        return made[-1]

    yield begin
    for run in made:
        run.stop.set()
        run.end()


def test_all_frames_arrive_in_order_and_then_the_end(send, receiver):
    run = send(Script(50))
    receiver.receive_until(lambda: receiver.end)
    assert run.end() == 0
    assert receiver.numbers == list(range(FIRST, FIRST + 50))
    assert receiver.end == AudioEnd(next_number=FIRST + 50, reason="drained")


def test_a_recording_waits_for_a_receiver_that_comes_late(send, configure, request):
    """Whoever starts first, the recording arrives whole."""
    run = send(Script(50), Backlog(5, when_full="wait"))
    run.wait_for(lambda: len(run.backlog) == 5)
    receiver = request.getfixturevalue("receiver")
    receiver.receive_until(lambda: receiver.end)
    assert run.end() == 0
    assert receiver.numbers == list(range(FIRST, FIRST + 50))


def test_what_a_slow_receiver_has_not_taken_yet_outlives_the_end_of_the_sound(send, receiver):
    """The sockets hold seconds of sound when the last frame is sent; leaving then would lose them."""
    run = send(Script(1000), Backlog(20, when_full="wait"))
    run.wait_for(lambda: run.sender.status()["queued"] == 20)
    assert run.exit_status is None
    receiver.receive_until(lambda: receiver.end)
    assert run.end() == 0
    assert receiver.numbers == list(range(FIRST, FIRST + 1000))


def test_a_microphone_never_waits_and_what_is_dropped_is_counted(send, request):
    run = send(Script(300, stays=True), Backlog(100, when_full="drop"))
    run.wait_for(lambda: run.sender.status()["dropped"])
    # One frame is in the sender's hand, and stays there.
    run.wait_for(lambda: run.sender.status()["dropped"] in (199, 200))
    receiver = request.getfixturevalue("receiver")
    receiver.receive_until(lambda: receiver.numbers[-1:] == [FIRST + 299])
    run.stop.set()
    receiver.receive_until(lambda: receiver.end)
    assert run.end() == 0
    assert len(receiver.numbers) + run.backlog.dropped == 300
    assert receiver.numbers[-100:] == list(range(FIRST + 200, FIRST + 300))


def test_a_stop_sends_what_was_heard_and_says_that_it_was_a_stop(send, receiver):
    run = send(Script(20, stays=True))
    receiver.receive_until(lambda: len(receiver.frames) == 20)
    run.stop.set()
    receiver.receive_until(lambda: receiver.end)
    assert run.end() == 0
    assert receiver.end == AudioEnd(next_number=FIRST + 20, reason="stopped")


def test_a_stop_does_not_wait_for_a_receiver_that_never_was_there(send):
    """Ctrl-C on a capture that runs alone must not hang for the whole of stop_timeout_s."""
    run = send(Script(20, stays=True), stop_timeout_s=3600)
    run.stop.set()
    assert run.end() == 1


def test_a_stop_waits_no_longer_than_it_may_for_a_receiver_that_takes_nothing(send, receiver):
    run = send(Script(2000, stays=True), stop_timeout_s=0.3)
    receiver.receive_until(lambda: receiver.frames)
    run.stop.set()
    assert run.end() == 1
    assert run.sender.is_stuck


def test_a_stop_at_the_end_of_a_recording_bounds_the_waiting_too(send, receiver):
    """Whoever asks a drained capture to stop does not want to wait for a receiver that hangs."""
    run = send(Script(600), stop_timeout_s=0.3)
    receiver.receive_until(lambda: receiver.frames)
    run.wait_for(lambda: run.sender.status()["state"] == "draining")
    run.stop.set()
    assert run.end() == 1


def test_a_microphone_that_stalls_sends_what_it_had_and_no_end(send, receiver):
    """To the transcription it is as if capture had crashed: the next one goes on."""
    source = Script(20, stays=True)
    run = send(source)
    receiver.receive_until(lambda: len(receiver.frames) == 20)
    source.broken = "no sound for 1.1 s"
    assert run.end() == LOST
    assert run.sender.is_stuck
    assert receiver.end is None


def test_a_microphone_that_fails_ends_the_process_as_failed(send, receiver):
    run = send(Script(20, error=MicrophoneError("gone")))
    receiver.receive_until(lambda: len(receiver.frames) == 20)
    assert run.end() == LOST
    assert receiver.end is None


def test_a_recording_that_fails_half_way_is_drained_and_counts_as_failed(send, receiver):
    run = send(Script(20, error=OSError("breaks off")))
    receiver.receive_until(lambda: receiver.end)
    assert run.end() == 1
    assert receiver.end == AudioEnd(next_number=FIRST + 20, reason="drained")


@pytest.mark.parametrize("error", [NoDeviceError("no such device"), KeyError("a mistake of ours")])
def test_other_errors_of_a_source_reach_whoever_started_it(send, error: Exception):
    run = send(Script(0, error=error))
    assert run.end() is None
    assert run.error is error


def test_the_status_tells_how_the_sound_fares(send, request):
    source = Script(30, stays=True)
    run = send(source, stop_timeout_s=0.1)
    run.wait_for(lambda: run.sender.status()["state"] == "waiting")
    receiver = request.getfixturevalue("receiver")
    receiver.receive_until(lambda: len(receiver.frames) == 30)
    source.overflows = 2
    run.wait_for(lambda: run.sender.status()["frames"] == 30)
    assert run.sender.status() == {
        "state": "hearing",
        "source": "script",
        "reason": "",
        "paused": False,
        "paused_until_ms": None,
        "frames": 30,
        "next_number": FIRST + 30,
        "queued": 0,
        "dropped": 0,
        "overflows": 2,
        "level_dbfs": -6.0,
        "own": 1,
    }


def test_waiting_for_a_device_is_a_state_with_its_reason(send):
    source = Script(0, stays=True)
    source.missing = "no input device"
    run = send(source)
    assert (run.sender.status()["state"], run.sender.status()["reason"]) == ("no-device", "no input device")
