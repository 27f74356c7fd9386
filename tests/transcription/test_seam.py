"""What is heard a second time is known, and what only sounds the same is not."""

import pytest

from minuted.transcription.marks import Heard
from minuted.transcription.seam import EARLY_MS_MAX, may_come_again, words_known


def turn(*words: tuple[str, int, int]) -> list[Heard]:
    """Make a turn's words; the first is marked as such."""
    return [Heard(text, start, end, not place) for place, (text, start, end) in enumerate(words)]


SAID = turn(("So", 10_000, 10_200), ("ask", 10_300, 10_600), ("Mark", 10_700, 11_000))
"""Committed words, the last one's end put right by the sound."""


# Which committed words may come again.


def test_words_behind_the_mark_may_come_again() -> None:
    assert may_come_again(SAID, 10_250) == tuple(SAID[1:])
    assert may_come_again(SAID, 9_000) == tuple(SAID)


def test_nothing_comes_again_when_the_sound_ended_before_the_mark() -> None:
    """Then the same word said once more right after it is another one."""
    assert may_come_again(SAID, 11_000) == ()
    assert may_come_again(turn(("No.", 10_000, 11_000)), 11_000) == ()


def test_a_first_word_that_is_put_too_early_may_lie_behind_the_mark() -> None:
    padded = turn(("No.", 10_000, 11_300))

    assert may_come_again(padded, 10_000 + EARLY_MS_MAX) == tuple(padded)
    assert may_come_again(padded, 10_001 + EARLY_MS_MAX) == ()


def test_within_a_turn_times_are_exact() -> None:
    """A word that begins before the mark was cut by it; nobody hears it whole again."""
    assert may_come_again(SAID, 10_301) == tuple(SAID[2:])


# Which heard words are known.


def test_without_committed_words_everything_is_new() -> None:
    assert words_known(SAID, ()) == 0


def test_the_end_of_a_turn_is_known_and_what_follows_is_new() -> None:
    heard = turn(
        ("ask", 10_250, 10_600), ("mark", 10_700, 11_000), ("and", 11_500, 11_700), ("Jo", 11_800, 12_900)
    )
    assert words_known(heard, SAID[1:]) == 2


def test_a_turn_that_is_wholly_known() -> None:
    """Its last word's end is put late once more."""
    assert words_known(turn(("ask", 9_600, 10_600), ("Mark", 10_700, 12_300)), SAID[1:]) == 2
    assert words_known(turn(("Mark", 10_100, 12_300)), SAID[2:]) == 1


@pytest.mark.parametrize("text", ["Mark.", "mark", "MARK?"])
def test_case_and_punctuation_make_no_other_word(text: str) -> None:
    assert words_known(turn((text, 10_100, 12_300)), SAID[2:]) == 1


def test_a_word_recognised_otherwise_in_the_middle_is_known_by_its_time() -> None:
    tail = turn(("Mark", 10_000, 10_400), ("said", 10_500, 10_700), ("so.", 10_800, 11_000))
    heard = turn(
        ("Marc", 9_500, 10_400), ("sad", 10_500, 10_700), ("so", 10_800, 11_000), ("Why", 11_600, 12_200)
    )

    assert words_known(heard, tail) == 3


def test_a_last_word_recognised_otherwise_is_known_by_its_start() -> None:
    """Its end is put late, but where it begins is exact within a turn."""
    assert words_known(turn(("ask", 9_600, 10_600), ("Marc", 10_750, 12_300)), SAID[1:]) == 2


def test_one_word_recognised_as_two_is_known_where_its_end_is_exact() -> None:
    heard = turn(
        ("ask", 9_900, 10_600), ("Mar", 10_700, 10_800), ("key", 10_850, 11_000), ("so", 11_400, 12_200)
    )

    assert words_known(heard, SAID[1:]) == 3


def test_the_same_word_again_within_a_turn_is_new() -> None:
    """Its start is exact, and the committed one had ended by then."""
    tail = turn(("No", 10_000, 10_300), ("no", 10_500, 10_800))
    heard = turn(("No", 9_500, 10_300), ("no", 10_500, 10_800), ("no.", 10_950, 12_000))

    assert words_known(heard, tail) == 2


def test_the_same_word_as_the_next_turn_is_new() -> None:
    """ "No." and then "No.": the second is put no earlier than the first turn of this session ended."""
    tail = turn(("No.", 10_000, 10_900))

    assert words_known(turn(("No.", 9_900, 11_700)), tail) == 1
    assert words_known(turn(("No.", 11_700, 13_000)), tail) == 0


def test_the_same_word_put_too_early_is_new_where_it_ends_too_late() -> None:
    """The committed one was cut by a bound and not heard again; within a turn an end is exact."""
    tail = turn(("No.", 10_000, 10_800))

    assert words_known(turn(("No", 10_300, 11_900), ("way", 12_000, 12_900)), tail) == 0
    assert words_known(turn(("No.", 10_300, 12_900)), tail) == 0
    assert words_known(turn(("No", 9_900, 10_850), ("way", 12_000, 12_900)), tail) == 1


def test_a_first_word_put_too_early_is_not_one_of_another_text() -> None:
    """Better said twice than lost."""
    assert words_known(turn(("Yes.", 10_100, 13_000)), SAID[2:]) == 0


def test_nothing_in_common_is_all_new() -> None:
    assert words_known(turn(("Good", 12_000, 12_300), ("morning", 12_400, 13_900)), SAID) == 0


def test_the_half_of_a_word_that_the_mark_cut_is_not_published() -> None:
    heard = turn(("k", 10_400, 10_600), ("Mark", 10_700, 11_000), ("said", 11_300, 12_400))

    assert words_known(heard, SAID[2:]) == 2
