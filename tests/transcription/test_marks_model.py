"""The mark against a model of a room, with breaks, crashes, hand-overs and sound left behind.

The model knows every word and when it is said. A session hears a word when it was sent all of its
frames, and reports a turn as the service does: the edges padded, everything within it exact.
"""

import json
import os
from array import array
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import ClassVar, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from minuted.messages import FRAME_MS, FRAME_SAMPLES
from minuted.transcription.marks import Heard, Marks, Range
from minuted.transcription.pauses import Level, cut_near, level_of, mark_after, sound_end_ms
from minuted.transcription.seam import may_come_again, words_known

IS_LONG = os.environ.get("MINUTED_TEST_PROFILE") == "long"
SPEECH, NOISE = 3000, 5
FIRST = 2000
"""The first frame's number."""
SILENCE_MARGIN_MS = 500
CUT_SEARCH_FRAMES = 200
LATE_FRAMES = 60
START_EARLY_MS = st.integers(0, 1000)
END_LATE_MS = st.one_of(st.just(0), st.integers(240, 1300))
LENGTHS = st.integers(8, 90).map(lambda tens: 10 * tens)
PAUSES = st.one_of(st.integers(10, 25), st.integers(10, 200)).map(lambda tens: 10 * tens)
FRAMES = st.one_of(st.just(0), st.integers(1, 20), st.just(10_000))
WHICH = st.integers(0, 3)


class Said(NamedTuple):
    """A word and exactly when it is said, in sound time."""

    text: str
    start_ms: int
    end_ms: int


@cache
def loudness(loud_ms: int) -> float:
    """Measure a frame that is loud for so long."""
    loud = FRAME_SAMPLES * loud_ms // FRAME_MS
    samples = array("h", [SPEECH] * loud + [NOISE] * (FRAME_SAMPLES - loud))
    return level_of(0, samples.tobytes()).level


class Listener:
    """A session at the service, from the frame it begins with."""

    def __init__(self, unheard: Range, tail: tuple[Heard, ...]) -> None:
        self.range_id = unheard.id
        self.tail = tail
        self.began = self.sent_before = unheard.start
        self.levels: list[Level] = []
        self.is_live = unheard.is_live
        self.said_before = 0
        """The index of the first word that is in no turn yet."""
        self.turn_ended_ms = unheard.start * FRAME_MS

    @property
    def sent_ms(self) -> int:
        return self.sent_before * FRAME_MS


