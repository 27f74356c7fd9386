"""What closing the session in silence saves and costs: sound missed, time saved, CPU, and captions' delay.

Expected: no speech missed in any noise; in a quiet room the detectors take at most 1.5 % of a core, in one
full of clicks or voices about 5 %; from the begin of speech its sound is at the service, and a caption
here, within 1.5 s although the service takes 0.9 s to let a session begin.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from kills.daemon import Daemon
from minuted.bus import TurnsIn
from minuted.messages import FRAME_MS, Turn
from minuted.transcription.idle import Idle
from minuted.transcription.speech import Speech
from noises import FULL, babble, fan, hum, knocks, level, pink, typing, white
from simulator import Service
from simulator.coded import SAMPLE_RATE_HZ
from voices import frames, pieces, utterances

AFTER_S = 15.0
"""A quarter of the default, and the silences with it, for more of them to be heard."""
MINUTES = 4
ROOMS: tuple[tuple[str, Callable[[float], NDArray[np.float64]], int, int], ...] = (
    # What it is called, its noise, how loud speech is in dBFS, and by how many dB louder than the noise.
    ("quiet room", pink, -40, 30),
    ("far talker", pink, -60, 10),
    ("white noise", white, -45, 5),
    ("pink noise", pink, -45, 0),
    ("hum of 50 Hz", hum, -45, 0),
    ("fan", fan, -45, 3),
    ("typing", typing, -40, 10),
    ("doors and steps", knocks, -40, 10),
    ("babble next door", babble, -40, 15),
)
BEGIN_S = 0.9
WAKES = 4
DAEMONS = 2


@dataclass(frozen=True)
class Saved:
    """What came of one room's sound."""

    utterances: int
    missed: int
    """Utterances of which any sound was let go unheard."""
    wakes: int
    open_of_time: float
    spoken_of_time: float
    cpu: float
    """Of a core, while nobody speaks."""
    in_noise_only: int
    """Sessions opened although nobody spoke."""


def meeting(minutes: float, chance: np.random.Generator) -> list[tuple[float, NDArray[np.int16]]]:
    """Say when somebody speaks and what: some sentences, then for long nothing, and so on."""
    said, at_s = [], 20.0
    voices = pieces()
    while True:
        for _ in range(int(chance.integers(2, 6))):
            spoken = voices[int(chance.integers(len(voices)))]
            if at_s + len(spoken) / SAMPLE_RATE_HZ >= minutes * 60 - 5:
                return said
            said.append((at_s, spoken))
            at_s += len(spoken) / SAMPLE_RATE_HZ + chance.uniform(0.5, 6)
        at_s += chance.uniform(18, 45)


def hear(noise: Callable[[float], NDArray[np.float64]], speech_dbfs: int, above_db: int) -> Saved:
    """Have a room's sound looked at, with no service to say whether there are words: the detectors alone."""
    said = meeting(MINUTES, np.random.default_rng(7))
    sound = level(noise(MINUTES * 60.0), speech_dbfs - above_db)
    spoken = np.zeros(len(sound) // 800, bool)
    spans = []
    for at_s, samples in said:
        start = int(at_s * SAMPLE_RATE_HZ)
        sound[start : start + len(samples)] += level(samples.astype(np.float64), speech_dbfs)
        spans.append(slice(start // 800, (start + len(samples)) // 800))
        spoken[spans[-1]] = True
    idle, speech = Idle(AFTER_S), Speech()
    heard = np.zeros(len(spoken), bool)
    idle.begin_at(0)
    mark = open_frames = vain = 0
    had_words = True
    for number, pcm in enumerate(frames(np.clip(np.round(sound), -FULL, FULL - 1))):
        was_idle = idle.phase == "idle"
        idle.look(number, speech.hear(pcm))
        if idle.phase == "idle":
            mark = max(mark, idle.pass_before)
            continue
        is_speech = bool(spoken[max(0, number - 20) : number + 1].any())
        if was_idle:
            vain += not is_speech
            had_words = False
        had_words |= is_speech
        heard[mark : number + 1] = True
        open_frames += number + 1 - mark
        mark = number + 1
        if idle.is_due(0.0):
            if had_words:
                idle.words()
            idle.close()
            idle.rest(now_ms=0)
    return Saved(
        utterances=len(said),
        missed=sum(not heard[span].all() for span in spans),
        wakes=idle.wakes,
        open_of_time=round(open_frames / len(spoken), 3),
        spoken_of_time=round(float(spoken.mean()), 3),
        cpu=round(cpu_of(level(noise(40.0), speech_dbfs - above_db)), 4),
        in_noise_only=vain,
    )


def cpu_of(sound: NDArray[np.float64]) -> float:
    """Say how much of a core it takes to look at noise that is known: its last 30 s."""
    speech = Speech()
    began_s = 0.0
    for number, pcm in enumerate(frames(np.clip(np.round(sound), -FULL, FULL - 1))):
        if number == 200:
            began_s = time.process_time()
        speech.hear(pcm)
    return (time.process_time() - began_s) / (len(sound) / SAMPLE_RATE_HZ - 10)


def wake() -> tuple[list[float], list[float]]:
    """Measure from the begin of speech to its sound at the service, and to the first caption, in seconds."""
    said = utterances(WAKES, 4.5)
    sound_s, caption_s = [], []
    with (
        tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as name,
        Service(keep_audio=False, begin_s=BEGIN_S) as service,
    ):
        folder = Path(name)
        config = f'[engine]\nservice = "assemblyai"\nurl = "{service.url}"\nidle_after_s = 1\n'
        with Daemon(folder, folder, config) as daemon:
            turns = TurnsIn(daemon.settings.turns_endpoint)
            daemon.start(said.save(folder / "talk.wav"))
            first: dict[str, tuple[float, float]] = {}
            until_s = time.monotonic() + 90
            while len(first) < WAKES and time.monotonic() < until_s:
                message = turns.receive(timeout_s=0.05)
                if isinstance(message, Turn) and message.words and message.words[0].text not in first:
                    began_ms = message.meeting_started_at_ms + message.words[-1].end_ms + 50
                    first[message.words[0].text] = (began_ms / 1000, time.time())
            turns.close()
            to_epoch_s = time.time() - time.monotonic()
            for began_s, came_s in first.values():
                arrivals = [
                    session.audio[0][0] + to_epoch_s for session in list(service.sessions) if session.audio
                ]
                sound_s.append(min(at_s for at_s in arrivals if at_s > began_s - 1) - began_s)
                caption_s.append(came_s - began_s)
    return sound_s, caption_s


def main() -> None:
    result: dict[str, object] = {}
    with ThreadPoolExecutor(DAEMONS) as pool:
        woken = [each.result() for each in [pool.submit(wake) for _ in range(DAEMONS)]]
    for key, values in (
        ("sound_s", [value for sound_s, _ in woken for value in sound_s]),
        ("caption_s", [value for _, caption_s in woken for value in caption_s]),
    ):
        result[key] = {
            "median": round(statistics.median(values), 2),
            "max": round(max(values), 2),
            "count": len(values),
        }
    result["after_s"], result["frame_ms"] = AFTER_S, FRAME_MS
    for name, noise, speech_dbfs, above_db in ROOMS:
        result[name] = asdict(hear(noise, speech_dbfs, above_db))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
