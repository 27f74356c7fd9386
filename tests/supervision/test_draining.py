"""How long a stop waits, and what it says of what is left: tables, no processes."""

import pytest

from minuted.supervision.draining import Step, Stop, bound_s, progress, shortfall, step_of


@pytest.mark.parametrize(
    ("stage", "step"),
    [
        ("capture", Step.CAPTURE),
        ("delivery/webhook", Step.SINKS),
        ("transcription", Step.TRANSCRIPTION),
        ("engine", Step.ENGINE),
    ],
)
def test_each_stage_has_its_step(stage, step):
    assert step_of(stage) is step


def test_a_stop_that_was_asked_for_ends_within_its_time():
    """systemd kills what takes longer, and a person stops waiting."""
    steps = [step for step in Step if step is not Step.DONE]
    bounds = [bound_s(step, 20, began_s=100, moved_s=119, asked=True) for step in steps]
    assert bounds == sorted(bounds)
    assert bounds[0] == 105
    assert bounds[-1] == 120


def test_a_recording_s_end_waits_as_long_as_something_moves():
    """An hour played fast may take the engine minutes more."""
    assert bound_s(Step.DRAIN, 20, began_s=0, moved_s=500, asked=False) == 520


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        ({"transcription": {"backlog_s": 5.0}}, {"transcription": {"backlog_s": 4.0}}, True),
        ({"transcription": {"held_s": 5.0}}, {"transcription": {"held_s": 4.0}}, True),
        ({"transcription": {"last_seq": 5}}, {"transcription": {"last_seq": 6}}, True),
        ({"delivery/webhook": {"seq": 5}}, {"delivery/webhook": {"seq": 6}}, True),
        ({"delivery/webhook": {"retries": 5}}, {"delivery/webhook": {"retries": 6}}, False),
        ({"transcription": {"uptime_s": 5}}, {"transcription": {"uptime_s": 6}}, False),
    ],
)
def test_progress_is_what_gets_done_and_not_what_is_tried(before, after, moved):
    assert (progress(before) != progress(after)) == moved


@pytest.mark.parametrize(
    ("stage", "status", "text"),
    [
        ("delivery/webhook", {"lag": 1}, "webhook is 1 turn behind (killed)"),
        (
            "delivery/webhook",
            {"lag": 12, "last_error": "connection refused"},
            "webhook is 12 turns behind (connection refused)",
        ),
        (
            "transcription",
            {"backlog_s": 0.0, "held_s": 41.6},
            "transcription has 42 s of sound left (killed)",
        ),
        ("capture", {}, "capture did not finish (killed)"),
    ],
)
def test_what_is_left_is_said_in_a_few_words(stage, status, text):
    assert shortfall(stage, status, "killed") == text


def test_a_reason_is_not_told_twice():
    text = shortfall("delivery/x", {"reason": "needs 'y'"}, "failed to load: needs 'y'")
    assert text == "x did not finish (failed to load: needs 'y')"


def test_one_shortfall_is_one_sentence(make_settings):
    """A transcription that was not drained in time also ends with a failure."""
    stop = Stop(make_settings(), [], now_s=0.0, asked=True, wake=lambda: None)
    stop._fall_short("transcription", "not drained")
    stop._fall_short("transcription", "not drained")
    stop.close()
    assert stop.shortfalls == ["transcription did not finish (not drained)"]
