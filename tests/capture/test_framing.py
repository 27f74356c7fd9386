from array import array

from hypothesis import given
from hypothesis import strategies as st

from minuted.capture.framing import SILENCE_DBFS, Framer, level_dbfs
from minuted.messages import FRAME_BYTES, AudioFrame

STARTED_AT_MS = 1_700_000_000_123


def frames_of(*blocks: bytes) -> list[AudioFrame]:
    framer = Framer(STARTED_AT_MS, STARTED_AT_MS // 50, source="x.wav", paced=False)
    frames = [frame for block in blocks for frame in framer.cut(block)]
    return [*frames, *framer.finish()]


@given(sound=st.binary(max_size=4 * FRAME_BYTES), data=st.data())
def test_any_split_into_blocks_gives_the_same_frames(sound: bytes, data: st.DataObject):
    """Sound cards, resamplers and files all have block sizes of their own."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sound)), max_size=8)))
    blocks = [sound[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(sound)], strict=True)]
    assert frames_of(*blocks) == frames_of(sound)


@given(sound=st.binary(max_size=4 * FRAME_BYTES))
def test_nothing_is_lost_and_the_last_fragment_is_filled_up_with_silence(sound: bytes):
    frames = frames_of(sound)
    joined = b"".join(frame.pcm for frame in frames)
    assert all(len(frame.pcm) == FRAME_BYTES for frame in frames)
    assert joined == sound + bytes(-len(sound) % FRAME_BYTES)


def test_numbers_count_50_ms_steps_from_the_wall_clock_and_times_follow_the_samples():
    """A restart then leaves a gap in the numbers as long as the sound that was missed."""
    frames = frames_of(bytes(3 * FRAME_BYTES))
    first = STARTED_AT_MS // 50
    assert [frame.number for frame in frames] == [first, first + 1, first + 2]
    assert [frame.captured_at_ms - STARTED_AT_MS for frame in frames] == [0, 50, 100]


def test_numbers_are_not_the_time():
    """The journal takes no number twice, a clock that is set makes no hole; the time is the clock's."""
    framer = Framer(STARTED_AT_MS, 7)
    (frame,) = framer.cut(bytes(FRAME_BYTES))
    assert (frame.number, frame.captured_at_ms, framer.next_number) == (7, STARTED_AT_MS, 8)


def test_frames_say_where_they_come_from():
    frame = frames_of(bytes(FRAME_BYTES))[0]
    assert (frame.source, frame.paced) == ("x.wav", False)


def test_no_sound_makes_no_frame():
    assert frames_of() == []
    assert frames_of(b"") == []


def test_the_next_number_is_known_before_its_frame():
    framer = Framer(STARTED_AT_MS, STARTED_AT_MS // 50)
    framer.cut(bytes(2 * FRAME_BYTES))
    assert framer.next_number == STARTED_AT_MS // 50 + 2


def test_the_level_is_in_db_of_full_scale():
    """Half of full scale is 6 dB less, silence has a floor instead of minus infinity."""
    square = array("h", [32767, -32767] * 400).tobytes()
    half = array("h", [16384, -16384] * 400).tobytes()
    assert level_dbfs([square]) == 0.0
    assert level_dbfs([half]) == -6.0
    assert level_dbfs([half, bytes(len(half))]) == -9.0
    assert level_dbfs([bytes(FRAME_BYTES)]) == level_dbfs([]) == SILENCE_DBFS
