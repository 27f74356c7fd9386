"""The supervisor over real processes that do as a test tells them (fake_stage.py)."""

import json
import os
import signal
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from minuted.control import ask, status_of
from minuted.supervision.supervisor import TWICE_S
from supervision.run import WAIT_S, starting
from waiting import until


@pytest.fixture
def run(runtime_dir):
    with starting(runtime_dir) as start:
        yield start


QUICK = {"restart_wait_s_max": 0.05}
ROOM = {"transcription": {}, "delivery/file_log": {}, "delivery/webhook": {}, "capture": {}}


def test_a_run_starts_and_stops_in_order(run):
    """Sound starts last and stops first: else there is nobody to take the first and the last words."""
    room = run({"engine": {}, **ROOM})
    room.wait_until_ready()
    assert room.events("start")[-1] == "capture start"
    room.process.terminate()
    assert room.end() == {"status": 0, "reason": ""}
    ends = room.events("stop", "drain")
    assert ends[:2] == ["capture stop", "transcription drain"]
    assert set(ends[2:4]) == {"delivery/file_log stop", "delivery/webhook stop"}
    assert ends[4:] == ["transcription stop", "engine stop"]


def test_capture_does_not_wait_for_a_sink_that_fails(run):
    room = run({**ROOM, "delivery/webhook": {"exits": [1] * 50, "status": "failed to load: no module"}})
    room.wait_for(
        lambda stages: (
            stages["capture"]["state"] == "ready"
            and stages["delivery/webhook"]["state"] == "failed to load"
            # Empty for the moment in which it is started again.
            and stages["delivery/webhook"]["status"] == "failed to load: no module"
        )
    )
    room.process.terminate()
    outcome = room.end()
    assert outcome["status"] == 1
    assert "webhook did not finish (failed to load: no module)" in outcome["reason"]


def test_capture_waits_for_a_slow_sink_within_a_bound(run):
    room = run({**ROOM, "delivery/webhook": {"mute": True}}, bounds={"sinks_wait_s_max": 0.3})
    stages = room.wait_for(lambda stages: stages["capture"]["state"] == "ready")
    assert stages["delivery/webhook"]["state"] == "starting"
    room.process.terminate()
    assert room.end()["status"] == 0


def test_a_killed_sink_comes_back_and_disturbs_nobody(run):
    room = run(ROOM)
    before = room.wait_until_ready()
    os.kill(before["delivery/webhook"]["pid"], signal.SIGKILL)
    after = room.wait_for(
        lambda stages: (
            stages["delivery/webhook"]["restarts"] == 1 and stages["delivery/webhook"]["state"] == "ready"
        )
    )
    assert after["delivery/webhook"]["exit_status"] == -9
    assert after["delivery/webhook"]["pid"] != before["delivery/webhook"]["pid"]
    for stage in ("capture", "transcription", "delivery/file_log"):
        assert after[stage]["pid"] == before[stage]["pid"]
    room.process.terminate()
    assert room.end()["status"] == 0


def test_a_crashing_sink_is_started_again_more_and_more_slowly(run):
    room = run({**ROOM, "delivery/webhook": {"exits": [1] * 3}})
    stages = room.wait_until_ready()
    assert stages["delivery/webhook"]["restarts"] == 3
    pauses_s = [line["restart_in_s"] for line in room.logged("ended")]
    assert pauses_s == sorted(pauses_s)
    room.process.terminate()
    assert room.end()["status"] == 0


def test_a_killed_core_process_comes_back(run):
    room = run(ROOM)
    before = room.wait_until_ready()
    for stage in ("transcription", "capture"):
        os.kill(before[stage]["pid"], signal.SIGKILL)
    room.wait_for(
        lambda stages: (
            all(stages[stage]["restarts"] == 1 for stage in ("transcription", "capture"))
            and all(stage["state"] == "ready" for stage in stages.values())
        )
    )
    room.process.terminate()
    assert room.end()["status"] == 0


