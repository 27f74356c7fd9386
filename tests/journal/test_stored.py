from dataclasses import replace
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sample_records
from minuted.journal.stored import (
    MOMENT_MS_MAX,
    RECORD_BYTES_MAX,
    marker,
    pack_record,
    storable,
    unpack_record,
)
from minuted.messages import MESSAGE_BYTES_MAX, Gap, Record, Turn, Word, encode, from_map

TURN = replace(sample_records.TURN, meeting_started_at_ms=5, text="Grüß Gott", seq=7)
GAP = replace(sample_records.GAP, meeting_started_at_ms=5, seq=7)
WORDS = tuple(Word(text=f"word{n}", start_ms=n, end_ms=n + 1, confidence=0.5) for n in range(18_500))


def stored(record: Record) -> dict[str, Any]:
    return unpack_record(7, pack_record(record))


@pytest.mark.parametrize("record", [TURN, GAP, replace(TURN, words=WORDS[:20])])
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    assert from_map(stored(record)) == record
    assert storable(record) == [record]


def test_what_an_older_version_stored_has_no_sum() -> None:
    assert from_map(unpack_record(7, encode(TURN))) == TURN


def test_a_record_of_a_later_version_is_passed_on() -> None:
    later = {"v": 1, "type": "meeting", "seq": 7, "state": "started"}
    assert unpack_record(7, msgpack.packb(later)) == later


@given(st.data())
def test_one_changed_bit_costs_the_record_and_no_more(data: st.DataObject) -> None:
    packed = bytearray(pack_record(TURN))
    place = data.draw(st.integers(0, len(packed) * 8 - 1))
    packed[place // 8] ^= 1 << place % 8
    found = unpack_record(7, bytes(packed))
    # In the field's own name it is a record without a sum, which is read all the same.
    assert found in (marker(7), {**TURN.to_map(), "words": []}) or {*found} - {*TURN.to_map()}


@pytest.mark.parametrize(
    "value", [None, 5, "text", b"", b"\xc1", msgpack.packb([1]), msgpack.packb({"seq": 7}), encode(GAP)[:-1]]
)
def test_what_is_no_record_has_a_marker_in_its_place(value: Any) -> None:
    assert unpack_record(7, value) == marker(7)


def test_a_record_under_another_number_is_damage() -> None:
    assert unpack_record(8, pack_record(TURN)) == marker(8)


def test_a_turn_too_long_for_a_message_keeps_every_word_of_its_text() -> None:
    text = " ".join(word.text for word in WORDS)
    (kept,) = storable(replace(TURN, words=WORDS, text=text))
    assert isinstance(kept, Turn)
    assert (kept.text, kept.words) == (text, ())
    assert len(pack_record(kept)) < MESSAGE_BYTES_MAX


def test_a_text_too_long_for_a_record_is_parted_between_words() -> None:
    text = " ".join(f"größer{n}" for n in range(200_000))
    parts = storable(replace(TURN, text=text))
    assert [word for part in parts for word in part.text.split()] == text.split()  # type: ignore[union-attr]
    assert len({part.id for part in parts}) == len(parts) > 1  # type: ignore[union-attr]
    assert all(len(pack_record(part)) <= RECORD_BYTES_MAX + 20 for part in parts)


def test_one_endless_word_is_parted_and_kept() -> None:
    parts = storable(replace(TURN, text="é" * 2_000_000))
    assert sum(len(part.text) for part in parts) == 2_000_000  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"text": "a\ud83d b"}, {"text": "a\ufffd b"}),
        ({"turn_order": 1 << 70}, {"turn_order": (1 << 63) - 1}),
        ({"confidence": float("nan")}, {"confidence": None}),
        ({"end_ms": 300_000_000_000_000}, {"end_ms": MOMENT_MS_MAX - 5}),
        ({"words": (Word(text="\udc00", start_ms=-(1 << 80), end_ms=0),)}, {}),
    ],
)
def test_what_cannot_be_packed_or_shown_is_brought_into_bounds(
    change: dict[str, Any], expected: dict[str, Any]
) -> None:
    (kept,) = storable(replace(TURN, **change))
    assert from_map(stored(kept)) == kept
    for name, value in expected.items():
        assert getattr(kept, name) == value


def test_where_nothing_helps_a_gap_says_so() -> None:
    (kept,) = storable(replace(TURN, start_ms=10, end_ms=20, session_id="s" * 2_000_000))
    expected = Gap(
        seq=7,
        room=TURN.room,
        meeting_id=TURN.meeting_id,
        meeting_started_at_ms=5,
        start_ms=10,
        end_ms=20,
        reason="unreadable",
    )
    assert kept == expected
    assert isinstance(storable(replace(TURN, id=None, text=None))[0], Gap)  # type: ignore[arg-type]
