"""When a turn begins, goes on and ends, and where its words lie."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted.engine.turns import TURN_MS_MAX, Line, Turns, TurnState, repeated, spread


def line(number: int, text: str, start_ms: int, end_ms: int, **more: bool) -> Line:
    return Line(number=number, text=text, start_ms=start_ms, end_ms=end_ms, **{"is_complete": True, **more})


def said(states: list[TurnState]) -> list[tuple[int, str, bool]]:
    return [(state.order, " ".join(word.text for word in state.words), state.is_final) for state in states]


def finals(states: list[TurnState]) -> list[str]:
    return [text for _, text, is_final in said(states) if is_final]


@pytest.mark.parametrize(
    ("text", "heard_ms", "is_over"),
    [
        ("Yes.", 1_100, True),
        ("Really?", 1_100, True),
        ("Stop!", 1_100, True),
        ("Yes.", 1_099, False),
        ("Well,", 1_100, False),
        ("Well,", 2_199, False),
        ("Well,", 2_200, True),
        ("Well", 2_200, True),
    ],
)
def test_the_silence_that_ends_a_turn_depends_on_its_sentence(
    text: str, heard_ms: int, is_over: bool
) -> None:
    turns = Turns(100, 1_200)
    assert bool(finals(turns.hear([line(0, text, 500, 1_000)], heard_ms))) is is_over


def test_a_silence_passes_without_a_further_line() -> None:
    """The final has to come by itself while nobody speaks."""
    turns = Turns(100, 1_200)
    assert said(turns.hear([line(0, "Well,", 500, 1_000)], 1_400)) == [(0, "Well,", False)]
    assert turns.hear([], 2_000) == []
    assert said(turns.hear([], 2_300)) == [(0, "Well,", True)]
    assert turns.hear([], 3_000) == []


@pytest.mark.parametrize(
    ("first", "start_ms", "expected"),
    [
        ("Well,", 2_000, [(0, "Well, go on.", True)]),
        ("Well,", 2_200, [(0, "Well,", True), (1, "go on.", True)]),
        ("Well.", 1_050, [(0, "Well. go on.", True)]),
        ("Well.", 1_200, [(0, "Well.", True), (1, "go on.", True)]),
    ],
)
def test_a_line_within_the_silence_goes_on_with_the_turn(first: str, start_ms: int, expected: list) -> None:
    """However the lines arrive: one after the other, or together when the audio came fast."""
    lines = [line(0, first, 500, 1_000), line(1, "go on.", start_ms, 3_000)]
    together = Turns(100, 1_200)
    assert [each for each in said(together.hear(lines, 4_500)) if each[2]] == expected
    apart = Turns(100, 1_200)
    states = apart.hear(lines[:1], 1_010) + apart.hear(lines[1:], 4_500)
    assert [each for each in said(states) if each[2]] == expected


def test_partials_are_cumulative_and_repeat_nothing() -> None:
    turns = Turns(100, 1_200)
    first = turns.hear([line(0, "Well", 500, 700, is_complete=False)], 700)
    assert [(state.is_first, state.start_ms) for state in first] == [(True, 500)]
    assert turns.hear([line(0, "Well", 500, 900, is_complete=False)], 900) == []
    turns.hear([line(0, "Well, I", 500, 1_000)], 1_300)
    more = turns.hear([line(1, "think", 1_500, 1_700, is_complete=False)], 1_700)
    assert said(more) == [(0, "Well, I think", False)]
    assert not more[0].is_first
    assert said(turns.hear([line(1, "think so.", 1_500, 2_000)], 2_400)) == [(0, "Well, I think so.", True)]


def test_an_open_line_keeps_its_turn_open_and_a_mere_noise_no_longer() -> None:
    turns = Turns(100, 1_200)
    turns.hear([line(0, "Well,", 500, 1_000), line(1, "", 1_500, 2_000, is_complete=False)], 2_000)
    assert turns.hear([line(1, "", 1_500, 9_000, is_complete=False)], 9_000) == []
    assert finals(turns.hear([line(1, "", 1_500, 9_000)], 9_400)) == ["Well,"]


@pytest.mark.parametrize("text", ["", "   ", "...", "—"])
def test_a_line_without_words_is_no_turn(text: str) -> None:
    turns = Turns(100, 1_200)
    assert turns.hear([line(0, text, 500, 700, is_complete=False)], 700) == []
    assert turns.hear([line(0, text, 500, 1_000)], 9_000) == []
    assert not turns.is_open
    assert said(turns.hear([line(1, "Yes.", 10_000, 10_500)], 11_000)) == [(0, "Yes.", True)]


def test_a_turn_that_was_shown_and_came_to_nothing_still_ends_once() -> None:
    """Somebody shows its partial and waits for its final."""
    turns = Turns(100, 1_200)
    turns.hear([line(0, "Hm", 500, 700, is_complete=False)], 700)
    states = turns.hear([line(0, "", 500, 1_000)], 1_400)
    assert said(states) == [(0, "", True)]
    assert not turns.is_open


def test_a_forced_end_needs_no_silence() -> None:
    turns = Turns(100, 1_200)
    assert turns.end() == []
    turns.hear([line(0, "Well", 500, 1_000)], 1_000)
    assert said(turns.end()) == [(0, "Well", True)]
    assert turns.end() == []


def test_changed_silences_apply_at_once() -> None:
    turns = Turns(100, 5_000)
    assert finals(turns.hear([line(0, "Well,", 500, 1_000)], 2_000)) == []
    turns.set_silences(100, 500)
    assert finals(turns.hear([], 2_000)) == ["Well,"]


def test_a_turn_has_a_greatest_length() -> None:
    turns = Turns(100, 1_200)
    heard = []
    for number in range(10):
        start_ms = number * 10_000
        heard += turns.hear([line(number, "and on", start_ms, start_ms + 9_900)], start_ms + 9_900)
    ended = [state for state in heard if state.is_final]
    assert len(ended) == 1
    assert TURN_MS_MAX <= ended[0].words[-1].end_ms - ended[0].words[0].start_ms < TURN_MS_MAX + 10_000


def test_silence_is_told_about_once_a_second_and_never_beside_a_turn() -> None:
    """Whoever is told deletes the audio."""
    turns = Turns(100, 1_200)
    assert turns.silence(999) is None
    assert turns.silence(1_050) == (0, 1_050)
    assert turns.silence(1_900) is None
    turns.hear([line(0, "", 2_000, 2_500, is_complete=False)], 2_500)
    assert turns.silence(2_500) is None
    turns.hear([line(0, "Well,", 2_000, 3_000)], 3_400)
    assert turns.silence(3_900) is None
    turns.hear([], 4_300)
    assert turns.silence(3_900) is None
    assert turns.silence(4_100) == (3_000, 4_100)


def test_the_half_second_that_two_lines_share_is_written_once() -> None:
    turns = Turns(100, 1_200)
    heard = turns.hear([line(0, "We all went in order to", 0, 10_000)], 10_000)
    heard += turns.hear([line(1, "Order to see.", 10_000, 11_000, after_cut=True)], 11_300)
    assert finals(heard) == ["We all went in order to see."]


@pytest.mark.parametrize(
    ("before", "after", "count"),
    [
        ("in order to", "order to form", 2),
        ("in Order, to.", "order to form", 2),
        ("a b c d e", "a b c d e", 0),
        ("the", "the", 1),
        ("one", "two", 0),
        ("", "two", 0),
        ("very very", "very very good", 2),
    ],
)
def test_repeated_words_are_counted(before: str, after: str, count: int) -> None:
    assert repeated(before.split(), after.split()) == count


def test_words_share_a_span_by_their_length() -> None:
    words = spread(["It", "was", "superlative"], 1_000, 2_600)
    assert [(word.start_ms, word.end_ms) for word in words] == [(1000, 1200), (1200, 1500), (1500, 2600)]
    assert spread([], 5, 5) == []


@given(
    st.lists(st.text(st.characters(categories=["L"]), min_size=1, max_size=12), max_size=40),
    st.integers(0, 10**7),
    st.integers(0, 60_000),
)
def test_words_never_leave_their_span_nor_go_back(texts: list[str], start_ms: int, lasts_ms: int) -> None:
    words = spread(texts, start_ms, start_ms + lasts_ms)
    times = [time_ms for word in words for time_ms in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert [word.text for word in words] == texts
    if words:
        assert (times[0], times[-1]) == (start_ms, start_ms + lasts_ms)
