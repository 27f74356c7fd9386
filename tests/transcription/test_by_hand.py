"""Meetings begun and ended by hand: what was said before the moment is of the old one, whatever happens."""

import json
import time
from collections.abc import Callable

import pytest

from minuted.transcription.by_hand import TITLE_CHARACTERS_MAX, title_of
from simulator import Service
from simulator.coded import compose
from transcription.test_changing import told, wish

LONG = compose(1, words=(6, 6), word_ms=(400, 400), pause_ms=(200, 200), sentences=False, lead_in_ms=400)
"""One turn: a word each 600 ms from 400 ms on."""
IN_THE_THIRD_WORD = 38
"""Frames: 1.9 s."""
AFTER = compose(1, first_number=50)


def texts(recording) -> list[str]:
    return [word.text for word in recording.words]


def by_meeting(room) -> dict[str | None, list[str]]:
    """Give the words of each meeting by its title, in the order in which they came."""
    found: dict[str | None, list[str]] = {}
    for turn in room.finals:
        found.setdefault(turn.meeting_title, []).extend(word.text for word in turn.words)
    return found


def start(room, title: str | None = "Budget") -> dict:
    return wish(room, "meeting", action="start", title=title)


@pytest.mark.parametrize("padding", [False, True], ids=["exact", "padded"])
def test_words_before_the_moment_are_of_the_old_meeting_and_those_after_it_of_the_new(
    make_room: Callable, padding: bool
) -> None:
    """In the middle of a sentence: the turn is ended behind the word that is being said, by ForceEndpoint."""
    with Service(edge_padding=padding) as service:
        room = make_room(service)
        room.play(LONG, slice(0, IN_THE_THIRD_WORD))
        room.wait_for(lambda: room.partials)
        answer = start(room)
        room.play(LONG, slice(IN_THE_THIRD_WORD, None))
        room.end()
        assert len(service.sessions[0].asked("ForceEndpoint")) == 1
    words = texts(LONG)
    assert by_meeting(room) == {None: words[:3], "Budget": words[3:]}
    old, new = room.finals[0], room.finals[-1]
    assert new.meeting_id == answer["meeting"]["id"] != old.meeting_id
    assert new.meeting_started_at_ms == answer["meeting"]["started_at_ms"]
    assert new.start_ms >= 0
    assert told(room, "meeting-started") == ["Budget"]


def test_after_the_end_words_begin_a_meeting_of_their_own(make_room: Callable) -> None:
    with Service() as service:
        room = make_room(service)
        room.play(AFTER, slice(0, 4))
        room.wait_for(lambda: service.sessions)
        first = start(room)
        room.play(AFTER)
        room.wait_for(lambda: room.finals)
        assert room.transcriber.status()["meeting_title"] == "Budget"
        ended = wish(room, "meeting", action="end")
        assert room.transcriber.status()["meeting"] is None
        room.play(compose(1, first_number=80))
        room.end()
        assert wish(room, "meeting", action="end")["before"]["title"] is None
    assert ended["before"]["id"] == first["meeting"]["id"]
    assert by_meeting(room) == {"Budget": texts(AFTER), None: texts(compose(1, first_number=80))}
    assert len({turn.meeting_id for turn in room.finals}) == 2


def test_a_meeting_goes_on_through_breaks_and_a_new_process(make_room: Callable) -> None:
    """Only people divide it, or a long silence."""
    parts = [compose(1, words=(2, 2), first_number=number) for number in (1, 20, 40)]
    with Service() as service:
        room = make_room(service)
        room.play(compose(1, first_number=90))
        room.wait_for(lambda: room.finals)
        start(room)
        room.play(parts[0])
        room.wait_for(lambda: len(room.finals) == 2)
        service.fault("reset")
        room.play(parts[1])
        room.retry_now()
        room.wait_for(lambda: len(room.finals) == 3)
        room.stop()
        again = make_room(service)
        again.play(parts[2])
        again.end()
        assert again.transcriber.status()["meeting_title"] == "Budget"
    finals = [*room.finals, *again.finals]
    assert [turn.meeting_title for turn in finals] == [None, "Budget", "Budget", "Budget"]
    assert len({turn.meeting_id for turn in finals}) == 2


