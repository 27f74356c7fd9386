"""Where one may cut, on sound whose words are known."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted.messages import FRAME_MS, FRAME_SAMPLES
from minuted.transcription.pauses import (
    END_LATE_MS_MAX,
    END_WAIT_FRAMES,
    PAUSE_FRAMES,
    Level,
    cut_near,
    has_loud,
    level_of,
    mark_after,
    may_end_turn,
    sound_end_ms,
    sound_start_ms,
    word_start,
)

FIRST = 1000
LOUD, NOISE = 2500.0, 12.0


def levels_of(pattern: str) -> list[Level]:
    """Give the levels of frames from FIRST on: # is speech, . is quiet, _ is digital silence."""
    return [
        Level(FIRST + place, {"#": LOUD, ".": NOISE, "_": 0.0}[each]) for place, each in enumerate(pattern)
    ]


def ms(place: int) -> int:
    return (FIRST + place) * FRAME_MS


def test_a_level_is_the_mean_of_the_samples_without_their_signs() -> None:
    half = array("h", [-1000, 1000] * (FRAME_SAMPLES // 4) + [0] * (FRAME_SAMPLES // 2))

    assert level_of(7, half.tobytes()) == Level(7, 500.0)
    assert level_of(7, array("h", [-32768] * FRAME_SAMPLES).tobytes()) == Level(7, 32768.0)


# Where to begin again after a turn.


def test_a_late_end_does_not_cut_the_next_turn_s_first_word() -> None:
    """The turn ended at 10, is said to end at 20, and the next one begins at 18."""
    levels = levels_of("##########........####....")

    assert mark_after(levels, ms(18)) == FIRST + 11


def test_it_is_the_earliest_pause_in_which_the_turn_may_have_ended() -> None:
    """Words behind it are known again; a cut word is nobody's."""
    levels = levels_of("####..####....####")

    assert mark_after(levels, ms(14)) == FIRST + 5


def test_a_pause_before_the_turn_can_have_ended_is_not_looked_at() -> None:
    late = END_LATE_MS_MAX // FRAME_MS
    levels = levels_of("##......" + "#" * late + "...")

    assert mark_after(levels, ms(8 + late + 2)) == FIRST + 8 + late + 1


def test_a_single_quiet_frame_will_do_where_there_is_no_more() -> None:
    """A pause of 100 ms may hold one whole frame only."""
    assert mark_after(levels_of("#########.####"), ms(10)) == FIRST + 9


def test_where_it_is_evenly_loud_it_is_the_earliest_moment() -> None:
    """Music behind the speech hides the pauses: better too much is heard again than too little."""
    assert mark_after(levels_of("#" * 60), ms(50)) == FIRST + 50 - END_LATE_MS_MAX // FRAME_MS + 1


def test_without_any_sound_near_it_is_the_reported_end() -> None:
    assert mark_after([], ms(5)) == FIRST + 5
    assert mark_after(levels_of("##.."), ms(500)) == FIRST + 500


@pytest.mark.parametrize("silence", ["_", "."])
def test_digital_silence_is_as_quiet_as_noise(silence: str) -> None:
    assert mark_after(levels_of(f"####{silence * 4}##"), ms(6)) == FIRST + 5


@st.composite
def turns(draw: st.DrawFn) -> tuple[str, int, int]:
    """A turn, a pause and what follows it; where the turn ends and where it is said to, in frames."""
    words = draw(st.lists(st.tuples(st.integers(2, 15), st.integers(1, 6)), min_size=1, max_size=6))
    said = "".join("#" * word + "." * pause for word, pause in words[:-1]) + "#" * words[-1][0]
    pause = draw(st.integers(2, 40))
    late = draw(st.integers(0, min(pause, 26)))
    return "." * draw(st.integers(0, 30)) + said + "." * pause + "#" * 10, len(said), late


@given(turns())
def test_a_mark_is_quiet_and_before_the_next_turn(drawn: tuple[str, int, int]) -> None:
    """So it cuts neither the next turn's first word nor one that was committed."""
    pattern, said, late = drawn
    ended = len(pattern) - len(pattern.lstrip(".")) + said
    mark = mark_after(levels_of(pattern), ms(ended + late)) - FIRST

    assert pattern[mark] == "."
    assert mark < len(pattern) - 10


# Where the sound of a turn ends.


def test_a_late_end_is_put_right_by_the_sound() -> None:
    levels = levels_of("....######..............####")

    assert sound_end_ms(levels, ms(20)) == ms(10)
    assert sound_end_ms(levels, ms(24)) == ms(10), "the next turn begins there"
    assert sound_end_ms(levels, ms(10)) == ms(10)


def test_an_end_is_not_put_later_than_it_was_said_to_be() -> None:
    assert sound_end_ms(levels_of("....######...."), ms(9) + 20) == ms(9) + 20


def test_an_end_with_no_sound_near_is_as_it_was_said_to_be() -> None:
    assert sound_end_ms([], ms(10)) == ms(10)
    assert sound_end_ms(levels_of("." * 60), ms(50)) == ms(50)


@given(turns())
def test_the_last_word_lies_before_the_end_by_the_sound(drawn: tuple[str, int, int]) -> None:
    pattern, said, late = drawn
    ended = len(pattern) - len(pattern.lstrip(".")) + said

    assert sound_end_ms(levels_of(pattern), ms(ended + late)) == ms(ended)


# Where to cut for whoever is to be live.


def test_the_last_long_pause_is_cut_before_its_end() -> None:
    """A word may begin softly."""
    assert cut_near(levels_of("##......##..........##")) == FIRST + 16
    assert cut_near(levels_of("##....##")) == FIRST + 4


def test_a_pause_that_lasts_is_as_good() -> None:
    assert cut_near(levels_of("####..........")) == FIRST + 10


def test_without_a_long_pause_the_longest_is_cut_in_its_middle() -> None:
    assert cut_near(levels_of("##...##..##")) == FIRST + 3
    assert cut_near(levels_of("##.##")) == FIRST + 2


def test_one_frame_is_cut_at_itself() -> None:
    assert cut_near(levels_of("#")) == FIRST


@given(st.text("#.", min_size=1, max_size=250).filter(lambda pattern: "." in pattern))
def test_a_cut_is_quiet_and_at_the_longest_pause_or_a_long_one(pattern: str) -> None:
    cut = cut_near(levels_of(pattern)) - FIRST
    assert pattern[cut] == "."
    begins = len(pattern[:cut].rstrip("."))
    length = len(pattern[begins:]) - len(pattern[begins:].lstrip("."))
    longest = max(map(len, pattern.split("#")))
    assert length >= min(longest, PAUSE_FRAMES)
    assert not any(len(later) > PAUSE_FRAMES for later in pattern[begins + length :].split("#"))


def test_a_turn_is_ended_in_a_pause_unless_there_is_none() -> None:
    """In the middle of a word it would cost that word."""
    quiet, loud = 20.0, 3000.0

    def levels(*values: float) -> list[Level]:
        return [Level(100 + place, value) for place, value in enumerate(values)]

    assert may_end_turn(levels(quiet, loud, quiet, quiet), 104)
    assert not may_end_turn(levels(quiet, quiet, loud, loud), 104)
    assert not may_end_turn(levels(quiet, loud, loud, quiet), 104)
    assert may_end_turn(levels(quiet, *[loud] * END_WAIT_FRAMES, loud, loud), 102)


def test_a_first_word_begins_where_its_sound_does() -> None:
    """The service puts it up to a second earlier, which may be before somebody began a meeting."""
    quiet, loud = 20.0, 3000.0
    sound = [Level(100 + place, value) for place, value in enumerate([*[quiet] * 10, *[loud] * 10])]

    assert sound_start_ms(sound, 5_200) == 110 * 50
    assert sound_start_ms(sound, 5_530) == 5_530
    assert sound_start_ms(sound[10:], 5_000) == 5_000, "without a pause nobody can tell"
    assert sound_start_ms([], 5_000) == 5_000


# Where the next turn's first word begins.


@pytest.mark.parametrize(
    ("pattern", "start", "end", "expected"),
    [
        ("....######....", 4, 10, 4),
        ("....######....", 0, 10, 4),
        ("###.....######", 0, 14, 8),
        ("###..###.#####", 0, 14, 5),
        ("##############", 5, 14, 5),
        ("..............", 5, 9, 5),
    ],
    ids=["exact", "too early", "behind another turn", "a gap within the word", "no pause", "no sound"],
)
def test_a_turns_first_word_begins_after_the_last_pause_before_its_end(
    pattern: str, start: int, end: int, expected: int
) -> None:
    """The service puts it up to 1 s too early, into the end of a turn that it may not have told."""
    assert word_start(levels_of(pattern), ms(start), ms(end)) == FIRST + expected


def test_a_turns_first_word_begins_in_the_frame_that_holds_its_beginning() -> None:
    """What is heard again before it ends there: even the first sound of it would be half a word."""
    assert word_start(levels_of("....######...."), ms(4) + 30, ms(10)) == FIRST + 4


@pytest.mark.parametrize(
    ("start", "end", "expected"), [(0, 4, False), (4, 8, True), (6, 12, True), (8, 12, False)]
)
def test_a_stretch_is_loud_where_more_than_a_click_stands_out(start: int, end: int, expected: bool) -> None:
    levels = levels_of("....####....#...")
    assert has_loud(levels, FIRST + start, FIRST + end) is expected
    assert not has_loud(levels, FIRST + 11, FIRST + 16)


def test_a_stretch_whose_levels_are_forgotten_may_be_loud() -> None:
    assert has_loud(levels_of("...."), FIRST - 1, FIRST + 4)
    assert has_loud([], FIRST, FIRST + 4)
