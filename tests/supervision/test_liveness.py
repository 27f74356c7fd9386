"""What counts as silence and what as a hang: tables; and a look at processes that answer."""

import os
import threading
import time

import pytest

from minuted.control import ControlServer
from minuted.supervision.liveness import (
    HUNG_CORE_S,
    HUNG_SINK_S,
    SINK_CALL_S_MAX,
    Seen,
    Watcher,
    is_hung,
    is_well,
    note,
)
from minuted.supervision.restarts import Kind

WAIT_S = 30


@pytest.mark.parametrize(
    ("silent_s", "elapsed_s", "answer", "then_s"),
    [
        (0.0, 2.0, {"loop_age_s": 0.1}, 0.1),
        (0.0, 2.0, None, 2.0),
        (6.0, 2.0, None, 8.0),
        (6.0, 2.0, {"loop_age_s": 0.1}, 0.1),
        (6.0, 2.0, {"loop_age_s": 8.1}, 8.0),
        (6.0, 2.0, {}, 0.0),
    ],
)
def test_a_loop_that_turns_ends_a_silence_and_an_answer_alone_does_not(silent_s, elapsed_s, answer, then_s):
    """The answer comes from another thread than the work."""
    assert note(Seen(1, silent_s), elapsed_s, answer).silent_s == then_s


def test_a_sink_s_process_tells_how_long_its_call_may_take():
    seen = note(Seen(1), 2.0, {"loop_age_s": 2.0, "busy_s": 2.0, "timeout_s": 60.0})
    assert (seen.at_work_s, seen.call_s_max) == (2.0, 60.0)
    assert note(seen, 2.0, None).call_s_max == 60.0


def test_a_pause_of_the_whole_machine_is_no_silence():
    """A laptop's lid, a migrated virtual machine: the first answer may still tell of a minute ago."""
    seen = note(Seen(1, 0.3), 3.0, {"loop_age_s": 60.0})
    assert not is_hung(seen, Kind.CORE)
    assert note(seen, 2.0, {"loop_age_s": 0.1}).silent_s == 0.1


@pytest.mark.parametrize(
    ("seen", "kind", "hung"),
    [
        (Seen(1, HUNG_CORE_S - 0.1), Kind.CORE, False),
        (Seen(1, HUNG_CORE_S), Kind.CORE, True),
        (Seen(1, HUNG_CORE_S), Kind.RESUMABLE, True),
        (Seen(1, HUNG_CORE_S), Kind.SINK, False),
        (Seen(1, HUNG_SINK_S), Kind.SINK, True),
        (Seen(1, HUNG_SINK_S, at_work_s=HUNG_SINK_S), Kind.SINK, False),
        # It ends itself at that time, unless none of its threads runs.
        (Seen(1, SINK_CALL_S_MAX, at_work_s=SINK_CALL_S_MAX), Kind.SINK, False),
        (Seen(1, SINK_CALL_S_MAX + HUNG_SINK_S, at_work_s=SINK_CALL_S_MAX), Kind.SINK, True),
        (Seen(1, 60.0 + HUNG_SINK_S, at_work_s=60.0, call_s_max=60.0), Kind.SINK, True),
        (Seen(1, 3600.0, at_work_s=3600.0, call_s_max=7200.0), Kind.SINK, False),
    ],
)
def test_a_sink_may_be_slower_than_what_the_room_hangs_on(seen, kind, hung):
    assert is_hung(seen, kind) == hung


def test_the_kill_loop_s_pauses_are_no_hang():
    """Processes are stopped for up to five seconds there, and must live."""
    assert HUNG_CORE_S >= 2 * 5.0


@pytest.mark.parametrize(
    ("silent_s", "looked_s", "well"),
    [(0.1, 2.0, True), (31.0, 2.0, False), (0.1, 31.0, False)],
)
def test_systemd_hears_of_a_core_process_that_stays_silent_and_of_a_watcher_that_hangs(
    silent_s, looked_s, well
):
    """By not hearing from us: then it starts everything afresh."""
    seen = {7: Seen(7, silent_s), 8: Seen(8, 1000.0)}
    assert is_well(seen, [7, 9], looked_s=looked_s, watchdog_s=30.0) == well


def test_the_watcher_knows_of_each_process_what_it_told_last(make_settings):
    settings = make_settings()
    looked = threading.Semaphore(0)
    control = ControlServer(settings.control_endpoint("capture"), {"status": lambda _: {"state": "hearing"}})
    pids = {"capture": os.getpid(), "transcription": 1}
    watcher = Watcher(settings, lambda: pids, looked.release, watchdog_s=0.2)
    watcher.start()
    for _ in range(2):
        assert looked.acquire(timeout=WAIT_S)
    assert watcher.statuses["capture"]["state"] == "hearing"
    assert watcher.seen.keys() == {os.getpid()}, "what never had a socket cannot be asked"
    assert watcher.looked_ago_s(time.monotonic()) < WAIT_S
    control.close()
    watcher.close()


def test_another_process_s_answer_is_not_taken_for_one_s_own(make_settings):
    """A successor may have taken the socket."""
    settings = make_settings()
    looked = threading.Semaphore(0)
    control = ControlServer(settings.control_endpoint("capture"), {"status": lambda _: {"state": "hearing"}})
    watcher = Watcher(settings, lambda: {"capture": 1}, looked.release, watchdog_s=0.2)
    watcher.start()
    while not watcher.seen.get(1, Seen(1)).silent_s:
        assert looked.acquire(timeout=WAIT_S)
    assert "capture" not in watcher.statuses
    control.close()
    watcher.close()
