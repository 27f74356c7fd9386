"""The microphone, heard through a real sound server: what is said into it must come out the same."""

import json
import os
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pytest

from minuted.capture import microphone as microphone_module
from minuted.capture.microphone import (
    OPEN_S_MAX,
    SILENCE_LIFE_S_MIN,
    SILENCE_S_MAX,
    STALL_S_MAX,
    Device,
    Microphone,
    NoDeviceError,
    choose,
    openings,
)
from minuted.config import RUN_NAME, ConfigError
from minuted.journal.audio_writer import AudioWriter
from minuted.journal.folder import Folder
from minuted.messages import FRAME_BYTES, FRAME_SAMPLES, AudioFrame, AudioGap
from minuted.runtime.signals import PARENT

SERVICE = {"SYSTEMD_EXEC_PID": str(os.getpid()), PARENT: str(os.getpid())}
"""What a capture process sees whose supervisor, here this test, was started by systemd."""


def device(name: str, *, channels: int = 1, rate_hz: int = 48000, is_default: bool = False) -> Device:
    return Device(
        index=0,
        name=name,
        host_api="ALSA",
        channels=channels,
        default_rate_hz=rate_hz,
        is_default=is_default,
    )


CARDS = [
    device("HDA Intel: ALC257 (hw:0,0)", channels=2),
    device("Jabra SPEAK 510 USB: Audio (hw:1,0)"),
    device("pulse", channels=32),
    device("default", channels=32, is_default=True),
    device("Jabra SPEAK 750 USB: Audio (hw:2,0)"),
    device("USB Pulse Box"),
]


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("", "default"),
        ("alc257", "HDA Intel: ALC257 (hw:0,0)"),
        ("SPEAK 750", "Jabra SPEAK 750 USB: Audio (hw:2,0)"),
        ("jabra", "Jabra SPEAK 510 USB: Audio (hw:1,0)"),
        ("pulse", "pulse"),
        ("usb", "USB Pulse Box"),
        ("u", "USB Pulse Box"),
    ],
)
def test_a_device_is_found_by_any_part_of_its_name(wanted: str, chosen: str):
    """Numbers change with every replug; of several the name itself comes first, then its beginning."""
    assert choose(CARDS, wanted).name == chosen


def test_without_a_default_the_first_device_will_do():
    assert choose(CARDS[:2], "").name == CARDS[0].name


def test_a_name_that_no_device_has_is_answered_with_those_there_are():
    with pytest.raises(
        NoDeviceError, match=r'called "Yeti"; there are "HDA .*", "Jabra SPEAK 510'
    ) as refusal:
        choose(CARDS, "Yeti")
    assert "\n" not in str(refusal.value)
    with pytest.raises(NoDeviceError, match="there is no input device"):
        choose([], "Yeti")


@pytest.mark.parametrize(
    ("channels", "channel", "first", "also"),
    [
        (1, 0, (16000, 1), (48000, 1)),
        (2, 0, (16000, 2), (48000, 2)),
        (8, 0, (16000, 8), (48000, 8)),
        (32, 0, (16000, 1), (48000, 1)),
        (2, 1, (16000, 1), (48000, 2)),
        (32, 2, (16000, 2), (48000, 32)),
    ],
)
def test_a_device_is_asked_first_for_what_is_wanted(channels: int, channel: int, first, also):
    """16 kHz mono where that will do; a card's channels as far as they are needed; then its own rate."""
    asked = openings(device("x", channels=channels), channel)
    assert asked[0] == first
    assert also in asked
    assert len(asked) == len(set(asked)) <= 4


def test_a_channel_the_device_does_not_have_is_refused():
    with pytest.raises(ConfigError, match=r'capture\.channel = 3, but the input device "x" has 2'):
        openings(device("x", channels=2), 3)


def look(microphone: Microphone, seconds: float, *, from_s: float) -> str:
    """Look at a microphone four times a second for a while; give what was found at the end."""
    looks = int(seconds * 4)
    return [microphone.fault(from_s + 0.25 * place) for place in range(looks + 1)][-1]


