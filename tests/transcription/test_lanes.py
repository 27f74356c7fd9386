"""Breaks that outlast a moment: what is caught up with behind, in order, and at a session's end."""

import threading
from collections.abc import Callable
from itertools import pairwise

import pytest

from minuted.messages import Session, Turn
from simulator import Fault, Service
from simulator.coded import compose
from simulator.faults import TOO_MANY
from simulator.proxy import Proxy

FIRST_MS = 1_000_000 * 50 + 7
ON_DISK = ""
IN_MEMORY = "[journal]\naudio = 'memory'\n"
ONE_SESSION = "sessions_max = 1"


def texts(recording) -> list[str]:
    return [word.text for word in recording.words]


def sound_ms(turn: Turn) -> int:
    """Give the time of day at which a turn begins."""
    return turn.meeting_started_at_ms + turn.start_ms


@pytest.fixture
def outage() -> Callable:
    """Play ten seconds while nobody listens, and go on when the service is there."""

    def play(room, service, missed, after) -> None:
        room.play(missed, paced=True)
        room.wait_for(lambda: "retrying" in room.session_events)
        service.start()
        room.wait_for(lambda: "started" in room.session_events)
        room.play(after, paced=True)
        room.end()

    return play


MISSED = compose(3, first_number=1, turn_pause_ms=(1300, 1500), tail_ms=2000)
AFTER = compose(2, first_number=100, seed=1)


@pytest.mark.parametrize("journal", [ON_DISK, IN_MEMORY], ids=["disk", "memory"])
def test_after_an_outage_captions_are_live_and_the_rest_comes_behind(
    make_room: Callable, outage: Callable, journal: str
) -> None:
    """Nobody waits for the past; it gets its own numbers when it comes, its true times, and a mark."""
    service = Service()
    room = make_room(service, journal)
    outage(room, service, MISSED, AFTER)
    service.close()

    behind = [turn for turn in room.finals if turn.backfilled]
    live = [turn for turn in room.finals if not turn.backfilled]
    assert [word.text for turn in behind for word in turn.words] == texts(MISSED)
    assert [word.text for turn in live for word in turn.words] == texts(AFTER)
    assert [turn.seq for turn in room.finals] == list(range(1, len(room.finals) + 1))
    assert max(map(sound_ms, behind)) < min(map(sound_ms, live))
    assert len({turn.meeting_id for turn in room.finals}) == 1
    assert not any(turn.backfilled for turn in room.partials)
    spoken = [word for recording in (MISSED, AFTER) for word in recording.words]
    began = {
        word.text: word.start_ms + (0 if word.number < 100 else len(list(MISSED.frames())) * 50)
        for word in spoken
    }
    assert all(
        turn.meeting_started_at_ms + word.start_ms - FIRST_MS == began[word.text]
        for turn in room.finals
        for word in turn.words
    )


def test_sound_that_comes_while_a_pause_is_heeded_is_not_cut_within_a_word(make_room: Callable) -> None:
    """The session reads the journal itself: what it was sent may be more than the loop has taken in."""
    before, after = compose(1), compose(1, first_number=80)
    word = after.words[2]
    within = (word.start_ms + word.end_ms) // 2 // 50
    with Service() as service:
        room = make_room(service)
        room.play(before)
        room.wait_for(lambda: room.finals)
        (channel,) = room.transcriber._channels
        serve, has_served = channel.serve, threading.Event()

        def starved(now_s: float) -> None:
            if not channel.intake.is_paused:
                serve(now_s)
                return
            channel.serve = serve
            room.play(after, slice(within))
            channel.lanes.live._may_send = lambda *_: True
            serve(now_s)
            has_served.set()

        channel.serve = starved
        room.pause()
        room.wait_for(has_served.is_set)
        room.play(after, slice(within, None))
        room.end()
    assert room.words == texts(before) + texts(after)


