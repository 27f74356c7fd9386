"""Where a turn is cut into cues: the cheapest way, found in a time that grows with the words alone."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.samples import turn
from sinks.subtitles import srt

WORDS = st.lists(
    st.sampled_from(
        ["a", "so", "budget,", "no.", "2026", "naïve:", "Wirtschaftswissenschaftler", "x" * 42, "yes?!"]
    ),
    min_size=1,
    max_size=40,
)


def plain_cost(words, times, begin, end):
    """Weigh a cue as it is written down, from its words and times alone."""
    shown_ms = (times[end][0] if end < len(times) else times[-1][1] + srt.LINGER_MS) - times[begin][0]
    pauses_ms = [after[0] - word[1] for word, after in itertools.pairwise(times[begin : end + 1])]
    cost = 5 + max(0, srt.CUE_MS_MIN - shown_ms) / 100 + max(0, 20 - len(" ".join(words[begin:end]))) / 4
    if end < len(times) and not srt.SENTENCE_END.search(words[end - 1]):
        cost += 3 if pauses_ms[-1] > 300 or words[end - 1].endswith((",", ";", ":")) else 10
    cost += sum(max(0, pause_ms - 700) for pause_ms in pauses_ms[: end - begin - 1]) / 100
    return cost + 2 * sum(1 for word in words[begin : end - 1] if srt.SENTENCE_END.search(word))


def plain_break(words):
    """Return the cost of the best break and after how many words it comes, of all there are."""
    if len(" ".join(words)) <= srt.LINE_COLUMNS_MAX:
        return 0.0, len(words)
    best = (math.inf, len(words))
    for count in range(1, len(words)):
        first, second = len(" ".join(words[:count])), len(" ".join(words[count:]))
        if max(first, second) <= srt.LINE_COLUMNS_MAX:
            cost = abs(first - second) / 10 + (first > second) / 2
            if not srt.SENTENCE_END.search(words[count - 1]):
                cost += 1 if words[count - 1].endswith((",", ";", ":")) else 2.5
            cost += 1000 * (count == len(words) - 1 and words[-1].isdecimal())
            best = min(best, (cost, count))
    return best


def pieces_of(words):
    return [*(f"{word} " for word in words[:-1]), words[-1]]


@st.composite
def timed(draw):
    words, times, at_ms = draw(WORDS), [], 0
    for _ in words:
        start_ms = at_ms + draw(st.sampled_from([0, 0, 100, 400, 900, 8000]))
        at_ms = start_ms + draw(st.sampled_from([0, 50, 300, 900]))
        times.append((start_ms, at_ms))
    return words, times


@given(timed())
def test_every_cue_weighs_what_its_words_and_times_say(drawn):
    words, times = drawn
    weights, breaks = srt.Weights(pieces_of(words), times), srt.Breaks(pieces_of(words))
    for begin, end in itertools.combinations(range(len(words) + 1), 2):
        length = breaks.length(begin, end)
        assert length == len(" ".join(words[begin:end]))
        assert weights.cost_of(begin, end, length) == pytest.approx(plain_cost(words, times, begin, end))
        cost, at = breaks.best(begin, end)
        assert (cost, at - begin) == plain_break(words[begin:end])


@given(timed())
def test_the_cuts_are_the_cheapest(drawn):
    words, times = drawn
    costs = [0.0] + [math.inf] * len(words)
    for end in range(1, len(words) + 1):
        for begin in range(end):
            if begin == end - 1 or times[end - 1][1] - times[begin][0] <= srt.CUE_MS_MAX:
                cost = plain_cost(words, times, begin, end) + plain_break(words[begin:end])[0]
                costs[end] = min(costs[end], costs[begin] + cost)
    found = srt.cut(pieces_of(words), times, 0)
    assert [begin for begin, _ in found] == [0, *(end for _, end in found[:-1])]
    assert found[-1][1] == len(words)
    cost = sum(plain_cost(words, times, *one) + plain_break(words[slice(*one)])[0] for one in found)
    assert cost == pytest.approx(costs[-1])


@pytest.mark.parametrize("letter", ["a", "word", "語"])
def test_the_work_for_a_turn_grows_with_its_words_alone(letter, monkeypatch):
    """A turn may be a megabyte, all of it said in a second by its times."""
    looks = []
    cost_of = srt.Weights.cost_of
    monkeypatch.setattr(srt.Weights, "cost_of", lambda *arguments: looks.append(None) or cost_of(*arguments))
    many = []
    for words in (1000, 4000):
        looks.clear()
        passage = srt.passage_of(turn(1, " ".join([letter] * words), end_ms=11_000, words=()))
        assert sum(len(cue.text.split()) for cue in passage.cues) == words
        many.append(len(looks) / words)
    assert many[1] <= many[0] * 1.1 <= 2 * srt.LINE_COLUMNS_MAX + 1
