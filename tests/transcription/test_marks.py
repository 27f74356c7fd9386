"""Ranges and their marks; what becomes of words is in test_marks_model.py."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted.transcription.marks import TAIL_WORDS_MAX, Heard, Marks, Range

WORDS = tuple(Heard(f"w{number}", number * 1000, number * 1000 + 500, number == 0) for number in range(30))


@pytest.fixture
def marks() -> Marks:
    """A range of frames 100 to 199 that was left behind, and the live one from 200 on."""
    marks = Marks()
    marks.begin(100)
    marks.split(200)
    return marks


def spans(marks: Marks) -> list[tuple[int, int | None]]:
    return [(unheard.start, unheard.end) for unheard in marks.ranges]


def test_in_the_beginning_nothing_is_to_be_heard() -> None:
    marks = Marks()

    assert (marks.live, marks.behind, marks.safe_before) == (None, [], None)


def test_a_live_range_has_no_end() -> None:
    marks = Marks()
    live = marks.begin(100)

    assert (marks.live, marks.safe_before) == (live, 100)
    assert live.is_live
    assert (live.start, live.end, live.tail) == (100, None, ())


def test_there_is_one_live_range() -> None:
    marks = Marks()
    marks.begin(100)
    with pytest.raises(AssertionError):
        marks.begin(200)


def test_a_split_leaves_the_older_sound_to_another_session(marks: Marks) -> None:
    (behind,) = marks.behind
    live = marks.live
    assert live is not None
    assert spans(marks) == [(100, 200), (200, None)]
    assert behind.id != live.id
    assert marks.safe_before == 100


def test_a_split_keeps_the_older_range_s_name() -> None:
    """A session may be at work on it."""
    marks = Marks()
    before = marks.begin(100)
    ended, live = marks.split(150)

    assert ended.id == before.id != live.id


def test_words_that_may_come_again_may_do_so_behind_a_cut() -> None:
    """Somebody spoke without a pause until the cut near the mark."""
    marks = Marks()
    live = marks.begin(100)
    marks.move(live.id, 120, WORDS[:2])
    ended, following = marks.split(121)

    assert ended.tail == following.tail == WORDS[:2]


def test_a_split_does_not_lie_before_the_mark(marks: Marks) -> None:
    with pytest.raises(AssertionError):
        marks.split(199)


def test_a_mark_never_moves_back(marks: Marks) -> None:
    live = marks.ranges[-1]
    marks.move(live.id, 300)
    marks.move(live.id, 250)

    assert spans(marks) == [(100, 200), (300, None)]


def test_a_mark_stops_at_its_range_s_end(marks: Marks) -> None:
    """A word there may be said to end later."""
    marks.move(marks.ranges[0].id, 300)

    assert spans(marks) == [(200, 200), (200, None)]


def test_moving_a_range_that_is_gone_does_nothing(marks: Marks) -> None:
    marks.move(99, 300)

    assert spans(marks) == [(100, 200), (200, None)]


def test_silence_keeps_the_words_and_a_turn_replaces_them(marks: Marks) -> None:
    live = marks.ranges[-1]
    marks.move(live.id, 210, WORDS[:2])
    marks.move(live.id, 220)
    assert marks.ranges[-1].tail == WORDS[:2]
    marks.move(live.id, 220, ())
    assert marks.ranges[-1].tail == ()


def test_words_remembered_are_the_last_few(marks: Marks) -> None:
    """They are stored with each turn."""
    marks.move(marks.ranges[-1].id, 210, WORDS)

    assert marks.ranges[-1].tail == WORDS[-TAIL_WORDS_MAX:]


def test_a_range_that_was_heard_is_forgotten(marks: Marks) -> None:
    marks.finish(marks.ranges[0].id)

    assert spans(marks) == [(200, None)]
    assert marks.safe_before == 200


@pytest.mark.parametrize(
    ("number", "left"),
    [
        (50, [(100, 200), (200, None)]),
        (150, [(150, 200), (200, None)]),
        (200, [(200, None)]),
        (250, [(250, None)]),
    ],
)
def test_sound_that_is_gone_is_not_to_be_heard(
    marks: Marks, number: int, left: list[tuple[int, int | None]]
) -> None:
    marks.drop_before(number)

    assert spans(marks) == left


@pytest.mark.parametrize(("stands_at", "goes_to"), [(209, 209), (210, 220), (219, 220), (220, 220)])
def test_a_mark_in_a_hole_goes_on_to_where_there_is_sound(marks: Marks, stands_at: int, goes_to: int) -> None:
    marks.move(marks.ranges[-1].id, stands_at)
    marks.skip(210, 220)

    assert spans(marks) == [(100, 200), (goes_to, None)]


def test_a_mark_whose_range_ends_in_a_hole_stops_at_the_end(marks: Marks) -> None:
    marks.move(marks.ranges[0].id, 190)
    marks.skip(180, 220)

    assert spans(marks) == [(200, 200), (220, None)]


@pytest.mark.parametrize(
    ("number", "left"),
    [
        (300, [(100, 200), (200, None)]),
        (200, [(100, 200), (200, None)]),
        (150, [(100, 150), (150, None)]),
        (100, [(100, None)]),
        (50, [(50, None)]),
    ],
)
def test_sound_that_was_lost_with_the_power_comes_again_under_its_numbers(
    marks: Marks, number: int, left: list[tuple[int, int | None]]
) -> None:
    marks.cut_after(number)

    assert spans(marks) == left


def test_what_comes_under_old_numbers_is_not_taken_for_what_was_lost(marks: Marks) -> None:
    marks.finish(marks.ranges[0].id)
    marks.move(marks.ranges[-1].id, 210, WORDS[:2])
    marks.cut_after(210)
    assert marks.ranges[-1].tail == WORDS[:2]
    marks.cut_after(209)
    assert marks.ranges[-1].tail == ()


def test_marks_survive_the_process(marks: Marks) -> None:
    """They are stored as JSON beside the turns."""
    marks.move(marks.ranges[-1].id, 210, WORDS[:3])
    again = Marks.from_state(json.loads(json.dumps(marks.to_state())))

    assert again == marks
    assert again.ranges[-1].tail == WORDS[:3]


def test_a_range_after_a_restart_has_a_name_of_its_own(marks: Marks) -> None:
    """Even where every earlier one has been heard."""
    used = {unheard.id for unheard in marks.ranges}
    for unheard in list(marks.ranges):
        marks.finish(unheard.id)
    again = Marks.from_state(marks.to_state())

    assert again.begin(300).id not in used


def test_a_new_journal_has_no_marks() -> None:
    assert Marks.from_state(None) == Marks()


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["move", "split", "finish", "drop_before", "skip"]),
        st.integers(0, 3),
        st.integers(0, 120),
    ),
    max_size=30,
)


@given(OPERATIONS)
def test_ranges_stay_in_order_and_apart(operations: list[tuple[str, int, int]]) -> None:
    """No sound is heard by two, and none before a mark is needed."""
    marks, safe = Marks(), 0
    marks.begin(0)
    for kind, which, number in operations:
        unheard: Range = marks.ranges[which % len(marks.ranges)]
        live = marks.live
        assert live is not None
        if kind == "move":
            marks.move(unheard.id, number)
        elif kind == "split":
            marks.split(live.start + number)
        elif kind == "finish" and not unheard.is_live:
            marks.finish(unheard.id)
        elif kind == "drop_before":
            marks.drop_before(number)
        elif kind == "skip":
            marks.skip(number, number + 10)

        edges = [edge for start, end in spans(marks) for edge in (start, end) if edge is not None]
        assert edges == sorted(edges)
        assert marks.ranges[-1].is_live
        assert not any(before.is_live for before in marks.ranges[:-1])
        assert len({unheard.id for unheard in marks.ranges}) == len(marks.ranges)
        assert marks.safe_before is not None
        assert marks.safe_before >= safe, "the sound before a mark may have been deleted"
        safe = marks.safe_before


# Sound in the middle of a range that another session is to hear.


def test_what_is_carved_out_is_heard_before_the_rest(marks: Marks) -> None:
    live = marks.live
    assert live is not None
    marks.move(live.id, 220, WORDS[:2])
    part = marks.carve(live.id, 230, 260)

    assert part is not None
    assert (part.start, part.end, part.tail) == (230, 260, WORDS[:2])
    assert spans(marks) == [(100, 200), (230, 260), (260, None)]
    assert marks.live is not None
    assert (marks.live.id, marks.live.tail) == (live.id, WORDS[:2])
    assert len({unheard.id for unheard in marks.ranges}) == 3


def test_what_is_carved_out_lies_within_its_range(marks: Marks) -> None:
    (behind,) = marks.behind
    part = marks.carve(behind.id, 50, 500)

    assert part is not None
    assert (part.start, part.end) == (100, 200)
    assert marks.carve(behind.id, 150, 180) is None
    assert marks.carve(99, 150, 180) is None


def test_what_is_carved_out_outlives_the_process(marks: Marks) -> None:
    live = marks.live
    assert live is not None
    marks.carve(live.id, 230, 260)

    assert spans(Marks.from_state(json.loads(json.dumps(marks.to_state())))) == spans(marks)
