"""Records become meetings in the order in which people spoke."""

from dataclasses import dataclass

from minuted import Turn
from minuted.commands.meetings import joined, meetings_of
from sinks.samples import NINE_THIRTY_MS, gap, turn


def texts(meeting) -> list[str]:
    return [getattr(record, "text", "-") for record in meeting.records]


def test_late_turns_and_revisions_stand_where_they_were_said() -> None:
    """The journal's order is that in which they became known."""
    (meeting,) = meetings_of(
        [
            turn(1, "one"),
            turn(2, "three", start_ms=30_000),
            gap(3, start_ms=40_000, end_ms=45_000),
            turn(4, "two", start_ms=20_000, backfilled=True),
            turn(5, "ONE", id="session-1", start_ms=10_000, type="revision", revision=1),
            turn(6, "One!", id="session-1", start_ms=10_000, type="revision", revision=2),
        ]
    )

    assert texts(meeting) == ["One!", "two", "three", "-"]
    assert [record.seq for record in meeting.records] == [1, 4, 2, 3]
    assert (meeting.turns, meeting.length_ms) == (3, 45_000)
    assert isinstance(meeting.records[0], Turn)
    assert (meeting.records[0].type, meeting.records[0].revision) == ("turn", 2)


def test_the_order_of_the_records_does_not_matter() -> None:
    """They are read from the end."""
    records = [
        turn(1, "one"),
        turn(2, "two"),
        turn(3, "TWO", id="session-2", start_ms=20_000, type="revision"),
    ]
    assert meetings_of(records) == meetings_of(records[::-1])


def test_a_revision_whose_turn_is_gone_is_the_turn() -> None:
    """The words are worth more than where they came from."""
    (meeting,) = meetings_of([turn(9, "anew", type="revision", revision=1)])
    assert texts(meeting) == ["anew"]


def test_meetings_do_not_mix_and_a_gap_before_any_is_nobody_s() -> None:
    later = {"meeting_id": "meeting-2", "meeting_started_at_ms": NINE_THIRTY_MS + 1}
    found = meetings_of([turn(2, "b", **later), gap(3, meeting_id=""), turn(1, "a"), gap(4, **later)])
    assert [(meeting.id, texts(meeting)) for meeting in found] == [
        ("meeting-1", ["a"]),
        ("meeting-2", ["-", "b"]),
    ]


def test_meetings_that_follow_on_each_other_become_one_by_the_first_one_s_clock() -> None:
    """A recording is one text, whatever was begun while it was heard."""
    later = {"meeting_id": "meeting-2", "meeting_started_at_ms": NINE_THIRTY_MS + 60_000}
    found = meetings_of([turn(1, "a"), turn(2, "b c", start_ms=500, **later), gap(3, 2000, 3000, **later)])
    meeting = joined(found)
    assert meeting is not None
    assert (meeting.id, texts(meeting)) == ("meeting-1", ["a", "b c", "-"])
    _, moved, pause = meeting.records
    assert (moved.start_ms, [word.start_ms for word in moved.words]) == (60_500, [60_500, 60_800])
    assert (pause.start_ms, pause.end_ms) == (62_000, 63_000)
    assert {record.meeting_started_at_ms for record in meeting.records} == {NINE_THIRTY_MS}
    assert joined([]) is None


def test_a_cut_keeps_whole_turns() -> None:
    (meeting,) = meetings_of(
        [turn(n, f"{n}", start_ms=n * 10_000, end_ms=n * 10_000 + 4000) for n in (1, 2, 3)]
    )
    start_ms = meeting.started_at_ms
    assert texts(meeting.cut(start_ms + 12_000, start_ms + 30_000)) == ["1", "2"]
    assert texts(meeting.cut(None, start_ms + 20_000)) == ["1"]
    assert texts(meeting.cut(start_ms + 24_000, None)) == ["3"]


@dataclass(frozen=True, kw_only=True)
class Titled(Turn):
    """A turn of a meeting that somebody has named."""

    meeting_title: str | None = None


def test_the_last_title_is_the_meeting_s() -> None:
    """It may be given while people speak."""
    values = {name: getattr(turn(1), name) for name in turn(1).to_map()}
    named = [
        Titled(**{**values, "seq": n, "id": str(n), "meeting_title": name})
        for n, name in enumerate([None, "Budget", "Budget 2027", None], 1)
    ]
    assert meetings_of(named)[0].title == "Budget 2027"
    assert meetings_of([turn(1)])[0].title is None
