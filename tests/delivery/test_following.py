"""The pure core of a subscription."""

import itertools
from typing import Any

import pytest

from delivery.journal import Journal
from fake_publisher import end_marker, turn
from minuted.delivery.following import (
    FINISH_S,
    HELD_MAX,
    PAGE_MAX,
    READY_MAX,
    SILENCE_S,
    Position,
    Question,
    forks_of,
)
from minuted.messages import Gap, Heartbeat


def test_records_that_come_in_order_are_given_at_once() -> None:
    """Nothing is asked for that is there already."""
    journal = Journal()
    journal.beat()
    journal.publish(3)
    journal.take()
    assert journal.seqs() == [1, 2, 3]
    assert journal.ask() is None


def test_a_hole_is_asked_for_and_filled_before_what_came_after_it() -> None:
    """Order is a promise: what arrived early waits."""
    journal = Journal()
    journal.beat()
    journal.publish(2)
    journal.publish(arrives=False)
    journal.publish(2)
    journal.take()
    assert journal.seqs() == [1, 2]
    assert journal.ask() == Question(3, 1, fresh=False)
    journal.answer()
    journal.take()
    assert journal.seqs() == [1, 2, 3, 4, 5]


def test_revisions_are_given_ahead_up_to_whatever_else_comes_next() -> None:
    """A change of place is announced before what follows it, and a hole is nothing to pass over."""
    journal = Journal()
    journal.beat()
    for seq in (1, 2, 3, 5):
        journal.follower.hear(turn(seq, type="turn" if seq == 3 else "revision"), 0.0)
    follower = journal.follower
    given = [follower.take_revision() for _ in range(3)]
    assert [revision and revision.seq for revision in given] == [1, 2, None]
    assert follower.seq == 2
    assert follower.take().seq == 3
    assert follower.take_revision() is None


def test_a_heartbeat_tells_of_records_nobody_saw() -> None:
    """The last turn of a meeting may be the one that is lost; nothing comes after it."""
    journal = Journal()
    journal.publish(4, arrives=False)
    journal.beat()
    assert journal.ask() == Question(1, PAGE_MAX, fresh=False)
    journal.answer()
    journal.take()
    assert journal.seqs() == [1, 2, 3, 4]


def test_a_subscriber_without_a_place_begins_with_what_comes_from_now_on() -> None:
    """A webhook added in March does not get January."""
    journal = Journal(after_seq=None, epoch="")
    journal.publish(5, arrives=False)
    assert not journal.follower.placed
    journal.beat()
    journal.publish()
    journal.take()
    assert journal.positions == [Position("one", 5, "start")]
    assert journal.seqs() == [6]


def test_a_record_that_comes_before_the_first_heartbeat_belongs_to_what_comes_from_now_on() -> None:
    """A turn may slip in between the subscription and its welcome."""
    journal = Journal(after_seq=None, epoch="")
    journal.publish(5, arrives=False)
    journal.publish(2)
    journal.settle()
    assert journal.positions == [Position("one", 5, "start")]
    assert journal.seqs() == [6, 7]


def test_a_silent_turn_socket_is_no_reason_to_wait_for_ever() -> None:
    """The replay socket can tell as well where the journal is."""
    journal = Journal(after_seq=None, epoch="")
    journal.publish(5, arrives=False)
    assert journal.ask() is None
    journal.now_s += SILENCE_S
    assert journal.ask() == Question(1, 1, fresh=False)
    journal.answer()
    journal.take()
    assert journal.positions == [Position("one", 5, "start")]


def test_a_new_journal_is_told_and_given_from_its_first_record() -> None:
    """Its numbers begin at 1 again: by them alone everything would look delivered."""
    journal = Journal()
    journal.beat()
    journal.publish(3)
    journal.take()
    journal.epoch, journal.records = "two", []
    journal.publish(2)
    journal.settle()
    assert journal.positions == [Position("two", 0, "new journal")]
    assert journal.given[3:] == [("two", 1), ("two", 2)]


@pytest.mark.parametrize(
    ("had", "given", "positions"),
    [
        (2, [("one", 3), ("two", 4), ("two", 5)], [Position("two", 3, "forked")]),
        (3, [("two", 4), ("two", 5)], [Position("two", 3, "forked")]),
        (9, [("two", 4), ("two", 5)], [Position("two", 3, "forked")]),
    ],
    ids=["behind", "there", "beyond"],
)
def test_a_journal_that_was_put_back_is_gone_on_with_where_it_forked(
    had: int, given: list[tuple[str, int]], positions: list[Position]
) -> None:
    """What came before is the same as ever, under the same epoch; nothing of it comes again."""
    journal = Journal(after_seq=had)
    journal.publish(9, arrives=False)
    journal.put_back("two", 3)
    journal.publish(2, arrives=False)
    journal.settle()
    assert journal.given == given
    assert journal.positions == positions