def test_a_stop_does_not_wait_for_a_share_that_captions_no_longer_need(make_room: Callable) -> None:
    """The live session and the one behind it break, and somebody stops the daemon within a minute."""
    missed = compose(1, tail_ms=4000)
    service = Service([Fault(name="reset", at_audio_ms=500, session=number) for number in (0, 1)])
    room = make_room(service, "live_first_s = 1")
    lanes = room.transcriber._channels[0].lanes
    room.play(missed, paced=True)
    room.wait_for(lambda: "retrying" in room.session_events)
    service.start()
    room.wait_for(lambda: lanes.behind_at_s)
    share_s = lanes.behind_at_s
    room.play(AFTER, paced=True)
    room.wait_for(lambda: room.session_events.count("started") == 2)
    room.end()
    service.close()
    assert lanes.behind_at_s < share_s
    assert sorted(room.words) == sorted(texts(missed) + texts(AFTER))


def test_with_one_session_the_outage_is_worked_off_first_and_in_order(
    make_room: Callable, outage: Callable
) -> None:
    """A plan with a single session, or nobody who wants to pay for two."""
    service = Service()
    room = make_room(service, ONE_SESSION)
    outage(room, service, compose(1, tail_ms=5000), AFTER)
    assert len(service.sessions) == 1
    service.close()

    assert room.words == texts(compose(1)) + texts(AFTER)
    assert not any(turn.backfilled for turn in room.finals)


def test_a_short_break_rides_in_the_live_session(make_room: Callable, outage: Callable) -> None:
    """It is caught up with in seconds, and its turns stay whole."""
    short = compose(1, words=(2, 2), tail_ms=500)
    service = Service()
    room = make_room(service)
    outage(room, service, short, AFTER)
    assert len(service.sessions) == 1
    service.close()

    assert room.words == texts(short) + texts(AFTER)


def test_a_service_with_room_for_one_session_gets_one_at_a_time(
    make_room: Callable, outage: Callable
) -> None:
    """The second is refused as long as the first is open: what was missed must not wait for ever."""
    service = Service([Fault(name="error", code=1008, text=TOO_MANY, session=1, times=2)])
    room = make_room(service)
    room.play(MISSED, paced=True)
    room.wait_for(lambda: "retrying" in room.session_events)
    service.start()
    room.wait_for(lambda: "started" in room.session_events)
    room.play(AFTER, paced=True)

    def worked() -> list:
        room.retry_now()
        return [session for session in service.sessions if session.messages("Begin")]

    room.wait_for(lambda: len(worked()) == 3)
    room.end()
    service.close()

    assert len(worked()) == 3
    assert all(before.ended_at_s <= after.at_s for before, after in pairwise(worked()))
    assert sorted(room.words) == sorted(texts(MISSED) + texts(AFTER))


@pytest.mark.usefixtures("short_sessions")
def test_a_session_hands_over_before_it_expires(make_room: Callable) -> None:
    """The next one is open before the old one ends, and neither words nor seconds fall in between."""
    recording = compose(6, words=(2, 3), turn_pause_ms=(600, 800))
    with Service(session_s=6.0) as service:
        # On a slow machine it would else be caught up with behind, in sessions more.
        room = make_room(service, "live_first_s = 60")
        room.play(recording, in_real_time=True)
        room.end()
        assert set(service.close_codes()) == {1000}
        sessions = list(service.sessions)
    assert len(sessions) >= 3
    assert room.words == texts(recording)
    assert room.transcriber.status()["handovers"] == len(sessions) - 1
    assert all(after.at_s < before.ended_at_s for before, after in pairwise(sessions))
    assert "retrying" not in room.session_events


def test_a_service_that_ends_every_session_at_once_sees_five_within_a_minute(make_room: Callable) -> None:
    """The free plan has no more, for all machines of an account: the sixth waits for the first to be over."""
    with Service([Fault(name="error", code=1011, times=None)]) as service:
        room = make_room(service)
        room.play(compose(1))
        room.wait_for(lambda: room.session_events.count("retrying") == 5)
        waits = [message for message in room.messages if isinstance(message, Session) and message.retry_in_s]
        fifth_s = service.connections[4].at_s - service.connections[0].at_s
        assert len(service.connections) == 5
        assert fifth_s + (waits[-1].retry_in_s or 0) > 59
        room.stop()