def test_five_crashes_of_a_core_process_in_a_minute_end_the_run(run):
    """systemd then starts everything afresh, which is more than we can do."""
    room = run({**ROOM, "transcription": {"exits": [-11] * 20}}, bounds=QUICK)
    outcome = room.end()
    assert outcome["status"] == 1
    assert outcome["reason"] == "transcription crashed again and again: killed by SIGSEGV"
    assert room.events("start").count("transcription start") == 5
    assert "capture start" not in room.events()


def test_bad_configuration_at_the_start_ends_the_run_with_its_reason(run):
    room = run({**ROOM, "delivery/webhook": {"exits": [78], "status": "bad configuration: no url"}})
    assert room.end() == {"status": 78, "reason": "no url"}
    assert "capture start" not in room.events()


def test_a_sink_misconfigured_later_stays_down_and_the_room_goes_on(run):
    room = run({**ROOM, "delivery/webhook": {"exits": [None, 78]}})
    os.kill(room.wait_until_ready()["delivery/webhook"]["pid"], signal.SIGKILL)
    stages = room.wait_for(lambda stages: stages["delivery/webhook"]["state"] == "failed")
    assert stages["capture"]["state"] == "ready"
    assert status_of(room.settings, "supervisor")["state"] == "degraded"
    room.process.terminate()
    assert room.end()["status"] == 1


def test_a_microphone_that_is_missing_later_is_waited_for(run):
    """It was unplugged; the room is not left alone for that."""
    room = run({**ROOM, "capture": {"exits": [None, *[78] * 50]}}, bounds=QUICK)
    os.kill(room.wait_until_ready()["capture"]["pid"], signal.SIGKILL)
    room.wait_for(lambda stages: stages["capture"]["restarts"] >= 6)
    room.process.terminate()
    assert room.end()["status"] == 0


def test_a_recording_s_end_drains_the_run(run):
    room = run({**ROOM, "capture": {"over": 0}}, source="x.wav")
    assert room.end() == {"status": 0, "reason": ""}
    assert room.events("drain", "over") == ["capture over", "transcription drain"]


def test_a_recording_that_breaks_off_drains_and_fails(run):
    """What was heard is delivered; it is not played again, as its words would come twice."""
    room = run({**ROOM, "capture": {"over": 1, "ready": "no more sound"}}, source="x.wav")
    assert room.end() == {"status": 1, "reason": "the recording broke off: no more sound"}
    assert room.events("start").count("capture start") == 1
    assert "transcription drain" in room.events()


def test_a_killed_recording_goes_on_in_the_same_run(run):
    """The journal knows how far it was played, and the run's name tells it from another playing."""
    room = run({**ROOM, "capture": {"exits": [None, -9], "over": 0, "waits": True}}, source="x.wav")
    before = room.wait_until_ready()
    names = [environment_of_capture(room)["MINUTED_RUN"]]
    os.kill(before["capture"]["pid"], signal.SIGKILL)
    room.wait_for(lambda stages: stages["capture"]["restarts"] == 2 and stages["capture"]["state"] == "ready")
    names.append(environment_of_capture(room)["MINUTED_RUN"])
    (room.folder / "go").touch()
    assert room.end() == {"status": 0, "reason": ""}
    assert room.events("start").count("capture start") == 3
    assert names[0] == names[1] != ""


def test_a_killed_recording_is_the_end_of_a_run_that_keeps_no_sound_on_the_disk(run):
    room = run({**ROOM, "capture": {"exits": [-9]}}, source="x.wav", audio="memory")
    assert room.end() == {"status": 1, "reason": "the recording broke off: killed by SIGKILL"}
    assert room.events("start").count("capture start") == 1


