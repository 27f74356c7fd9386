"""What the README promises a newcomer, done as it says."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from moonshine_voice.utils import get_assets_path

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
LOCAL = '[engine]\nservice = "local"\n'


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Eight seconds of speech, three turns."""
    samples, rate = soundfile.read(get_assets_path() / "two_cities.wav", stop=48_000 * 8)
    soundfile.write(tmp_path / "short.wav", samples, rate)
    return tmp_path / "short.wav"


@pytest.mark.parametrize("library", ["zmq.SUB", "Subscription"])
def test_the_subscribers_of_the_readme_get_the_turns(
    make_daemon: Callable, recording: Path, library: str
) -> None:
    """An example that does not run is worse than none."""
    daemon = make_daemon(f'{LOCAL}[sinks.file_log]\npath = "@output/turns.jsonl"\n')
    (block,) = [block for block in BLOCKS if library in block]
    code = block.replace("/run/minuted", str(daemon.runtime_dir))
    assert len([line for line in block.splitlines() if line]) <= 12
    subscriber = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert daemon.start("--input", str(recording)).wait() == 0
        assert subscriber.stdout is not None
        lines = [subscriber.stdout.readline() for _ in daemon.turns]
    finally:
        subscriber.kill()
        subscriber.wait()
        subscriber.stdout.close()
    assert [line.split()[0] for line in lines] == [str(turn["seq"]) for turn in daemon.turns]


def test_the_sink_of_the_readme_works_when_saved_and_named(
    make_daemon: Callable, recording: Path, tmp_path: Path
) -> None:
    """Nothing else has to be touched."""
    folder = tmp_path / "sinks"
    folder.mkdir()
    (block,) = [block for block in BLOCKS if "class TextLog(Sink)" in block]
    (folder / "text_log.py").write_text(block, encoding="utf-8")
    daemon = make_daemon(
        f'{LOCAL}[sinks.text_log]\npath = "@output/meeting.txt"\n'
        '[sinks.file_log]\npath = "@output/turns.jsonl"\n'
    )
    text = daemon.config.read_text().replace("sink_dirs = []", f'sink_dirs = ["{folder}"]')
    daemon.config.write_text(text)
    assert daemon.start("--input", str(recording), "--pace", "fast").wait() == 0
    lines = (daemon.output / "meeting.txt").read_text(encoding="utf-8").splitlines()
    assert lines == [f"?: {turn['text']}" for turn in daemon.turns]


def test_the_demo_leaves_its_three_outputs(recording: Path, tmp_path: Path) -> None:
    """`make demo`, with a shorter recording: captions on the terminal, and every sink has every turn."""
    done = subprocess.run(
        [sys.executable, ROOT / "deploy" / "demo.py", recording],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "It was the best of times" in done.stdout
    assert (tmp_path / "demo-output" / "turns.jsonl").stat().st_size
    assert list((tmp_path / "demo-output").glob("demo-*.srt"))
    assert re.search(r"webhook +http://127\.0\.0\.1:\d+/turns: [1-9]\d* signed POSTs", done.stdout)
