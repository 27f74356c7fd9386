from minuted.messages import FRAME_BYTES, AudioFrame
from minuted.transcription.holes import LOST_FRAMES_MAX, LOST_QUIET_S, Hole, Holes


def frame(number: int) -> AudioFrame:
    return AudioFrame(number=number, captured_at_ms=number * 50, pcm=bytes(FRAME_BYTES))


def test_a_jump_in_the_numbers_is_a_hole() -> None:
    """Capture was away: what was said meanwhile was never sampled."""
    holes = Holes()
    assert [holes.come(number) for number in (100, 101, 110, 111)] == [
        None,
        None,
        Hole(102, 110, "not-captured"),
        None,
    ]


def test_what_follows_an_end_in_order_is_no_hole() -> None:
    """minuted was stopped for the night: nothing was promised for it."""
    holes = Holes()
    holes.come(100)
    holes.end()
    assert holes.come(900) is None


def test_frames_thrown_away_are_one_hole_when_the_loss_is_over() -> None:
    """A record a frame would bury the minutes."""
    holes = Holes()
    for number in range(10):
        holes.lose(frame(number), now_s=number * 0.05)
        assert holes.take(now_s=number * 0.05) is None
    assert holes.take(now_s=0.45 + LOST_QUIET_S) == Hole(0, 10, "overflow")
    assert holes.take(now_s=100.0) is None


def test_a_loss_that_goes_on_is_declared_now_and_then() -> None:
    """Whoever reads along must not learn of it only in the morning."""
    holes, found = Holes(), []
    for number in range(2 * LOST_FRAMES_MAX):
        holes.lose(frame(number), now_s=number * 0.05)
        if hole := holes.take(now_s=number * 0.05):
            found.append(hole)
    assert found == [
        Hole(0, LOST_FRAMES_MAX, "overflow"),
        Hole(LOST_FRAMES_MAX, 2 * LOST_FRAMES_MAX, "overflow"),
    ]
