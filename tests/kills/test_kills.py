"""The kill loop as it runs with every change: few rounds of fixed seeds, and proof that it would notice."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from kills.loop import failing_seeds, summary
from kills.outputs import changed_bodies, deduplicated, total, verdicts
from kills.plan import CORE_KILLS, SINKS, Plan, plan
from kills.round import Outcome, Round
from simulator.oracle import HEADING, Delivered, Output
from simulator.receiver import Request

SEEDS = (6, 4)
KILLS_MIN = 38
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
        assert kills.keys() == {"transcription", "capture", *SINKS}
        assert not (made.ends_in_an_outage and made.breaks_off_at_s)
        assert max(kills["transcription"], kills["capture"]) <= CORE_KILLS[1] < 5
        assert made.kills - kills.total() == bool(made.ends_in_an_outage or made.breaks_off_at_s)
        assert list(made.events) == sorted(made.events, key=lambda event: event.at_s)


def test_what_a_receiver_saw_twice_counts_once_and_must_be_the_same() -> None:
    """At least once under a constant name: so any receiver can have it exactly once."""

    def request(name: str, body: bytes, answer: int = 200) -> Request:
        return Request(0.0, "POST", "/", {"webhook-id": name}, body, answer, 1)

    requests = [request("a", b"1", 500), request("a", b"1"), request("a", b"1"), request("b", b"2")]
    assert deduplicated(requests) == [b"1", b"2"]
    assert changed_bodies(requests) == []
    assert changed_bodies([*requests, request("b", b"3", 500)]) == ["b"]
