"""Texts of a service, a sink, a file's name and a configuration: no command lets one drive a terminal."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hostile_texts import HOSTILE, MARKER, controls
from minuted.journal.turns import TurnJournal
from minuted.messages import Gap, Turn, Word
from pipeline.conftest import Daemon
from simulator import Fault, Service
from simulator.coded import compose
from terminals import shown
from waiting import until

IN_A_NAME = HOSTILE.replace("/", "").replace("\0", "")
SINK = f"""
{("Refuse everything: " + HOSTILE)!r}
from minuted import Reject, Sink

class Refusing(Sink):
    wish: str = {HOSTILE!r}
    {("A wish: " + HOSTILE)!r}

    def write(self, turn):
        raise Reject({HOSTILE!r} + turn.text)
"""
FAILING = SINK.replace("Refusing", "Failing").replace("Reject(", "ValueError(")
BROKEN = f"raise ValueError({HOSTILE!r})\n"
CONFIG = """
[capture]
source = @recording
[engine]
service = "assemblyai"
url = "@service"
[session]
speaker_labels = true
[sinks.file_log]
path = @log
[sinks.refusing]
[sinks.failing]
[sinks.broken]
"""
SAID: dict[str, Any] = {
    "type": "Turn",
    "turn_order": 0,
    "turn_is_formatted": True,
    "end_of_turn": True,
    "transcript": HOSTILE,
    "utterance": HOSTILE,
    "end_of_turn_confidence": 1.0,
    "words": [
        {
            "start": 1000,
            "end": 2500,
            "text": HOSTILE,
            "confidence": 1.0,
            "word_is_final": True,
            "speaker": HOSTILE,
        }
    ],
    "speaker_label": HOSTILE,
    "language_code": HOSTILE,
}
RUNNING = [
    *(["status"], ["status", "--json"], ["speakers"], ["speakers", "--json"], ["speakers", f"{MARKER}=Anna"]),
    *(
        ["replay"],
        ["export"],
        ["export", "--list"],
        ["export", "--format", "json"],
        ["export", "--format", "md"],
    ),
    *(["dead-letters", "list", "refusing"], ["dead-letters", "list", IN_A_NAME]),
    *(["sinks"], ["sinks", "broken"], ["check"], ["check", "--online"], ["devices"], ["keys", "list"]),
    *(["meeting"], ["meeting", "start", "--title", IN_A_NAME], ["configure"], ["metrics"], ["endpoint"]),
    *(["pause"], ["resume"], ["reload"], ["status", IN_A_NAME], ["check", "--input", IN_A_NAME], ["token"]),
]
"""Every command that ends by itself."""
STOPPED = [
    *(["status"], ["status", "--json"], ["speakers"], ["replay"], ["export"], ["export", "--list"]),
    *(["export", "--format", "json"], ["export", "--meeting", IN_A_NAME], ["replay", "--from-seq", "9"]),
    *(["meeting"], ["configure"], ["metrics"], ["reload"]),
]
SHOWING = (
    *("status", "status --json", "speakers", "speakers --json", "replay", "export"),
    *(
        "export --format json",
        "dead-letters list refusing",
        "sinks",
        "sinks broken",
        "check",
        "check --online",
    ),
)
"""What shows a text from outside: that it is clean must not be that it is empty."""
DOCUMENTS = ("replay", "replay --msgpack", "export", "export --format srt", "export --format json")
"""A pipe gets them as they are, a terminal clean."""


def toml(text: object) -> str:
    return json.dumps(str(text))


def findings(daemon: Daemon, commands: list[list[str]]) -> dict[str, str]:
    """Run commands, a few at once; return what each printed. Fail where it could drive a terminal."""
    with ThreadPoolExecutor(3) as pool:
        done = [*pool.map(lambda words: daemon.ask(*words), commands)]
    printed = {" ".join(words): each.stdout + each.stderr for words, each in zip(commands, done, strict=True)}
    found = {name: controls(text, "\n" + kept_by(name)) for name, text in printed.items()}
    assert {name: letters for name, letters in found.items() if letters} == {}
    assert [name for name, text in printed.items() if "Traceback" in text] == []
    forged = [name for name, text in printed.items() if any(map(is_forged, text.splitlines()))]
    assert forged == [], printed[forged[0]]
    return printed


def kept_by(command: str) -> str:
    """Return what a document in a pipe keeps: the directions that its text is written in."""
    is_text = command.startswith("export") and "--list" not in command and "json" not in command
    return "\u202e\u2066\u2069\u200b\ufeff\u00ad" if is_text else ""


def is_forged(line: str) -> bool:
    """Whether a line begins where a hostile text has a line break."""
    return line.startswith(("forged", "line"))


@pytest.mark.timeout(400)
def test_no_command_shows_a_text_that_drives_a_terminal(
    make_daemon: Callable[[str], Daemon], tmp_path: Path
) -> None:
    """A running room: the service, a sink, a sink's error, the room's name and its files are hostile."""
    sinks = tmp_path / "sinks"
    sinks.mkdir()
    for name, text in (("refusing", SINK), ("failing", FAILING), ("broken", BROKEN)):
        (sinks / f"{name}.py").write_text(text)
    silence = compose(1, words=(1, 1), lead_in_ms=180_000)
    recording = silence.save(tmp_path / f"{IN_A_NAME}.wav")
    script = [
        Fault(name="wrong_model", text=HOSTILE, times=None),
        Fault(name="warning", code=4000, text=HOSTILE, at_audio_ms=100, times=None),
        Fault(name="say", message=SAID, at_audio_ms=3000, session=0),
    ]
    with Service(script) as service:
        daemon = make_daemon(
            CONFIG.replace("@service", service.url)
            .replace("@recording", toml(recording))
            .replace("@log", toml(tmp_path / f"{IN_A_NAME}.jsonl"))
        )
        config = daemon.config.read_text(encoding="utf-8")
        config = config.replace('room = "boardroom"', f"room = {toml(HOSTILE)}")
        daemon.config.write_text(config.replace("sink_dirs = []", f"sink_dirs = [{toml(sinks)}]"))
        daemon.start(ASSEMBLYAI_API_KEY="a-key", MINUTED_LOG="debug")
        until(lambda: daemon.ask("dead-letters", "list", "refusing").stdout)
        until(lambda: daemon.status()["stages"]["delivery/failing"].get("last_error"))
        printed = findings(daemon, RUNNING)
        status = daemon.status()
        shown_there = {words: shown(daemon.command(*words.split())) for words in DOCUMENTS}
        daemon.stop()
    assert {name: printed[name] for name in SHOWING if MARKER not in printed[name]} == {}
    assert {name: controls(text) for name, text in shown_there.items() if controls(text)} == {}
    assert all(MARKER in text for text in shown_there.values())
    assert status["room"] == HOSTILE
    for line in printed["replay"].splitlines():
        assert MARKER in json.loads(line)["text"]
    assert json.loads(printed["status --json"])["room"] == HOSTILE
    log = (daemon.output / "log.jsonl").read_text()
    assert MARKER in log
    assert controls(log) == []
    assert all(json.loads(line)["room"] == HOSTILE for line in log.splitlines() if line.startswith("{"))
    (written,) = tmp_path.glob("*.jsonl")
    assert controls(written.read_text()) == []


def test_no_command_shows_a_journal_s_text_that_drives_a_terminal(
    make_daemon: Callable[[str], Daemon],
) -> None:
    """Journals outlive versions: what an earlier one let in is still there."""
    daemon = make_daemon("")
    word = Word(text=HOSTILE, start_ms=0, end_ms=500, speaker=HOSTILE)
    about: dict[str, Any] = {"room": HOSTILE, "meeting_id": "m1", "meeting_started_at_ms": 1_700_000_000_000}
    turn = Turn(
        **about,
        id="t1",
        session_id="s1",
        turn_order=0,
        final=True,
        start_ms=0,
        end_ms=500,
        text=HOSTILE,
        words=(word,),
        speaker=HOSTILE,
        language=HOSTILE,
        channel=HOSTILE,
        meeting_title=HOSTILE,
    )
    gap = Gap(**about, start_ms=500, end_ms=900, reason=HOSTILE, channel=HOSTILE)
    journal = TurnJournal(daemon.output / "state" / "turns.db")
    journal.commit_all([turn, gap])
    journal.close()
    printed = findings(daemon, STOPPED)
    records = [json.loads(line) for line in printed["replay"].splitlines()]
    assert [record["type"] for record in records] == ["turn", "gap"]
    assert records[0]["meeting_title"] == records[1]["reason"] == HOSTILE
    assert "[red]markup[/red]" in printed["export --list"]
    assert json.loads(printed["export --format json"])["title"] == HOSTILE
    for words in DOCUMENTS:
        text = shown(daemon.command(*words.split()))
        assert MARKER in text, words
        assert controls(text) == [], words
