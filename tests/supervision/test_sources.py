"""Several sources in one run: their processes, how they are changed, and when the run is over."""

import os
import signal
from dataclasses import replace

import pytest

from minuted.config import Capture, ConfigError, Engine, Journal, Settings, SoundSource
from minuted.supervision.draining import Step, step_of
from minuted.supervision.plans import Plan, plan
from minuted.supervision.restarts import Kind
from minuted.supervision.stages import commands, kind_of
from supervision.run import starting

TABLE, FAR = SoundSource(name="table", device="Jabra"), SoundSource(name="far", device="HDMI")
ONE = Settings(engine=Engine(service="assemblyai"))
TWO = replace(ONE, capture=Capture(sources=(TABLE, FAR)))
CALL = replace(
    ONE,
    capture=Capture(
        sources=(
            SoundSource(name="left", source="call.wav", channel=1),
            SoundSource(name="right", source="b.wav"),
        ),
        pace="fast",
    ),
)
QUICK = {"restart_wait_s_max": 0.05}
ROOM = {"transcription": {}, "delivery/file_log": {}}


@pytest.fixture
def run(runtime_dir):
    with starting(runtime_dir) as start:
        yield start


def planned(old, new):
    return plan(old, new, commands(old), commands(new))


def test_each_source_has_a_process_of_its_own():
    table = commands(TWO)
    assert list(table) == ["transcription", "capture/table", "capture/far"]
    assert table["capture/far"][1:] == ["-P", "-m", "minuted", "capture", "far"]
    assert kind_of("capture/far", TWO) is Kind.CORE
    assert step_of("capture/far") is Step.CAPTURE


def test_recordings_are_known_by_their_names_and_played_at_one_pace():
    """A command's own pace must reach them; their files stand in the configuration."""
    table = commands(CALL)
    assert table["capture/left"][1:] == ["-P", "-m", "minuted", "capture", "left", "--pace", "fast"]
    assert table["transcription"][1:] == ["-P", "-m", "minuted", "transcription", "--pace", "fast"]
    assert kind_of("capture/right", CALL) is Kind.RESUMABLE


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (TWO, Plan()),
        (
            replace(TWO, capture=Capture(sources=(TABLE, replace(FAR, device="USB")))),
            Plan(restarted=("capture/far",)),
        ),
        (
            replace(TWO, capture=Capture(sources=(TABLE,))),
            Plan(removed=("capture/far",), restarted=("transcription",)),
        ),
        (
            replace(TWO, capture=Capture(sources=(TABLE, FAR, SoundSource(name="desk", device="USB")))),
            Plan(added=("capture/desk",), restarted=("transcription",)),
        ),
        (
            ONE,
            Plan(added=("capture",), removed=("capture/table", "capture/far"), restarted=("transcription",)),
        ),
        (
            replace(TWO, journal=Journal(audio_hours_max=1)),
            Plan(restarted=("capture/table", "capture/far")),
        ),
    ],
)
def test_only_what_a_change_of_the_sources_concerns_is_touched(new, expected):
    """The microphone at the table goes on while another is plugged in."""
    assert planned(TWO, new) == expected


def test_sources_cannot_change_where_what_is_unheard_is_in_memory_or_a_recording_plays():
    memory = replace(TWO, journal=Journal(audio="memory"))
    with pytest.raises(ConfigError, match="of the sources would lose sound"):
        planned(memory, replace(memory, capture=Capture(sources=(TABLE,))))
    with pytest.raises(ConfigError, match="while a recording is played"):
        planned(CALL, TWO)


def test_a_run_is_over_when_all_of_its_recordings_are(run):
    """The shorter one must not cut the longer one off, nor be played again meanwhile."""
    stages = {**ROOM, "capture/left": {"over": 0}, "capture/right": {"over": 0, "waits": True}}
    room = run(stages, source="x.wav")
    room.wait_for(
        lambda stages: (
            stages["capture/left"]["state"] == "stopped" and stages["capture/right"]["state"] == "ready"
        )
    )
    assert room.events("drain") == []
    (room.folder / "go").touch()
    assert room.end() == {"status": 0, "reason": ""}
    assert room.events("over", "drain") == ["capture/left over", "capture/right over", "transcription drain"]
    assert room.events("start").count("capture/left start") == 1


def test_a_recording_that_breaks_off_leaves_the_other_to_play_on_and_fails_the_run(run):
    left, right = {"over": 1, "ready": "no more sound"}, {"over": 0, "waits": True}
    room = run({**ROOM, "capture/left": left, "capture/right": right}, source="x.wav")
    room.wait_for(lambda stages: stages["capture/left"]["state"] == "stopped")
    (room.folder / "go").touch()
    assert room.end() == {"status": 1, "reason": "the recording broke off: no more sound"}
    assert "capture/right over" in room.events()


def test_a_source_whose_device_is_lost_stops_no_other(run):
    """Somebody pulls a plug at the table: the far end of the call is still heard."""
    lost = {"exits": [None, *[75] * 8]}
    room = run({**ROOM, "capture/table": lost, "capture/far": {}}, bounds=QUICK)
    before = room.wait_until_ready()
    os.kill(before["capture/table"]["pid"], signal.SIGKILL)
    after = room.wait_for(lambda stages: stages["capture/table"]["restarts"] >= 7)
    assert after["capture/far"]["pid"] == before["capture/far"]["pid"]
    room.process.terminate()
    assert room.end()["status"] == 0
