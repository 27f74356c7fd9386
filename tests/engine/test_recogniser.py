"""The real recogniser: every sample heard once, on the right clock, whoever else is heard meanwhile."""

import subprocess
import sys
from itertools import islice
from pathlib import Path

import jiwer
import numpy as np
import pytest

from engine.conftest import RATE_HZ, messages_of, silence
from minuted.config import ConfigError, Engine
from minuted.engine import pace, recogniser
from minuted.engine.recogniser import Ear, Model
from minuted.engine.turns import Line
from pipeline_reference import OPENING, normal
from rights import needs_root

TIMES = normal(OPENING).split()[:12]
"""It was the best of times it was the worst of times: from 1.2 to 4.6 s."""
NEAR_MS = 250


@pytest.fixture
def listen(model: Model):
    """Make ears, and close them."""
    ears = []

    def make(rate_hz: int = RATE_HZ, encoding: str = "pcm_s16le") -> Ear:
        # Sound comes faster than real time here, and partials are looked at elsewhere.
        ears.append(Ear(model, rate_hz, encoding, interval_s=5.0))
        return ears[-1]

    yield make
    for ear in ears:
        ear.close()


def hear(ear: Ear, pcm: bytes, message_bytes: int = 3_200) -> list[Line]:
    """Give the complete lines of what is heard."""
    found = [lines for message in messages_of(pcm, message_bytes) for lines in ear.hear(message)]
    return [line for lines in found for line in lines if line.is_complete]


def errors(lines: list[Line], reference: list[str]) -> float:
    return jiwer.wer(" ".join(reference), normal(" ".join(line.text for line in lines)) or "nothing")


def test_speech_becomes_lines_at_their_time(listen, speech) -> None:
    ear = listen()
    first, *_ = lines = hear(ear, speech(0.5, 5) + silence(1))
    assert errors(lines, TIMES) <= 0.2
    assert abs(first.start_ms - 710) < NEAR_MS
    assert abs(first.end_ms - 4_060) < NEAR_MS
    assert 5_400 < ear.heard_ms <= 5_500
    assert ear.safe_ms == ear.heard_ms - recogniser.LOOK_BEHIND_MS


@pytest.mark.parametrize(
    ("rate_hz", "encoding"),
    [(8_000, "pcm_s16le"), (8_000, "pcm_mulaw"), (22_050, "pcm_s16le"), (48_000, "pcm_s16le")],
)
def test_any_rate_keeps_the_clock(listen, speech, rate_hz: int, encoding: str) -> None:
    """The library rounds every piece by itself, which at odd rates would add up to seconds an hour."""
    pcm = speech(0, 5.5, rate_hz)
    if encoding == "pcm_mulaw":
        pcm = mulaw(np.frombuffer(pcm, "<i2"))
    ear = listen(rate_hz, encoding)
    first, *_ = lines = hear(ear, pcm, 4_411) + ear.flush()
    assert errors(lines[:1], TIMES) <= 0.25
    assert abs(first.start_ms - 1_210) < NEAR_MS
    assert abs(ear.heard_ms - 5_500) <= 40


def mulaw(samples: np.ndarray) -> bytes:
    """Encode by ITU-T G.711."""
    loud = np.minimum(np.abs(samples.astype(np.int32)), 32_635) + 132
    exponents = np.floor(np.log2(loud)).astype(np.int32) - 7
    mantissas = loud >> (exponents + 3) & 15
    return bytes((~(np.where(samples < 0, 128, 0) | exponents << 4 | mantissas) & 255).astype(np.uint8))


def test_mulaw_is_decoded_to_the_same_loudness(listen) -> None:
    samples = np.arange(-32_000, 32_000, 97, np.int16)
    decoded = listen(8_000, "pcm_mulaw")._decoded(mulaw(samples))
    assert np.abs(decoded * 32_768 - samples).max() <= 1_024
    assert np.corrcoef(decoded, samples)[0, 1] > 0.999


def test_a_flush_completes_the_line_with_the_last_sample(listen, speech) -> None:
    """What the library was given after its last look is lost when its stream is stopped."""
    ear = listen()
    assert hear(ear, speech(0, 4.5) + b"\1") == []
    lines = ear.flush()
    assert errors(lines, TIMES) <= 0.2
    assert lines[-1].end_ms > 4_400
    assert not ear.line_is_open
    assert ear.flush() == []


def test_after_a_flush_the_clock_goes_on(listen, speech) -> None:
    ear = listen()
    before = hear(ear, speech(0, 4.7)) + ear.flush()
    after = hear(ear, speech(4.7, 6.7) + silence(1)) + ear.flush()
    assert abs(after[0].start_ms - 5_040) < NEAR_MS
    times = [time_ms for line in before + after for time_ms in (line.start_ms, line.end_ms)]
    assert times == sorted(times)
    numbers = [line.number for line in before + after]
    assert numbers == list(range(len(numbers)))
    assert errors(before + after, normal(OPENING).split()[:18]) <= 0.2