@pytest.mark.usefixtures("short_sessions")
def test_with_one_session_the_next_begins_when_the_old_one_has_ended(make_room: Callable) -> None:
    recording = compose(9, words=(2, 3), turn_pause_ms=(600, 800))
    with Service(session_s=6.0) as service:
        room = make_room(service, ONE_SESSION)
        room.play(recording, in_real_time=True)
        room.end()
        assert set(service.close_codes()) == {1000}
        sessions = list(service.sessions)
    assert len(sessions) >= 3
    assert room.words == texts(recording)


def test_a_new_process_goes_on_where_the_last_one_was(make_room: Callable) -> None:
    """Its memory is the journals: what was committed is not heard again, what was not is."""
    recording = compose(4)
    with Service() as service:
        first = make_room(service)
        first.play(recording, slice(0, 130))
        first.wait_for(lambda: len(first.finals) >= 1)
        first.stop()
        second = make_room(service)
        second.play(recording, slice(130, None))
        second.end()
    assert first.words + second.words == texts(recording)
    assert [turn.seq for turn in (*first.finals, *second.finals)] == [1, 2, 3, 4]
    assert len({turn.meeting_id for turn in (*first.finals, *second.finals)}) == 1
    assert first.drained is False


@pytest.mark.parametrize("after_finals", [1, 2, 3])
def test_padded_ends_neither_cut_nor_repeat_a_word(make_room: Callable, after_finals: int) -> None:
    """The service ends a turn up to 1.3 s late: the mark must not be taken from that."""
    recording = compose(4, turn_pause_ms=(200, 900), seed=after_finals)
    with Service([Fault(name="reset", at_finals=after_finals)], edge_padding=True) as service:
        room = make_room(service)
        room.play(recording)
        room.end()
    assert room.words == texts(recording)


def test_a_turn_that_cannot_be_read_does_not_hold_up_the_rest(make_room: Callable) -> None:
    """It breaks each session it comes in: after three tries its sound is declared unread."""
    recording = compose(3)
    poison = Fault(name="say", message={"type": "Turn", "turn_order": "x"}, at_audio_ms=1500, times=3)
    with Service([poison]) as service:
        room = make_room(service)
        room.play(compose(1, first_number=50))
        room.wait_for(lambda: room.gaps)
        room.play(recording)
        room.end()
    assert [gap.reason for gap in room.gaps] == ["unreadable"]
    # How much of the first was given up depends on how much a session had been sent.
    assert room.words[-len(recording.words) :] == texts(recording)


def test_a_dead_link_is_noticed_and_nothing_of_it_is_lost(make_room: Callable) -> None:
    """Packets vanish and no reset comes: pings tell, in seconds."""
    recording = compose(3, first_number=10)
    with Service() as service, Proxy(service.port) as proxy:
        room = make_room(proxy)
        room.play(compose(1), in_real_time=True)
        room.wait_for(lambda: room.partials)
        proxy.black_hole()
        room.play(recording, paced=True)
        room.wait_for(lambda: "retrying" in room.session_events)
        proxy.heal()
        room.end()
    noticed = next(
        message for message in room.messages if isinstance(message, Session) and message.event == "retrying"
    )
    assert noticed.reason
    assert sorted(room.words) == sorted(texts(compose(1)) + texts(recording))


@pytest.mark.parametrize("journal", [ON_DISK, IN_MEMORY], ids=["disk", "memory"])
def test_a_full_disk_halts_and_loses_nothing(make_room: Callable, journal: str) -> None:
    """A turn that cannot be stored is not published either: it is heard again when there is room."""
    recording = compose(3)
    with Service() as service:
        room = make_room(service, journal)
        room.play(recording, slice(0, 60))
        room.wait_for(lambda: room.partials)
        room.fill_disk()
        room.play(recording, slice(60, None))
        room.wait_for(lambda: "halted" in room.session_events)
        status = room.transcriber.status()
        assert (status["state"], status["last_seq"]) == ("halted", 0)
        assert "full" in status["reason"]
        room.empty_disk()
        room.end()
    assert room.words == texts(recording)
    assert [turn.seq for turn in room.finals] == [1, 2, 3]