class Room(RuleBasedStateMachine):
    """Speech, sessions that come and go, and what is committed of it."""

    marks_class = Marks
    mark_after = staticmethod(mark_after)
    sound_end_ms = staticmethod(sound_end_ms)
    may_come_again = staticmethod(may_come_again)
    words_known = staticmethod(words_known)
    texts: ClassVar[tuple[str, ...]] = ()
    """What the words are picked from; empty: each has its own text."""
    seen: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.words: list[Said] = []
        self.loud: Counter[int] = Counter()
        """For each frame, how long it is loud."""
        self.said_ms = FIRST * FRAME_MS
        self.captured = FIRST
        self.committed: set[int] = set()
        self.dropped: set[int] = set()
        self.marks = self.marks_class()
        self.marks.begin(FIRST)
        self.sessions: list[Listener] = []
        self.released = self.bound = FIRST
        """Sound before these has been deleted: it was safe, or there was too much of it."""
        self.store()

    # What happens in the room.

    @initialize(pause_ms=PAUSES)
    def begin(self, pause_ms: int) -> None:
        self.said_ms += pause_ms

    @rule(
        words=st.lists(st.tuples(LENGTHS, PAUSES, st.integers(0, 1)), min_size=1, max_size=6),
        held_back=st.sampled_from([0, 0, 1, 4]),
    )
    def speak(self, words: list[tuple[int, int, int]], held_back: int) -> None:
        for length_ms, pause_ms, choice in words:
            text = self.texts[choice] if self.texts else f"w{len(self.words)}"
            word = Said(text, self.said_ms, self.said_ms + length_ms)
            self.words.append(word)
            for number in range(*frames_of(word)):
                begins = max(word.start_ms, number * FRAME_MS)
                self.loud[number] += min(word.end_ms, (number + 1) * FRAME_MS) - begins
            self.said_ms = word.end_ms + pause_ms
        self.captured = max(self.captured, self.said_ms // FRAME_MS - held_back)

    # What sessions do.

    @rule(which=WHICH, frames=FRAMES)
    def listen(self, which: int, frames: int) -> None:
        self.send(self.pick(which), frames)

    @rule(which=WHICH, frames=FRAMES, count=st.integers(1, 8), early_ms=START_EARLY_MS, late_ms=END_LATE_MS)
    def hear_turn(self, which: int, frames: int, count: int, early_ms: int, late_ms: int) -> None:
        lane = self.pick(which)
        self.send(lane, frames)
        self.say_turn(lane, count, early_ms, late_ms)

    @rule(which=WHICH, is_kept=st.booleans())
    def hear_silence(self, which: int, is_kept: bool) -> None:
        """Up to where the next word begins, all is confirmed once every word before is final."""
        lane = self.pick(which)
        if self.heard(lane):
            return
        begun = [word.start_ms for word in self.words if word.end_ms > lane.sent_ms]
        safe_ms = min([lane.sent_ms, *begun]) - SILENCE_MARGIN_MS
        self.marks.move(lane.range_id, min(safe_ms // FRAME_MS, lane.sent_before))
        self.seen["silences"] += 1
        if is_kept:
            self.store()

    @rule(which=WHICH, early_ms=START_EARLY_MS, late_ms=END_LATE_MS)
    def end_of_what_was_left(self, which: int, early_ms: int, late_ms: int) -> None:
        """A session of a range with an end has been sent all: it terminates in order."""
        lane = self.pick(which)
        unheard = self.marks.get(lane.range_id)
        if unheard and unheard.end is not None:
            self.send(lane, 10_000)
            self.say_turn(lane, 10_000, early_ms, late_ms)
            self.end(lane)

    # What befalls them.

    @rule(which=WHICH)
    def break_off(self, which: int) -> None:
        self.sessions.remove(self.pick(which))
        self.seen["breaks"] += 1

    @rule()
    def hand_over(self) -> None:
        for lane in [lane for lane in self.sessions if lane.is_live]:
            self.sessions.remove(lane)
            self.open(self.live)
            self.seen["hand-overs"] += 1

    @rule()
    def open_behind(self) -> None:
        busy = {lane.range_id for lane in self.sessions}
        if left := [unheard for unheard in self.marks.behind if unheard.id not in busy]:
            self.open(left[0])

    @rule()
    def live_first(self) -> None:
        """The live session begins late in what is unheard, or leaves what it was late with to itself."""
        live = [lane for lane in self.sessions if lane.is_live]
        start = live[0].sent_before if live else self.live.start
        if self.captured - start < LATE_FRAMES:
            return
        begins = max(start, self.captured - CUT_SEARCH_FRAMES)
        cut = max(start, cut_near([self.level(number) for number in range(begins, self.captured)]))
        self.marks.split(cut)
        self.store()
        for lane in live:
            lane.is_live = False
        self.open(self.live)
        self.seen["splits"] += 1

    @rule()
    def crash(self) -> None:
        self.sessions = []
        self.marks = self.marks_class.from_state(json.loads(self.stored))
        self.marks.drop_before(self.bound)
        self.seen["crashes"] += 1

    @precondition(lambda self: self.captured > FIRST + 300)
    @rule(frames=st.integers(0, 60))
    def reach_the_bound(self, frames: int) -> None:
        number = min(self.captured, (self.marks.safe_before or 0) + frames)
        self.marks.drop_before(number)
        lost = {
            index
            for index, word in enumerate(self.words)
            if word.start_ms < number * FRAME_MS and index not in self.committed
        }
        self.seen["dropped"] += len(lost)
        self.dropped |= lost
        self.bound = max(self.bound, number)
        self.sessions = [
            lane for lane in self.sessions if lane.sent_before >= number and self.marks.get(lane.range_id)
        ]

    def teardown(self) -> None:
        """In the end everything is heard out."""
        self.captured = max(self.captured, -(-self.said_ms // FRAME_MS))
        for unheard in list(self.marks.ranges):
            lane = next((lane for lane in self.sessions if lane.range_id == unheard.id), None)
            lane = lane or self.open(self.marks.get(unheard.id))
            self.send(lane, 10_000)
            while heard := self.heard(lane):
                pauses = [
                    self.words[after].start_ms - self.words[before].end_ms >= 300
                    for before, after in pairwise(heard)
                ]
                self.say_turn(lane, [*pauses, True].index(True) + 1, 1000, 700)
            self.end(lane)
        missing = set(range(len(self.words))) - self.committed - self.dropped
        assert not missing, f"lost: {[self.words[index] for index in sorted(missing)]}"

    # Details.

    @property
    def live(self) -> Range:
        live = self.marks.live
        assert live is not None
        return live

    def pick(self, which: int) -> Listener:
        """Give a session; the live one is opened where there is none."""
        if not any(lane.is_live for lane in self.sessions):
            self.open(self.live)
        return self.sessions[which % len(self.sessions)]

    def level(self, number: int) -> Level:
        return Level(number, loudness(self.loud[number]))

    def open(self, unheard: Range | None) -> Listener:
        assert unheard is not None
        assert unheard.start >= max(self.released, self.bound), (
            "the sound a session is to begin with has been deleted"
        )
        lane = Listener(unheard, self.may_come_again(unheard.tail, unheard.start * FRAME_MS))
        self.sessions.append(lane)
        return lane

    def send(self, lane: Listener, frames: int) -> None:
        unheard = self.marks.get(lane.range_id)
        assert unheard is not None
        end = self.captured if unheard.end is None else min(unheard.end, self.captured)
        for number in range(lane.sent_before, min(end, lane.sent_before + frames)):
            lane.levels.append(self.level(number))
            lane.sent_before = number + 1

    def heard(self, lane: Listener) -> list[int]:
        """Give the words that the session has heard and that are in no turn yet."""
        whole = (
            (index, frames_of(word))
            for index, word in enumerate(self.words)
            if index >= lane.said_before and word.end_ms <= lane.sent_ms
        )
        return [index for index, (first, last) in whole if first >= lane.began and last <= lane.sent_before]

    def say_turn(self, lane: Listener, count: int, early_ms: int, late_ms: int) -> None:
        indices = self.heard(lane)[:count]
        if not indices:
            return
        last = indices[-1]
        words = [
            Heard(self.words[index].text, self.words[index].start_ms, self.words[index].end_ms)
            for index in indices
        ]
        start_ms = max(lane.turn_ended_ms, words[0].start_ms - early_ms)
        next_ms = self.words[last + 1].start_ms if last + 1 < len(self.words) else 10**12
        end_ms = max(words[-1].end_ms, min(words[-1].end_ms + late_ms, next_ms, lane.sent_ms))
        words[0] = replace(words[0], start_ms=min(start_ms, words[0].start_ms), first=True)
        words[-1] = replace(words[-1], end_ms=end_ms)
        lane.said_before, lane.turn_ended_ms = last + 1, end_ms
        known = self.words_known(words, lane.tail)
        self.seen["known"] += known
        self.commit(lane, indices[known:], words[known:])

    def commit(self, lane: Listener, indices: list[int], words: list[Heard]) -> None:
        unheard = self.marks.get(lane.range_id)
        if not words or unheard is None:
            return
        doubled = self.committed.intersection(indices)
        assert not doubled, f"doubled: {[self.words[index] for index in sorted(doubled)]}"
        self.committed.update(indices)
        end_ms = words[-1].end_ms
        number = min(self.mark_after(lane.levels, end_ms), lane.sent_before)
        words = [*words[:-1], replace(words[-1], end_ms=self.sound_end_ms(lane.levels, end_ms))]
        mark_ms = max(number, unheard.start) * FRAME_MS
        self.marks.move(unheard.id, number, self.may_come_again((*unheard.tail, *words), mark_ms))
        self.seen["backfilled"] += not unheard.is_live
        self.store()

    def end(self, lane: Listener) -> None:
        self.marks.move(lane.range_id, lane.sent_before, ())
        unheard = self.marks.get(lane.range_id)
        if unheard and unheard.end is not None:
            self.marks.finish(lane.range_id)
        self.sessions.remove(lane)
        self.store()

    def store(self) -> None:
        """Store the marks; the sound before them is deleted."""
        self.stored = json.dumps(self.marks.to_state())
        self.released = max(self.released, self.marks.safe_before or 0)


def frames_of(word: Said) -> tuple[int, int]:
    """Give the first frame of a word and the one after its last."""
    return word.start_ms // FRAME_MS, -(-word.end_ms // FRAME_MS)


PROFILE = settings(
    max_examples=3000 if IS_LONG else 120,
    stateful_step_count=60 if IS_LONG else 40,
    suppress_health_check=list(HealthCheck),
)
ONE = {"texts": ("no", "no")}


@pytest.mark.timeout(0 if IS_LONG else 120)
@pytest.mark.parametrize("speech", [{}, ONE], ids=["all words differ", "all words are one"])
def test_every_word_is_committed_once_whatever_happens(speech: dict[str, object]) -> None:
    """The promise itself. MINUTED_TEST_PROFILE=long tries more."""
    seen: Counter[str] = Counter()
    run_state_machine_as_test(type("Machine", (Room,), {"seen": seen, **speech}), settings=PROFILE)

    kinds = {"breaks", "crashes", "hand-overs", "splits", "silences", "dropped", "known", "backfilled"}
    assert kinds == {kind for kind in seen if seen[kind]}


class AtTheReportedEnd:
    """A cut there may lie in the next turn's first word."""

    mark_after = staticmethod(lambda _levels, end_ms: end_ms // FRAME_MS + 1)


class KnowsNothing:
    words_known = staticmethod(lambda _heard, _tail: 0)


class KnowsByTextAlone:
    """Then a word that is said again is taken for the one before it."""

    texts = ONE["texts"]
    words_known = staticmethod(lambda heard, tail: min(len(heard), len(tail)))


class ForgetfulMarks(Marks):
    def move(self, range_id: int, number: int, tail: tuple[Heard, ...] | None = None) -> None:
        super().move(range_id, number, () if tail else tail)


class ForgetsWords:
    marks_class = ForgetfulMarks


@pytest.mark.parametrize("mistake", [AtTheReportedEnd, KnowsNothing, KnowsByTextAlone, ForgetsWords])
def test_the_model_sees_what_is_wrong(mistake: type) -> None:
    """A model that no mistake could fail would prove nothing."""
    machine = type("Machine", (mistake, Room), {"seen": Counter()})
    only_find = settings(PROFILE, max_examples=3000, phases=[Phase.generate])

    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=only_find)
