"""One line about a room: a table of how things may be and what a person reads."""

import time

import pytest

from minuted.summary import HEARD, SILENT, UNPLUGGED, UNREACHABLE, note_since, rough, summary

NOW_MS = 1_800_000_000_000
AT_TWO = NOW_MS - 60_000
CLOCK = time.strftime("%H:%M", time.localtime(AT_TWO / 1000))

WELL = {
    "capture": {"state": "hearing", "source": "microphone"},
    "transcription": {"state": "live", "held_s": 3.0, "behind_s": 0.0, "backlog_s": 0.2},
    "delivery/file_log": {"state": "delivering", "lag": 0},
    "delivery/srt": {"state": "delivering", "lag": 1},
    "delivery/webhook": {"state": "delivering", "lag": 0},
}


def room(**changes):
    names = {name.removeprefix("delivery/"): name for name in WELL}
    changed = {names.get(name, name): values for name, values in changes.items()}
    return {
        **{name: {**values, **changed.get(name, {})} for name, values in WELL.items()},
        **{name: values for name, values in changed.items() if name not in WELL},
    }


@pytest.mark.parametrize(
    ("stages", "since_ms", "text"),
    [
        (WELL, {}, "recording, live, 3 sinks"),
        (
            room(transcription={"behind_s": 260.0}, webhook={"lag": 12}),
            {},
            "recording, catching up 4 min, 3 sinks; webhook 12 behind",
        ),
        (room(transcription={"backlog_s": 45.0}), {}, "recording, catching up 40 s, 3 sinks"),
        (
            room(transcription={"state": "idle", "idle_since_ms": AT_TWO}),
            {},
            f"recording, session closed (nobody speaks since {CLOCK}), 3 sinks",
        ),
        (
            room(capture={"state": "no-device"}, transcription={"state": "idle"}),
            {UNPLUGGED: AT_TWO},
            f"no microphone (unplugged since {CLOCK}), 3 sinks",
        ),
        (
            room(capture={"state": "no-device"}, transcription={"state": "idle"}),
            {},
            "no microphone, 3 sinks",
        ),
        (
            room(transcription={"state": "retrying", "reason": "no route", "held_s": 725.0}),
            {UNREACHABLE: NOW_MS - 185_000},
            "recording, service unreachable for 3 min, 12 min of sound kept, 3 sinks",
        ),
        (
            room(transcription={"state": "connecting", "reason": "no route"}),
            {UNREACHABLE: NOW_MS},
            "recording, service unreachable, 3 sinks",
        ),
        (room(transcription={"state": "connecting", "reason": ""}), {}, "recording, connecting, 3 sinks"),
        (
            room(transcription={"state": "refused", "reason": "Invalid API key", "held_s": 65.0}),
            {},
            "recording, service refuses (Invalid API key), 1 min of sound kept, 3 sinks",
        ),
        (
            room(transcription={"state": "halted", "reason": "disk is full"}),
            {},
            "recording, no room for turns (disk is full), 3 sinks",
        ),
        (
            room(capture={"state": "disk-full", "reason": "no room for the audio journal: No space"}),
            {},
            "not recording (no room for the audio journal: No space), live, 3 sinks",
        ),
        (room(capture={"state": "paused"}, transcription={"state": "idle"}), {}, "paused, 3 sinks"),
        (
            # In capture's own words, which give the minute it is over by, and the day.
            room(capture={"state": "paused", "reason": "paused until 09:01", "paused_until_ms": NOW_MS - 1}),
            {},
            "paused until 09:01, live, 3 sinks",
        ),
        (
            room(capture={"state": "backoff", "trouble": "killed by SIGKILL"}),
            {},
            "not recording (capture is down: killed by SIGKILL), live, 3 sinks",
        ),
        (
            room(transcription={"state": "not answering"}),
            {},
            "recording, transcription does not answer, 3 sinks",
        ),
        (
            room(capture={"state": "waiting", "uptime_s": 9.0}, transcription={"state": "starting"}),
            {},
            "recording, transcription is starting, 3 sinks",
        ),
        (room(capture={"state": "starting", "uptime_s": 0.2}), {}, "no sound yet, live, 3 sinks"),
        (
            room(capture={"state": "silent"}, transcription={"state": "connecting", "reason": ""}),
            {SILENT: AT_TWO},
            f"the microphone is silent since {CLOCK} (is it muted?), connecting, 3 sinks",
        ),
        (room(capture={"state": "silent"}), {}, "the microphone is silent (is it muted?), live, 3 sinks"),
        (room(capture={"source": "talk.wav"}), {}, "playing talk.wav, live, 3 sinks"),
        (
            room(webhook={"state": "waiting", "uptime_s": 9.0, "lag": 2, "last_error": "connection refused"}),
            {},
            "recording, live, 3 sinks; webhook 2 behind (connection refused)",
        ),
        (
            room(srt={"state": "failed", "status": "no directory"}, webhook={"dead_letters": 1}),
            {},
            "recording, live, 3 sinks; srt is down: no directory; webhook 1 dead letter",
        ),
        (
            room(transcription={"damaged": 1, "resets": 2}, srt={"missed": 3}),
            {},
            "recording, live, 3 sinks; 1 record is damaged; 2 values begun anew; srt 3 missed",
        ),
        (
            {"capture": WELL["capture"], "transcription": WELL["transcription"]},
            {},
            "recording, live, no sinks",
        ),
        (
            room(engine={"state": "backoff", "trouble": "exit status 1"}),
            {},
            "recording, engine is down: exit status 1, 3 sinks",
        ),
        (
            {"delivery/srt": {"state": "delivering"}},
            {},
            "capture does not run, transcription does not run, 1 sink",
        ),
    ],
)
def test_one_line_says_how_the_room_is(stages, since_ms, text):
    assert summary("boardroom", "running", stages, NOW_MS, since_ms) == f"boardroom: {text}"


