"""How many sessions an hour of noise costs, in which no service would tell a word."""

from collections import deque
from collections.abc import Callable

import numpy as np
import pytest

from minuted.messages import FRAME_MS
from minuted.transcription.doubts import Doubts
from minuted.transcription.idle import STRICTEST
from minuted.transcription.lane import FLOOR_FRAMES
from minuted.transcription.pauses import is_loud, level_of
from minuted.transcription.progress import Progress
from minuted.transcription.speech import Speech
from noises import Sound, babble, fan, hum, knocks, level, music, pink, typing, white
from voices import frames

LOOP_S = 24.0
HOUR_FRAMES = 3_600_000 // FRAME_MS


@pytest.mark.parametrize(
    "noise", [white, pink, hum, fan, typing, knocks, babble, music], ids=lambda noise: noise.__name__
)
def test_an_hour_of_noise_costs_at_most_one_session_more(noise: Callable[[float], Sound]) -> None:
    """Its sound is looked at as loudness and by the detector, as a session's is while no turn is open."""
    samples = level(noise(LOOP_S), -35.0).clip(-32768, 32767).astype(np.int16)
    speech = Speech()
    heard = [(level_of(0, pcm).level, speech.hear(pcm) >= STRICTEST) for pcm in frames(samples)]
    doubts, progress, recent = Doubts(), Progress(0.0), deque[float](maxlen=FLOOR_FRAMES)
    sessions, loud, spoken = 1, 0, 0
    for number in range(HOUR_FRAMES):
        loudness, is_speech = heard[number % len(heard)]
        recent.append(loudness)
        loud += is_loud(loudness, min(recent))
        spoken += is_speech
        progress.sent(number, is_loud=is_loud(loudness, min(recent)))
        if is_speech:
            progress.detected(number)
        now_s = number * FRAME_MS / 1000
        if number % 20 == 0:
            progress.expire()
            if progress.is_stalled(now_s) and doubts.may_leave(now_s):
                sessions += 1
                progress = Progress(now_s)
    shares = f"{loud / HOUR_FRAMES:.0%} loud, {spoken / HOUR_FRAMES:.0%} speech"
    print(f"{noise.__name__}: {sessions} sessions, {shares}")
    assert sessions <= 2
