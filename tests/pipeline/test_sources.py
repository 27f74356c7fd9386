"""Several sources through the whole line: a stereo recording of a call, and two microphones."""

import os
import signal
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from capture.virtual_microphone import VirtualMicrophones
from minuted.config import load
from minuted.status import collect
from simulator import Fault, Service
from simulator.coded import Recording, compose, save_side_by_side
from waiting import until

ENGINE = """
[engine]
service = "assemblyai"
url = "@url"
[sinks.file_log]
path = "@output/turns.jsonl"
"""
CALL = """
[[capture.sources]]
name = "table"
source = "@output/call.wav"
channel = 1
[[capture.sources]]
name = "far"
source = "@output/call.wav"
channel = 2
[sinks.srt]
directory = "@output/srt"
"""
MICROPHONES = """
[[capture.sources]]
name = "table"
device = "ceiling"
[[capture.sources]]
name = "far"
device = "speaker"
"""
CAPTURES = ("capture/table", "capture/far")
KEY = {"ASSEMBLYAI_API_KEY": "a-key"}


class Microphones:
    """Two, each of a sound server of its own: one server would give a lost one's listener the other."""

    def __init__(self, folder: Path) -> None:
        self.each = {}
        for name in ("ceiling", "speaker"):
            (folder / name).mkdir(parents=True)
            self.each[name] = VirtualMicrophones(folder / name, name)
        both = folder / "both.conf"
        both.write_text("\n".join((folder / name / "asound.conf").read_text() for name in self.each))
        self.environment = {**self.each["ceiling"].environment, "ALSA_CONFIG_PATH": str(both)}

    def speak(self, name: str, recording: Recording) -> None:
        self.each[name].speak(name, recording.pcm)

    def unplug(self, name: str) -> None:
        self.each.pop(name).stop()


@pytest.fixture
def microphones(runtime_dir: Path) -> Iterator[Microphones]:
    made = Microphones(runtime_dir / "sound")
    yield made
    for name in list(made.each):
        made.unplug(name)


def stages(daemon: Any) -> dict[str, Any]:
    return dict(collect(load(daemon.config))["stages"])


def texts(recording: Recording) -> list[str]:
    return [word.text for word in recording.words]


def said(daemon: Any, channel: str) -> list[dict[str, Any]]:
    """A channel's words by their true time: what a break left behind is told after what is live."""
    turns = [turn for turn in daemon.turns if turn["type"] == "turn" and turn["channel"] == channel]
    return sorted((word for turn in turns for word in turn["words"]), key=itemgetter("start_ms"))


def kill(daemon: Any, stage: str) -> None:
    """SIGKILL a process that is ready."""
    until(lambda: stages(daemon)[stage]["exit_status"] != 0 and stages(daemon)[stage]["pid"])
    os.kill(stages(daemon)[stage]["pid"], signal.SIGKILL)


def test_both_sides_of_a_call_arrive_once_and_in_time_whatever_is_killed(
    make_daemon: Callable,
) -> None:
    """Two channels of one recording: what was said is told by side, second for second, whatever happens."""
    sides = {"table": compose(3), "far": compose(3, first_number=200, seed=3)}
    with Service([Fault(name="reset", at_audio_ms=4000)] * 2, heartbeat_s=1.0) as service:
        daemon = make_daemon(CALL + ENGINE.replace("@url", service.url))
        save_side_by_side(daemon.output / "call.wav", *sides.values())
        daemon.start(**KEY)
        until(lambda: len(said(daemon, "table")) > 3)
        told = stages(daemon)
        assert told["transcription"]["channels"].keys() == {"table", "far"}
        assert told["transcription"]["billed"] == 2
        for stage in ("capture/table", "transcription", "capture/far"):
            kill(daemon, stage)
        assert daemon.wait() == 0
    for channel, recording in sides.items():
        heard = said(daemon, channel)
        assert [word["text"] for word in heard] == texts(recording)
        assert [word["start_ms"] for word in heard] == [word.start_ms for word in recording.words]
    assert [turn["seq"] for turn in daemon.turns] == [*range(1, len(daemon.turns) + 1)]
    assert len({turn["meeting_id"] for turn in daemon.turns}) == 1
    (subtitles,) = (daemon.output / "srt").glob("boardroom-*.srt")
    assert {"table:", "far:"} <= set(subtitles.read_text(encoding="utf-8").split())
    assert any(entry["event"] == "billed_for_each_source" for entry in daemon.log)
    began = {entry["channel"] for entry in daemon.log if entry["event"] == "session_started"}
    assert began == {"table", "far"}


def test_two_microphones_are_heard_shown_and_silenced_together(
    make_daemon: Callable, microphones: Microphones
) -> None:
    """And when one is unplugged, the other is heard on."""
    table, far, later = (compose(1, first_number=number, seed=number) for number in (1, 200, 300))
    with Service() as service:
        daemon = make_daemon(MICROPHONES + ENGINE.replace("@url", service.url))
        daemon.start(**microphones.environment, **KEY)
        until(lambda: all(stages(daemon).get(stage, {}).get("frames") for stage in CAPTURES))
        microphones.speak("ceiling", table)
        microphones.speak("speaker", far)
        until(lambda: said(daemon, "table") and said(daemon, "far"))
        assert [word["text"] for word in said(daemon, "table")] == texts(table)
        assert [word["text"] for word in said(daemon, "far")] == texts(far)
        assert "recording (table and far)" in daemon.ask("status").stdout

        assert daemon.ask("pause", "--for", "2h").stdout.startswith("paused until ")
        told = stages(daemon)
        assert [told[stage]["state"] for stage in CAPTURES] == ["paused", "paused"]
        until(lambda: stages(daemon)["transcription"]["state"] == "paused")
        assert daemon.ask("resume").stdout == "resumed\n"

        microphones.unplug("ceiling")
        until(lambda: stages(daemon)["capture/table"]["restarts"])
        until(lambda: stages(daemon)["capture/far"].get("frames"))
        microphones.speak("speaker", later)
        until(lambda: len(said(daemon, "far")) > len(far.words))
        assert [word["text"] for word in said(daemon, "far")] == [*texts(far), *texts(later)]
        daemon.stop()
    paused = {gap["channel"] for gap in daemon.turns if gap["type"] == "gap" and gap["reason"] == "paused"}
    assert "far" in paused
