from minuted.transcription.holes import LOST_FRAMES_MAX, LOST_QUIET_S, Hole, Losses


def lost(number: int, reason: str = "overflow") -> Hole:
    return Hole(number, number + 1, reason)


def test_frames_thrown_away_are_one_hole_when_the_loss_is_over() -> None:
    """A record a frame would bury the minutes."""
    losses = Losses()
    for number in range(10):
        losses.lose(lost(number), now_s=number * 0.05)
        assert losses.take(now_s=number * 0.05) is None
    assert losses.take(now_s=0.45 + LOST_QUIET_S) == Hole(0, 10, "overflow")
    assert losses.take(now_s=100.0) is None
    assert losses.frames == 10


def test_a_loss_that_goes_on_is_declared_now_and_then() -> None:
    """Whoever reads along must not learn of it only in the morning."""
    losses, found = Losses(), []
    for number in range(2 * LOST_FRAMES_MAX):
        losses.lose(lost(number), now_s=number * 0.05)
        if hole := losses.take(now_s=number * 0.05):
            found.append(hole)
    assert found == [
        Hole(0, LOST_FRAMES_MAX, "overflow"),
        Hole(LOST_FRAMES_MAX, 2 * LOST_FRAMES_MAX, "overflow"),
    ]


def test_what_was_heard_between_two_losses_is_in_neither() -> None:
    """An outage left two stretches behind, and the bound takes both at once."""
    losses = Losses()
    losses.lose(Hole(100, 200, "overflow"), 0.0)
    losses.lose(Hole(300, 350, "overflow"), 0.0)

    assert losses.take(0.0) == Hole(100, 200, "overflow")
    assert losses.take(0.0) is None, "this one may still grow"
    assert losses.take(LOST_QUIET_S) == Hole(300, 350, "overflow")
    assert losses.frames == 150


def test_a_loss_for_another_reason_is_another_hole() -> None:
    losses = Losses()
    losses.lose(Hole(100, 200, "restart"), 0.0)
    losses.lose(Hole(200, 300, "overflow"), 1.0)

    assert losses.take(LOST_QUIET_S) == Hole(100, 200, "restart")
    assert losses.take(1.0 + LOST_QUIET_S) == Hole(200, 300, "overflow")
