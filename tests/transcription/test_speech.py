"""What is taken for speech: real speech however faint, and none of the noises of a room."""

import numpy as np
import pytest
from numpy.typing import NDArray

from minuted.transcription.idle import NOTICE_FRAMES, SPEECH, STRICTEST
from minuted.transcription.speech import Speech
from noises import FULL, hum, level, pink, typing, white
from simulator.coded import SAMPLE_RATE_HZ
from voices import frames, recording, speech

SETTLE_S = 3


NOISES = {"white": white, "pink": pink, "hum": hum, "typing": typing}


def heard(samples: NDArray[np.float64]) -> tuple[list[float], Speech]:
    detector = Speech()
    clipped = np.clip(np.round(samples), -FULL, FULL - 1)
    return [detector.hear(frame) for frame in frames(clipped)], detector


@pytest.mark.parametrize("speech_dbfs", [-30, -50, -70])
@pytest.mark.parametrize("name", ["white", "pink", "hum"])
def test_faint_speech_in_noise_as_loud_is_noticed_at_once(name: str, speech_dbfs: int) -> None:
    """Somebody far from the microphone: what is let go unheard depends on it, by the strictest bound too."""
    spoken = level(speech(2.0).astype(np.float64), speech_dbfs)
    sound = level(NOISES[name](SETTLE_S + 2.0), speech_dbfs)
    begins = SETTLE_S * SAMPLE_RATE_HZ
    sound[begins : begins + len(spoken)] += spoken
    likely, _ = heard(sound)
    first = next(place for place, value in enumerate(likely) if value >= STRICTEST)
    assert 0 <= first - begins // 800 <= NOTICE_FRAMES


@pytest.mark.parametrize("dbfs", [-60, -40])
@pytest.mark.parametrize("name", list(NOISES))
def test_no_noise_of_a_room_is_taken_for_speech(name: str, dbfs: int) -> None:
    """A fan that kept the session open would cost as much as a meeting."""
    likely, _ = heard(level(NOISES[name](8.0), dbfs))
    assert max(likely) < STRICTEST


@pytest.mark.parametrize("name", ["white", "pink", "hum"])
def test_in_steady_noise_the_dear_detector_hardly_runs(name: str) -> None:
    """It takes 6 % of a core; it is asked about what stands out of the noise only."""
    detector = Speech()
    sound = list(frames(level(NOISES[name](30.0), -55)))
    for frame in sound[:200]:  # the cheap one learns what the room is like
        detector.hear(frame)
    learnt = detector.asked
    for frame in sound[200:]:
        detector.hear(frame)
    assert (detector.asked - learnt) * 512 / SAMPLE_RATE_HZ < 20.0 / 5


def test_digital_silence_is_silence() -> None:
    """There is no noise to measure by."""
    likely, detector = heard(np.zeros(3 * SAMPLE_RATE_HZ))
    assert max(likely) == 0.0
    assert not detector.asked


def test_after_a_break_in_the_sound_the_room_is_known_still() -> None:
    """A hole must not make the detector deaf or nervous."""
    detector = Speech()
    quiet = list(frames(level(white(2.0), -60)))
    for frame in quiet:
        detector.hear(frame)
    detector.reset()
    assert max(detector.hear(frame) for frame in quiet) < SPEECH
    assert max(detector.hear(frame) for frame in frames(speech(1.0))) > STRICTEST


@pytest.mark.parametrize("name", ["two_cities.wav", "beckett.wav", "endgame_nagg_nell.wav"])
def test_all_voices_of_the_package_are_speech(name: str) -> None:
    """A man, a woman, old actors in a hall."""
    likely, _ = heard(recording(name)[: 8 * SAMPLE_RATE_HZ].astype(np.float64))
    assert sum(value >= STRICTEST for value in likely) > len(likely) / 4