def test_a_subscriber_may_have_slept_through_several_forks() -> None:
    journal = Journal(after_seq=1)
    journal.publish(4, arrives=False)
    journal.put_back("two", 2)
    journal.publish(2, arrives=False)
    journal.put_back("three", 4)
    journal.put_back("four", 4)
    journal.publish(1, arrives=False)
    journal.settle()
    assert journal.given == [("one", 2), ("two", 3), ("two", 4), ("four", 5)]
    assert [position.epoch for position in journal.positions] == ["two", "three", "four"]


def test_a_fork_while_it_is_followed_is_seen() -> None:
    """Records of the lost branch that are under way are not taken for those of the new one."""
    journal = Journal()
    journal.beat()
    journal.publish(5)
    journal.take()
    journal.put_back("two", 3)
    journal.publish(3, arrives=False)
    journal.settle()
    assert journal.given == [*(("one", seq) for seq in range(1, 6)), *(("two", seq) for seq in (4, 5, 6))]


@pytest.mark.parametrize(
    "forks", [None, "x", [["one"]], [["one", "3"]], [["other", 3]], [["one", True]], [3], {"one": 3}]
)
def test_forks_that_cannot_be_read_make_it_a_new_journal(forks: Any) -> None:
    """As publishers of an older version are."""
    assert forks_of({"epoch": "two", "forks": forks}, "one") == []
    assert forks_of({"epoch": "two"}, "one") == []


def test_a_heartbeat_left_over_from_the_old_journal_changes_nothing() -> None:
    """Else both journals would be delivered again."""
    journal = Journal()
    journal.beat()
    journal.publish(3)
    journal.epoch, journal.records = "two", []
    journal.publish(2)
    journal.settle()
    journal.follower.hear(Heartbeat(epoch="one", last_seq=3), journal.now_s)
    journal.settle()
    assert journal.seqs() == [1, 2, 3, 1, 2]


def test_an_answer_of_the_old_journal_does_not_end_the_doubt() -> None:
    """It was on its way when the new journal's heartbeat came; a live record must not be taken for its."""
    journal = Journal()
    journal.publish(3, arrives=False)
    journal.beat()
    journal.ask()
    old_answer = [*(record.to_map() for record in journal.records), end_marker(journal, 4)]
    journal.epoch, journal.records = "two", []
    journal.beat()
    for message in old_answer:
        journal.follower.hear_replay(message, journal.now_s)
    journal.publish(4)
    journal.settle()
    assert journal.given == [("two", 1), ("two", 2), ("two", 3), ("two", 4)]


def test_what_was_held_of_the_old_journal_does_not_get_into_the_new_one() -> None:
    """The numbers would fit."""
    journal = Journal()
    journal.beat()
    journal.publish(3)
    journal.publish(arrives=False)
    journal.publish()
    journal.epoch, journal.records = "two", []
    journal.publish(4, arrives=False)
    journal.settle()
    assert journal.given == [("one", 1), ("one", 2), ("one", 3), *(("two", seq) for seq in range(1, 5))]


def test_records_that_are_no_longer_kept_are_counted_and_passed_over() -> None:
    """A sink that was off for a year goes on, and the log says what it missed."""
    journal = Journal(after_seq=2)
    journal.publish(10, arrives=False)
    journal.first_seq = 6
    journal.settle()
    assert journal.positions == [Position("one", 5, "missed", 3)]
    assert journal.seqs() == [6, 7, 8, 9, 10]


def test_a_journal_that_keeps_nothing_is_followed_from_its_end() -> None:
    """Everything may be past its time in a room nobody used."""
    journal = Journal(after_seq=2)
    journal.publish(10, arrives=False)
    journal.first_seq = 11
    journal.settle()
    journal.first_seq = 11
    journal.publish()
    journal.settle()
    assert journal.positions == [Position("one", 10, "missed", 8)]
    assert journal.seqs() == [11]


def test_a_journal_that_ends_before_our_place_is_told_and_followed() -> None:
    """It was restored from a copy: waiting for its numbers to catch up would lose what is said till then."""
    journal = Journal(after_seq=50)
    journal.publish(10, arrives=False)
    journal.beat()
    journal.publish()
    journal.settle()
    assert journal.positions == [Position("one", 10, "went back")]
    assert journal.seqs() == [11]


def test_a_hole_in_the_journal_itself_is_passed_over() -> None:
    """One bad row must not stop a sink for good."""
    journal = Journal()
    journal.publish(5, arrives=False)
    broken = journal.records[2].to_map() | {"text": None}
    journal.beat()
    for _ in range(4):
        journal.now_s += 10
        question = journal.ask()
        if question is None:
            continue
        page = [record.to_map() for record in journal.records[question.from_seq - 1 :][: question.limit]]
        for values in [*(broken if value["seq"] == 3 else value for value in page), end_marker(journal, 6)]:
            journal.follower.hear_replay(values, journal.now_s)
    journal.take()
    assert journal.seqs() == [1, 2, 4, 5]
    assert journal.positions == [Position("one", 3, "missed", 1)]


def test_a_question_without_an_answer_is_put_again_ever_later_and_on_a_new_socket() -> None:
    """A publisher that is down is not hammered, and an old answer is not taken for a new one."""
    journal = Journal()
    journal.publish(3, arrives=False)
    journal.beat()
    asked_s = []
    for _ in range(400):
        if question := journal.ask():
            asked_s.append(journal.now_s)
            assert question.fresh == (len(asked_s) > 1)
        journal.now_s += 0.1
    waits_s = [round(after - before) for before, after in itertools.pairwise(asked_s)]
    assert waits_s[:5] == [1, 2, 4, 8, 10]