def test_a_microphone_that_is_not_heard_is_at_fault_after_its_bound():
    """PortAudio reports neither an unplugged card nor a sound server that hangs."""
    microphone = Microphone("", 0)
    assert look(microphone, OPEN_S_MAX, from_s=0) == ""
    assert "not answered for 10 s" in look(microphone, 1, from_s=OPEN_S_MAX)
    microphone._heard_s = 100.0
    assert look(microphone, STALL_S_MAX, from_s=100) == ""
    assert look(microphone, 1, from_s=101) == "no sound for 2.0 s"
    microphone._heard_s = 102.0
    assert look(microphone, STALL_S_MAX, from_s=102) == ""


def test_time_in_which_we_did_not_run_ourselves_proves_nothing():
    """A paused machine has all the sound still to come; leaving would lose it."""
    microphone = Microphone("", 0)
    microphone._heard_s = 100.0
    assert microphone.fault(100) == ""
    assert microphone.fault(130) == ""
    assert look(microphone, 0.25, from_s=130.25) == ""
    assert look(microphone, 1, from_s=131) != ""


def test_without_portaudio_the_error_names_the_package_and_a_recording_still_plays(tmp_path):
    """Only who wants a microphone needs the library."""
    script = (
        "import ctypes.util, sys; ctypes.util.find_library = lambda name: None\n"
        "from minuted.capture import __main__, recording, microphone\n"
        "assert 'sounddevice' not in sys.modules\n"
        "microphone.devices()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "Debian package libportaudio2" in done.stderr.splitlines()[-1]
    assert "ConfigError" in done.stderr.splitlines()[-1]


def test_the_devices_are_listed_with_what_they_can(microphones):
    script = (
        "import json; from dataclasses import asdict; from minuted.capture.microphone import devices\n"
        "print(json.dumps([asdict(device) for device in devices()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | microphones.environment,
    )
    found = {row["name"]: row for row in json.loads(done.stdout)}
    assert {"table_front", "ceiling"} <= found.keys()
    assert sum(row["is_default"] for row in found.values()) == 1
    assert found["ceiling"]["host_api"] == "ALSA"
    assert found["ceiling"]["channels"] > 0
    assert found["ceiling"]["default_rate_hz"] > 0


def test_what_is_said_is_captured_sample_by_sample(microphones, configure, receiver, start):
    """The device is found by a part of its name, and each frame tells when it was heard."""
    said = np.random.default_rng(1).integers(-20000, 20000, 16000 * 2, np.int16).tobytes()
    began_at_ms = time.time() * 1000
    process = start(configure('device = "TABLE"'), microphones.environment)
    receiver.receive_until(lambda: receiver.frames)
    microphones.speak("table_front", said)
    receiver.receive_until(lambda: said in receiver.pcm)
    ended_at_ms = time.time() * 1000
    status = process.status()
    assert process.stop() == 0
    receiver.receive_until(lambda: receiver.end)
    assert receiver.numbers == list(range(receiver.numbers[0], receiver.end.next_number))
    assert receiver.end.reason == "stopped"
    assert (status["state"], status["device"], status["rate_hz"]) == ("hearing", "table_front", 16000)
    assert {(frame.source, frame.paced) for frame in receiver.frames} == {("microphone", True)}
    first, last = receiver.frames[0], receiver.frames[-1]
    assert first.number == first.captured_at_ms // 50
    assert last.captured_at_ms - first.captured_at_ms == 50 * (last.number - first.number)
    # A busy machine may hear of the first block late, but not by seconds.
    assert began_at_ms <= first.captured_at_ms <= last.captured_at_ms <= ended_at_ms + 3000


def test_one_channel_of_several_is_taken_and_numpy_only_then(microphones, configure, receiver, start):
    said = np.random.default_rng(1).integers(-20000, 20000, 16000, np.int16).tobytes()
    process = start(configure('device = "table"\nchannel = 2'), microphones.environment)
    receiver.receive_until(lambda: receiver.frames)
    microphones.speak("table_front", said)
    receiver.receive_until(lambda: said in receiver.pcm)
    opened = next(line for line in process.log if line["event"] == "microphone_opened")
    assert (opened["rate_hz"], opened["channels"]) == (16000, 2)


CHANGED = """
import sys
from pathlib import Path
from minuted.capture import __main__, microphone
from minuted.config import load
from minuted.runtime import logs

logs.set_up("capture")
{change}
sys.exit(__main__.run(load(Path(sys.argv[1]))))
"""


def is_loud(pcm: bytes) -> np.ndarray:
    return np.abs(np.frombuffer(pcm, "<i2").astype(int)) > 100


def test_a_device_that_refuses_a_rate_is_opened_at_another_and_resampled(
    microphones, configure, receiver, start
):
    """No virtual device refuses 16 kHz, so this one is first asked for what it does refuse."""
    times_s = np.arange(16000 * 2) / 16000
    said = (16384 * np.sin(2 * np.pi * 440 * times_s)).astype(np.int16).tobytes()
    change = "microphone.openings = lambda device, channel: [(900_000, 1), (44_100, 2)]"
    settings = configure('device = "ceiling"')
    start(settings, microphones.environment, "-c", CHANGED.format(change=change), str(settings.path))
    receiver.receive_until(lambda: receiver.frames)
    microphones.speak("ceiling", said)
    receiver.receive_until(lambda: np.count_nonzero(is_loud(receiver.pcm)) > 31_000)
    assert {len(frame.pcm) for frame in receiver.frames} == {2 * FRAME_SAMPLES}
    begins = int(np.argmax(is_loud(receiver.pcm)))
    stretch = np.frombuffer(receiver.pcm, "<i2")[begins + 8000 : begins + 24_000]
    spectrum = np.abs(np.fft.rfft(stretch * np.hanning(16000)))
    assert np.argmax(spectrum) == 440
    assert np.sqrt(np.mean(stretch.astype(float) ** 2)) == pytest.approx(16384 / np.sqrt(2), rel=0.02)


def test_a_name_that_is_not_there_ends_a_run_by_hand_with_the_list(microphones, configure, start):
    process = start(configure('device = "Yeti"'), microphones.environment)
    assert process.end() == 78
    assert process.stderr.startswith('minuted: capture.device: no input device is called "Yeti"; there are ')
    assert '"table_front"' in process.stderr
    assert len(process.stderr.splitlines()) == 1


def test_a_service_waits_for_its_microphone(microphones, configure, receiver, start):
    """A room's machine may boot before its card is there, and nobody is there to start it again."""
    microphones.stop()
    process = start(configure('device = "ceiling"'), microphones.environment | SERVICE)
    process.wait_for(lambda: process.status().get("state") == "no-device")
    assert process.status()["reason"]
    microphones.start()
    microphones.plug_in("ceiling")
    receiver.receive_until(lambda: len(receiver.frames) > 5)
    assert process.status()["state"] == "hearing"
    assert process.stop() == 0
    assert all(line.startswith("{") for line in process.stderr.splitlines())


def test_a_service_that_waits_for_its_microphone_can_be_stopped(microphones, configure, start):
    process = start(configure('device = "Yeti"'), microphones.environment | SERVICE)
    process.wait_for(lambda: process.status().get("state") == "no-device")
    assert process.stop() == 0


def test_an_unplugged_microphone_ends_the_process(microphones, configure, receiver, start):
    """A fresh process sees a device that comes back, this one never would; its frames are not lost."""
    process = start(configure('device = "ceiling"'), microphones.environment)
    receiver.receive_until(lambda: len(receiver.frames) > 5)
    # A sound server that has another microphone would go on with that one.
    microphones.unplug("table_front")
    microphones.unplug("ceiling")
    assert process.end() == 75
    failed = next(line for line in process.log if line["event"] == "source_failed")
    assert 'the input device "ceiling" was lost' in failed["reason"]
    ended = next(line for line in process.log if line["event"] == "capture_ended")
    heard = [record for record in process.journal if isinstance(record, AudioFrame)]
    assert len(heard) == ended["frames"]
    # The reason of the hole that begins here.
    following = heard[-1].number + 1
    lost = AudioGap(from_number=following, to_number=following, reason="device-lost")
    assert process.journal[-1] == lost
    receiver.receive_until(lambda: receiver.numbers[-1] == heard[-1].number)
    assert receiver.end is None


def test_numbers_never_go_back_whatever_the_clock_says(microphones, configure, start):
    """A recording played fast is ahead of the clock, and a clock may be set back."""
    settings = configure('device = "ceiling"')
    ahead = int(time.time() * 1000) // 50 + 1_000_000
    with closing(AudioWriter(Folder(settings.state_dir / "audio"), hours_max=1.0)) as writer:
        writer.append(AudioFrame(number=ahead, captured_at_ms=0, pcm=bytes(FRAME_BYTES)))
    process = start(settings, microphones.environment)
    process.wait_for(lambda: process.status().get("frames", 0) > 5)
    assert process.stop() == 0
    first, second = process.journal[:2]
    assert (first.number, second.number) == (ahead, ahead + 1)
    assert abs(second.captured_at_ms / 1000 - time.time()) < 100


def test_a_sound_server_that_hangs_is_noticed(microphones, configure, receiver, start):
    """No error, no callback, and the stream says it is active: only the missing sound tells."""
    process = start(configure('device = "ceiling"'), microphones.environment)
    receiver.receive_until(lambda: len(receiver.frames) > 5)
    microphones.freeze()
    assert process.end() == 75
    failed = next(line for line in process.log if line["event"] == "source_failed")
    assert failed["reason"].startswith("no sound for ")
    assert receiver.end is None


def test_a_sound_server_that_hangs_from_the_start_is_noticed_and_said(microphones, configure, start):
    """Even its first call does not return then, while stderr is hushed."""
    microphones.freeze()
    settings = configure('device = "ceiling"')
    change = "microphone.OPEN_S_MAX = 1.0"
    process = start(
        settings, microphones.environment, "-c", CHANGED.format(change=change), str(settings.path)
    )
    assert process.end() == 1
    failed = next(line for line in process.log if line["event"] == "source_failed")
    assert failed["reason"] == "the sound system has not answered for 1 s"


def test_a_microphone_that_is_plugged_in_again_is_heard_again(microphones, configure, receiver, start):
    """By hand too, where a first start without a device is a mistake."""
    settings = configure('device = "ceiling"')
    supervised = microphones.environment | {PARENT: str(os.getpid()), RUN_NAME: "one"}
    process = start(settings, supervised)
    receiver.receive_until(lambda: len(receiver.frames) > 5)
    microphones.stop()
    assert process.end() == 75
    many = len(receiver.frames)
    again = start(settings, supervised)
    again.wait_for(lambda: again.status().get("state") == "no-device")
    microphones.start()
    microphones.plug_in("ceiling")
    receiver.receive_until(lambda: len(receiver.frames) > many + 5)
    assert again.stop() == 0
    (lost,) = [record for record in again.journal if isinstance(record, AudioGap)]
    assert (lost.reason, lost.from_number) == ("device-lost", lost.to_number)


def silent(microphone: Microphone, seconds: float) -> None:
    for _ in range(round(seconds * 20)):
        microphone._note_silence(bytes(FRAME_BYTES))


def test_zeros_after_sound_are_a_fault_and_zeros_from_the_beginning_are_not():
    """Only a fresh process can tell a dead microphone from a muted one; it must not be started for ever."""
    microphone = Microphone("", 0)
    began_s = microphone._began_s
    microphone._heard_s = began_s
    silent(microphone, 100)
    assert microphone.doubt
    assert look(microphone, 0, from_s=began_s + 100) == ""
    microphone._note_silence(b"\x01\x00" * FRAME_SAMPLES)
    assert microphone.doubt == ""
    silent(microphone, SILENCE_S_MAX - 0.1)
    assert look(microphone, 0, from_s=began_s + 100) == ""
    silent(microphone, 0.2)
    assert "digital silence" in look(microphone, 0, from_s=began_s + 100)


def test_a_switch_that_is_used_often_does_not_end_a_run():
    """Five crashes within a minute would: a stream is left for its zeros once a minute at most."""
    microphone = Microphone("", 0)
    began_s = microphone._began_s
    microphone._heard_s = began_s
    microphone._note_silence(b"\x01\x00" * FRAME_SAMPLES)
    silent(microphone, SILENCE_S_MAX + 0.1)
    assert look(microphone, 0, from_s=began_s + 12) == ""
    assert look(microphone, 0, from_s=began_s + SILENCE_LIFE_S_MIN) != ""


def test_a_microphone_that_falls_dead_is_left_for_a_fresh_process(microphones, configure, receiver, start):
    """The fresh one stays, and says that it hears nothing."""
    settings = configure('device = "ceiling"')
    change = "microphone.SILENCE_LIFE_S_MIN = 0.0; microphone.SILENCE_S_MAX = 1.0"
    words = ("-c", CHANGED.format(change=change), str(settings.path))
    process = start(settings, microphones.environment, *words)
    receiver.receive_until(lambda: receiver.frames)
    microphones.speak("ceiling", np.full(8000, 1000, np.int16).tobytes())
    assert process.end() == 75
    assert (
        "digital silence" in next(line for line in process.log if line["event"] == "source_failed")["reason"]
    )
    assert process.journal[-1].reason == "device-lost"
    again = start(settings, microphones.environment, *words)
    again.wait_for(lambda: again.status().get("state") == "silent")
    assert again.status()["reason"].startswith("hearing only digital silence")
    assert again.stop() == 0


LOSSY = """
read = microphone.Microphone._read
class Lossy:
    def __init__(self, stream):
        self.stream, self.reads = stream, 0
    def __getattr__(self, name):
        return getattr(self.stream, name)
    def read(self, samples):
        self.reads += 1
        if self.reads == 20:
            for _ in range(10):
                self.stream.read(samples)
        pcm, _ = self.stream.read(samples)
        return pcm, self.reads == 20
microphone.Microphone._read = lambda self, stream, convert, put: read(self, Lossy(stream), convert, put)
"""


def test_after_an_overflow_times_are_true_again_and_the_hole_is_declared(
    microphones, configure, receiver, start
):
    """No sound server here reports one, so half a second of a real stream is thrown away and reported."""
    settings = configure('device = "ceiling"')
    process = start(settings, microphones.environment, "-c", CHANGED.format(change=LOSSY), str(settings.path))
    receiver.receive_until(lambda: len(receiver.frames) > 50)
    assert process.stop() == 0
    (lost,) = [record for record in process.journal if isinstance(record, AudioGap)]
    assert lost.reason == "overflow"
    assert 8 <= lost.to_number - lost.from_number <= 14
    following = [record for record in process.journal if isinstance(record, AudioFrame)][-1]
    first = process.journal[0]
    assert following.captured_at_ms - first.captured_at_ms == 50 * (following.number - first.number)


def test_a_card_may_be_named_as_alsa_names_it(monkeypatch):
    monkeypatch.setattr(microphone_module, "listed_as", lambda wanted: "(hw:2,0)" if wanted else None)
    assert choose(CARDS, "plughw:CARD=J750").name == "Jabra SPEAK 750 USB: Audio (hw:2,0)"
    monkeypatch.setattr(microphone_module, "listed_as", lambda _: "")
    with pytest.raises(NoDeviceError, match='called "plughw:CARD=Gone"'):
        choose(CARDS, "plughw:CARD=Gone")
