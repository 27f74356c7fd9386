"""One answer about everything, from processes that really answer."""

import json
import os
import threading

import pytest

from hostile_texts import HOSTILE, MARKER, controls
from minuted.config import Settings, SinkTable
from minuted.control import ControlServer
from minuted.status import absence, collect, details, duration, gather, merged, table, with_true_lags
from rights import as_user, needs_root

WAIT_S = 30.0
"""Long enough for a busy machine: where all answer, nobody waits for it."""


@pytest.fixture
def settings(runtime_dir):
    return Settings(runtime_dir=runtime_dir, room="attic", sinks={"webhook": SinkTable()})


@pytest.fixture
def serve(settings):
    servers = []

    def start(stage, **status):
        servers.append(ControlServer(settings.control_endpoint(stage), {"status": lambda _: status}))

    yield start
    for server in servers:
        server.close()


def row(**values):
    return {"pid": os.getpid(), "state": "ready", "restarts": 0, "since_ms": 1000, "status": "", **values}


def test_every_stage_tells_its_own_state_and_figures(settings, serve):
    """The shape other programs rely on."""
    serve("transcription", state="live", last_seq=7, backlog_s=0.2)
    serve("delivery/webhook", state="waiting", seq=5, lag=2, last_error="connection refused")
    stages = {"transcription": row(), "delivery/webhook": row(restarts=3), "capture": row(state="backoff")}
    serve("supervisor", state="degraded", room="attic", stages=stages)
    found = collect(settings, WAIT_S)
    assert found["state"] == "degraded"
    assert list(found["stages"]) == ["capture", "transcription", "delivery/webhook"]
    transcription, webhook = found["stages"]["transcription"], found["stages"]["delivery/webhook"]
    assert (transcription["state"], transcription["last_seq"], transcription["backlog_s"]) == ("live", 7, 0.2)
    assert (webhook["state"], webhook["lag"], webhook["restarts"]) == ("waiting", 2, 3)
    assert found["stages"]["capture"]["state"] == "backoff"
    assert all(stage["pid"] == os.getpid() for stage in found["stages"].values())
    json.dumps(found)


def test_stages_that_run_as_services_of_their_own_are_asked_one_by_one(settings, serve):
    serve("transcription", state="live", last_seq=7)
    serve("delivery/webhook", state="delivering", lag=0)
    found = collect(settings, WAIT_S)
    assert found["state"] == "running"
    assert set(found["stages"]) == {"transcription", "delivery/webhook"}
    assert found["stages"]["transcription"]["pid"] == os.getpid()
    assert found["stages"]["transcription"]["restarts"] is None


def test_where_nothing_runs_there_are_no_stages(settings):
    assert collect(settings, WAIT_S) == {"state": "stopped", "room": "attic", "stages": {}}
    assert absence(settings) == f"minuted is not running here (runtime_dir {settings.runtime_dir})"


@needs_root
def test_who_may_not_enter_is_told_whom_to_ask(settings, serve):
    """Not where it stumbled, which nobody can do anything about."""
    serve("supervisor", state="running", stages={})
    settings.runtime_dir.chmod(0o750)
    script = (
        "import sys\nfrom pathlib import Path\nfrom minuted.config import Settings\n"
        "from minuted.status import absence, collect\n\n"
        "settings = Settings(runtime_dir=Path(sys.argv[1]))\n"
        "print(collect(settings)['stages'], absence(settings))\n"
    )

    said = as_user(script, str(settings.runtime_dir))

    assert said == f"{{}} {settings.runtime_dir} is for root alone: put sudo before the command\n"


def test_a_socket_somebody_left_behind_is_nobody(settings):
    """After a power cut the files are still there."""
    for stage in ("supervisor", "transcription", "capture"):
        (settings.runtime_dir / f"control-{stage}.sock").touch()
    assert collect(settings, timeout_s=0.1)["stages"] == {}


def test_a_text_from_outside_stays_in_its_row():
    """A newline would forge a row, a direction mark turn one around; columns stand below each other."""
    stages = {"capture": row(source=HOSTILE), "delivery/webhook": row(state=HOSTILE, last_error=HOSTILE)}
    shown = table({"state": HOSTILE, "summary": HOSTILE, "room": HOSTILE, "stages": stages}, 61_000)
    first, heading, *rows = shown.split("\n")
    assert len(rows) == 2
    assert controls(shown) == []
    assert first.startswith(MARKER)
    assert [line[heading.index("FOR") :].split("  ")[0] for line in rows] == ["1 min 0 s"] * 2


def test_one_who_takes_his_time_holds_up_nobody(settings):
    """All are asked at once: the first answers only when the last has been asked."""
    asked = threading.Event()

    def slow(_):
        return {"state": "ready" if asked.wait(WAIT_S) else "asked alone"}

    def quick(_):
        asked.set()
        return {"state": "hearing"}

    servers = [
        ControlServer(settings.control_endpoint(stage), {"status": answer})
        for stage, answer in (("engine", slow), ("capture", quick))
    ]
    try:
        found = gather(settings, ["engine", "capture"], WAIT_S)
    finally:
        for server in servers:
            server.close()
    assert {stage: told["state"] for stage, told in found.items()} == {
        "engine": "ready",
        "capture": "hearing",
    }


