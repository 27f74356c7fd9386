"""A microphone that is unplugged, hangs, falls silent or loses samples."""

import os
import time
from contextlib import closing

import numpy as np
import pytest

from capture.cards import CHANGED
from minuted.capture.microphone import (
    OPEN_S_MAX,
    SILENCE_LIFE_S_MIN,
    SILENCE_S_MAX,
    STALL_S_MAX,
    Microphone,
)
from minuted.config import RUN_NAME
from minuted.journal.audio_writer import AudioWriter
from minuted.journal.folder import Folder
from minuted.messages import FRAME_BYTES, FRAME_MS, FRAME_SAMPLES, AudioFrame, AudioGap
from minuted.runtime.signals import PARENT


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
    assert first.number == ahead
    # How long there was nobody, no clock tells; but how long it took to open the device.
    assert ahead + 1 <= second.number < ahead + 1 + 10_000 // FRAME_MS
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
    again = start(settings, supervised)
    again.wait_for(lambda: again.status().get("state") == "no-device")
    # Frames of before it was gone may still be on their way.
    plugged_in_at_ms = time.time_ns() // 1_000_000
    microphones.start()
    microphones.plug_in("ceiling")
    receiver.receive_until(lambda: receiver.frames[-1].captured_at_ms > plugged_in_at_ms)
    assert again.stop() == 0
    (lost,) = [record for record in again.journal if isinstance(record, AudioGap)]
    assert (lost.reason, lost.from_number) == ("device-lost", lost.to_number)


QUIET_ROOM = np.resize(np.array([2, -1, 0, 1], np.int16), FRAME_SAMPLES).tobytes()
"""The quietest that a converter of 16 bits can hear."""


def silent(microphone: Microphone, seconds: float, block: bytes = bytes(FRAME_BYTES)) -> None:
    for _ in range(round(seconds * 20)):
        microphone._note_silence(block)


@pytest.mark.parametrize(
    ("block", "is_silent"),
    [
        (bytes(FRAME_BYTES), True),
        (np.resize(np.array([1, 0, -1], np.int16), FRAME_SAMPLES).tobytes(), True),
        (np.full(FRAME_SAMPLES, 7, np.int16).tobytes(), True),
        (QUIET_ROOM, False),
    ],
    ids=["zeros", "the last bit", "a constant", "a quiet room"],
)
def test_digital_silence_is_told_of_and_a_quiet_room_is_not(block, is_silent):
    """Who has muted a microphone forgets it; who sits in a quiet room wants no warning."""
    microphone = Microphone("", 0)
    silent(microphone, SILENCE_S_MAX - 0.1, block)
    assert (microphone.doubt, microphone.status()["silent"]) == ("", False)
    silent(microphone, 0.2, block)
    assert microphone.status()["silent"] == is_silent
    assert microphone.doubt == (
        "hearing only digital silence: is the microphone muted, or dead?" if is_silent else ""
    )
    silent(microphone, 0.05, QUIET_ROOM)
    assert microphone.doubt == ""


def test_a_last_bit_that_moves_is_no_reason_to_start_anew():
    """Only exact zeros are what a device gives that has died."""
    microphone = Microphone("", 0)
    microphone._heard_s = microphone._began_s
    silent(microphone, 1, QUIET_ROOM)
    silent(microphone, 100, np.full(FRAME_SAMPLES, 7, np.int16).tobytes())
    assert microphone.doubt
    assert look(microphone, 0, from_s=microphone._began_s + 100) == ""


def test_zeros_after_sound_are_a_fault_and_zeros_from_the_beginning_are_not():
    """Only a fresh process can tell a dead microphone from a muted one; it must not be started for ever."""
    microphone = Microphone("", 0)
    began_s = microphone._began_s
    microphone._heard_s = began_s
    silent(microphone, 100)
    assert microphone.doubt
    assert look(microphone, 0, from_s=began_s + 100) == ""
    microphone._note_silence(QUIET_ROOM)
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
    microphone._note_silence(QUIET_ROOM)
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
    assert again.status()["silent"] is True
    assert any(line["event"] == "source_silent" for line in again.log)
    assert again.stop() == 0


LOSSY = """
import time
read = microphone.Microphone._read
class Lossy:
    def __init__(self, stream):
        self.stream, self.reads = stream, 0
    def __getattr__(self, name):
        return getattr(self.stream, name)
    def read(self, samples):
        self.reads += 1
        # A busy machine begins to read late: only a read that has to wait is of now.
        waited_s = 1.0 if self.reads > 1 else 0.0
        while waited_s < 0.02:
            began_s = time.monotonic()
            self.stream.read(samples)
            waited_s = time.monotonic() - began_s
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
    assert lost.to_number - lost.from_number >= 8  # and more, where this process was not let read in time
    following = [record for record in process.journal if isinstance(record, AudioFrame)][-1]
    first = process.journal[0]
    assert following.captured_at_ms - first.captured_at_ms == 50 * (following.number - first.number)
