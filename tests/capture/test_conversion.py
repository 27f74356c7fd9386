import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minuted.capture.conversion import Converter, Uncancelled, check_channel
from minuted.config import ConfigError
from minuted.messages import FRAME_SAMPLES, SAMPLE_RATE_HZ

RATES_HZ = [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000, 192000]


def sine(rate_hz: int, seconds: float, hz: float = 440.0, peak: float = 0.5) -> np.ndarray:
    times_s = np.arange(round(rate_hz * seconds)) / rate_hz
    return (peak * np.sin(2 * np.pi * hz * times_s)).astype(np.float32)


def convert(converter: Converter, sound: np.ndarray, block: int = 2205) -> np.ndarray:
    pcm = [converter.convert(sound[at : at + block]) for at in range(0, len(sound), block)]
    return np.frombuffer(b"".join([*pcm, converter.finish()]), "<i2")


def loudest_hz(pcm: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
    return float(np.argmax(spectrum) * SAMPLE_RATE_HZ / len(pcm))


def rms(pcm: np.ndarray) -> float:
    return float(np.sqrt(np.mean((pcm / 32768) ** 2)))


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_every_rate_keeps_pitch_level_and_length(rate_hz: int):
    sound = np.repeat(sine(rate_hz, 2.0)[:, None], 2, axis=1)
    pcm = convert(Converter(rate_hz, 0), sound)
    assert abs(len(pcm) - 2 * SAMPLE_RATE_HZ) <= 1
    middle = pcm[FRAME_SAMPLES:-FRAME_SAMPLES]
    assert loudest_hz(middle) == pytest.approx(440, abs=1)
    assert rms(middle) == pytest.approx(0.5 / np.sqrt(2), rel=0.005)


def test_what_lies_above_8_khz_does_not_come_back_as_another_tone():
    """Taking every third sample would do for a demonstration and spoil every s."""
    pcm = convert(Converter(48000, 0), sine(48000, 1.0, hz=11_000)[:, None])
    assert rms(pcm[FRAME_SAMPLES:-FRAME_SAMPLES]) < 1e-4


@given(values=st.lists(st.integers(-32768, 32767), min_size=1, max_size=300))
def test_16_bit_sound_at_16_khz_passes_bit_by_bit(values: list[int]):
    """What needs no conversion must not be touched by one."""
    sound = np.array(values, np.int16)
    block = (sound.astype(np.float32) / 32768)[:, None]
    assert convert(Converter(SAMPLE_RATE_HZ, 0), block).tolist() == values
    assert Converter(SAMPLE_RATE_HZ, 0).convert_pcm(sound.tobytes(), 1) == sound.tobytes()


@settings(max_examples=20)
@given(block=st.integers(7, 6000))
def test_the_size_of_the_blocks_makes_no_difference(block: int):
    """A resampler that began anew with each block would click."""
    sound = np.random.default_rng(1).uniform(-0.5, 0.5, (6000, 2)).astype(np.float32)
    whole = convert(Converter(44100, 0), sound, block=6000)
    assert np.array_equal(convert(Converter(44100, 0), sound, block=block), whole)


def test_a_channel_is_chosen_or_all_are_mixed():
    left, right = sine(16000, 0.1), sine(16000, 0.1, hz=1000, peak=0.25)
    both = np.stack([left, right], axis=1)
    chosen = [convert(Converter(16000, channel), both) for channel in (1, 2)]
    assert np.array_equal(chosen[0], np.rint(left * 32768))
    assert np.array_equal(chosen[1], np.rint(right * 32768))
    assert np.allclose(convert(Converter(16000, 0), both), (left + right) / 2 * 32768, atol=1)


def test_interleaved_samples_of_a_card_are_told_apart():
    pcm = np.array([[100, -5], [200, -6]], np.int16)
    assert np.frombuffer(Converter(16000, 2).convert_pcm(pcm.tobytes(), 2), "<i2").tolist() == [-5, -6]


def test_what_is_louder_than_full_scale_is_clipped_and_does_not_wrap():
    loud = np.array([[2.0], [-2.0], [1.0], [-1.0]], np.float32)
    assert convert(Converter(16000, 0), loud).tolist() == [32767, -32768, 32767, -32768]


@pytest.mark.parametrize("rate_hz", [16000, 48000])
def test_values_that_are_no_numbers_do_no_lasting_harm(rate_hz: int):
    """A float recording can hold anything; one NaN must not silence what follows."""
    sound = np.repeat(sine(rate_hz, 1.0)[:, None], 2, axis=1)
    sound[100], sound[101], sound[102], sound[103] = np.nan, np.inf, -np.inf, 3e38
    pcm = convert(Converter(rate_hz, 0), sound)
    assert rms(pcm[FRAME_SAMPLES:-FRAME_SAMPLES]) == pytest.approx(0.5 / np.sqrt(2), rel=0.005)


def test_a_channel_that_is_not_there_is_said_with_how_many_there_are():
    check_channel(2, 2, "x.wav")
    with pytest.raises(ConfigError, match=r"capture\.channel = 3, but x\.wav has 2 channels"):
        check_channel(3, 2, "x.wav")
    with pytest.raises(ConfigError, match=r"has 1 channel$"):
        check_channel(2, 1, "x.wav")


def test_channels_that_cancel_each_other_are_not_mixed() -> None:
    """A cable wired the wrong way round makes a talk silent; talk on one side alone is no such thing."""
    talk = np.sin(np.arange(2400) / 7).astype(np.float32) / 2
    uncancelled = Uncancelled()
    for other in (0 * talk, talk, 0.5 * talk, np.roll(talk, 11)):
        block = np.stack([talk, other], axis=1)
        assert uncancelled.pick(block) is block
    assert not uncancelled.has_taken
    for left, right in ((1, -1), (1, -0.9), (-0.5, 0.5)):
        picked = uncancelled.pick(np.stack([left * talk, right * talk], axis=1))
        assert np.array_equal(picked[:, 0], np.float32(left) * talk), "and the same one each time"
    assert uncancelled.has_taken
