"""Several sources, each with its own sessions: every word once, in its channel, at its time, in one order."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from minuted.journal.audio import segment_numbers
from minuted.journal.folder import Folder
from minuted.journal.turns import TurnJournal
from minuted.messages import Session, Turn, from_map
from minuted.transcription import among
from minuted.transcription.channel import STALE_S
from minuted.transcription.order import HOLD_S_MAX
from minuted.transcription.publisher import Publisher
from simulator import Fault, Service
from simulator.coded import Recording, compose
from transcription.call import FIRST_MS, Call
from transcription.test_changing import UPDATE

TWO = """
[[capture.sources]]
name = "table"
device = "one"
[[capture.sources]]
name = "far"
device = "two"
"""
TABLE, FAR = compose(4), compose(4, first_number=200, seed=3)


@pytest.fixture
def make_call(make_settings: Any, monkeypatch: pytest.MonkeyPatch, no_key: Path) -> Iterator[Callable]:
    """Make a Call whose service is a given simulator; the earlier one is ended."""
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "a-key")
    calls: list[Call] = []

    def make(service: Service, text: str = TWO) -> Call:
        settings = make_settings(
            f'room = "boardroom"\n[engine]\nservice = "assemblyai"\nurl = "{service.url}"\n{text}'
        )
        for call in calls:
            call.close()
        calls[:] = [Call(settings)]
        return calls[-1]

    yield make
    for call in calls:
        call.close()


def texts(recording: Recording) -> list[str]:
    return [word.text for word in recording.words]


def errors_ms(call: Call, *recordings: Recording) -> set[int]:
    """Give how far words' times of day are from the truth."""
    spoken = {word.text: word for recording in recordings for word in recording.words}
    return {
        abs(turn.meeting_started_at_ms + word.start_ms - FIRST_MS - spoken[word.text].start_ms)
        for turn in call.finals
        for word in turn.words
    }


def assert_all_heard(call: Call) -> None:
    assert (call.words("table"), call.words("far")) == (texts(TABLE), texts(FAR))
    assert errors_ms(call, TABLE, FAR) == {0}
    assert [turn.seq for turn in call.finals] == [*range(1, len(call.finals) + 1)]


def test_every_word_is_in_its_channel_at_its_true_time_in_one_order(make_call: Callable) -> None:
    """Two rooms' worth of talk in one record: who reads it reads one conversation, and one meeting."""
    with Service(heartbeat_s=0.2) as service:
        call = make_call(service)
        call.play({"table": TABLE, "far": FAR})
        call.end()
        assert len(service.sessions) == 2
    assert_all_heard(call)
    assert len({turn.meeting_id for turn in call.finals}) == 1
    begun = [turn.start_ms for turn in call.finals]
    assert begun == sorted(begun)
    assert call.session_events.count("drained") == 1


