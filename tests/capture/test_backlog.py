import threading

from minuted.capture.backlog import Backlog
from minuted.messages import FRAME_BYTES, AudioFrame

WAIT_S = 20.0


def frame(number: int) -> AudioFrame:
    return AudioFrame(number=number, captured_at_ms=number * 50, pcm=bytes(FRAME_BYTES))


def numbers(backlog: Backlog) -> list[int]:
    taken = []
    while one := backlog.take(0):
        taken.append(one.number)
    return taken


def test_frames_leave_in_the_order_they_came():
    backlog = Backlog(3, when_full="drop")
    assert all(backlog.put(frame(number)) for number in range(3))
    assert len(backlog) == 3
    assert numbers(backlog) == [0, 1, 2]
    assert backlog.dropped == 0


def test_the_oldest_frames_go_first_when_a_microphone_cannot_wait():
    """People care most about what was just said, and what is lost is counted."""
    backlog = Backlog(2, when_full="drop")
    for number in range(5):
        backlog.put(frame(number))
    assert backlog.dropped == 3
    assert numbers(backlog) == [3, 4]


def test_a_recording_waits_for_room_and_loses_nothing():
    backlog = Backlog(2, when_full="wait")
    player = threading.Thread(target=lambda: [backlog.put(frame(number)) for number in range(50)])
    player.start()
    taken = []
    while len(taken) < 50:
        assert len(backlog) <= 2
        taken.append(backlog.take(WAIT_S).number)
    player.join()
    assert taken == list(range(50))
    assert backlog.dropped == 0


def test_an_end_releases_who_waits_and_leaves_what_is_there():
    """A stop must not hang because nobody takes the frames."""
    backlog = Backlog(1, when_full="wait")
    backlog.put(frame(0))
    answers = []
    player = threading.Thread(target=lambda: answers.append(backlog.put(frame(1))))
    player.start()
    backlog.end()
    player.join(WAIT_S)
    assert answers == [False]
    assert not backlog.is_drained
    assert numbers(backlog) == [0]
    assert backlog.is_drained


def test_taking_returns_at_once_when_no_more_will_come():
    backlog = Backlog(1, when_full="drop")
    backlog.end()
    assert backlog.take(3600) is None
    assert not backlog.put(frame(0))
