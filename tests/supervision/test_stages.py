"""Which processes a configuration asks for."""

import sys

from minuted.config import Capture, Engine, Journal, Settings, SinkTable
from minuted.supervision.restarts import Kind
from minuted.supervision.stages import commands, kind_of


def test_commands_follow_the_configuration(tmp_path):
    settings = Settings(
        path=tmp_path / "minuted.toml",
        engine=Engine(service="local"),
        capture=Capture(source="talk.wav", pace="fast"),
        sinks={"webhook": SinkTable(), "srt": SinkTable(enabled=False)},
    )
    table = commands(settings)
    assert list(table) == ["engine", "transcription", "delivery/webhook", "capture"]
    begins = [sys.executable, "-P", "-m", "minuted", "--config", str(tmp_path / "minuted.toml")]
    assert table["capture"] == [*begins, "capture", "--input", "talk.wav", "--pace", "fast"]
    assert table["delivery/webhook"] == [*begins, "delivery", "webhook"]
    assert [kind_of(stage, settings) for stage in table] == [Kind.CORE, Kind.CORE, Kind.SINK, Kind.RESUMABLE]


def test_a_recording_goes_on_after_a_kill_only_where_the_disk_tells_how_far_it_got():
    settings = Settings(capture=Capture(source="talk.wav"), journal=Journal(audio="memory"))
    assert kind_of("capture", settings) is Kind.RECORDING


def test_a_room_has_no_engine_where_the_service_is_far_away():
    table = commands(Settings(engine=Engine(service="assemblyai")))
    assert list(table) == ["transcription", "capture"]
    assert table["capture"][1:] == ["-P", "-m", "minuted", "capture"]
    assert kind_of("capture", Settings()) is Kind.CORE
