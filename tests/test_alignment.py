"""Timed words are found in a text that is written otherwise, and a text is cut, never put together anew."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted import Word
from minuted.alignment import spans_of, stretches_of, text_from, times_of

NUMBER = (
    "It costs €23,400, really",
    ["it", "costs", "twenty", "three", "thousand", "four", "hundred", "euros", "really"],
)


def found(text, words):
    return [span and text[slice(*span)] for span in spans_of(text, words)]


@pytest.mark.parametrize(
    ("text", "words", "shown"),
    [
        ("Ask Mark.", ["Ask", "Mark."], ["Ask", "Mark."]),
        ("Ask — “Mark”!", ["ask", "mark"], ["Ask", "Mark"]),
        ("今天开会。", ["今", "天", "开", "会"], ["今", "天", "开", "会"]),
        ("สวัสดีครับ", ["สวัสดี", "ครับ"], ["สวัสดี", "ครับ"]),
        ("Well 👍🏽 done", ["well", "👍🏽", "done"], ["Well", "👍", "done"]),
        (*NUMBER, ["It", "costs", *[None] * 6, "really"]),
        ("So we go on", ["so", "uh", "uh", "we", "go", "on"], ["So", None, None, "we", "go", "on"]),
        ("one two three four", ["three", "four"], ["three", "four"]),
        ("GROSSE Straße", ["große", "STRASSE"], ["GROSSE", "Straße"]),
        ("", ["a"], [None]),
        ("a", [], []),
    ],
)
def test_words_are_found_where_they_match(text, words, shown):
    assert found(text, words) == shown


@pytest.mark.parametrize(
    ("text", "words", "first", "left"),
    [
        ("次に、優先順位を決めます。", list("次に優先順位を決めます"), 2, "優先順位を決めます。"),
        ("我们开始“第一项”。", list("我们开始第一项"), 4, "“第一项”。"),
        ("สวัสดีครับวันนี้เริ่ม", ["สวัสดี", "ครับ", "วันนี้", "เริ่ม"], 1, "ครับวันนี้เริ่ม"),
        ("안녕하세요 여러분.", ["안녕하세요", "여러분."], 1, "여러분."),
        ("नमस्ते, आज हम", ["नमस्ते,", "आज", "हम"], 1, "आज हम"),
        ("صباح الخير، لنبدأ.", ["صباح", "الخير،", "لنبدأ."], 2, "لنبدأ."),
        ('He said "go home" now', ["He", "said", "go", "home", "now"], 2, '"go home" now'),
        ("Ask Mark—and then?", ["ask", "mark", "and", "then"], 2, "and then?"),
        ("Well... (laughs) -5\u00a0°C", ["well", "laughs", "5", "C"], 1, "(laughs) -5\u00a0°C"),
        ("Well... (laughs) -5\u00a0°C", ["well", "laughs", "5", "C"], 2, "-5\u00a0°C"),
        (*NUMBER, 2, "€23,400, really"),
        (*NUMBER, 6, "€23,400, really"),
        (*NUMBER, 8, "really"),
        ("完全不同的文字", ["abc", "def"], 1, "同的文字"),
        ("Ask Mark.", ["Ask", "Mark."], 0, "Ask Mark."),
    ],
)
def test_a_text_is_cut_where_a_word_begins(text, words, first, left):
    """As it was written: words put together by blanks are no Japanese."""
    assert text_from(text, words, first) == left


WORDS = st.lists(st.text("abc今天กี\u0301é 👍,.", min_size=0, max_size=6), max_size=30)


@given(st.text("abc今天กี\u0301é 👍,.", max_size=80), WORDS, st.integers(0, 30))
def test_what_is_cut_off_is_a_part_of_the_text(text, words, first):
    left = text_from(text, words, min(first, len(words)))
    assert text.strip().endswith(left)


def timed(words, start_ms=1000, step_ms=400):
    return [
        Word(text=word, start_ms=start_ms + step_ms * n, end_ms=start_ms + step_ms * n + 300)
        for n, word in enumerate(words)
    ]


def times(text, words, *parts):
    spans = [(text.index(part), text.index(part) + len(part)) for part in parts]
    return times_of(spans, stretches_of(text, words, 1000, words[-1].end_ms if words else 3000), 1000)


def test_a_word_that_matches_keeps_its_time():
    words = timed(["one", "two", "three", "four"])
    assert times("One — two, three (four)!", words, "One", "two", "four") == [
        (1000, 1300),
        (1400, 1700),
        (2200, 2500),
    ]


def test_what_is_written_otherwise_has_the_time_of_the_words_in_its_place():
    text, words = NUMBER
    assert times(text, timed(words), "€23,400", "really") == [(1800, 4100), (4200, 4500)]


def test_a_sign_alone_comes_right_after_what_is_before():
    assert times("one — two", timed(["one", "two"]), "one", "—", "two") == [
        (1000, 1300),
        (1300, 1300),
        (1400, 1700),
    ]


def test_without_timed_words_a_text_is_spread_over_its_turn():
    assert times("今天开会", [], "今天", "开会") == [(1000, 2000), (2000, 3000)]
    assert times("…", [], "…") == [(1000, 3000)]


@given(st.text("ab今ก,. 👍", max_size=60), WORDS, st.data())
def test_times_never_go_back_and_stay_in_the_turn(text, words, data):
    made = [
        Word(text=word, start_ms=data.draw(st.integers(0, 9000)), end_ms=data.draw(st.integers(0, 9000)))
        for word in words
    ]
    spans = [(n, n + 1) for n in range(len(text))]
    found = times_of(spans, stretches_of(text, made, 2000, 8000), 2000)
    assert all(2000 <= start <= end <= 8000 for start, end in found)
    assert found == sorted(found, key=lambda span: span[0])


def test_a_text_that_has_nothing_of_its_words_takes_no_longer_a_word():
    """A turn may have a hundred thousand words; each look ahead is bounded."""
    words = [f"word{n}" for n in range(20_000)]
    assert spans_of("x" * 100_000, words) == [None] * len(words)
