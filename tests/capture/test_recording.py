import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from minuted.capture.playing import Playing
from minuted.capture.recording import DamagedError, Pacer, Player, Recording
from minuted.config import ConfigError
from minuted.messages import FRAME_BYTES, AudioFrame

FORMATS = [
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_32"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAV", "ULAW"),
    ("WAV", "ALAW"),
    ("WAV", "IMA_ADPCM"),
    ("WAVEX", "PCM_16"),
    ("RF64", "PCM_24"),
    ("W64", "PCM_16"),
    ("AIFF", "PCM_16"),
    ("AU", "PCM_16"),
    ("CAF", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
]
LOSSY = ("PCM_U8", "ULAW", "ALAW", "IMA_ADPCM", "VORBIS", "OPUS", "MPEG_LAYER_III")


def tone(rate_hz: int = 16000, seconds: float = 1.0, hz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(rate_hz * seconds)) / rate_hz)


def pcm_of(path: Path, channel: int = 0) -> np.ndarray:
    return np.frombuffer(b"".join(Recording(path, channel).pcm()), "<i2")


@pytest.fixture
def recorded(tmp_path: Path):
    """Write samples into a sound file."""

    def write(sound: np.ndarray, rate_hz: int = 16000, form: str = "WAV", subtype: str | None = None) -> Path:
        path = tmp_path / f"sound.{form.lower()}"
        soundfile.write(path, sound, rate_hz, format=form, subtype=subtype)
        return path

    return write


@pytest.mark.parametrize(("form", "subtype"), FORMATS)
def test_every_usual_format_is_read(recorded, form: str, subtype: str):
    sound = tone(48000)
    pcm = pcm_of(recorded(np.stack([sound, sound], axis=1), 48000, form, subtype)) / 32768
    expected = tone(16000)
    length = min(len(pcm), len(expected))
    assert abs(len(pcm) - len(expected)) <= 400  # coded formats have blocks of their own
    difference = pcm[800 : length - 800] - expected[800 : length - 800]
    assert np.sqrt(np.mean(difference**2)) < (0.05 if subtype in LOSSY else 0.0005)


def test_a_16_khz_mono_16_bit_recording_arrives_bit_by_bit(recorded):
    """What a recogniser is measured with must be what was recorded."""
    sound = np.random.default_rng(1).integers(-32768, 32768, 16_123, np.int16)
    assert np.array_equal(pcm_of(recorded(sound)), sound)


@pytest.mark.parametrize("form", ["MP3", "OGG", "FLAC"])
def test_reading_in_blocks_gives_the_same_samples_as_reading_at_once(recorded, form: str):
    """soundfile seeks after every read, after which an MP3 decoder is hundreds of steps off."""
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, 16000 * 3)
    path = recorded(noise, form=form)
    whole, _ = soundfile.read(path, dtype="float32")
    assert np.max(np.abs(pcm_of(path)[: len(whole)] - whole * 32768)) <= 1


def test_one_channel_of_a_recording_can_be_chosen(recorded):
    path = recorded(np.array([[1, 2, 3]] * 100, np.int16))
    assert set(pcm_of(path, 3)) == {3}
    assert set(pcm_of(path)) == {2}
    with pytest.raises(ConfigError, match=r"capture\.channel = 4, but .* has 3 channels"):
        Recording(path, 4)


def test_a_recording_knows_its_name_and_length(recorded):
    recording = Recording(recorded(tone(44100, 1.5), 44100))
    assert (recording.name, recording.duration_s, recording.rate_hz) == ("sound.wav", 1.5, 44100)
    recording.close()