@pytest.mark.parametrize("place", [0, 1, 2], ids=["the first", "in the middle", "a later one"])
def test_a_final_that_cannot_be_committed_costs_its_own_session_alone(
    make_call: Callable, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """It has waited for its place, and others went with it: neither theirs nor its own are lost."""
    honest, tries = Publisher.record, []
    word = next(word.text for word in FAR.words if word.turn == place)

    def record(publisher: Publisher, said: Any, state: Any = None) -> Any:
        if isinstance(said, Turn) and word in said.text and not tries:
            tries.append(said)
            raise OverflowError("too large to convert")
        return honest(publisher, said, state)

    monkeypatch.setattr(Publisher, "record", record)
    with Service(heartbeat_s=0.2) as service:
        call = make_call(service)
        call.play({"table": TABLE, "far": FAR})
        call.end()
        assert len(service.sessions) == 3
    assert tries
    assert (call.words("table"), call.words("far")) == (texts(TABLE), texts(FAR))
    assert not call.gaps


def test_in_real_time_a_final_waits_for_what_the_other_side_began_before_it(make_call: Callable) -> None:
    """One side asks at length, the other throws in a word: the question comes first, though it ends last."""
    question = compose(1, words=(4, 4), word_ms=(450, 450), tail_ms=800)
    thrown_in = compose(1, words=(1, 1), lead_in_ms=900, tail_ms=2500, first_number=200)
    with Service() as service:
        call = make_call(service)
        call.play({"table": thrown_in, "far": question}, in_real_time=True)
        call.end()
    assert [turn.channel for turn in call.finals] == ["far", "table"]
    assert errors_ms(call, question, thrown_in) == {0}


def test_a_final_that_waits_has_moved_no_mark_and_is_heard_again_by_a_successor(
    make_call: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The silence after it is confirmed meanwhile; were it believed, a kill would lose the word before it."""
    monkeypatch.setattr(among, "HOLD_S_MAX", 600.0)
    speech = compose(1, words=(8, 8), word_ms=(600, 600))
    thrown_in = compose(1, words=(1, 1), lead_in_ms=900, tail_ms=6000, first_number=200)
    sides, cut = {"table": thrown_in, "far": speech}, 80
    with Service() as service:
        call = make_call(service)
        table = call.transcriber._channels[0]
        call.play(sides, slice(cut), in_real_time=True)
        call.wait_for(lambda: table._holds)
        assert table.minutes.marks.live.start * 50 + 7 - FIRST_MS <= thrown_in.words[0].start_ms
        assert call.finals == []
        call = make_call(service)
        call.play(sides, slice(cut, None))
        call.end()
    assert (call.words("table"), call.words("far")) == (texts(thrown_in), texts(speech))
    assert errors_ms(call, speech, thrown_in) == {0}
    assert [turn.channel for turn in call.finals] == ["far", "table"]


@pytest.mark.parametrize("fault", ["reset", "drop"])
def test_after_a_break_of_one_session_or_the_other_every_word_is_heard_once(
    make_call: Callable, fault: str
) -> None:
    with Service([Fault(name=fault, at_audio_ms=5000)] * 2) as service:
        call = make_call(service)
        call.play({"table": TABLE, "far": FAR})
        call.end()
    assert_all_heard(call)


def test_a_meeting_begun_by_hand_is_that_of_both_sides(make_call: Callable) -> None:
    """And what is told of it is said of no channel."""
    alike = {"words": (4, 4), "word_ms": (300, 300), "pause_ms": (100, 100)}
    halves = [
        {"table": compose(1, **alike), "far": compose(1, first_number=200, **alike)},
        {"table": compose(1, first_number=50, **alike), "far": compose(1, first_number=250, **alike)},
    ]
    with Service() as service:
        call = make_call(service)
        call.play(halves[0])
        call.wait_for(lambda: len(call.finals) == 2)
        asked = {"op": "meeting", "wish": "x", "before_s": time.monotonic() + 60}
        call.transcriber.wish({**asked, "action": "start", "title": "Budget"})
        call.wait_for(lambda: "meeting-started" in call.session_events)
        call.play(halves[1])
        call.end()
    for channel in ("table", "far"):
        said = {turn.meeting_title: [] for turn in call.finals}
        for turn in call.finals:
            said[turn.meeting_title] += [word.text for word in turn.words if turn.channel == channel]
        assert said == {None: texts(halves[0][channel]), "Budget": texts(halves[1][channel])}
    assert len({turn.meeting_id for turn in call.finals}) == 2
    (event,) = [each for each in call.messages if isinstance(each, Session) and "meeting" in each.event]
    assert (event.reason, event.channel) == ("Budget", None)


def test_a_change_that_the_service_refuses_of_both_sides_is_taken_back_for_both(make_call: Callable) -> None:
    """The second refusal is of what holds no more: that side must not be shut out for it."""
    error = "User Input Validation Error: Invalid 'language_codes': 'xx' is not supported"
    refused = Fault(name="error", code=3006, text=error, at_control=UPDATE)
    with Service([replace(refused, session=side) for side in (0, 1)]) as service:
        call = make_call(service, f'[session]\nspeech_model = "universal-3-6-pro"\n{TWO}')
        call.play({"table": TABLE, "far": FAR}, slice(20))
        call.wait_for(lambda: call.session_events.count("started") == 2)
        asked = {"op": "configure", "wish": "x", "before_s": time.monotonic() + 60}
        call.transcriber.wish({**asked, "set": {"language_codes": ["xx"]}})
        call.wait_for(lambda: call.session_events.count("started") == 4)
        call.play({"table": TABLE, "far": FAR}, slice(20, None))
        call.end()
        assert all("language_codes" not in session.parameters for session in service.sessions[2:])
    assert "refused" not in call.session_events
    assert_all_heard(call)


def test_an_outage_is_caught_up_with_on_both_channels(make_call: Callable) -> None:
    """Behind the live sessions, each in a session of its own."""
    missed = {
        "table": compose(1, first_number=50, seed=5, tail_ms=500),
        "far": compose(1, first_number=250, seed=6, tail_ms=500),
    }
    with Service(heartbeat_s=0.2) as service:
        call = make_call(service, f"live_first_s = 1\n{TWO}")
        call.play({"table": TABLE, "far": FAR})
        call.wait_for(lambda: len(call.finals) == 8)
        service.stop()
        call.play(missed, in_real_time=True)
        service.start()
        call.end()
    for channel, first in (("table", TABLE), ("far", FAR)):
        assert sorted(call.words(channel)) == sorted([*texts(first), *texts(missed[channel])])
        assert any(turn.backfilled for turn in call.finals if turn.channel == channel)


def test_a_channel_whose_session_is_down_holds_no_other_up(make_call: Callable) -> None:
    """The far end's words are late anyway; the table's captions need not be."""
    with Service() as service:
        call = make_call(service)
        call.play({"table": TABLE})
        call.wait_for(lambda: len(call.words("table")) == len(TABLE.words))
        assert call.words("far") == []
        call.play({"far": FAR})
        call.end()
    assert call.words("far") == texts(FAR)


def test_a_side_whose_microphone_is_pulled_out_in_the_middle_of_a_word_holds_no_other_up(
    make_call: Callable,
) -> None:
    """The service waits for the rest of its turn, for hours maybe; every final of the other would be late."""
    with Service() as service:
        call = make_call(service)
        far = call.transcriber._channels[1]
        call.play({"far": FAR}, slice(30), in_real_time=True)
        call.wait_for(lambda: far.lanes.live.turn_is_open and far.lanes.live.open_from_ms)
        call.wait_for(lambda: far.lanes.live.sent_before == far.intake.sound_before)
        now_s = far._last_sound_s
        assert far.pending_ms(now_s + HOLD_S_MAX + STALE_S) == far.lanes.live.open_from_ms
        assert far.pending_ms(now_s + 60) is None


def test_what_one_side_said_first_is_in_the_meeting_though_the_other_is_heard_first(
    make_call: Callable,
) -> None:
    """A meeting begins with what may still turn out to be its first word."""
    first, later = compose(3), compose(1, first_number=200, lead_in_ms=14_000)
    # At 20 times its pace: on a slow machine the later words would else be told of first.
    with Service(drain_rate=20.0) as service:
        service.stop()
        call = make_call(service)
        call.play({"table": later, "far": first})
        service.start()
        call.end()
    assert (call.words("table"), call.words("far")) == (texts(later), texts(first))
    assert errors_ms(call, first, later) == {0}
    assert len({turn.meeting_id for turn in call.finals}) == 1


def test_a_process_that_is_replaced_leaves_nothing_unheard_and_nothing_is_heard_twice(
    make_call: Callable,
) -> None:
    """Finals that waited for their place have moved no mark."""
    halves = [
        {"table": compose(2, seed=7), "far": compose(2, first_number=200, seed=8)},
        {"table": compose(2, first_number=50, seed=9), "far": compose(2, first_number=250, seed=10)},
    ]
    with Service() as service:
        for half in halves:
            call = make_call(service)
            call.play(half)
            call.wait_for(lambda call=call: call.finals)
        call.end()
    call.close()
    journal = TurnJournal(call.settings.state_dir / "turns.db")
    records = [record for record in map(from_map, journal.page(1)) if isinstance(record, Turn)]
    journal.close()
    assert [record.seq for record in records] == [*range(1, len(records) + 1)]
    # On a slow machine the first half is caught up with behind the second.
    in_time = sorted(records, key=lambda turn: turn.meeting_started_at_ms + turn.start_ms)
    for channel in ("table", "far"):
        said = [word.text for turn in in_time if turn.channel == channel for word in turn.words]
        assert said == [*texts(halves[0][channel]), *texts(halves[1][channel])]


def test_one_source_after_two_and_two_after_one_leave_nothing_unheard(make_call: Callable) -> None:
    """What was said before the change is heard under the name it had, and its sound is then deleted."""
    with Service([Fault(name="http", status=503)] * 40) as service:
        call = make_call(service)
        call.play({"table": TABLE, "far": FAR})
        call.wait_for(lambda: "retrying" in call.session_events)
    alone = compose(2, first_number=400, seed=11)
    with Service() as service:
        call = make_call(service, "")
        assert set(call.transcriber.status()["channels"]) == {"", "table", "far"}
        call.play({"": alone})
        call.wait_for(lambda: list(call.transcriber.status().get("channels", {"": 0})) == [""])
        assert_words = {None: alone, "table": TABLE, "far": FAR}
        for channel, recording in assert_words.items():
            assert call.words(channel) == texts(recording)
        assert not any(segment_numbers(Folder(call.settings.audio_dir(name))) for name in ("table", "far"))
        call.close()
        later = {"table": compose(1, first_number=50, seed=12), "far": compose(1, first_number=250, seed=13)}
        call = make_call(service)
        call.play(later)
        call.end()
    for channel, recording in later.items():
        assert call.words(channel) == texts(recording)
    assert call.words(None) == []


def test_the_only_source_keeps_its_places_and_its_turns_have_no_channel(make_call: Callable) -> None:
    """What outside programs and an earlier version's journals rely on."""
    with Service() as service:
        call = make_call(service, "")
        call.play({"": TABLE})
        call.end()
    assert call.words(None) == texts(TABLE)
    state_dir = call.settings.state_dir
    assert {path.name for path in state_dir.iterdir()} >= {"audio", "turns.db"}
    assert all(earlier.seq + 1 == later.seq for earlier, later in pairwise(call.finals))
