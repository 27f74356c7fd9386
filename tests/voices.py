"""Somebody speaks: real speech from the recogniser's package, with coded words before it to be counted.

The detectors do not take coded sound for speech; a word of it in front of speech is one they overlook.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import soundfile
import soxr
from moonshine_voice.utils import get_assets_path
from numpy.typing import NDArray

from simulator.coded import SAMPLE_RATE_HZ, Recording, Spoken, compose

SPEECH_AT_S = 1.25
"""Where somebody begins to speak in the recording, for two seconds and more."""


@cache
def recording(name: str = "two_cities.wav") -> NDArray[np.int16]:
    """Give one of the package's recordings at the wire's rate."""
    samples, rate_hz = soundfile.read(get_assets_path() / name, dtype="int16", always_2d=True)
    return np.asarray(soxr.resample(samples[:, 0], rate_hz, SAMPLE_RATE_HZ), np.int16)


def speech(seconds: float, at_s: float = SPEECH_AT_S) -> NDArray[np.int16]:
    start = int(at_s * SAMPLE_RATE_HZ)
    return recording()[start : start + int(seconds * SAMPLE_RATE_HZ)]


@cache
def pieces() -> tuple[NDArray[np.int16], ...]:
    """Give single utterances of several voices, each of 1 to 4 s, cut where they pause."""
    found = []
    for name in ("two_cities.wav", "beckett.wav", "endgame_nagg_nell.wav"):
        samples = recording(name)
        blocks = np.abs(samples[: len(samples) // 800 * 800].reshape(-1, 800).astype(np.int32)).mean(axis=1)
        loud = blocks > 0.1 * blocks.max()
        at = 0
        while at < len(loud):
            start = at + int(np.argmax(loud[at:]))
            if not loud[start]:
                break
            end = start + 1
            while end < len(loud) and loud[end : end + 6].any() and end - start < 80:
                end += 1
            if end - start >= 20:
                found.append(samples[start * 800 : end * 800])
            at = end
    return tuple(found)


def noise(seconds: float, level: int = 20, seed: int = 0) -> NDArray[np.int16]:
    """Give a room in which nobody speaks."""
    chance = np.random.default_rng(seed)
    return chance.integers(-level, level + 1, int(seconds * SAMPLE_RATE_HZ), np.int16)


def frames(samples: NDArray[Any]) -> Iterator[bytes]:
    """Cut into frames of the wire."""
    for start in range(0, len(samples) - 799, 800):
        yield samples[start : start + 800].astype("<i2").tobytes()


def utterances(count: int, silence_s: float, *, first_number: int = 1) -> Recording:
    """Make a recording in which somebody speaks now and then: each time two coded words, then speech."""
    pieces: list[NDArray[np.int16]] = []
    words: list[Spoken] = []
    at_ms = 0
    for place in range(count):
        coded = compose(
            1,
            words=(2, 2),
            word_ms=(200, 250),
            lead_in_ms=int(silence_s * 1000),
            tail_ms=50,
            first_number=first_number + 2 * place,
            starts_at_ms=at_ms,
            seed=place,
            sentences=False,
        )
        pieces += [np.frombuffer(coded.pcm, np.int16), speech(1.0)]
        words += coded.words
        at_ms += coded.duration_ms + 1000
    return Recording(np.concatenate([*pieces, noise(silence_s)]).tobytes(), tuple(words))
