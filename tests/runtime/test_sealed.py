import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted.runtime.sealed import BrokenSealError, is_sealed, opened, sealed


@given(st.text(), st.text())
def test_what_was_sealed_comes_back(text: str, of: str) -> None:
    assert opened(sealed(text, of), of) == text


@given(st.text(min_size=1), st.data())
def test_one_changed_bit_breaks_the_seal(text: str, data: st.DataObject) -> None:
    stored = bytearray(sealed(text).encode())
    place = data.draw(st.integers(0, len(stored) * 8 - 1))
    stored[place // 8] ^= 1 << place % 8
    changed = stored.decode(errors="replace")
    try:
        found = opened(changed)
    except BrokenSealError:
        return
    assert not is_sealed(changed)
    assert found == changed, "what is left without a seal is nobody's but an older version's"


def test_a_seal_holds_for_what_stands_beside_the_text() -> None:
    with pytest.raises(BrokenSealError):
        opened(sealed("{}", "epoch 5"), "epoch 6")


def test_an_older_version_reads_sealed_json_and_is_read() -> None:
    assert json.loads(sealed('{"a": 1}')) == {"a": 1}
    assert opened('{"a": 1}') == '{"a": 1}'


def test_half_a_seal_is_none() -> None:
    with pytest.raises(BrokenSealError):
        opened(sealed('{"a": 1}')[:-1])
