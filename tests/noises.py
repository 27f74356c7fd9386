"""The noises of rooms, and how loud they are."""

import numpy as np
from numpy.typing import NDArray

from simulator.coded import SAMPLE_RATE_HZ
from voices import pieces

FULL = 32768
Sound = NDArray[np.float64]


def level(samples: Sound, dbfs: float) -> Sound:
    """Bring sound to a level, in dB below full scale; pauses in it do not count."""
    blocks = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    loud = np.sqrt(np.mean(blocks**2, axis=1))
    return samples * (FULL * 10 ** (dbfs / 20) / np.sqrt(np.mean(loud[loud > loud.max() / 10] ** 2)))


def white(seconds: float) -> Sound:
    return np.random.default_rng(1).standard_normal(int(seconds * SAMPLE_RATE_HZ))


def pink(seconds: float) -> Sound:
    """Like air and far traffic."""
    spectrum = np.fft.rfft(white(seconds))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    sound = np.fft.irfft(spectrum, int(seconds * SAMPLE_RATE_HZ))
    return sound / np.sqrt(np.mean(sound**2))


def _tone(seconds: float, hz: float) -> Sound:
    return np.sin(2 * np.pi * hz * np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ)


def hum(seconds: float) -> Sound:
    """The mains, with its harmonics."""
    tones = _tone(seconds, 50) + _tone(seconds, 150) / 3 + _tone(seconds, 250) / 5
    return np.asarray(tones + 0.05 * white(seconds))


def fan(seconds: float) -> Sound:
    """Air, and a blade's tone that swells."""
    blade = _tone(seconds, 118) * (1 + 0.2 * _tone(seconds, 1.3)) + 0.4 * _tone(seconds, 236)
    return np.asarray(pink(seconds) + 0.5 * blade)


def typing(seconds: float) -> Sound:
    """Keys, two to six a second."""
    chance = np.random.default_rng(2)
    sound = 0.005 * white(seconds)
    at = 0
    while (at := at + int(chance.uniform(2500, 8000))) < len(sound) - 500:
        sound[at : at + 500] += chance.standard_normal(500) * np.exp(-np.arange(500) / 80)
    return sound


def knocks(seconds: float) -> Sound:
    """Doors, steps, cups: something each two seconds."""
    chance = np.random.default_rng(3)
    sound = 0.005 * white(seconds)
    at, fades = 0, np.arange(3000)
    while (at := at + int(chance.uniform(1, 3) * SAMPLE_RATE_HZ)) < len(sound) - 3000:
        tone = np.sin(2 * np.pi * chance.uniform(80, 400) * fades / SAMPLE_RATE_HZ) * np.exp(-fades / 400)
        sound[at : at + 3000] += tone + 0.3 * chance.standard_normal(3000) * np.exp(-fades / 100)
    return sound


def babble(seconds: float) -> Sound:
    """Thirty people at once, behind a wall."""
    chance = np.random.default_rng(4)
    length = int(seconds * SAMPLE_RATE_HZ)
    voices = [level(piece.astype(np.float64), -30) for piece in pieces()]
    sound = np.zeros(length)
    for _ in range(30):
        at = 0
        while at < length:
            voice = voices[int(chance.integers(len(voices)))][: length - at]
            sound[at : at + len(voice)] += voice
            at += len(voice) + int(chance.integers(0, 8000))
    muffled = np.convolve(sound, np.ones(12) / 12, "same")
    return np.asarray(muffled)


def music(seconds: float) -> Sound:
    """A melody over chords and a beat, two notes a second."""
    chance = np.random.default_rng(5)
    length, note = int(seconds * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ // 2
    sound = np.zeros(length)
    fades = np.arange(note)
    for at in range(0, length - note, note):
        root = 110 * 2 ** (int(chance.integers(0, 12)) / 12)
        for step, loud in ((0, 0.5), (4, 0.4), (7, 0.4), (int(chance.integers(12, 25)), 1.0)):
            hertz = root * 2 ** (step / 12)
            phase = 2 * np.pi * hertz * fades / SAMPLE_RATE_HZ + 3 * np.sin(
                2 * np.pi * 5 * fades / SAMPLE_RATE_HZ
            )
            tone = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 6))
            sound[at : at + note] += loud * tone * np.exp(-fades / 6000)
        sound[at : at + 800] += chance.standard_normal(800) * np.exp(-np.arange(800) / 150)
    return sound