def test_what_is_heard_late_is_of_the_meeting_in_which_it_was_said(make_room: Callable) -> None:
    """The service was away while one meeting ended and the next began: both are caught up with."""
    before = compose(1, words=(2, 2), tail_ms=1500)
    after = compose(1, words=(2, 2), first_number=50, tail_ms=2000)
    service = Service()
    room = make_room(service, "live_first_s = 1")
    room.play(before, paced=True)
    room.wait_for(lambda: "retrying" in room.session_events)
    start(room)
    room.play(after, paced=True)
    service.start()
    room.end()
    service.close()
    found = by_meeting(room)
    assert {title: sorted(words) for title, words in found.items()} == {
        None: sorted(texts(before)),
        "Budget": sorted(texts(after)),
    }


def test_somebody_who_talks_on_through_a_break_is_still_divided_at_the_moment(make_room: Callable) -> None:
    """The session broke before the turn was over: the next one hears it all, and ends it there again."""
    with Service() as service:
        room = make_room(service)
        room.play(LONG, slice(0, IN_THE_THIRD_WORD))
        room.wait_for(lambda: room.partials)
        service.fault("stall")
        start(room)
        room.play(LONG, slice(IN_THE_THIRD_WORD, None))
        service.fault("reset")
        room.retry_now()
        room.end()
    words = texts(LONG)
    assert by_meeting(room) == {None: words[:3], "Budget": words[3:]}


def test_somebody_who_talks_on_while_the_process_is_replaced_is_divided_too(make_room: Callable) -> None:
    """What was asked for is in the journal before it is done."""
    with Service() as service:
        room = make_room(service)
        room.play(LONG, slice(0, IN_THE_THIRD_WORD))
        room.wait_for(lambda: room.partials)
        start(room)
        room.transcriber.leave()
        room.wait_for(lambda: room.drained is not None)
        room.stop()
        again = make_room(service)
        again.play(LONG, slice(IN_THE_THIRD_WORD, None))
        again.end()
    words = texts(LONG)
    assert room.finals == []
    assert by_meeting(again) == {None: words[:3], "Budget": words[3:]}


def test_a_meeting_may_begin_before_anything_was_heard(make_room: Callable) -> None:
    """Somebody sets the room up before the microphone is plugged in."""
    with Service() as service:
        room = make_room(service)
        assert room.transcriber.status()["meeting"] is None
        answer = start(room)
        assert answer["before"] is None
        assert answer["meeting"]["title"] == "Budget"
        assert abs(answer["meeting"]["started_at_ms"] - time.time() * 1000) < 60_000
        assert room.transcriber.status()["meeting_title"] == "Budget"


def test_a_meeting_begun_while_nothing_is_recorded_begins_then_and_not_when_it_was_last(
    make_room: Callable,
) -> None:
    """Off the record for an hour, and the next meeting is announced: its clock must not show that hour."""
    with Service() as service:
        room = make_room(service)
        room.play(AFTER)
        room.pause()
        room.wait_for(lambda: "paused" in room.session_events)
        asked_ms = time.time_ns() // 1_000_000
        answer = start(room)
        room.skip(time.time_ns() // 50_000_000 - room._next_number)
        room.play(compose(1, first_number=80))
        room.end()
    assert 0 <= answer["meeting"]["started_at_ms"] - asked_ms < 60_000
    assert by_meeting(room) == {None: texts(AFTER), "Budget": texts(compose(1, first_number=80))}
    assert 0 <= room.finals[-1].start_ms < 60_000


@pytest.mark.parametrize(
    ("title", "reason"),
    [
        ("", "a line of letters"),
        ("a\x1b[2Jb", "a line of letters"),
        (7, "a line"),
        ("x" * 201, "at most 200"),
    ],
)
def test_a_title_that_would_do_harm_is_refused(make_room: Callable, title: object, reason: str) -> None:
    """It goes to terminals, files' names and web pages."""
    with Service() as service:
        room = make_room(service)
        assert reason in wish(room, "meeting", action="start", title=title)["error"]
        assert room.transcriber.status()["meeting"] is None
        assert "started or ended" in wish(room, "meeting", action="stop")["error"]


def test_with_a_full_disk_nothing_is_begun(make_room: Callable) -> None:
    """A meeting that the next process would not know of is none."""
    with Service() as service:
        room = make_room(service)
        room.play(AFTER)
        room.wait_for(lambda: room.finals)
        room.fill_disk()
        assert "no room" in start(room)["error"]
        assert room.transcriber.status()["meeting_title"] is None
        room.empty_disk()
        room.end()


def test_a_title_is_made_a_line() -> None:
    assert title_of(" Budget \n 2027 ") == "Budget 2027"
    assert title_of("é" * TITLE_CHARACTERS_MAX) == "é" * TITLE_CHARACTERS_MAX
    assert title_of(None) is None
    assert json.loads(json.dumps(title_of("“Ö”"))) == "“Ö”"
