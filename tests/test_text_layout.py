"""Where lines may end, and how wide they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted.text_layout import graphemes, one_line, pieces, rows, shortened, width

FAMILY = "👩\u200d👩\u200d👧\u200d👦"


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("Good morning, well-known items: and/or a—b", "Good |morning, |well-known |items: |and/or |a—b"),
        ("今天我们讨论预算，好吗？", "今天|我们|讨论|预算，|好|吗？"),
        ("次に「話し合い」ましょう。ショッピングも", "次に|「話し合い」|ま|しょう。|ショッピングも"),
        ("안녕하세요 여러분", "안녕하세요 |여러분"),
        ("สวัสดีครับ น้ำ", "สวัสดี|ครับ |น้ำ"),
        ("नमस्ते दोस्तों।", "नमस्ते |दोस्तों।"),
        ("صباح الخير؟", "صباح |الخير؟"),
        ("ជំរាបសួរអ្នកទាំងអស់គ្នា", "ជំរាបសួរ|អ្នក|ទាំងអស់គ្នា"),
        (f"ok {FAMILY}🇩🇪🇫🇷👍🏽", f"ok |{FAMILY}|🇩🇪|🇫🇷|👍🏽"),
        ("z.\u00a0B. « Oui » non !", "z.\u00a0B. |« Oui » |non !"),
        ("", ""),
    ],
)
def test_a_line_may_end_where_its_readers_expect_it(text, cut):
    assert "|".join(pieces(text, 42)) == cut


def test_a_word_that_is_too_long_is_cut_at_its_hyphens_then_between_letters():
    assert pieces("Fernsehturm-Besichtigungsgruppe", 20) == ["Fernsehturm-", "Besichtigungsgruppe"]
    assert pieces("x" * 50, 20) == ["x" * 20, "x" * 20, "x" * 10]
    assert pieces("ก้" * 30, 20)[0] == "ก้" * 20


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("abc", 3),
        ("今天", 4),
        ("한국", 4),
        ("ﾊﾝ", 2),
        (FAMILY, 2),
        ("🇩🇪", 2),
        ("👍🏽", 2),
        ("e\u0301", 1),
        ("น้ำ", 2),
    ],
)
def test_columns(text, columns):
    assert width(text) == columns


def test_signs_that_are_wide_in_chinese_alone():
    assert (width("“好”…"), width("“好”…", ambiguous=2)) == (5, 8)


def test_a_text_is_shortened_between_letters():
    assert shortened(FAMILY * 3, 5) == FAMILY * 2
    assert shortened("Dr. Long Name", 8) == "Dr. Long"
    assert shortened("short", 20) == "short"


def test_a_line_keeps_the_blanks_that_are_signs():
    assert one_line(" a \n b\u00a0c\u3000d \u3000") == "a b\u00a0c\u3000d"


LETTERS = st.lists(
    st.sampled_from([*"ab ,-今天。「しょーกำน้가 َبֹש", FAMILY, "🇩🇪", "👍🏽", "e\u0301", "क्ष", "\u00a0", "𠮷"]),
    max_size=60,
)


@given(LETTERS.map("".join), st.integers(4, 42))
def test_pieces_and_rows_are_the_text_whole_letters_and_no_wider_than_told(text, columns):
    for found in (pieces(text, columns), rows(text, columns)):
        assert "".join(found) == text
        assert all(width(each.rstrip(" \u3000")) <= columns for each in found)
        ends = {sum(map(len, graphemes(text)[:n])) for n in range(len(text) + 1)}
        at = 0
        for each in found:
            at += len(each)
            assert at in ends


@pytest.mark.parametrize("letter", ["一", "か", "가", "ก", "👍"])
def test_a_hundred_thousand_letters_without_a_blank_are_cut_like_a_thousand(letter, monkeypatch):
    """The library's work on ideographs grows with the square of a text: it never gets a long one."""
    longest = []
    breaker = pieces.__globals__["LineBreaker"]
    monkeypatch.setitem(
        pieces.__globals__, "LineBreaker", lambda text, how: longest.append(len(text)) or breaker(text, how)
    )
    assert "".join(pieces(letter * 100_000, 42)) == letter * 100_000
    assert max(longest) <= 1000


def test_japanese_keeps_polite_words_together():
    """ICU ends a phrase behind an honorific, and before the verb that makes it polite."""
    text = "来週の会議でもう一度ご相談させていただけますか？お集まりいただきました。"
    cut = pieces(text, 32, 2)
    assert "".join(cut) == text
    assert not [piece for piece in cut if piece.endswith(("ご", "お")) or piece.startswith("いただ")]
    assert [piece for piece in cut if piece.startswith("ご相談")]
