"""Recordings of phones and meeting programs, made here and read back."""

import importlib.util
from pathlib import Path

import av
import numpy as np
import pytest

from minuted.capture import media
from minuted.capture.recording import DamagedError, Recording
from minuted.config import ConfigError
from minuted.messages import SAMPLE_RATE_HZ

RATE_HZ = 44_100
TONE_HZ = 440


def record(path: Path, seconds: float, codec: str, *, format: str | None = None) -> Path:  # noqa: A002
    """Make a file with a tone, on the left louder than on the right."""
    times = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    tone = np.sin(2 * np.pi * TONE_HZ * times)
    samples = np.stack([0.5 * tone, 0.25 * tone]).astype(np.float32)
    with av.open(str(path), "w", format=format, options={"movflags": "faststart"}) as container:
        rate = 48_000 if codec == "libopus" else RATE_HZ
        stream = container.add_stream(codec, rate=rate, layout="stereo")
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.rate = RATE_HZ
        resampler = av.AudioResampler(
            format=stream.codec_context.format or "fltp", layout="stereo", rate=rate, frame_size=1024
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def played(recording: Recording) -> np.ndarray:
    return np.frombuffer(b"".join(recording.pcm()), "<i2").astype(float) / 32768


@pytest.mark.parametrize(
    ("name", "codec", "format"),
    [("memo.m4a", "aac", "mp4"), ("call.MP4", "aac", "mp4"), ("call.webm", "libopus", "webm")],
)
def test_what_a_phone_records_is_read(tmp_path: Path, name: str, codec: str, format: str) -> None:  # noqa: A002
    """The tone is there, for as long as it was, with both channels mixed."""
    recording = Recording(record(tmp_path / name, 2.0, codec, format=format))
    assert recording.duration_s == pytest.approx(2.0, abs=0.1)

    sound = played(recording)

    assert len(sound) / SAMPLE_RATE_HZ == pytest.approx(2.0, abs=0.1)
    middle = sound[SAMPLE_RATE_HZ // 2 : -SAMPLE_RATE_HZ // 2]
    spectrum = np.abs(np.fft.rfft(middle))
    assert np.argmax(spectrum) * SAMPLE_RATE_HZ / len(middle) == pytest.approx(TONE_HZ, abs=3)
    assert np.abs(middle).max() == pytest.approx(0.375, abs=0.03)


def test_one_channel_can_be_chosen(tmp_path: Path) -> None:
    path = record(tmp_path / "memo.m4a", 1.0, "aac", format="mp4")
    loudest = [np.abs(played(Recording(path, channel))[4000:12000]).max() for channel in (1, 2)]
    assert loudest == pytest.approx([0.5, 0.25], abs=0.04)
    with pytest.raises(ConfigError, match=r"capture.channel = 3, but .* has 2 channels"):
        Recording(path, 3)


def test_one_that_breaks_off_says_so_after_what_could_be_read(tmp_path: Path) -> None:
    """The words before are good."""
    whole = record(tmp_path / "memo.m4a", 8.0, "aac", format="mp4").read_bytes()
    path = tmp_path / "cut.m4a"
    path.write_bytes(whole[: len(whole) // 2])
    recording, sound = Recording(path), b""
    with pytest.raises(DamagedError, match="breaks off after"):
        for pcm in recording.pcm():
            sound += pcm
    assert 1 < len(sound) / 2 / SAMPLE_RATE_HZ < 6


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("noise.m4a", b"\x01" * 3000),
        ("list.m4a", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.aac\n#EXT-X-ENDLIST\n"),
        ("list.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    """A playlist that calls itself a recording must not have us open other files, or the network."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match="not a recording that can be read"):
        Recording(tmp_path / name)


def test_sound_that_nobody_here_can_decode_is_refused(tmp_path: Path) -> None:
    """A crash would take the rest of a folder with it."""
    path = record(tmp_path / "call.mka", 1.0, "aac", format="matroska")
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_XYZ"))
    with pytest.raises(ConfigError, match="not a recording that can be read: its sound is coded in a way"):
        Recording(path)


def test_without_the_package_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is large, and most rooms have no use for it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert not media.is_installed()
    (tmp_path / "memo.m4a").write_bytes(b"\x01" * 3000)
    with pytest.raises(ConfigError, match=r"pip install 'minuted\[media\]'; .* ffmpeg -i memo.m4a memo.flac"):
        Recording(tmp_path / "memo.m4a")
