"""A microphone tried out: what is said of it is what it gives."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from capture.virtual_microphone import VirtualMicrophones
from minuted.commands.sound_check import Level, level_of, meter, verdict


def sine(amplitude: float) -> bytes:
    times_s = np.arange(16000) / 16000
    tone = amplitude * 32768 * np.sin(2 * np.pi * 440 * times_s)
    return np.clip(np.rint(tone), -32768, 32767).astype("<i2").tobytes()


@pytest.mark.parametrize(
    ("pcm", "said"),
    [
        (bytes(32000), "digital silence"),
        (b"", "digital silence"),
        (sine(0.001), "too quiet"),
        (sine(0.1), "fine"),
        (sine(1.5), "clipped: "),
    ],
)
def test_a_line_says_what_to_make_of_it(pcm, said):
    assert verdict(level_of([pcm])).startswith(said)


def test_levels_are_of_full_scale():
    level = level_of([sine(0.5)])
    assert (level.peak_dbfs, level.rms_dbfs, level.clipped_samples) == (-6.0, -9.0, 0)


def test_the_meter_is_filled_to_the_rms_and_marked_at_the_peak():
    shown = meter(Level(peak_dbfs=-15.0, rms_dbfs=-30.0, clipped_samples=0)).plain
    assert shown.startswith("[" + "█" * 20 + " " * 9 + "|" + " " * 10 + "]  peak -15.0 dBFS, RMS -30.0 dBFS")
    assert "█" not in meter(Level(-120.0, -120.0, 0)).plain


@pytest.fixture
def microphones(runtime_dir):
    made = VirtualMicrophones(runtime_dir, "ceiling")
    yield made
    made.stop()


def devices(microphones, runtime_dir, *words: str, more: str = "") -> subprocess.CompletedProcess[str]:
    file = runtime_dir / "minuted.toml"
    file.write_text(f'state_dir = "{runtime_dir}/state"\nruntime_dir = "{runtime_dir}"\n{more}')
    return subprocess.run(
        [sys.executable, "-m", "minuted", "devices", "--config", str(file), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | microphones.environment,
    )


def test_a_microphone_that_is_spoken_into_is_fine(microphones, runtime_dir):
    speaking = threading.Thread(target=microphones.speak, args=("ceiling", sine(0.2) * 8))
    speaking.start()
    done = devices(microphones, runtime_dir, "--test", "ceiling")
    speaking.join()
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "ceiling: recording 2 s"
    assert "dBFS" in done.stdout
    assert done.stdout.splitlines()[-1] == "fine"


def test_one_that_gives_zeros_is_told_of(microphones, runtime_dir):
    done = devices(microphones, runtime_dir, "--test", "ceiling")
    assert (done.returncode, done.stdout.splitlines()[-1].split(":")[0]) == (0, "digital silence")


def test_one_that_is_not_there_is_a_failure(microphones, runtime_dir):
    done = devices(microphones, runtime_dir, "--test", "Yeti")
    assert (done.returncode, done.stdout) == (1, "")
    assert 'no input device is called "Yeti"' in done.stderr


def test_every_source_is_tried_and_a_source_s_name_stands_for_its_device(microphones, runtime_dir):
    """Who sets up a room wants to know that both sides can be heard."""
    more = "[[capture.sources]]\nname = 'table'\ndevice = 'ceiling'\n[[capture.sources]]\nname = 'far'\n"
    done = devices(microphones, runtime_dir, "--test", more=f"{more}device = 'Yeti'\n")
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == "table, ceiling: recording 2 s"
    assert 'far: capture.device: no input device is called "Yeti"' in done.stderr
    done = devices(microphones, runtime_dir, "--test", "table", more=f"{more}device = 'Yeti'\n")
    assert (done.returncode, done.stdout.count("recording")) == (0, 1)
