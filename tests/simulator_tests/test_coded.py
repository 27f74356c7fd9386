import wave
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.coded import Label, block, bytes_in, compose, read_block, say, text_of
from simulator.ear import Ear, Heard

RECORDING = compose(2, words=(2, 3), lead_in_ms=200, tail_ms=300, seed=7)
BLOCK = bytes_in(10)


def heard_in(*pieces: bytes, half_words: str = "nothing") -> list[Heard]:
    ear = Ear(half_words)  # type: ignore[arg-type]
    words = [word for piece in pieces for step in ear.hear(piece) for word in step.words]
    return words + ear.end()


def test_every_word_is_heard_where_it_is_said():
    """All tests of loss and time rest on this."""
    heard = heard_in(RECORDING.pcm)
    told = [(word.number, word.text, word.start_ms, word.end_ms) for word in heard]
    assert told == [(word.number, word.text, word.start_ms, word.end_ms) for word in RECORDING.words]
    assert [word.true_start_ms for word in heard] == [word.start_ms for word in RECORDING.words]


@settings(max_examples=40)
@given(st.data())
def test_the_size_of_the_pieces_does_not_matter(data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(RECORDING.pcm)), max_size=12)))
    edges = [0, *cuts, len(RECORDING.pcm)]
    pieces = [RECORDING.pcm[a:b] for a, b in pairwise(edges)]
    assert heard_in(*pieces) == heard_in(RECORDING.pcm)


