"""A pause through the whole line: microphone, sessions, minutes, and every restart in between."""

import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from capture.virtual_microphone import VirtualMicrophones
from simulator import Service
from simulator.coded import Recording, compose
from waiting import until

CONFIG = """
[capture]
device = "ceiling"
[engine]
service = "assemblyai"
url = "@url"
[sinks.file_log]
path = "@output/turns.jsonl"
"""


def pcm_of(recording: Recording) -> bytes:
    return b"".join(recording.frames())


def loud_parts(recording: Recording) -> Iterator[bytes]:
    samples = np.frombuffer(pcm_of(recording), "<i2")
    for at in range(0, len(samples) - 160, 160):
        if np.abs(samples[at : at + 160]).max() > 500:
            yield samples[at : at + 160].tobytes()


@pytest.mark.parametrize("audio", ["disk", "memory"])
def test_a_pause_is_kept_from_everybody_and_told_to_everybody(
    make_daemon: Callable, microphones: VirtualMicrophones, audio: str
) -> None:
    """No word of it reaches the disk or the service; its hole and its reason reach the sinks."""
    said = [compose(1, first_number=number, seed=number) for number in (1, 100, 200)]
    environment = {**microphones.environment, "ASSEMBLYAI_API_KEY": "a-key"}
    with Service() as service:
        config = CONFIG.replace("@url", service.url) + f'[journal]\naudio = "{audio}"\n'
        daemon = make_daemon(config).start(**environment)
        until(lambda: daemon.status().get("stages", {}).get("capture", {}).get("frames"))
        microphones.speak("ceiling", pcm_of(said[0]))
        until(lambda: daemon.turns)
        assert daemon.ask("pause", "--for", "2h").stdout.startswith("paused until ")

        until(lambda: daemon.status()["stages"]["transcription"]["state"] == "paused")
        capture = daemon.status()["stages"]["capture"]
        assert capture["state"] == "paused"
        assert capture["reason"].startswith("paused until ")
        assert capture["status"].startswith("paused until ")
        assert "paused until " in daemon.ask("status").stdout
        many = len(service.close_codes())
        microphones.speak("ceiling", pcm_of(said[1]))

        assert daemon.stop() == 0
        daemon.start(**environment)
        until(lambda: daemon.status().get("stages", {}).get("capture", {}).get("paused"))
        microphones.speak("ceiling", pcm_of(said[1]))
        assert len(service.sessions) == many
        assert daemon.ask("resume").stdout == "resumed\n"

        until(lambda: daemon.status()["stages"]["capture"]["frames"])
        microphones.speak("ceiling", pcm_of(said[2]))
        until(lambda: said[2].words[0].text in json.dumps(daemon.turns))
        until(lambda: any(record["type"] == "gap" for record in daemon.turns))
        assert daemon.stop() == 0
        sent = b"".join(bytes(session.pcm) for session in service.sessions)
    kept = b"".join(file.read_bytes() for file in daemon.output.rglob("*") if file.is_file())
    for part in loud_parts(said[1]):
        assert part not in sent
        assert part not in kept
    (gap,) = [record for record in daemon.turns if record["type"] == "gap"]
    assert gap["reason"] == "paused"
    lengths_ms = 2 * said[1].duration_ms
    assert gap["end_ms"] - gap["start_ms"] > lengths_ms