@pytest.mark.parametrize(
    ("state", "stages", "text"),
    [
        ("starting", {"capture": {"state": "waiting"}, "engine": {"state": "ready"}}, "starting capture"),
        ("stopping", {"capture": {"state": "stopping", "pid": 7}}, "stopping, waiting for capture"),
        ("stopped", {"capture": {"state": "stopped", "pid": None}}, "stopping"),
    ],
)
def test_a_start_and_a_stop_say_whom_they_wait_for(state, stages, text):
    assert summary("attic", state, stages, NOW_MS) == f"attic: {text}"


def test_what_became_of_a_reload_stands_at_the_end():
    """Else the next reader takes a change for made that was refused."""
    text = summary("attic", "running", WELL, NOW_MS, note="reload refused: room cannot change")
    assert text == "attic: recording, live, 3 sinks; reload refused: room cannot change"


def test_a_microphone_that_was_heard_before_was_unplugged():
    """One that never was there is somebody's mistake; the other one's cable lies on the floor."""
    gone = room(capture={"state": "no-device"})
    assert UNPLUGGED not in note_since({}, gone, NOW_MS)
    heard = note_since({}, WELL, NOW_MS)
    since = note_since(note_since(heard, gone, NOW_MS + 1000), gone, NOW_MS + 5000)
    assert since[UNPLUGGED] == NOW_MS + 1000
    assert set(note_since(since, WELL, NOW_MS + 9000)) == {HEARD}


def test_an_unreachable_service_is_so_since_the_first_failure():
    """Between two tries it is neither well nor gone anew."""
    retrying = room(transcription={"state": "retrying", "reason": "no route"})
    connecting = room(transcription={"state": "connecting", "reason": "no route"})
    since = note_since({}, retrying, NOW_MS)
    for later_ms, stages in ((1000, connecting), (2000, retrying)):
        since = note_since(since, stages, NOW_MS + later_ms)
    assert since[UNREACHABLE] == NOW_MS
    assert UNREACHABLE not in note_since(since, WELL, NOW_MS + 3000)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "1 s"), (7.0, "7 s"), (47.0, "40 s"), (61.0, "1 min"), (3599.0, "59 min"), (3700.0, "1 h 1 min")],
)
def test_times_change_seldom(seconds, text):
    assert rough(seconds) == text


# Several sources.


def call(table, far):
    captures = {"capture/table": {"state": table}, "capture/far": {"state": far}}
    return {**captures, **{name: values for name, values in WELL.items() if name != "capture"}}


@pytest.mark.parametrize(
    ("stages", "since_ms", "text"),
    [
        (call("hearing", "hearing"), {}, "recording (table and far), live, 3 sinks"),
        (call("paused", "paused"), {}, "paused (table and far), live, 3 sinks"),
        (
            call("hearing", "no-device"),
            {f"{UNPLUGGED} far": AT_TWO},
            f"table: recording, far: no microphone (unplugged since {CLOCK}), live, 3 sinks",
        ),
        (
            {
                **call("hearing", "stopped"),
                "capture/table": {"state": "hearing", "source": "a.wav"},
                "capture/far": {"state": "stopped", "exit_status": 0},
            },
            {},
            "table: playing a.wav, far: played to its end, live, 3 sinks",
        ),
    ],
)
def test_several_sources_are_told_of_together_or_apart(stages, since_ms, text):
    """Who is not heard must be seen at once."""
    assert summary("boardroom", "running", stages, NOW_MS, since_ms) == f"boardroom: {text}"


def test_what_lasts_is_noted_of_each_source():
    since_ms = note_since({}, call("hearing", "hearing"), AT_TWO)
    assert since_ms == {f"{HEARD} table": AT_TWO, f"{HEARD} far": AT_TWO}
    since_ms = note_since(since_ms, call("hearing", "no-device"), NOW_MS)
    assert since_ms[f"{UNPLUGGED} far"] == NOW_MS


def test_a_sink_in_a_long_call_and_its_true_lag_are_said() -> None:
    stages = {
        "capture": {"state": "hearing", "source": "microphone"},
        "transcription": {"state": "live", "epoch": "e", "last_seq": 40},
        "delivery/webhook": {
            "state": "delivering",
            "epoch": "e",
            "seq": 2,
            "lag": 1,
            "busy_s": 72.0,
            "busy_in": "write",
        },
    }
    said = summary("boardroom", "running", stages, NOW_MS)
    assert said == "boardroom: recording, live, 1 sink; webhook 38 behind in write for 1 min 12 s"


def test_since_when_a_microphone_is_silent_is_kept():
    stages = {"capture/table": {"state": "hearing"}, "capture/far": {"state": "silent"}}
    since_ms = note_since({}, stages, 1000)
    assert since_ms == {"heard table": 1000, "heard far": 1000, "silent far": 1000}
    assert note_since(since_ms, stages, 5000)["silent far"] == 1000
    assert "silent far" not in note_since(since_ms, {"capture/far": {"state": "hearing"}}, 5000)