@settings(max_examples=40)
@given(st.integers(0, len(RECORDING.pcm) // 2 - 1))
def test_a_cut_costs_exactly_the_word_it_falls_into(sample):
    """A break may fall between any two samples; the two sides are two sessions."""
    at_ms = sample / 16
    whole = {word.number for word in RECORDING.words if not word.start_ms < at_ms < word.end_ms}
    before = heard_in(RECORDING.pcm[: 2 * sample])
    after = heard_in(RECORDING.pcm[2 * sample :])
    assert {word.number for word in before} & {word.number for word in after} == set()
    assert {word.number for word in before + after} == whole


@settings(max_examples=40)
@given(st.integers(0, len(RECORDING.pcm) // 2 - 2), st.integers(1, 4000))
def test_sound_left_out_costs_every_word_it_touches(sample, count):
    """Dropped frames are noticed whatever their size, whole blocks too, and later words keep their place."""
    count = min(count, len(RECORDING.pcm) // 2 - sample)
    first_ms, end_ms = sample / 16, (sample + count) / 16
    touched = {w.number for w in RECORDING.words if w.start_ms < end_ms and first_ms < w.end_ms}
    heard = heard_in(RECORDING.pcm[: 2 * sample] + RECORDING.pcm[2 * (sample + count) :])
    assert {word.number for word in heard} == {word.number for word in RECORDING.words} - touched
    for word in heard:
        moved_ms = word.true_start_ms - word.start_ms
        expected_ms = 0 if word.true_start_ms < first_ms else count / 16
        assert abs(moved_ms - expected_ms) <= 1


@settings(max_examples=40)
@given(st.sampled_from(RECORDING.words), st.data())
def test_sound_sent_twice_within_a_word_costs_it(word, data):
    """A repeated frame is as wrong as a missing one."""
    index = data.draw(st.integers(0, (word.end_ms - word.start_ms) // 10 - 1))
    at = bytes_in(word.start_ms) + index * BLOCK
    pcm = RECORDING.pcm[: at + BLOCK] + RECORDING.pcm[at:]
    numbers = [heard.number for heard in heard_in(pcm)]
    # The last block twice leaves a whole word and a stray block behind it.
    whole = at + BLOCK == bytes_in(word.end_ms) or index == 0
    assert (word.number in numbers) == whole
    assert len(numbers) == len(set(numbers)) == len(RECORDING.words) - (not whole)


@settings(max_examples=40)
@given(st.sampled_from(RECORDING.words), st.data())
def test_one_changed_bit_costs_the_word(word, data):
    """Gain, resampling, mixing: whatever touches the samples shows."""
    at = data.draw(st.integers(bytes_in(word.start_ms), bytes_in(word.end_ms) - 1))
    pcm = bytearray(RECORDING.pcm)
    pcm[at] ^= 1 << data.draw(st.integers(0, 7))
    numbers = {heard.number for heard in heard_in(bytes(pcm))}
    assert numbers == {other.number for other in RECORDING.words} - {word.number}


def test_half_words_show_when_asked_for():
    """A client that begins within a word can be told from one that begins in silence."""
    word = RECORDING.words[3]
    middle = bytes_in((word.start_ms + word.end_ms) // 20 * 10)
    before = heard_in(RECORDING.pcm[:middle], half_words="mangled")[-1]
    after = heard_in(RECORDING.pcm[middle:], half_words="mangled")[0]
    assert (before.text, before.whole) == (f"word{word.number:04d}…", False)
    assert (after.text, after.whole) == (f"…ord{word.number:04d}", False)
    assert before.start_ms == word.start_ms
    assert after.end_ms == word.end_ms - middle // 32


def test_a_word_whose_sound_has_a_seam_is_not_heard_across_it():
    """The same word said twice is two sounds, and the halves of two are none."""
    first, second = (say(9, 400, at_ms).tobytes() for at_ms in (1000, 2000))
    assert heard_in(first[: 20 * BLOCK] + second[20 * BLOCK :]) == []


@settings(max_examples=40)
@given(st.sampled_from(RECORDING.words), st.data(), st.integers(1, 2000), st.booleans())
def test_sound_put_into_a_word_costs_it(word, data, count, loud):
    """A client that fills a hole with silence does not mend it."""
    index = data.draw(st.integers(1, (word.end_ms - word.start_ms) // 10 - 1))
    at = bytes_in(word.start_ms) + index * BLOCK
    filling = np.full(count, 3000 if loud else 0, np.int16).tobytes()
    numbers = {heard.number for heard in heard_in(RECORDING.pcm[:at] + filling + RECORDING.pcm[at:])}
    assert numbers == {other.number for other in RECORDING.words} - {word.number}


def test_blocks_follow_each_other_by_place_and_by_time():
    def said(*places: tuple[int, int]) -> list[int]:
        blocks = (block(Label(9, index, 3, position)).tobytes() for index, position in places)
        return [word.number for word in heard_in(*blocks)]

    assert said((0, 100), (1, 101), (2, 102)) == [9]
    assert said((0, 100), (2, 101)) == []
    assert said((0, 100), (1, 102), (2, 103)) == []


@pytest.mark.parametrize("silence", ["noise", "zeros"])
def test_silence_says_nothing_and_is_quiet(silence):
    recording = compose(2, silence=silence, seed=3)
    ear = Ear()
    loud_ms = {step.start_ms for step in ear.hear(recording.pcm) if step.loud}
    said_ms = {ms for word in recording.words for ms in range(word.start_ms, word.end_ms, 10)}
    assert loud_ms == said_ms


def test_exact_zeros_are_zeros():
    """A dead microphone gives these, and capture takes them for one."""
    recording = compose(1, silence="zeros")
    assert recording.pcm[: bytes_in(500)] == bytes(bytes_in(500))
    assert compose(1).pcm[: bytes_in(500)] != bytes(bytes_in(500))


def test_a_block_survives_nothing_but_identity():
    samples = block(Label(123456, 3, 40, 777, ends_sentence=True, speaker=2))
    assert read_block(samples) == Label(123456, 3, 40, 777, ends_sentence=True, speaker=2)
    assert read_block(samples + np.int16(2)) is None
    assert read_block(-samples) is None


@settings(max_examples=15)
@given(
    st.integers(1, 3),
    st.integers(0, 1 << 16),
    st.sampled_from(["noise", "zeros"]),
    st.integers(1, 900_000),
    st.integers(1, 4),
)
def test_a_recording_is_what_was_asked_for(turns, seed, silence, first_number, speakers):
    recording = compose(turns, seed=seed, silence=silence, first_number=first_number, speakers=speakers)
    again = compose(turns, seed=seed, silence=silence, first_number=first_number, speakers=speakers)
    assert recording == again
    assert [word.number for word in recording.words] == list(
        range(first_number, first_number + len(recording.words))
    )
    for word, after in pairwise(recording.words):
        assert 300 <= word.end_ms - word.start_ms <= 600
        pause_ms = after.start_ms - word.end_ms
        assert 100 <= pause_ms <= 200 if word.turn == after.turn else pause_ms >= 800
        assert word.text.endswith((".", "?", "!")) == (word.turn != after.turn)
    assert [(w.number, w.speaker) for w in heard_in(recording.pcm)] == [
        (w.number, w.speaker) for w in recording.words
    ]


def test_long_recordings_can_be_made_in_parts():
    """A day of sound does not fit into memory at once."""
    first = compose(2, seed=1)
    second = compose(
        2, seed=2, first_number=len(first.words) + 1, starts_at_ms=first.duration_ms, lead_in_ms=1000
    )
    heard = heard_in(first.pcm, second.pcm)
    assert [word.start_ms for word in heard] == [word.start_ms for word in (*first.words, *second.words)]
    assert all(word.start_ms == word.true_start_ms for word in heard)


def test_frames_are_fifty_milliseconds_and_the_last_is_padded():
    frames = list(RECORDING.frames())
    assert {len(frame) for frame in frames} == {1600}
    assert b"".join(frames)[: len(RECORDING.pcm)] == RECORDING.pcm


def test_a_saved_recording_is_the_same_sound(tmp_path):
    with wave.open(str(RECORDING.save(tmp_path / "said.wav"))) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (16_000, 2, 1)
        assert file.readframes(file.getnframes()) == RECORDING.pcm


def test_texts_are_distinct():
    assert len({text_of(number) for number in range(20_000)}) == 20_000
