"""Settings and meetings changed on a whole daemon by its commands: through kills and restarts."""

import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from capture.virtual_microphone import VirtualMicrophones
from pipeline.conftest import Daemon
from simulator import Service
from simulator.coded import compose
from waiting import until

CONFIG = """
[capture]
device = "ceiling"
[engine]
service = "assemblyai"
url = "@url"
[profiles.interview]
keyterms_prompt = ["metformin"]
[sinks.file_log]
path = "@output/turns.jsonl"
[sinks.srt]
directory = "@output/srt"
"""


def done(daemon: Daemon, *words: str) -> str:
    """Run a command that has to succeed; give what it printed."""
    asked = daemon.ask(*words)
    assert asked.returncode == 0, asked
    return asked.stdout


def transcription(daemon: Daemon) -> dict[str, Any]:
    return dict(daemon.status().get("stages", {}).get("transcription", {}))


def live(daemon: Daemon, service: Service, count: int) -> None:
    """Wait until that many sessions have begun, and the daemon answers for itself."""
    until(lambda: len(service.sessions) >= count and transcription(daemon).get("state") == "live")


@pytest.mark.timeout(200)
def test_what_was_changed_by_command_outlives_kills_and_what_was_to_outlives_restarts(
    make_daemon: Callable, microphones: VirtualMicrophones
) -> None:
    """One day of a room: set up, killed, restarted, reset; and the meeting in it goes on."""
    environment = {**microphones.environment, "ASSEMBLYAI_API_KEY": "a-key"}
    said = [compose(1, words=(2, 2), tail_ms=1500, first_number=number) for number in (1, 20, 40)]

    def speak(number: int) -> None:
        microphones.speak("ceiling", b"".join(said[number].frames()))
        last = said[number].words[-1].text
        until(lambda: any(last in turn["text"] for turn in daemon.turns if turn["type"] == "turn"))

    with Service() as service:
        daemon = make_daemon(CONFIG.replace("@url", service.url)).start(**environment)
        live(daemon, service, 1)
        speak(0)

        done(daemon, "configure", "--max-turn-silence", "2000", "--profile", "interview")
        done(daemon, "configure", "--prompt", "A ward round.", "--until-restart")
        asked = partial(service.sessions[-1].asked, "UpdateConfiguration")
        service.wait_until(lambda: len(asked()) == 2)
        assert [sorted(each.keys() - {"type"}) for each in asked()] == [
            ["keyterms_prompt", "max_turn_silence"],
            ["prompt"],
        ]
        refused = daemon.ask("configure", "--speaker-labels", "--max-turn-silence", "3000")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "speaker_labels is set when a session begins" in refused.stderr
        assert "“Ward 7”" in done(daemon, "meeting", "start", "--title", "Ward 7")
        shown = daemon.ask("status").stdout
        assert "profile interview" in shown
        assert "meeting “Ward 7”" in shown

        before = len(service.sessions)
        os.kill(transcription(daemon)["pid"], signal.SIGKILL)
        live(daemon, service, before + 1)
        parameters = service.sessions[-1].parameters
        assert parameters["max_turn_silence"] == 2000
        assert parameters["keyterms_prompt"] == ["metformin"]
        assert parameters["prompt"] == "A ward round."
        speak(1)

        assert daemon.stop() == 0
        # A busy machine may have cost a session or two more.
        before = len(service.sessions)
        daemon.start(**environment)
        live(daemon, service, before + 1)
        last = service.sessions[-1]
        parameters = last.parameters
        assert parameters["max_turn_silence"] == 2000
        assert parameters["keyterms_prompt"] == ["metformin"]
        assert "prompt" not in parameters
        speak(2)
        assert "ended: “Ward 7”" in done(daemon, "meeting", "end")

        assert done(daemon, "configure", "--reset").split()[:2] == ["profile", "none"]
        service.wait_until(lambda: last.asked("UpdateConfiguration"))
        assert [sorted(each.items()) for each in last.asked("UpdateConfiguration")] == [
            [("keyterms_prompt", []), ("max_turn_silence", 1200), ("type", "UpdateConfiguration")]
        ]
        status = transcription(daemon)
        assert (status["changes"], status["meeting"]) == ("", None)
        assert daemon.stop() == 0
    turns = [turn for turn in daemon.turns if turn["type"] == "turn"]
    assert [turn["meeting_title"] for turn in turns] == [None, "Ward 7", "Ward 7"]
    names = sorted(path.name for path in (daemon.output / "srt").glob("*.srt"))
    assert len(names) == 2
    assert [name.endswith("-ward-7.srt") for name in names].count(True) == 1
