"""Sound that says which word it is: every 10 ms carries its word, its place in it and its time.

A word is a stretch of loud sound cut into blocks of 10 ms. A block's lowest bits spell a label with a
checksum, and all its other bits follow from that label, so a block is either exactly what was made
here or nothing: a lost, doubled, shifted or changed sample is noticed. 16 kHz mono 16-bit PCM.
"""

import random
import struct
import wave
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ: Final = 16_000
BLOCK_MS: Final = 10
BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ * BLOCK_MS // 1000
LOUD_MIN: Final = 500
"""The peak from which 10 ms count as sound."""
_AMPLITUDE: Final = 6000
_NOISE: Final = 20
_SYNC: Final = 0x1ACF_FC1D
_LABEL: Final = struct.Struct(">I3sBBBIIH")
_SYNC_BITS: Final = np.unpackbits(np.frombuffer(_SYNC.to_bytes(4, "big"), np.uint8)).tobytes()

Samples = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Label:
    """What a block says: number `index` of a word's `count` blocks, `position` x 10 ms into the recording."""

    number: int
    index: int
    count: int
    position: int
    ends_sentence: bool = False
    speaker: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A word of a recording and exactly when it is said, in milliseconds from the recording's start."""

    number: int
    text: str
    start_ms: int
    end_ms: int
    turn: int
    speaker: int = 0


@dataclass(frozen=True, slots=True)
class Recording:
    """Sound and the words in it."""

    pcm: bytes
    words: tuple[Spoken, ...]

    @property
    def duration_ms(self) -> int:
        return len(self.pcm) * 1000 // (2 * SAMPLE_RATE_HZ)

    def frames(self, frame_ms: int = 50) -> Iterator[bytes]:
        """Cut into pieces for the wire; the last is padded with zeros."""
        size = bytes_in(frame_ms)
        for start in range(0, len(self.pcm), size):
            yield self.pcm[start : start + size].ljust(size, b"\0")

    def save(self, path: Path) -> Path:
        """Write a WAV file."""
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE_HZ)
            file.writeframes(self.pcm)
        return path


def compose(
    turns: int = 3,
    *,
    words: tuple[int, int] = (3, 7),
    word_ms: tuple[int, int] = (300, 600),
    pause_ms: tuple[int, int] = (100, 200),
    turn_pause_ms: tuple[int, int] = (800, 1200),
    lead_in_ms: int = 500,
    tail_ms: int = 1500,
    silence: Literal["noise", "zeros"] = "noise",
    sentences: bool = True,
    speakers: int = 1,
    first_number: int = 1,
    starts_at_ms: int = 0,
    seed: int = 0,
) -> Recording:
    """Make a recording; the same arguments give the same bytes.

    Ranges are least and most. A turn's last word ends a sentence unless `sentences` is False, and then
    only a pause beyond max_turn_silence ends the turn. `starts_at_ms` is where it lies in a longer one.
    """
    chance = random.Random(seed)
    pieces = [quiet(lead_in_ms, silence, chance)]
    at_ms = starts_at_ms + lead_in_ms
    spoken: list[Spoken] = []
    for turn in range(turns):
        count = chance.randint(*words)
        for place in range(count):
            number = first_number + len(spoken)
            length_ms = _tens(chance, word_ms)
            ends = sentences and place == count - 1
            speaker = turn % speakers
            pieces.append(say(number, length_ms, at_ms, ends_sentence=ends, speaker=speaker))
            word = text_of(number, ends_sentence=ends)
            spoken.append(
                Spoken(
                    number=number,
                    text=word,
                    start_ms=at_ms,
                    end_ms=at_ms + length_ms,
                    turn=turn,
                    speaker=speaker,
                )
            )
            between_ms = _tens(chance, pause_ms) if place < count - 1 else _tens(chance, turn_pause_ms)
            if turn == turns - 1 and place == count - 1:
                between_ms = tail_ms
            pieces.append(quiet(between_ms, silence, chance))
            at_ms += length_ms + between_ms
    return Recording(np.concatenate(pieces).tobytes(), tuple(spoken))