def test_what_a_sink_could_not_deliver_is_told(run):
    stages = {
        **ROOM,
        "delivery/webhook": {"deaf": True, "control": True, "lag": 2, "last_error": "connection refused"},
        "capture": {"over": 0},
    }
    room = run(stages, source="x.wav", stop_timeout_s=1)
    outcome = room.end()
    assert outcome["status"] == 1
    assert outcome["reason"] == "not everything was finished: webhook is 2 turns behind (connection refused)"


def test_a_stop_is_done_within_its_bound_though_a_process_is_deaf(run):
    """Each step has its share of the time, so one that hangs leaves some for the rest."""
    room = run({**ROOM, "capture": {"deaf": True}, "transcription": {"deaf": True}}, stop_timeout_s=2)
    room.wait_until_ready()
    began_s = time.monotonic()
    room.process.terminate()
    outcome = room.end()
    assert outcome["status"] == 1
    assert "capture did not finish" in outcome["reason"]
    assert "transcription" in outcome["reason"]
    assert room.events("drain", "stop")[0] == "transcription drain"
    assert {"delivery/file_log stop", "delivery/webhook stop"} <= set(room.events("stop"))
    assert time.monotonic() - began_s < WAIT_S


def test_a_second_interrupt_ends_everything_at_once(run):
    room = run({**ROOM, "capture": {"deaf": True}})
    stages = room.wait_until_ready()
    room.interrupt()
    room.wait_for(lambda stages: stages["capture"]["state"] == "stopping")
    seen_s = time.monotonic()
    until(lambda: time.monotonic() - seen_s > TWICE_S)  # sooner, it is taken for the same one
    room.interrupt()
    outcome = room.end()
    assert outcome["status"] == 1
    assert not any(is_alive(stage["pid"]) for stage in stages.values())


def test_killing_the_supervisor_takes_its_processes_along(run):
    """Orphans would hold the microphone and the sockets against the next run."""
    room = run({**ROOM, "delivery/webhook": {"deaf": True}})
    stages = room.wait_until_ready()
    room.process.kill()
    room.process.wait()
    give_up_s = time.monotonic() + WAIT_S
    while any(is_alive(stage["pid"]) for stage in stages.values()):
        assert time.monotonic() < give_up_s


def test_a_killed_process_takes_along_what_it_started(run):
    room = run({**ROOM, "delivery/webhook": {"deaf": True, "spawns": True}}, stop_timeout_s=1)
    room.wait_until_ready()
    room.process.terminate()
    room.end()
    pid = int((room.folder / "spawned").read_text())
    give_up_s = time.monotonic() + WAIT_S
    while is_alive(pid):
        assert time.monotonic() < give_up_s


def test_a_core_process_that_never_gets_ready_is_killed(run):
    room = run({**ROOM, "transcription": {"mute": True}}, bounds={**QUICK, "ready_s_max": 0.3})
    assert room.end()["reason"] == "transcription crashed again and again: killed by SIGKILL"
    assert len(room.logged("not_ready")) == 5


def test_systemd_is_told_what_a_person_wants_to_know(run, runtime_dir):
    told = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(runtime_dir / "notify"))
        listening = threading.Thread(target=lambda: told.extend(received(systemd)))
        listening.start()
        room = run(ROOM, env={"NOTIFY_SOCKET": str(runtime_dir / "notify")})
        stages = room.wait_until_ready()
        os.kill(stages["delivery/webhook"]["pid"], signal.SIGKILL)
        room.wait_for(lambda stages: stages["delivery/webhook"]["restarts"] == 1)
        room.process.terminate()
        room.end()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(b"end", str(runtime_dir / "notify"))
        listening.join()
    assert told[0].startswith("STATUS=attic: starting transcription")
    (ready,) = [line for line in told if line.startswith("READY=1")]
    # Whether the transcription has been asked by then is a matter of milliseconds.
    assert ready.removeprefix("READY=1\nSTATUS=attic: ready, ") in ("2 sinks", "live, 2 sinks")
    assert any(line.endswith("2 sinks; webhook is down: killed by SIGKILL") for line in told)
    assert "STOPPING=1\nEXTEND_TIMEOUT_USEC=25000000" in told