def test_a_name_that_is_not_utf_8_can_still_cross_the_bus(tmp_path: Path):
    """The file name goes into every frame, and msgpack takes text only."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    with path.open("wb") as file:
        soundfile.write(file, tone(), 16000, format="WAV")
    recording = Recording(path)
    assert recording.name == "caf\N{REPLACEMENT CHARACTER}.wav"
    recording.close()


def missing(folder: Path) -> Path:
    return folder / "nothing.wav"


def a_folder(folder: Path) -> Path:
    return folder


def empty(folder: Path) -> Path:
    (folder / "empty.wav").touch()
    return folder / "empty.wav"


def text(folder: Path) -> Path:
    (folder / "notes.wav").write_text("not a sound\n" * 100)
    return folder / "notes.wav"


def no_samples(folder: Path) -> Path:
    soundfile.write(folder / "silent.wav", np.empty(0, np.int16), 16000)
    return folder / "silent.wav"


def half_a_header(folder: Path) -> Path:
    soundfile.write(folder / "whole.wav", tone(), 16000)
    (folder / "cut.wav").write_bytes((folder / "whole.wav").read_bytes()[:30])
    return folder / "cut.wav"


def damaged_at_once(folder: Path) -> Path:
    soundfile.write(folder / "whole.flac", tone(seconds=5), 16000)
    (folder / "cut.flac").write_bytes((folder / "whole.flac").read_bytes()[:200])
    return folder / "cut.flac"


def raw(folder: Path) -> Path:
    (folder / "samples.raw").write_bytes(bytes(3200))
    return folder / "samples.raw"


def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.wav")
    return folder / "pipe.wav"


def one_hertz(folder: Path) -> Path:
    soundfile.write(folder / "slow.wav", tone(), 1)
    return folder / "slow.wav"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (missing, "the recording .*nothing.wav does not exist"),
        (a_folder, "the recording .* is a folder"),
        (empty, "empty.wav: the recording is empty"),
        (text, "notes.wav: not a recording that can be read: Format not recognised"),
        (no_samples, "silent.wav: there is no sound in it"),
        (half_a_header, "cut.wav: not a recording that can be read: "),
        (damaged_at_once, "cut.flac: there is no sound that can be read: "),
        (raw, "samples.raw: raw samples cannot be played; make it a WAV file"),
        (a_pipe, "the recording .*pipe.wav is not a file"),
        (one_hertz, "slow.wav: a sampling rate of 1 Hz cannot be played"),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_clear_line(tmp_path: Path, make, message: str):
    with pytest.raises(ConfigError, match=message) as refusal:
        Recording(make(tmp_path))
    assert "\n" not in str(refusal.value)


@contextmanager
def as_nobody():
    """Root may read everything; drop that for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_recording_we_may_not_read_says_so(recorded):
    path = recorded(tone())
    path.chmod(0)
    with as_nobody(), pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        Recording(path)


@pytest.mark.parametrize(("form", "kept"), [("FLAC", 0.5), ("MP3", 0.5)])
def test_a_recording_that_breaks_off_gives_what_it_has_and_then_says_so(recorded, form: str, kept: float):
    """The words before the damage are worth having, and a run that lacks the rest has not succeeded."""
    path = recorded(tone(seconds=10), form=form)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    recording = Recording(path)
    heard = []
    with pytest.raises(DamagedError, match=r"breaks off after \d\.\d s of 10\.[01] s"):
        heard.extend(recording.pcm())
    assert 3 < len(b"".join(heard)) / 32000 < 6


MEASURE = """
import sys, tracemalloc
from pathlib import Path
from minuted.capture.recording import Recording
recording = Recording(Path(sys.argv[1]))
tracemalloc.start()
heard = sum(len(pcm) for pcm in recording.pcm())
print(heard, tracemalloc.get_traced_memory()[1])
"""


def test_a_long_recording_is_never_held_in_memory(tmp_path: Path):
    """Meetings last for hours, and the machine is small."""
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros((4800, 2), np.int16), 48000)
    header = bytearray(path.read_bytes()[:44])
    size = 48000 * 4 * 60
    header[4:8], header[40:44] = (size + 36).to_bytes(4, "little"), size.to_bytes(4, "little")
    with path.open("wb") as file:
        file.write(header)
        file.truncate(size + 44)
    # In a process of its own: what other threads hold here counts too.
    measured = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, check=True)
    heard, peak = map(int, measured.stdout.split())
    assert heard == 16000 * 2 * 60
    # The whole of it would be 23 MB, as floats, and 2 MB as it leaves.
    assert peak < 1_500_000


