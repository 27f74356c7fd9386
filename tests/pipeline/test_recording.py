"""The main job, on real speech: a recording through every process to all three sinks."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jiwer
import pytest
import soundfile
import srt
from moonshine_voice.transcriber import ModelArch, Transcriber
from moonshine_voice.utils import get_assets_path, get_model_path

from pipeline_reference import OPENING, normal
from simulator.receiver import Receiver

RECORDING = get_assets_path() / "two_cities.wav"

CONFIG = """
[engine]
service = "local"
[sinks.file_log]
path = "@output/turns.jsonl"
[sinks.srt]
directory = "@output/srt"
[sinks.webhook]
url = "@url"
"""


@pytest.fixture(scope="module")
def direct_error_rate() -> float:
    """The recogniser's own word error rate on the recording, used without any of us."""
    samples, rate = soundfile.read(RECORDING, dtype="float32")
    options = {"return_audio_data": "false"}
    with Transcriber(str(get_model_path("tiny-en")), ModelArch.TINY, options=options) as transcriber:
        lines = transcriber.transcribe_without_streaming(samples.tolist(), rate).lines
    return float(jiwer.wer(OPENING, normal(" ".join(line.text for line in lines))))


def test_a_recording_reaches_all_three_sinks_whole(
    make_daemon: Callable, direct_error_rate: float, tmp_path: Path
) -> None:
    """The promise of the whole program, as a user would check it: the words, in every output."""
    with Receiver() as receiver:
        daemon = make_daemon(CONFIG.replace("@url", receiver.url))
        assert daemon.start("--input", str(RECORDING), "--pace", "fast").wait() == 0
        bodies = [json.loads(request.body) for request in receiver.requests]
    text = " ".join(turn["text"] for turn in daemon.turns)
    assert jiwer.wer(OPENING, normal(text)) <= direct_error_rate + 0.02
    assert [turn["seq"] for turn in daemon.turns] == list(range(1, len(daemon.turns) + 1))
    assert [body["data"]["seq"] for body in bodies] == [turn["seq"] for turn in daemon.turns]
    (subtitles,) = (daemon.output / "srt").glob("boardroom-*.srt")
    cues = list(srt.parse(subtitles.read_text(encoding="utf-8")))
    assert " ".join(" ".join(cue.content.split()) for cue in cues) == " ".join(text.split())
    duration_ms = soundfile.info(RECORDING).duration * 1000
    ends_ms = [word["end_ms"] for turn in daemon.turns for word in turn["words"]]
    assert ends_ms == sorted(ends_ms)
    assert 0.9 * duration_ms < ends_ms[-1] <= duration_ms + 50
    assert len({turn["meeting_id"] for turn in daemon.turns}) == 1


def test_a_second_run_goes_on_in_the_same_journal(make_daemon: Callable, tmp_path: Path) -> None:
    """Sequence numbers have no holes over runs, and nothing of the first run is delivered again."""
    recording = tmp_path / "short.wav"
    samples, rate = soundfile.read(RECORDING, stop=48_000 * 8)
    soundfile.write(recording, samples, rate)
    daemon = make_daemon(CONFIG.split("[sinks.srt]", maxsplit=1)[0])
    for run in (1, 2):
        assert daemon.start("--input", str(recording), "--pace", "fast").wait() == 0
        seqs = [turn["seq"] for turn in daemon.turns]
        assert seqs == list(range(1, len(seqs) + 1))
        assert len({turn["meeting_id"] for turn in daemon.turns}) == run


def test_no_transcript_reaches_the_log(make_daemon: Callable, tmp_path: Path) -> None:
    """What people say is for the sinks; a log is read by others."""
    recording = tmp_path / "short.wav"
    samples, rate = soundfile.read(RECORDING, stop=48_000 * 8)
    soundfile.write(recording, samples, rate)
    daemon = make_daemon(CONFIG.split("[sinks.srt]", maxsplit=1)[0])
    assert daemon.start("--input", str(recording), "--pace", "fast", MINUTED_LOG="debug").wait() == 0
    assert daemon.turns
    log = json.dumps(daemon.log).lower()
    words = {word.strip(".,!?;").lower() for turn in daemon.turns for word in turn["text"].split()}
    assert not {word for word in words if len(word) > 4 and re.search(rf"\b{re.escape(word)}\b", log)}


def test_the_package_works_outside_the_checkout(tmp_path: Path) -> None:
    """The wheel carries the bundled sinks."""
    build = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, "."]
    subprocess.run([sys.executable, "-m", *build], check=True, cwd=Path(__file__).parents[2])
    (wheel,) = tmp_path.glob("minuted-*.whl")
    site = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, site], check=True)
    listed = subprocess.run(
        [sys.executable, "-c", "from minuted.cli import main; import sys; sys.exit(main(['sinks']))"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(site), "PATH": "", "COLUMNS": "200"},
    )
    for name in ("file_log", "webhook", "srt"):
        assert name in listed.stdout
    assert str(Path(__file__).parents[2] / "sinks") not in listed.stdout