def test_two_sessions_do_not_hear_each_other(listen, speech) -> None:
    """The library's detector has one memory for the whole process: without care, each session's lines
    begin and end where the other's sound makes them."""
    parts = [speech(from_s, from_s + 3.9) + silence(1) for from_s in (0.9, 16.9)]
    alone = [hear(listen(), part) for part in parts]
    ears = [listen(), listen()]
    together: list[list[Line]] = [[], []]
    for pair in zip(*map(messages_of, parts), strict=True):
        for ear, message, lines in zip(ears, pair, together, strict=True):
            lines += [line for found in ear.hear(message) for line in found if line.is_complete]
    for one, other in zip(alone, together, strict=True):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert abs(left.start_ms - right.start_ms) <= 96
            assert abs(left.end_ms - right.end_ms) <= 96


def test_a_new_stream_begins_in_a_pause_and_nothing_is_lost(listen, speech, monkeypatch) -> None:
    """A stream keeps every line it ever found, so it gives way to a new one now and then."""
    monkeypatch.setattr(recogniser, "RENEW_MS", 3_000)
    monkeypatch.setattr(recogniser, "RENEW_QUIET_MS", 1_200)
    ear = listen()
    spoken = speech(0, 4.9)
    lines = []
    streams = set()
    for _ in range(2):
        for message in messages_of(spoken + silence(2)):
            lines += [line for found in ear.hear(message) for line in found if line.is_complete]
            streams.add(ear._stream._handle)
    assert len(streams) >= 2
    assert errors(lines, TIMES * 2) <= 0.2
    starts_ms = [line.start_ms for line in lines if "best" in line.text.lower()]
    assert [
        later - earlier for earlier, later in zip(starts_ms, islice(starts_ms, 1, None), strict=False)
    ] == (pytest.approx([6_900], abs=100))


def test_silence_is_cheap(listen, model: Model) -> None:
    """A meeting room is silent most of the day; a look without an open line transcribes nothing."""
    ear = listen()
    assert hear(ear, silence(5)) == []
    assert not ear.line_is_open
    assert 4_900 < ear.heard_ms <= 5_000


def test_speech_without_a_pause_is_cut_and_the_seam_is_marked(listen, speech, monkeypatch) -> None:
    """The library cuts at 10 s and begins the next line half a second before the cut."""
    monkeypatch.setattr(pace, "UNHEARD_MS_MAX", 60_000)
    ear = listen()
    cut, after = hear(ear, speech(1.3, 2.6) * 9) + ear.flush()
    assert cut.end_ms - cut.start_ms >= 10_000 - recogniser.LEAD_MS
    assert (cut.after_cut, after.after_cut) == (False, True)
    assert after.start_ms == cut.end_ms


def test_without_the_library_the_command_to_install_it_is_named(monkeypatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "moonshine_voice"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "moonshine_voice", None)
    with pytest.raises(ConfigError, match=r"pip install 'minuted\[local\]'"):
        Model(Engine())


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"engine.model_dir: {tmp_path} holds no Moonshine model"):
        Model(Engine(model_dir=tmp_path))
    with pytest.raises(ConfigError, match="holds no Moonshine model"):
        Model(Engine(model_dir=tmp_path / "gone"))


def test_a_folder_with_another_kind_of_model_is_refused(tmp_path: Path, capfd) -> None:
    (tmp_path / "tokenizer.bin").write_bytes(b"no tokenizer")
    with pytest.raises(ConfigError, match="cannot be loaded as a tiny model"):
        Model(Engine(model_dir=tmp_path))


def test_another_folder_gives_the_model_its_name(tmp_path: Path, model: Model) -> None:
    from moonshine_voice.utils import get_assets_path

    (tmp_path / "room-en").symlink_to(get_assets_path() / "tiny-en")
    other = Model(Engine(model_dir=tmp_path / "room-en"))
    assert (model.name, other.name) == ("moonshine-tiny-en", "room-en")
    other.close()


@needs_root
def test_what_a_sandbox_hides_is_no_warning() -> None:
    """At each start of the service stood coloured lines, and nothing was wrong."""
    script = (
        "mount -t tmpfs hidden /sys && mkdir -p /sys/class/drm/card0\n"
        "mount -t proc -o subset=pid proc /proc\n"
        'exec "$0" -c "$1" "$2"'
    )
    load = (
        "import sys\nfrom minuted.config import Engine\n"
        "from minuted.engine.recogniser import Model\nfrom minuted.runtime import logs\n\n"
        "logs.set_up('engine', least=sys.argv[1])\nModel(Engine()).close()\n"
    )
    said = {
        least: subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script, sys.executable, load, least],
            capture_output=True,
            text=True,
            check=True,
        ).stderr
        for least in ("info", "debug")
    }
    assert said["info"] == ""
    assert said["debug"].count("library_warned") >= 2
    assert "\\u001b" not in said["debug"]
