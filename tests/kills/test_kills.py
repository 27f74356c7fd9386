"""The kill loop as it runs with every change: few rounds of fixed seeds, and proof that it would notice."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from kills.loop import failing_seeds, summary
from kills.outputs import changed_bodies, deduplicated, subtitles_of, total, turns_of, verdicts
from kills.plan import ALONE, CORE_KILLS, SIDED_EVERY, SIDES, SINKS, Plan, plan
from kills.round import Outcome, Round
from simulator.oracle import HEADING, Delivered, Output, from_srt, from_turns
from simulator.receiver import Request

SEEDS = (6, 4)
"""One source, and two."""
KILLS_MIN = 30
"""A plan's kill may find nothing to kill: a busy machine is slow to start what was killed before."""
TURNS = 14
"""Half a minute of sound."""
AT_ONCE = 2


def run(plan: Plan) -> Outcome:
    with TemporaryDirectory(prefix="minuted-round-") as folder:
        return Round(plan, Path(folder)).run()


@pytest.mark.timeout(300)
def test_forty_kills_and_a_few_outages_lose_nothing_and_double_nothing() -> None:
    """The promise of the whole program. `make kills` runs many more; what failed there is run here."""
    plans = [plan(seed, turns=TURNS) for seed in SEEDS] + [plan(seed) for seed in failing_seeds()]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(run, plans))
    shown = "\n".join([HEADING, *(outcome.table() for outcome in outcomes), summary(outcomes)])
    print(shown)
    assert all(outcome.is_perfect for outcome in outcomes), shown
    assert sum(outcome.kills for outcome in outcomes) >= KILLS_MIN, shown


# It would notice.


def output_of(plan: Plan) -> Output:
    words = plan.recording().words
    return Output(tuple(Delivered(word.text, word.start_ms, word.end_ms) for word in words), seqs=(1, 2, 3))


def judged(output: Output) -> Outcome:
    bare = Plan(seed=0, turns=2)
    return Outcome(seed=0, verdicts=verdicts(bare.recording().words, {"file_log": output}))


def test_an_output_with_all_words_is_perfect() -> None:
    assert judged(output_of(Plan(seed=0, turns=2))).is_perfect


@pytest.mark.parametrize(
    "spoil",
    [
        lambda words: words[:3] + words[4:],
        lambda words: (*words[:3], words[2], *words[3:]),
        lambda words: (*words[:3], words[4], words[3], *words[5:]),
        lambda words: (replace(words[0], start_ms=words[0].start_ms + 51), *words[1:]),
        lambda words: (*words, Delivered("word", 0, 0)),
    ],
    ids=["lost", "doubled", "disordered", "late", "unknown"],
)
def test_one_word_that_is_not_as_it_should_be_makes_a_round_wrong(spoil) -> None:
    """Else a thousand kills would prove nothing."""
    output = output_of(Plan(seed=0, turns=2))
    assert not judged(replace(output, words=spoil(output.words))).is_perfect


def test_a_hole_in_the_sequence_numbers_makes_a_round_wrong() -> None:
    output = output_of(Plan(seed=0, turns=2))
    assert not judged(replace(output, seqs=(1, 2, 4))).is_perfect


def test_a_round_without_an_output_or_with_something_else_wrong_is_not_perfect() -> None:
    assert not Outcome(seed=0).is_perfect
    outcome = judged(output_of(Plan(seed=0, turns=2)))
    outcome.wrong.append("processes outlived their supervisor")
    assert not outcome.is_perfect


def test_totals_keep_every_loss_and_the_worst_time() -> None:
    good, bad = output_of(Plan(seed=0, turns=2)), Output(())
    both = total([*judged(good).verdicts.values(), *judged(bad).verdicts.values()])
    assert both.expected == 2 * len(good.words)
    assert len(both.lost) == len(good.words)


def test_a_plan_is_a_function_of_its_seed() -> None:
    """A failing seed must fail again."""
    assert plan(5) == plan(5)
    assert plan(5) != plan(6)
    assert str(plan(5)) == str(plan(5))
    assert plan(5).recording() == plan(5).recording()


def test_a_plan_kills_everybody_and_keeps_to_the_crash_limit() -> None:
    """At the fifth crash of one core process within a minute the supervisor gives up, as it should."""
    for seed in range(10):
        made = plan(seed)
        kills = Counter(event.target for event in made.events if event.what == "kill")
        assert kills.keys() == {"transcription", *made.captures, *SINKS}
        assert made.sides == (ALONE if seed % SIDED_EVERY else SIDES)
        assert not (made.ends_in_an_outage and made.breaks_off_at_s)
        assert max(kills[name] for name in ("transcription", *made.captures)) <= CORE_KILLS[1] < 5
        assert made.kills - kills.total() == bool(made.ends_in_an_outage or made.breaks_off_at_s)
        assert list(made.events) == sorted(made.events, key=lambda event: event.at_s)


def test_a_word_that_is_told_of_the_other_side_makes_a_round_wrong() -> None:
    """It is lost where it was said, and unknown where nobody said it."""
    sided = Plan(seed=0, turns=1, sides=SIDES)
    told = [
        {"type": "turn", "final": True, "seq": 1 + place, "channel": side, "text": word.text, "words": [said]}
        for place, side in enumerate(SIDES)
        for word in sided.recordings()[side].words[:1]
        for said in [{"text": word.text, "start_ms": word.start_ms, "end_ms": word.end_ms}]
    ]
    swapped = [{**each, "channel": side} for each, side in zip(told, reversed(SIDES), strict=True)]
    for maps, is_right in ((told, True), (swapped, False)):
        for side, recording in sided.recordings().items():
            output = from_turns(turns_of(maps, side))
            verdict = verdicts(recording.words[:1], {"file_log": output}, side)[f"file_log {side}"]
            assert (verdict.is_perfect(), verdict.seq_errors) == (is_right, 0)


def test_subtitles_are_told_apart_by_their_labels() -> None:
    """A label stands where the side changes, and holds until it changes again."""
    cues = [f"{number}\n00:00:0{number},000 --> 00:00:0{number},900\n" for number in range(1, 5)]
    said = ["table: word0001", "word0002.", "far: word5001.", "table: word0003."]
    text = "\n\n".join(cue + words for cue, words in zip(cues, said, strict=True))
    for side, expected in (("table", ["word0001", "word0002.", "word0003."]), ("far", ["word5001."])):
        assert [word.text for word in from_srt(subtitles_of(text, side)).words] == expected
    assert subtitles_of(text.replace("table: ", "").replace("far: ", ""), "").count("word") == 4


def test_what_a_receiver_saw_twice_counts_once_and_must_be_the_same() -> None:
    """At least once under a constant name: so any receiver can have it exactly once."""

    def request(name: str, body: bytes, answer: int = 200) -> Request:
        return Request(0.0, "POST", "/", {"webhook-id": name}, body, answer, 1)

    requests = [request("a", b"1", 500), request("a", b"1"), request("a", b"1"), request("b", b"2")]
    assert deduplicated(requests) == [b"1", b"2"]
    assert changed_bodies(requests) == []
    assert changed_bodies([*requests, request("b", b"3", 500)]) == ["b"]