def save_side_by_side(path: Path, *recordings: Recording) -> Path:
    """Write a WAV file with a channel for each; what is shorter ends in zeros."""
    sides = [np.frombuffer(recording.pcm, np.int16) for recording in recordings]
    length = max(map(len, sides))
    joined = np.stack([np.pad(side, (0, length - len(side))) for side in sides], axis=1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(sides))
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(joined.tobytes())
    return path


def text_of(number: int, *, ends_sentence: bool = False) -> str:
    """Give the text a word's number stands for."""
    return f"word{number:04d}{'.?!'[number % 3] if ends_sentence else ''}"


def bytes_in(milliseconds: int) -> int:
    return milliseconds * SAMPLE_RATE_HZ // 1000 * 2


def say(number: int, length_ms: int, at_ms: int, *, ends_sentence: bool = False, speaker: int = 0) -> Samples:
    """Make the sound of one word that begins `at_ms` into the recording. Times are multiples of 10 ms."""
    count = length_ms // BLOCK_MS
    labels = (
        Label(number, index, count, at_ms // BLOCK_MS + index, ends_sentence, speaker)
        for index in range(count)
    )
    return np.concatenate([block(label) for label in labels])


def quiet(length_ms: int, silence: Literal["noise", "zeros"], chance: random.Random) -> Samples:
    """Make sound in which nothing is said."""
    size = length_ms * SAMPLE_RATE_HZ // 1000
    if silence == "zeros":
        return np.zeros(size, np.int16)
    noise = np.random.default_rng(chance.randrange(1 << 32))
    return noise.integers(-_NOISE, _NOISE + 1, size, np.int16)


@lru_cache(maxsize=4096)
def block(label: Label) -> Samples:
    """Make the 160 samples that say `label`. They are shared: not to be written to."""
    # A triangle in whole numbers: the same on every machine, which a sine is not.
    period = 40 + label.number % 61
    phase = (np.arange(BLOCK_SAMPLES, dtype=np.int32) + label.index * BLOCK_SAMPLES) % period
    carrier = _AMPLITUDE * (np.abs(4 * phase - 2 * period) - period) // period
    bits = np.unpackbits(np.frombuffer(_pack(label), np.uint8))
    return ((carrier & ~1) | bits).astype(np.int16)


def read_block(samples: Samples) -> Label | None:
    """Read the label of exactly these 160 samples; None if a single bit is not as `block` made it."""
    packed = np.packbits((samples & 1).astype(np.uint8)).tobytes()
    label = _unpack(packed)
    # Whatever the label says, checksum and carrier must be those that belong to it.
    return label if label is not None and np.array_equal(block(label), samples) else None


def find_block(samples: Samples, start: int) -> int:
    """Give where the next block may begin, at or after `start`; -1 where none does."""
    return (samples & 1).astype(np.uint8).tobytes().find(_SYNC_BITS, start)


def _pack(label: Label) -> bytes:
    flags = label.ends_sentence | label.speaker << 1
    number = label.number.to_bytes(3, "big")
    checksum = zlib.crc32(struct.pack(">3sBBBI", number, label.index, label.count, flags, label.position))
    return _LABEL.pack(
        _SYNC, number, label.index, label.count, flags, label.position, checksum, ~label.number & 0xFFFF
    )


def _unpack(packed: bytes) -> Label | None:
    sync, number, index, count, flags, position, _, _ = _LABEL.unpack(packed)
    if sync != _SYNC:
        return None
    return Label(int.from_bytes(number, "big"), index, count, position, bool(flags & 1), flags >> 1)


def _tens(chance: random.Random, span: tuple[int, int]) -> int:
    return chance.randrange(span[0], span[1] + 1, BLOCK_MS)