@pytest.mark.parametrize(
    ("supervised", "own", "state"),
    [
        (row(), {"pid": os.getpid(), "state": "live"}, "live"),
        (row(), None, "not answering"),
        (row(), {"pid": 1, "state": "live"}, "ready"),
        (row(state="starting"), None, "starting"),
        (row(state="stopping"), {"pid": os.getpid(), "state": "live"}, "stopping"),
        (row(state="failed to load", pid=None), None, "failed to load"),
    ],
)
def test_a_process_names_its_own_state_as_long_as_it_is_well(supervised, own, state):
    assert merged(supervised, own)["state"] == state


def test_the_table_says_who_is_how_and_since_when():
    found = {
        "state": "degraded",
        "room": "attic",
        "stages": {
            "transcription": row(state="live", last_seq=7, model="tiny"),
            "delivery/webhook": row(state="backoff", pid=None, restarts=2, status="exit status 1"),
        },
    }
    first, heading, *rows = table(found, now_ms=61_000).splitlines()
    assert first == "attic: degraded"
    assert heading.split() == ["STATE", "PID", "FOR", "RESTARTS"]
    assert rows[0].endswith("  model tiny, last turn 7")
    assert "1 min 0 s" in rows[0]
    assert rows[1].endswith("2         exit status 1")


def test_the_table_says_what_is_in_force_and_which_meeting_is_going_on():
    told = row(state="live", in_force="max_turn_silence 2000 (changed)", meeting_title="Budget")
    found = {"state": "running", "room": "attic", "stages": {"transcription": told}}
    *_, transcription, in_force = table(found, now_ms=61_000).splitlines()
    assert transcription.endswith("  meeting “Budget”")
    assert in_force == "  in force: max_turn_silence 2000 (changed)"


def test_details_leave_out_what_is_nothing():
    assert (
        details({"state": "delivering", "lag": 0, "seq": 3, "last_seq": 3, "last_error": ""}) == "at turn 3"
    )
    assert details({"state": "waiting", "lag": 2, "last_error": "timeout"}) == "2 behind, timeout"
    assert details({"state": "backoff", "status": "killed by SIGKILL"}) == "killed by SIGKILL"
    assert details({"state": "live", "status": "ready"}) == ""
    assert details({"state": "idle", "saved_today_s": 4000.0}) == "session closed for 1 h 6 min today"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (7260, "2 h 1 min"), (200_000, "2 d 7 h")],
)
def test_times_are_short(seconds, text):
    assert duration(seconds) == text


def test_what_a_session_goes_without_is_shown() -> None:
    """It is not seen otherwise: captions that come late, labels that never come."""
    told = {"state": "live", "without": "partials", "warning": "asked for speaker_labels = true"}

    assert details(told) == "without partials, warning: asked for speaker_labels = true"
    assert details({"state": "live", "without": "", "warning": ""}) == ""


def test_each_channel_has_a_line_below_the_transcription(settings):
    """Which side of a call is not heard must be seen at a glance."""
    channels = {"table": {"state": "live", "finals": 3}, "far": {"state": "retrying", "reason": "no route"}}
    stages = {"transcription": row(state="retrying", channels=channels, billed=2, reason="no route")}
    lines = table({"state": "running", "room": "attic", "stages": stages}, 61_000).splitlines()
    assert "2 sessions at once, each billed" in lines[2]
    assert [line.split() for line in lines[3:]] == [["table", "live"], ["far", "retrying", "no", "route"]]


def test_a_sink_s_lag_is_counted_from_the_journal() -> None:
    """One that is at work has not looked at it since."""
    stages = {
        "transcription": {"epoch": "e", "last_seq": 40},
        "delivery/webhook": {"epoch": "e", "seq": 2, "last_seq": 3, "lag": 1},
        "delivery/other": {"epoch": "before", "seq": 2, "last_seq": 3, "lag": 1},
        "delivery/down": {"state": "failed"},
    }
    counted = with_true_lags(stages)
    assert (counted["delivery/webhook"]["lag"], counted["delivery/webhook"]["last_seq"]) == (38, 40)
    assert counted["delivery/other"] == stages["delivery/other"]
    assert counted["delivery/down"] == {"state": "failed"}
    assert with_true_lags({"delivery/x": {"lag": 1, "seq": 1}}) == {"delivery/x": {"lag": 1, "seq": 1}}


@pytest.mark.parametrize(("busy_s", "said"), [(0.0, ""), (4.9, ""), (12.3, "in one call for 12 s")])
def test_a_sink_that_is_long_at_work_says_so(busy_s: float, said: str) -> None:
    assert details({"state": "delivering", "busy_s": busy_s}) == said
    in_write = details({"state": "delivering", "busy_s": busy_s, "busy_in": "write"})
    assert in_write == said.replace("one call", "write")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"dead_letters": 1}, "1 dead letter"),
        ({"dead_letters": 2}, "2 dead letters"),
        ({"damaged": 1, "resets": 1}, "1 damaged record, 1 state value begun anew"),
        ({"heard_again": 1, "retries": 1}, "1 stretch heard again, 1 retry"),
        ({"heard_again": 3, "retries": 3}, "3 stretches heard again, 3 retries"),
        ({"cut_off": 1, "reconnects": 1}, "1 connection cut off, 1 reconnect"),
    ],
)
def test_one_thing_is_not_several(values: dict[str, int], said: str) -> None:
    assert details({"state": "delivering", **values}) == said