def test_a_stop_while_everything_starts_is_a_stop(run):
    room = run({**ROOM, "transcription": {"mute": True}})
    room.wait_for(lambda stages: stages["transcription"]["pid"] is not None)
    room.process.terminate()
    assert room.end()["status"] == 0
    assert "capture start" not in room.events()


def test_nothing_is_left_behind_after_many_kills(run):
    """A descriptor or a zombie a crash would be the end of a room that runs for a year."""
    room = run(ROOM)
    room.wait_until_ready()
    held = 0
    for restarts in range(1, 4):
        os.kill(room.stages()["delivery/webhook"]["pid"], signal.SIGKILL)
        room.wait_for(
            lambda stages, n=restarts: (
                stages["delivery/webhook"]["restarts"] == n and stages["delivery/webhook"]["state"] == "ready"
            )
        )
        # By the first one everything that is opened once has been, and asking opens some for a moment.
        held = held or count_descriptors(room.process.pid)
    room.wait_for(lambda _: count_descriptors(room.process.pid) <= held)
    assert len(children_of(room.process.pid)) == len(ROOM)
    ask(room.settings, "supervisor", "stop")
    assert room.end() == {"status": 0, "reason": ""}


def environment_of_capture(room):
    return json.loads((room.folder / "environment-capture").read_text())


def received(notices):
    while (message := notices.recv(4096)) != b"end":
        yield message.decode()


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def count_descriptors(pid):
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def children_of(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@contextmanager
def systemd(folder):
    """Give what systemd is told, as it comes."""
    told = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(folder / "notify"))
        listening = threading.Thread(target=lambda: [told.append(each) for each in received(bound)])
        listening.start()
        try:
            yield told
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.sendto(b"end", str(folder / "notify"))
            listening.join()


def test_a_process_that_hangs_is_replaced_and_the_watchdog_is_calmed_meanwhile(run, runtime_dir):
    """A deadlock is no exit: nobody else would notice, and the room would be silent until somebody looks."""
    with systemd(runtime_dir) as told:
        watchdog = {"NOTIFY_SOCKET": str(runtime_dir / "notify"), "WATCHDOG_USEC": "60000000"}
        room = run(ROOM, env=watchdog)
        before = room.wait_until_ready()["transcription"]["pid"]
        os.kill(before, signal.SIGSTOP)
        stages = room.wait_for(lambda stages: stages["transcription"]["restarts"] == 1)
        assert "had not answered for" in stages["transcription"]["trouble"] + room.log()
        assert [line["child"] for line in room.logged("hung")] == ["transcription"]
        room.wait_until_ready()
        assert not is_alive(before)
        room.process.terminate()
        assert room.end()["status"] == 0
    assert told.count("WATCHDOG=1") >= 1


def test_a_microphone_that_cannot_be_used_does_not_hold_up_the_start(run, runtime_dir):
    """Its absence is said; a start that never ends is one that systemd breaks off."""
    with systemd(runtime_dir) as told:
        capture = {"exits": [1] * 50, "status": "the sound system has not answered for 10 s"}
        room = run({**ROOM, "capture": capture}, env={"NOTIFY_SOCKET": str(runtime_dir / "notify")})
        room.wait_for(lambda stages: stages["capture"]["restarts"] >= 1)
        room.process.terminate()
        room.end()
    (ready,) = [line for line in told if line.startswith("READY=1")]
    assert "the sound system has not answered for 10 s" in ready


def test_a_process_killed_by_something_else_declares_nothing(run, runtime_dir):
    with systemd(runtime_dir) as told:
        room = run(
            {**ROOM, "capture": {"exits": [-11] * 50}}, env={"NOTIFY_SOCKET": str(runtime_dir / "notify")}
        )
        assert room.end()["status"] == 1
    assert not [line for line in told if line.startswith("READY=1")]
