"""Which processes a configuration asks for, and what is said of them."""

import sys

import pytest

from minuted.child import Child
from minuted.config import Capture, Engine, Journal, Settings, SinkTable
from minuted.restarts import Kind
from minuted.stages import commands, kind_of, summary


def test_commands_follow_the_configuration(tmp_path):
    settings = Settings(
        path=tmp_path / "minuted.toml",
        engine=Engine(service="local"),
        capture=Capture(source="talk.wav", pace="fast"),
        sinks={"webhook": SinkTable(), "srt": SinkTable(enabled=False)},
    )
    table = commands(settings)
    assert list(table) == ["engine", "transcription", "delivery/webhook", "capture"]
    begins = [sys.executable, "-m", "minuted", "--config", str(tmp_path / "minuted.toml")]
    assert table["capture"] == [*begins, "capture", "--input", "talk.wav", "--pace", "fast"]
    assert table["delivery/webhook"] == [*begins, "delivery", "webhook"]
    assert [kind_of(stage, settings) for stage in table] == [Kind.CORE, Kind.CORE, Kind.SINK, Kind.RESUMABLE]


def test_a_recording_goes_on_after_a_kill_only_where_the_disk_tells_how_far_it_got():
    settings = Settings(capture=Capture(source="talk.wav"), journal=Journal(audio="memory"))
    assert kind_of("capture", settings) is Kind.RECORDING


def test_a_room_has_no_engine_where_the_service_is_far_away():
    table = commands(Settings(engine=Engine(service="assemblyai")))
    assert list(table) == ["transcription", "capture"]
    assert table["capture"][1:] == ["-m", "minuted", "capture"]
    assert kind_of("capture", Settings()) is Kind.CORE


def children(**states):
    for name, (state, status) in states.items():
        child = Child(name, Kind.CORE, ["true"])
        child.state, child.status = state, status
        yield child


@pytest.mark.parametrize(
    ("state", "webhook", "text"),
    [
        ("running", ("ready", "delivering"), "attic: running, 2 processes"),
        ("starting", ("starting", ""), "attic: starting webhook"),
        ("degraded", ("backoff", "exit status 1"), "attic: running, but webhook is down: exit status 1"),
        ("degraded", ("starting", ""), "attic: running, but webhook is starting again"),
        ("stopping", ("stopping", ""), "attic: stopping"),
    ],
)
def test_one_line_says_how_the_room_is(state, webhook, text):
    assert summary("attic", state, list(children(capture=("ready", ""), webhook=webhook))) == text


def test_a_pause_is_in_the_line_that_systemd_shows():
    room = children(transcription=("ready", "ready, local"), capture=("ready", "paused until 14:30"))
    assert summary("attic", "running", list(room)) == "attic: paused until 14:30"
