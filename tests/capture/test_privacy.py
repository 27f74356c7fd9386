"""A pause, heard through a real sound server: nothing said in it is anywhere, and what follows is."""

import time
from pathlib import Path

import numpy as np
import pytest

from capture.conftest import Process
from minuted.commands import pausing
from minuted.messages import AudioEnd, AudioFrame, AudioGap

MEMORY = '[journal]\naudio = "memory"'
DEVICE = 'device = "ceiling"'
BLOCK_BYTES = 100


def noise(seed: int) -> bytes:
    """A second of it, of which no two blocks are the same."""
    return np.random.default_rng(seed).integers(-20000, 20000, 16000, np.int16).tobytes()


def any_of(said: bytes, heard: bytes) -> bool:
    """Whether even a few milliseconds of what was said are there."""
    return any(said[at : at + BLOCK_BYTES] in heard for at in range(0, len(said), BLOCK_BYTES))


def stored(folder: Path) -> bytes:
    """All that is on the disk, whatever it is."""
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def holes(process: Process) -> list[tuple[str, int]]:
    """The reasons and lengths of what is missing, as transcription finds them."""
    found, following, reason = [], None, ""
    for record in process.journal:
        if isinstance(record, AudioFrame):
            if following is not None and record.number > following:
                found.append((reason, record.number - following))
            following, reason = record.number + 1, ""
        elif isinstance(record, AudioEnd) or record.to_number == record.from_number:
            reason = record.reason
        else:
            found.append((record.reason, record.to_number - record.from_number))
            following = record.to_number
    return found


@pytest.mark.parametrize("more", ["", MEMORY], ids=["disk", "memory"])
def test_what_is_said_in_a_pause_is_nowhere(microphones, configure, receiver, start, more):
    """Not in the journal, not on its way, not in front of what follows."""
    settings = configure(DEVICE, more)
    process = start(settings, microphones.environment)
    receiver.receive_until(lambda: receiver.frames)
    before, within, after = noise(1), noise(2), noise(3)
    microphones.speak("ceiling", before)
    receiver.receive_until(lambda: before in receiver.pcm)
    assert pausing.begin(settings, None) == "paused; `minuted resume` ends it"
    paused_at_ms = time.time() * 1000
    assert (process.status()["state"], process.status()["reason"]) == ("paused", "paused")
    receiver.receive_until(lambda: receiver.end)
    assert receiver.end.reason == "paused"
    assert receiver.frames[-1].captured_at_ms + 50 <= paused_at_ms
    many = len(receiver.frames)
    microphones.speak("ceiling", within)
    assert pausing.end(settings) == "resumed"
    receiver.receive_until(lambda: len(receiver.frames) > many)
    microphones.speak("ceiling", after)
    receiver.receive_until(lambda: after in receiver.pcm)
    process.wait_for(lambda: process.status().get("state") == "hearing")
    assert process.stop() == 0
    assert not any_of(within, receiver.pcm + stored(settings.state_dir))
    assert any_of(after, receiver.pcm)
    if not more:
        ((reason, frames),) = holes(process)
        assert reason == "paused"
        assert frames * 50 >= 1000


def test_a_pause_is_over_by_itself_and_outlasts_a_killed_process(microphones, configure, receiver, start):
    """Whoever asked for ten minutes gets them, whatever happens to a process."""
    settings = configure(DEVICE)
    process = start(settings, microphones.environment)
    receiver.receive_until(lambda: receiver.frames)
    pausing.begin(settings, None)
    process.popen.kill()
    process.end()
    again = start(settings, microphones.environment)
    again.wait_for(lambda: again.status().get("paused"))
    assert pausing.begin(settings, 1.5).startswith("paused until ")
    many = len(receiver.frames)
    receiver.receive_until(lambda: len(receiver.frames) > many)
    again.wait_for(lambda: again.status().get("state") == "hearing")
    assert not (settings.state_dir / "paused.json").exists()
    assert again.stop() == 0
    assert [reason for reason, _ in holes(again)] == ["paused"]


def test_a_stop_in_a_pause_does_not_end_it(microphones, configure, receiver, start):
    """The machine is switched off in the evening; in the morning the room is still not heard."""
    settings = configure(DEVICE)
    process = start(settings, microphones.environment)
    receiver.receive_until(lambda: receiver.frames)
    pausing.begin(settings, None)
    assert process.stop() == 0
    again = start(settings, microphones.environment)
    again.wait_for(lambda: again.status().get("paused"))
    resumed_at_ms = time.time_ns() // 1_000_000
    pausing.end(settings)
    # On a quick machine all this takes less than a second: only a frame of later is one of after the pause.
    receiver.receive_until(lambda: receiver.frames[-1].captured_at_ms > resumed_at_ms)
    assert again.stop() == 0
    assert [reason for reason, _ in holes(again)] == ["paused"]


def test_a_pause_may_begin_while_there_is_no_device(microphones, configure, start):
    settings = configure('device = "Yeti"')
    waiting = start(settings, microphones.environment, "-c", PATIENT, str(settings.path))
    waiting.wait_for(lambda: waiting.status().get("state") == "no-device")
    pausing.begin(settings, None)
    assert waiting.status()["state"] == "paused"
    assert waiting.stop() == 0


PATIENT = """
import sys
from pathlib import Path
from minuted.capture import __main__
from minuted.config import load
from minuted.runtime import logs

logs.set_up("capture")
__main__._is_a_service = lambda: True
sys.exit(__main__.run(load(Path(sys.argv[1]))))
"""


def test_a_device_that_was_unplugged_in_a_pause_is_no_part_of_it(microphones, configure, receiver, start):
    """The minutes must not call a broken microphone a pause."""
    settings = configure(DEVICE)
    process = start(settings, microphones.environment, "-c", PATIENT, str(settings.path))
    receiver.receive_until(lambda: receiver.frames)
    pausing.begin(settings, None)
    microphones.stop()
    pausing.end(settings)
    process.wait_for(lambda: process.status().get("state") == "no-device")
    process.wait_for(lambda: isinstance(process.journal[-1], AudioGap))
    # Frames of before the pause may still be on their way.
    plugged_in_at_ms = time.time_ns() // 1_000_000
    microphones.start()
    microphones.plug_in("ceiling")
    receiver.receive_until(lambda: receiver.frames[-1].captured_at_ms > plugged_in_at_ms)
    assert process.stop() == 0
    assert [reason for reason, _ in holes(process)] == ["paused", "device-lost"]


def test_a_sound_server_that_hangs_cannot_hold_up_a_pause(microphones, configure, receiver, start):
    """The process ends, which closes the device, and the next one begins with the pause."""
    settings = configure(DEVICE)
    process = start(settings, microphones.environment)
    receiver.receive_until(lambda: receiver.frames)
    microphones.freeze()
    handed = pausing._ask(settings, "pause")
    assert handed["text"] == "paused"
    assert process.end() == 75
    again = start(settings, microphones.environment)
    again.wait_for(lambda: again.status().get("paused"))
    assert again.stop() == 0


def test_a_recording_is_not_paused(configure, start, record):
    settings = configure(f'source = "{record(noise(1) * 20)}"')
    process = start(settings)
    process.wait_for(lambda: process.status().get("frames"))
    with pytest.raises(pausing.NotDoneError, match="only a microphone can be paused"):
        pausing.begin(settings, None)
    assert process.stop() == 0
