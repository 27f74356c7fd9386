"""A whole daemon and a service that says everything wrongly: every word once, in every sink."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minuted.config import BUNDLED_SINKS
from minuted.transcription.gate import MalformedMessageError, checked, decoded
from simulator import Fault, Service
from simulator.coded import compose
from simulator.receiver import Receiver
from transcription.strange import SENT_MS, strange_messages

RECORDING = compose(9, words=(2, 4), turn_pause_ms=(500, 700))
KEY = "a-key-of-ours-0123456789"
CONFIG = """
[engine]
service = "assemblyai"
url = "@service"
[session]
speaker_labels = true
[sinks.file_log]
path = "@output/turns.jsonl"
[sinks.webhook]
url = "@receiver"
words = true
[sinks.srt]
directory = "@output/texts"
[sinks.txt]
directory = "@output/texts"
[sinks.vtt]
use = "srt"
format = "vtt"
directory = "@output/texts"
"""
KINDS = ("SpeechStarted", "Turn", "SpeakerRevision", "Heartbeat", "Silence", "Warning", "Begin")
WORD = {"start": 0, "end": 90, "text": "x"}


def costs_session(frame: str) -> bool:
    try:
        checked(decoded(frame), SENT_MS)
    except MalformedMessageError as error:
        return error.costs_session
    return False


def final(**more: Any) -> dict[str, Any]:
    said = {"type": "Turn", "turn_order": 900, "end_of_turn": True, "transcript": "x", "words": [WORD]}
    return {**said, **more}


def said(session: int, finals: int, *messages: Any) -> list[Fault]:
    """Send these in a session, after so many of its finals."""
    return [Fault(name="say", message=each, session=session, at_finals=finals) for each in messages]


def script() -> list[Fault]:
    """Everything that costs nothing, in two sessions; between them what costs one each."""
    frames = [
        # Each turn has a number of its own: else they would be taken for one.
        frame.replace('"turn_order": 3,', f'"turn_order": {number},')
        for number, (_, frame) in enumerate(strange_messages(*KINDS), 1000)
        if not costs_session(frame)
    ]
    finals = ('"end_of_turn": true', '"end_of_turn": false')
    partials = [frame.replace(*finals) for _, frame in strange_messages("Turn")]
    begin = {"type": "Begin", "id": KEY, "expires_at": "0001-01-01T00:00:00", "configuration": {"model": KEY}}
    return [
        Fault(name="say", message=begin, session=0),
        *said(0, 2, *frames),
        *said(0, 2, {"type": "Warning", "warning": f"the key is {KEY}"}),
        *said(0, 3, final(words=[{"start": 3e14, "end": 3e14, "text": "x"}])),
        *said(1, 1, *(frame for frame in partials if not costs_session(frame))),
        *said(1, 2, final(words=[WORD] * 18_500)),
        *said(2, 1, final(turn_order=2**63)),
    ]


def test_whatever_a_service_says_every_word_is_in_every_sink_once(
    make_daemon: Callable, tmp_path: Path
) -> None:
    """Each message, each field, out of each range; then it speaks well."""
    assert len(script()) > 700
    sound = RECORDING.save(tmp_path / "talk.wav")
    with Receiver() as receiver, Service(script(), heartbeat_s=0.2) as service:
        config = CONFIG.replace("@service", service.url).replace("@receiver", receiver.url)
        daemon = make_daemon(config)
        daemon.start("--input", str(sound), "--pace", "real-time", ASSEMBLYAI_API_KEY=KEY)
        assert daemon.wait() == 0
        bodies = {request.headers["webhook-id"]: request.json()["data"] for request in receiver.requests}
        assert len(service.sessions) == 4
        assert [len(session.faults) for session in service.sessions[:3]] == [
            sum(fault.session == number for fault in script()) for number in range(3)
        ]
    said_once = {re.sub(r"\W", "", word.text): 1 for word in RECORDING.words}
    outputs = {
        "file_log": [turn["text"] for turn in daemon.turns if turn["type"] == "turn"],
        "webhook": [each["text"] for each in bodies.values() if each["type"] == "turn"],
        **{
            suffix: [path.read_text() for path in (daemon.output / "texts").glob(f"*.{suffix}")]
            for suffix in ("srt", "txt", "vtt")
        },
    }
    assert {name: Counter(re.findall(r"word\d+", " ".join(texts))) for name, texts in outputs.items()} == (
        dict.fromkeys(outputs, said_once)
    )
    assert {path.stem for path in BUNDLED_SINKS.glob("*.py")} <= outputs.keys()
    assert [turn["seq"] for turn in daemon.turns] == [*range(1, len(daemon.turns) + 1)]
    assert not [turn for turn in daemon.turns if turn["type"] == "gap"]
    assert len({turn["meeting_id"] for turn in daemon.turns}) == 1
    restarted = [entry for entry in daemon.log if entry["event"] in ("failed", "gave_up", "restarting")]
    assert not restarted
    assert KEY not in (daemon.output / "log.jsonl").read_text() + json.dumps(daemon.turns)
    assert all("\ufffd" in "".join(texts) for texts in outputs.values())
    assert not [text for texts in outputs.values() for text in texts if "\x1b" in text or "\x9b" in text]
