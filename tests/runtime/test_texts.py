import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile_texts import HOSTILE, TORN, controls
from minuted.runtime.texts import clean, is_clean, json_line, shortened, text_of, title_of

ANY_TEXT = st.text(st.characters(categories=None, exclude_categories=()), max_size=50)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüß Gott, 会議 ٠١٢", "Grüß Gott, 会議 ٠١٢"),
        ("\u0646\u0645\u06cc\u200c", "\u0646\u0645\u06cc\u200c"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("a\x1b]0;x\x07b", "a ]0;x b"),
        ("a\x9b31mb", "a 31mb"),
        ("one\ntwo\r\u2028three", "one two  three"),
        ("\u202eevil\u200b", "evil"),
        ("\U000e0041hidden", "hidden"),
        (f"torn {TORN}", "torn \ufffd"),
    ],
)
def test_what_a_terminal_obeys_is_a_blank_and_what_nobody_sees_is_gone(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(ANY_TEXT)
def test_nothing_that_is_clean_drives_a_terminal_and_cleaning_twice_is_cleaning_once(text: str) -> None:
    shown = clean(text)
    assert controls(shown, allowed=SPEAKING) == []
    assert is_clean(shown)
    assert clean(shown) == shown
    shown.encode()


@given(st.recursive(ANY_TEXT | st.integers() | st.none(), lambda each: st.dictionaries(ANY_TEXT, each)))
def test_json_says_the_same_in_one_line_without_controls(value: object) -> None:
    for ascii_only in (False, True):
        line = json_line(value, ascii_only=ascii_only)
        assert controls(line, allowed=SPEAKING) == []
        assert json.loads(line) == json.loads(json.dumps(value))
        line.encode("ascii" if ascii_only else "utf-8")


def test_a_number_that_json_has_no_word_for_is_null() -> None:
    assert json_line({"a": [math.nan, math.inf, 1.5], "b": HOSTILE}).startswith('{"a": [null, null, 1.5], ')


@pytest.mark.parametrize("bytes_max", range(4, 30))
def test_a_shortened_text_fits_and_ends_between_letters(bytes_max: int) -> None:
    short = shortened("äöü会議 " * 5, bytes_max)
    assert len(short.encode()) <= bytes_max
    assert short.endswith("…")
    assert shortened("abc", bytes_max) == "abc"


SPEAKING = (
    # Of general category Cf, and yet seen: number signs, and layout of hieroglyphs and notes.
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
    + "".join(map(chr, range(0x13430, 0x13440)))
    + "".join(map(chr, (*range(0x1BCA0, 0x1BCA4), *range(0x1D173, 0x1D17B))))
)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("talk.wav", "talk"),
        ("Q3.2026 review.mp3", "Q3.2026 review"),
        ("memo", "memo"),
        ("call.3gp", "call"),
        ("v1.2", "v1.2"),
        (".wav", ".wav"),
        ("a\x1b[31m\nb.flac", "a [31m b"),
        ("x" * 300 + ".wav", "x" * 200),
    ],
)
def test_a_recording_s_title_is_its_name_without_the_ending(name: str, title: str) -> None:
    assert title_of(name) == title


@pytest.mark.parametrize("data", [b"a\nb\n", b"\xef\xbb\xbfa\r\nb\r\n", b"a\rb\r"])
def test_a_file_of_any_editor_is_one_text(data: bytes) -> None:
    assert text_of(data) == "a\nb\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("a".encode("utf-16"), "UTF-16 text: save it as UTF-8"),
        (b"\0a", "there are zero bytes in it: save it as UTF-8 text"),
        (b"caf\xe9", "not UTF-8 text"),
    ],
)
def test_what_is_no_text_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        text_of(data)