def test_a_heartbeat_cuts_short_the_wait_for_an_answer_a_killed_publisher_took_along() -> None:
    """Catching up after a restart takes a second, not ten."""
    journal = Journal()
    journal.publish(3, arrives=False)
    journal.beat()
    for _ in range(300):
        journal.ask()
        journal.now_s += 0.1
    journal.beat()
    journal.now_s += 1.1
    assert journal.ask() is not None


def test_live_records_beyond_the_bound_are_dropped_and_replayed() -> None:
    """A sink that is slow, or waits for a hole to be filled, does not eat the memory."""
    journal = Journal()
    journal.beat()
    journal.publish(arrives=False)
    journal.publish(HELD_MAX + 10)
    assert journal.follower.overflows == 1
    journal.settle()
    assert journal.seqs() == list(range(1, HELD_MAX + 12))


def test_a_slow_consumer_is_not_asked_to_hold_more_than_the_bound() -> None:
    """READY_MAX records wait, as many again are held, and the rest is asked for when there is room."""
    journal = Journal()
    journal.beat()
    journal.publish(READY_MAX + HELD_MAX + 5)
    assert journal.ask() is None
    assert journal.follower.overflows == 1
    journal.take(READY_MAX)
    journal.settle()
    assert journal.seqs() == list(range(1, READY_MAX + HELD_MAX + 6))


def test_only_the_newest_partial_of_a_turn_is_given_and_none_after_its_final() -> None:
    """Captions show what is being said, not how they got there."""
    journal = Journal(partials=True)
    journal.beat()
    for text in ("so", "so what", "so what is"):
        journal.follower.hear(turn(None, text, id="t1", final=False), journal.now_s)
    journal.follower.hear(turn(None, "and", id="t2", final=False), journal.now_s)
    journal.publish()
    journal.take()
    assert journal.seqs() == [1]
    assert [partial.text for partial in journal.partials] == ["and"]


def test_finishing_gives_what_the_journal_has_and_then_ends() -> None:
    """At a stop, nothing is left behind, and nothing is waited for that comes later."""
    journal = Journal()
    journal.beat()
    journal.publish(3)
    journal.publish(2, arrives=False)
    journal.follower.finish(journal.now_s)
    assert journal.ask() is not None
    journal.answer()
    assert not journal.follower.finished(journal.now_s)
    journal.take()
    assert journal.seqs() == [1, 2, 3, 4, 5]
    assert journal.follower.finished(journal.now_s)


def test_finishing_ends_when_nobody_answers_but_not_while_records_wait() -> None:
    """With the publisher gone, what has arrived is still delivered."""
    journal = Journal()
    journal.beat()
    journal.publish(3)
    journal.follower.finish(journal.now_s)
    journal.ask()
    journal.now_s += FINISH_S
    assert not journal.follower.finished(journal.now_s)
    journal.take()
    assert journal.follower.finished(journal.now_s)


def test_nonsense_on_the_replay_socket_is_counted_and_does_no_harm() -> None:
    """Anyone in the group may bind a socket; a message is never a crash."""
    journal = Journal()
    journal.publish(2, arrives=False)
    journal.beat()
    journal.ask()
    nonsense: list[dict[str, Any]] = [{}, {"type": "end"}, {"seq": "7"}, {"type": "turn", "seq": 9}]
    for values in nonsense:
        journal.follower.hear_replay(values, journal.now_s)
    assert journal.follower.malformed == 4
    journal.settle()
    assert journal.seqs() == [1, 2]


def test_a_gap_has_its_place_among_the_turns() -> None:
    """It carries a number like any record."""
    journal = Journal()
    journal.beat()
    journal.publish()
    journal.follower.hear(
        Gap(seq=2, room="boardroom", meeting_id="m1", start_ms=0, end_ms=50, reason="paused"), journal.now_s
    )
    journal.take()
    assert journal.seqs() == [1, 2]


def test_records_that_cannot_be_read_are_missed_as_one_stretch_and_the_rest_is_given() -> None:
    """Each costs itself alone; what stands in its place is no malformed answer."""
    journal = Journal()
    journal.publish(8, arrives=False)
    journal.beat()
    assert journal.ask()
    for record in journal.records:
        is_damaged = record.seq in (3, 4, 5, 8)
        values = {"v": 1, "type": "damaged", "seq": record.seq} if is_damaged else record.to_map()
        journal.follower.hear_replay(values, journal.now_s)
    journal.follower.hear_replay(end_marker(journal, 9), journal.now_s)
    journal.take()
    assert journal.seqs() == [1, 2, 6, 7]
    missed = [Position("one", 5, "missed", 3), Position("one", 8, "missed", 1)]
    assert [position for position in journal.positions if position.reason == "missed"] == missed
    assert journal.follower.malformed == 0
    assert journal.follower.seq == 8
