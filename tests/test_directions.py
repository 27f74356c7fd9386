"""Lines of text from right to left, and those with words of both kinds."""

import pytest

from minuted.directions import embedded, is_right_to_left, isolated, label_end, marked, without_controls


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("صباح الخير", None, True),
        ("Google Cloud יעלה פחות השנה", None, True),
        ("Google Cloud יעלה", "he", True),
        ("The word שלום means peace", None, False),
        ("שלום is a greeting, they say", None, False),
        ("שלום is a greeting, they say", "he-IL", True),
        ("Good morning", "ar", False),
        ("2027", "ar", False),
        ("", None, False),
    ],
)
def test_a_text_is_written_as_its_language_or_most_of_its_letters_are(text, language, expected):
    assert is_right_to_left(text, language) is expected


def test_a_line_is_marked_only_where_its_first_letter_is_of_the_other_kind():
    assert marked("שלום API", right_to_left=True) == "שלום API"
    assert marked("API שלום", right_to_left=True) == "\u200fAPI שלום"
    assert marked("שלום means peace", right_to_left=False) == "\u200eשלום means peace"
    assert marked("2027", right_to_left=True) == "2027"


def test_a_line_for_players_that_go_left_to_right_is_embedded_whole():
    assert embedded("שלום.", right_to_left=True) == "\u202bשלום.\u202c"
    assert embedded("Good morning.", right_to_left=False) == "Good morning."


def test_a_text_between_others_turns_nothing_round():
    assert isolated("Good morning.") == "Good morning."
    assert isolated("שלום.") == "\u2067שלום.\u2069"
    assert isolated("The word שלום.") == "\u2066The word שלום.\u2069"


def test_a_label_keeps_numbers_after_it_in_their_place():
    assert label_end("A:", right_to_left=True) == "\u200f"
    assert label_end("דנה:", right_to_left=True) == ""
    assert label_end("דנה:", right_to_left=False) == "\u200e"
    assert label_end("A:", right_to_left=False) == ""


def test_controls_of_others_are_taken_out():
    assert without_controls("a\u202eb\u2066c\u2069\u200f") == "abc\u200f"
