from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted.messages import FRAME_MS, AudioFrame
from minuted.transcription.backlog import Backlog

SECONDS = 0.5
FRAMES_MAX = 10


def frame(number: int, mark: int = 0) -> AudioFrame:
    return AudioFrame(number=number, captured_at_ms=1000 + mark, pcm=mark.to_bytes(8, "big"))


def backlog_of(*numbers: int) -> Backlog:
    backlog = Backlog(60)
    for number in numbers:
        assert backlog.append(frame(number, number)) is None
    return backlog


def sent(backlog: Backlog, count: int) -> list[int]:
    """Send what comes next; give its numbers."""
    numbers = []
    for _ in range(count):
        upcoming = backlog.next()
        assert upcoming is not None
        numbers.append(upcoming.number)
        backlog.sent()
    return numbers


def test_frames_are_sent_in_order_and_once() -> None:
    backlog = backlog_of(5, 6, 7)

    assert sent(backlog, 3) == [5, 6, 7]
    assert backlog.next() is None
    assert (backlog.held_ms, backlog.unsent_ms) == (150, 0)


def test_a_new_session_begins_at_the_mark() -> None:
    """Not at now and not at what was sent: that is how no word is lost."""
    backlog = backlog_of(5, 6, 7, 8)
    sent(backlog, 3)
    backlog.release(6 * FRAME_MS)
    backlog.rewind()

    assert sent(backlog, 3) == [6, 7, 8]


def test_a_frame_is_safe_only_when_its_end_is() -> None:
    backlog = backlog_of(0, 1, 2)
    sent(backlog, 3)
    backlog.release(99)
    assert backlog.held_ms == 100
    backlog.release(100)
    assert backlog.held_ms == 50
    backlog.release(100)
    assert backlog.held_ms == 50


def test_what_was_not_sent_is_never_released() -> None:
    """A word's end may be said to lie beyond what the service has heard."""
    backlog = backlog_of(0, 1, 2)
    sent(backlog, 1)
    backlog.release(10_000)

    assert backlog.held_ms == 100
    assert sent(backlog, 2) == [1, 2]


def test_an_ordered_end_makes_all_that_was_sent_safe() -> None:
    backlog = backlog_of(0, 1, 2)
    sent(backlog, 2)
    backlog.release_sent()

    assert (backlog.held_ms, backlog.unsent_ms) == (50, 50)
    backlog.release_sent()
    assert backlog.held_ms == 50


def test_oldest_frames_go_first_when_the_backlog_is_full() -> None:
    """People care most about what was just said."""
    backlog = Backlog(SECONDS)
    for number in range(FRAMES_MAX):
        assert backlog.append(frame(number)) is None
    assert sent(backlog, 3) == [0, 1, 2]

    # What was sent may have been heard; what was not is lost for certain.
    gone = [backlog.append(frame(FRAMES_MAX + more)) for more in range(5)]
    assert gone == [None, None, None, frame(3), frame(4)]

    assert backlog.dropped == 2
    assert backlog.held_ms == SECONDS * 1000
    assert sent(backlog, 10) == list(range(5, 15))
    backlog.rewind()
    assert sent(backlog, 1) == [5]


def test_sound_time_goes_on_when_the_clock_was_set_back() -> None:
    """Capture numbers by the clock as it starts; words' times must not jump back with it."""
    backlog = backlog_of(100, 101)
    backlog.append(frame(40, 40))
    backlog.append(frame(41, 41))
    backlog.append(frame(44, 44))

    assert sent(backlog, 5) == [100, 101, 102, 103, 106]
    assert backlog.newest.number == 106
    assert backlog.newest.pcm == frame(44, 44).pcm


@pytest.mark.parametrize("first", [0, 1, 10**12])
def test_the_first_frame_keeps_its_number(first: int) -> None:
    assert sent(backlog_of(first), 1) == [first]


Operation = Callable[["Model", Backlog], None]


class Model:
    """The same in the plainest words: a list and a position."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, int]] = []
        self.position = 0
        self.dropped = 0
        self.raw: int | None = None
        self.last = 0
        self.count = 0


@st.composite
def appending(draw: st.DrawFn) -> Operation:
    step = draw(st.one_of(st.just(1), st.integers(-30, 30)))

    def act(model: Model, backlog: Backlog) -> None:
        raw = 100 if model.raw is None else max(0, model.raw + step)
        forward = 0 if model.raw is None else raw - model.raw
        model.last = raw if model.raw is None else model.last + (forward if forward > 0 else 1)
        model.raw = raw
        model.count += 1
        model.frames.append((model.last, model.count))
        gone = max(0, len(model.frames) - FRAMES_MAX)
        model.frames = model.frames[gone:]
        unsent = max(0, gone - model.position)
        model.position = max(0, model.position - gone)
        model.dropped += unsent

        assert (backlog.append(frame(raw, model.count)) is not None) == (unsent == 1)
        assert backlog.newest.number == model.last

    return act


@st.composite
def sending(draw: st.DrawFn) -> Operation:
    count = draw(st.integers(1, 12))

    def act(model: Model, backlog: Backlog) -> None:
        for _ in range(count):
            upcoming = backlog.next()
            if model.position == len(model.frames):
                assert upcoming is None
                return
            assert upcoming is not None
            number, mark = model.frames[model.position]
            assert (upcoming.number, upcoming.pcm) == (number, mark.to_bytes(8, "big"))
            backlog.sent()
            model.position += 1

    return act


@st.composite
def releasing(draw: st.DrawFn) -> Operation:
    place, beyond_ms = draw(st.floats(-0.5, 1.5)), draw(st.integers(-60, 60))

    def act(model: Model, backlog: Backlog) -> None:
        if not model.frames:
            return
        first, last = model.frames[0][0], model.frames[-1][0]
        sound_ms = int((first + place * (last - first)) * FRAME_MS) + beyond_ms
        safe = [(number + 1) * FRAME_MS <= sound_ms for number, _ in model.frames[: model.position]]
        gone = safe.index(False) if False in safe else len(safe)
        model.frames = model.frames[gone:]
        model.position -= gone
        backlog.release(sound_ms)

    return act


def rewinding(model: Model, backlog: Backlog) -> None:
    model.position = 0
    backlog.rewind()


def ending(model: Model, backlog: Backlog) -> None:
    model.frames = model.frames[model.position :]
    model.position = 0
    backlog.release_sent()


@given(
    st.lists(
        st.one_of(appending(), appending(), sending(), releasing(), st.sampled_from([rewinding, ending])),
        max_size=60,
    )
)
def test_a_backlog_is_a_list_and_a_position(operations: list[Operation]) -> None:
    model, backlog = Model(), Backlog(SECONDS)
    for operation in operations:
        operation(model, backlog)

        assert backlog.held_ms == len(model.frames) * FRAME_MS
        assert backlog.unsent_ms == (len(model.frames) - model.position) * FRAME_MS
        assert backlog.dropped == model.dropped
        upcoming = backlog.next()
        assert (upcoming.number if upcoming else None) == (
            model.frames[model.position][0] if model.position < len(model.frames) else None
        )
    numbers = [number for number, _ in model.frames]
    assert numbers == sorted(set(numbers))
