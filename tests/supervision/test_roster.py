"""Who is in a run, and what a change makes of them: no processes are started."""

import pytest

from minuted.config import Capture, Settings, SinkTable
from minuted.supervision.plans import Plan
from minuted.supervision.restarts import History
from minuted.supervision.roster import WELL, Roster

SETTINGS = Settings(sinks={"webhook": SinkTable()})
STAGES = {name: ["true", name] for name in ("transcription", "delivery/webhook", "capture")}


@pytest.fixture
def roster():
    return Roster(SETTINGS, lambda _: STAGES)


def become(roster, **states):
    for child in roster:
        child.become(states.get(child.name.removeprefix("delivery/"), "ready"))


def test_sound_waits_for_words_and_a_little_for_sinks(roster):
    become(roster, transcription="starting")
    assert not roster.may_listen(patient=False)
    become(roster, webhook="starting")
    assert not roster.may_listen(patient=True)
    assert roster.may_listen(patient=False)
    become(roster, webhook="failed")
    assert roster.may_listen(patient=True)


@pytest.mark.parametrize(
    ("state", "exit_status", "trouble", "ready"),
    [
        ("ready", None, "", True),
        ("starting", None, "", False),
        ("backoff", 1, "the sound system has not answered for 10 s", True),
        ("backoff", 1, "exit status 1", False),
        ("backoff", -11, "killed by SIGSEGV", False),
    ],
)
def test_a_run_is_ready_when_sound_comes_or_its_absence_is_declared(
    roster, state, exit_status, trouble, ready
):
    become(roster, webhook="starting", capture=state)
    capture = next(child for child in roster if child.name == "capture")
    capture.exit_status, capture.trouble = exit_status, trouble
    assert roster.may_be_called_ready() == ready


def test_a_run_is_not_ready_without_its_words(roster):
    become(roster, transcription="backoff")
    assert not roster.may_be_called_ready()


def test_what_a_plan_touches_begins_anew_without_a_past(roster):
    """Its crashes were those of another configuration."""
    become(roster, webhook="failed")
    sink = roster.sinks[0]
    sink.history = History(failures=9)
    starts = roster.change(SETTINGS, STAGES, Plan(restarted=("delivery/webhook",)), now_s=0.0)
    assert starts == {"delivery/webhook": 0}
    assert (sink.state, sink.history) == ("waiting", History())
    assert roster.how("delivery/webhook", 0) == ""
    sink.starts = 1
    sink.become("ready")
    assert roster.how("delivery/webhook", 0) == WELL


def test_what_comes_and_goes_is_in_the_roster_and_out_of_it(roster):
    new = Settings(capture=Capture(device="Jabra"), sinks={"srt": SinkTable()})
    stages = {"transcription": ["t"], "delivery/srt": ["s"], "capture": ["c"]}
    roster.change(new, stages, Plan(added=("delivery/srt",), removed=("delivery/webhook",)), now_s=0.0)
    assert {child.name for child in roster} == stages.keys()
    assert roster.settings is new
    assert next(child for child in roster if child.name == "capture").command == ("c",)
    assert roster.how("delivery/webhook", 0) == WELL


def test_a_sink_that_fails_is_tried_again_at_a_reload(roster):
    become(roster, webhook="failed", transcription="backoff")
    assert roster.unwell() == {"delivery/webhook"}