class Clock(threading.Event):
    """A clock that only waiting moves, and the event a player waits on."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0
        self.work_s = 0.0

    def __call__(self) -> float:
        self.now_s += self.work_s
        return self.now_s

    def wait(self, timeout: float | None = None) -> bool:
        self.now_s += timeout or 0
        return False


def played(path: Path, pace, clock: Clock, put=lambda _: True) -> list[tuple[float, AudioFrame]]:
    """Play, and give each frame with when it was put."""
    frames = []

    def take(frame: AudioFrame) -> bool:
        frames.append((clock.now_s - 1000.0, frame))
        return put(frame)

    Player(Recording(path), pace, clock).run(take, clock)
    return frames


def test_real_time_means_that_each_frame_comes_when_its_last_sample_would_have_been_heard(recorded):
    frames = played(recorded(tone(seconds=1.01)), "real-time", Clock())
    assert [round(at_s, 6) for at_s, _ in frames] == [round(0.05 * (k + 1), 6) for k in range(21)]
    assert all(frame.paced and frame.source == "sound.wav" for _, frame in frames)
    assert all(len(frame.pcm) == FRAME_BYTES for _, frame in frames)


def test_the_work_between_frames_does_not_add_up_to_a_drift(recorded):
    """Waiting 50 ms after each frame would be 4 % late."""
    clock = Clock()
    clock.work_s = 0.002
    frames = played(recorded(tone(seconds=20)), "real-time", clock)
    assert frames[-1][0] == pytest.approx(20.0, abs=0.01)


def test_fast_waits_for_nothing_and_says_so(recorded):
    frames = played(recorded(tone(seconds=5)), "fast", Clock())
    assert {at_s for at_s, _ in frames} == {0.0}
    assert not any(frame.paced for _, frame in frames)
    assert [frame.captured_at_ms - frames[0][1].captured_at_ms for _, frame in frames] == [
        50 * k for k in range(100)
    ]


def test_a_long_wait_for_the_receiver_moves_the_rest_instead_of_being_caught_up_with(recorded):
    """Frames that are called paced must not come faster than real time."""
    clock = Clock()

    def put(frame: AudioFrame) -> bool:
        if len(frames) == 0:
            clock.now_s += 30
        frames.append(clock.now_s)
        return True

    frames: list[float] = []
    played(recorded(tone(seconds=1)), "real-time", clock, put)
    steps_s = np.diff(frames)
    # One frame was due during the wait.
    assert steps_s[0] == pytest.approx(0)
    assert steps_s[1:] == pytest.approx(0.05)


def test_a_short_delay_is_caught_up_with():
    pacer = Pacer(0.0)
    assert [pacer.next_wait_s(0.3) for _ in range(6)] == pytest.approx([0.0] * 6)
    assert pacer.next_wait_s(0.3) == pytest.approx(0.05)


@pytest.mark.parametrize("pace", ["real-time", "fast"])
@pytest.mark.parametrize("rate_hz", [16000, 44100])
def test_a_player_goes_on_in_the_middle_with_the_very_same_frames(recorded, rate_hz: int, pace):
    """A resampler knows what came before: what it gives later must not tell that there was a break."""
    path = recorded(tone(rate_hz, 2.03), rate_hz)
    whole: list[AudioFrame] = []
    playing = Playing(started_at_ms=1_000_007, first_number=50_000, from_number=50_000)
    Player(Recording(path), pace, Clock(), playing).run(lambda frame: not whole.append(frame), Clock())
    assert (whole[0].number, whole[0].captured_at_ms, len(whole)) == (50_000, 1_000_007, 41)

    rest: list[AudioFrame] = []
    clock = Clock()
    player = Player(Recording(path), pace, clock, replace(playing, from_number=50_015))
    player.run(lambda frame: not rest.append(frame), clock)
    assert rest == whole[15:]
    assert player.status()["position_s"] == 2.05
    assert clock.now_s - 1000.0 == pytest.approx(len(rest) * 0.05 if pace == "real-time" else 0.0)


def test_a_player_that_looks_for_its_place_can_be_stopped(recorded):
    stop = threading.Event()
    stop.set()
    playing = Playing(started_at_ms=0, first_number=0, from_number=10)
    player = Player(Recording(recorded(tone())), "fast", playing=playing)
    player.run(lambda _: pytest.fail("nothing was to be played"), stop)
    assert player.status()["position_s"] == 0


def test_a_player_stops_when_no_more_is_wanted_and_tells_how_far_it_got(recorded):
    taken: list[AudioFrame] = []

    def put(frame: AudioFrame) -> bool:
        taken.append(frame)
        return len(taken) < 5

    player = Player(Recording(recorded(tone(seconds=1))), "fast")
    player.run(put, threading.Event())
    assert len(taken) == 5
    assert player.status() == {"position_s": 0.2, "duration_s": 1.0, "duration_is_guess": False}


def test_a_player_hands_on_all_of_a_damaged_recording_before_it_complains(recorded):
    path = recorded(tone(seconds=10), form="FLAC")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    taken: list[AudioFrame] = []
    player = Player(Recording(path), "fast")
    with pytest.raises(DamagedError):
        player.run(lambda frame: not taken.append(frame), threading.Event())
    assert 60 < len(taken) < 120


def test_what_is_added_while_it_is_heard_is_told_and_not_heard(recorded):
    """It is heard to the end that there was; a run that lacks the rest has not succeeded."""
    path = recorded(tone(seconds=2))
    recording = Recording(path)
    with path.open("ab") as file:
        file.write(bytes(32000))
    sound = bytearray()
    with pytest.raises(DamagedError, match=r"breaks off after 2\.0 s: it has grown since then"):
        for pcm in recording.pcm():
            sound += pcm
    assert len(sound) == 64000
