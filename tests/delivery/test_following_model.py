"""Whatever is lost, late or begun anew: each record is given once and in order."""

from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from delivery.journal import Journal
from minuted.messages import Turn

LOSSES = st.frozensets(st.integers(0, 6), max_size=4)
STEPS = st.one_of(
    st.tuples(st.just("publish"), st.integers(1, 4), st.booleans()),
    st.tuples(st.just("beat")),
    st.tuples(st.just("ask")),
    st.tuples(st.just("answer"), LOSSES),
    st.tuples(st.just("wait"), st.floats(0, 12)),
    st.tuples(st.just("take"), st.integers(1, 3)),
)


@hypothesis_settings(max_examples=200)
@given(st.lists(STEPS, max_size=60), st.integers(0, 3))
def test_each_record_is_given_once_and_in_order_whatever_happens(
    steps: list[tuple[Any, ...]], earlier: int
) -> None:
    """Any order of live messages, losses, heartbeats, questions and half answers."""
    journal = Journal(after_seq=earlier)
    journal.publish(earlier, arrives=False)
    for name, *arguments in steps:
        if name == "wait":
            journal.now_s += arguments[0]
        elif name == "publish":
            journal.publish(arguments[0], arrives=arguments[1])
        else:
            getattr(journal, name)(*arguments)
        assert journal.seqs() == list(range(earlier + 1, earlier + 1 + len(journal.given)))
    journal.settle()
    assert journal.seqs() == list(range(earlier + 1, journal.last_seq + 1))
    assert not journal.positions


@hypothesis_settings(max_examples=200)
@given(st.lists(STEPS | st.tuples(st.just("begin_anew"), st.booleans()), max_size=60))
def test_a_change_of_journal_loses_and_repeats_nothing_of_the_new_one(steps: list[tuple[Any, ...]]) -> None:
    """A new publisher says who it is before it publishes; everything else may go wrong."""
    journal = Journal()
    for name, *arguments in steps:
        if name == "wait":
            journal.now_s += arguments[0]
        elif name == "publish":
            journal.publish(arguments[0], arrives=arguments[1])
        elif name == "begin_anew":
            journal.epoch, journal.records = f"{journal.epoch}'", []
            if arguments[0]:
                journal.question = None
            journal.beat()
        else:
            getattr(journal, name)(*arguments)
    journal.settle()
    by_epoch: dict[str, list[int]] = {}
    for epoch, seq in journal.given:
        by_epoch.setdefault(epoch, []).append(seq)
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in by_epoch.values())
    assert by_epoch.get(journal.epoch, []) == list(range(1, journal.last_seq + 1))


@hypothesis_settings(max_examples=200)
@given(
    st.lists(STEPS | st.tuples(st.just("put_back"), st.integers(0, 5), st.booleans()), max_size=60),
    st.integers(0, 3),
)
def test_a_journal_that_is_put_back_loses_and_repeats_nothing(
    steps: list[tuple[Any, ...]], earlier: int
) -> None:
    """Which record it is tell its number and the epoch it was made under."""
    journal = Journal(after_seq=earlier)
    journal.publish(earlier, arrives=False)
    for name, *arguments in steps:
        if name == "wait":
            journal.now_s += arguments[0]
        elif name == "publish":
            journal.publish(arguments[0], arrives=arguments[1])
        elif name == "put_back":
            # One from before the last fork would know nothing of it: a new journal to who comes from there.
            earliest = max([0, *(seq for _, seq in journal.forks)])
            journal.put_back(f"{journal.epoch}'", max(earliest, journal.last_seq - arguments[0]))
            if arguments[1]:
                journal.question = None
            journal.beat()
        else:
            getattr(journal, name)(*arguments)
    journal.settle()
    assert len(set(journal.given)) == len(journal.given)
    made = [(record.session_id, record.seq) for record in journal.records if isinstance(record, Turn)]
    had = min([earlier, *(seq for _, seq in journal.forks)])
    assert [each for each in journal.given if each in made] == made[had:]
