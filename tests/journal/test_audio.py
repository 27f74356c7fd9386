"""Records and segments, byte by byte."""

from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.sound import end, frame, gap
from minuted.journal.audio import (
    CHUNK_BYTES,
    PAYLOAD_BYTES_MAX,
    AudioRecord,
    Segment,
    find,
    message,
    name_of,
    pack,
    segment_numbers,
    span,
)
from minuted.journal.folder import Folder
from minuted.messages import AudioFrame

NUMBERS = st.integers(0, 2**62)
RECORDS = st.one_of(
    st.builds(frame, NUMBERS, pcm_bytes=st.sampled_from([0, 3, 1600])),
    st.builds(lambda start, length: gap(start, start + length), NUMBERS, st.integers(1, 10**9)),
    st.builds(end, NUMBERS),
)
FRAME_BYTES = len(pack(frame(1)))


def found_in(data: bytes) -> list[AudioRecord | None]:
    return [message(stored) for stored in find(data)]


@given(st.lists(RECORDS, max_size=5), st.data())
def test_every_record_is_found_whatever_lies_between(records: list[AudioRecord], data: st.DataObject) -> None:
    """Damage of any kind costs the records it hits, and no other."""
    content = b"".join(data.draw(st.binary(max_size=40)) + pack(record) for record in records)

    found = list(find(content + data.draw(st.binary(max_size=40))))

    assert [message(stored) for stored in found] == records
    assert [stored.next_number for stored in found] == [span(record)[1] for record in records]


@given(st.integers(0, 3 * FRAME_BYTES * 8 - 1))
def test_a_flipped_bit_costs_one_record(bit: int) -> None:
    records = [frame(number) for number in range(3)]
    content = bytearray(b"".join(pack(record) for record in records))
    content[bit // 8] ^= 1 << bit % 8

    hit = bit // 8 // FRAME_BYTES

    assert found_in(bytes(content)) == [record for record in records if record.number != hit]


def test_a_record_is_there_only_when_it_is_whole() -> None:
    first, second = pack(frame(1)), pack(frame(2))

    for cut in range(len(second)):
        assert found_in(first + second[:cut]) == [frame(1)], cut


def test_a_message_that_is_too_long_is_refused() -> None:
    """What cannot be read back must not be written."""
    with pytest.raises(ValueError, match=f"more than the {PAYLOAD_BYTES_MAX} of a record"):
        pack(AudioFrame(number=1, captured_at_ms=1, pcm=bytes(PAYLOAD_BYTES_MAX)))


def test_segments_are_found_by_name_in_order(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    numbers = [0, 9, 10, 35_000_000_000, 2**62]
    for number in Random(1).sample(numbers, len(numbers)):
        (tmp_path / name_of(number)).touch()

    assert segment_numbers(folder) == tuple(numbers)


def test_other_files_are_no_segments(tmp_path: Path) -> None:
    names = ["1.audio", "lost+found", f"{name_of(1)}.bak", "²".ljust(20, "0") + ".audio", "9" * 20 + ".audio"]
    for name in [*names, "-0000000000000000001.audio"]:
        (tmp_path / name).touch()
    (tmp_path / name_of(7)).mkdir()

    assert segment_numbers(Folder(tmp_path)) == ()


@pytest.mark.parametrize("records_before", [0, 3, CHUNK_BYTES // FRAME_BYTES])
def test_damage_of_any_length_is_passed_over_and_counted_once(tmp_path: Path, records_before: int) -> None:
    """A disk may lose far more than what is read at once."""
    before = b"".join(pack(frame(number)) for number in range(records_before))
    after = b"".join(pack(frame(number)) for number in range(1000, 1003))

    for damage_bytes in (1, 30, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 77):
        (tmp_path / name_of(0)).write_bytes(before + bytes(damage_bytes) + after)
        with closing(Segment(Folder(tmp_path), 0)) as segment:
            found = []
            while batch := segment.read():
                found += [stored.next_number - 1 for stored in batch]

            assert found == [*range(records_before), 1000, 1001, 1002]
            assert segment.corrupt == 1
            assert not segment.has_rest


def test_a_half_written_record_is_no_damage_yet(tmp_path: Path) -> None:
    path = tmp_path / name_of(0)
    whole = pack(frame(1))
    path.write_bytes(pack(frame(0)))

    with closing(Segment(Folder(tmp_path), 0)) as segment:
        assert len(segment.read()) == 1
        for cut in range(0, len(whole), 13):
            path.write_bytes(pack(frame(0)) + whole[:cut])
            assert segment.read() == []
            assert segment.has_rest == (cut > 0)
        path.write_bytes(pack(frame(0)) + whole)

        assert [stored.next_number for stored in segment.read()] == [2]
        assert segment.corrupt == 0


def test_a_record_that_was_cut_back_under_the_readers_eyes_is_looked_at_again(tmp_path: Path) -> None:
    """A read that overlaps a cut and a new append shows half of each, with a good record behind."""
    old, new, following = pack(frame(0, stamp=1)), pack(frame(0, stamp=2)), pack(frame(1))
    (tmp_path / name_of(0)).write_bytes(new + following)

    class Overlapping(Folder):
        is_first = True

        def read(self, descriptor: int, bytes_max: int, offset: int) -> bytes:
            is_first, self.is_first = self.is_first, False
            data = super().read(descriptor, bytes_max, offset)
            return old[:900] + data[900:] if is_first else data

    with closing(Segment(Overlapping(tmp_path), 0)) as segment:
        assert [message(stored) for stored in segment.read()] == [frame(0, stamp=2), frame(1)]
        assert segment.corrupt == 0
