"""Turns, gaps and marks are committed together: with a real journal, real sockets and real sound."""

import json
import time
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from assemblyai.streaming.v3 import SilenceEvent, TurnEvent

from minuted.bus import FramesIn, ReplayServer, TurnsIn, TurnsOut
from minuted.config import Settings
from minuted.journal.audio_reader import AudioReader
from minuted.journal.audio_writer import AudioWriter
from minuted.journal.folder import Folder
from minuted.journal.turns import TurnJournal
from minuted.messages import (
    FRAME_MS,
    FRAME_SAMPLES,
    AudioEnd,
    AudioFrame,
    AudioGap,
    Gap,
    Message,
    Turn,
    from_map,
)
from minuted.messages import Session as SessionMessage
from minuted.transcription import minutes as minutes_module
from minuted.transcription import publisher as publisher_module
from minuted.transcription.holes import LOST_QUIET_S
from minuted.transcription.intake import JournalIntake
from minuted.transcription.lane import Lane
from minuted.transcription.marks import Range
from minuted.transcription.minutes import SILENCE_MARGIN_MS, UNREADABLE_MAX, Minutes
from minuted.transcription.publisher import Publisher
from minuted.transcription.seam import may_come_again
from minuted.transcription.turns import Turns

WAIT_S = 10
FIRST = 1000
FIRST_MS = FIRST * FRAME_MS
SEGMENT_FRAMES = 10
NOW_S = 1e6
PCM = {"#": array("h", [3000] * FRAME_SAMPLES).tobytes(), ".": array("h", [5] * FRAME_SAMPLES).tobytes()}


class Wire:
    """What is used of a session here; the real ones are in test_session.py."""

    queued_ms = 0

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id

    def send(self, _pcm: bytes) -> None:
        """Nobody listens."""


class Room:
    """A room whose sound is written down as a pattern, and the process that takes its minutes."""

    def __init__(
        self, settings: Settings, frames: FramesIn, publisher: Publisher, writer: AudioWriter
    ) -> None:
        self.writer = writer
        self.number = FIRST
        self._settings = settings
        self._frames = frames
        self._publisher = publisher
        self._sessions = 0
        self.restart()

    def restart(self) -> None:
        """Begin as another process that has nothing but the journals."""
        folder = Folder(self._settings.state_dir / "audio")
        state = self._publisher.journal.state("intake")
        self.intake = JournalIntake(self._frames, AudioReader(folder), state)
        self.minutes = Minutes(self._settings, self._publisher, self.intake)

    def sound(self, pattern: str) -> None:
        """Record frames, # loud and . quiet, and take them in."""
        for each in pattern:
            self.writer.append(
                AudioFrame(
                    number=self.number, captured_at_ms=self.number * 50 + 7, pcm=PCM[each], paced=False
                )
            )
            self.number += 1
        self.take_in()

    def take_in(self, *lanes: Lane, now_s: float = NOW_S) -> bool:
        return self.minutes.take_in({lane.range_id: lane.sent_before for lane in lanes}, now_s)

    def lane(self, unheard: Range | None = None) -> Lane:
        """Open a session on a range, the live one, and send it all there is."""
        unheard = unheard or self.live
        self._sessions += 1
        session: Any = Wire(f"s{self._sessions}")
        frames = self.intake.frames(unheard.start)
        lane = Lane(unheard.id, session, frames, is_live=unheard.is_live, has_partials=True)
        tail = may_come_again(unheard.tail, unheard.start * FRAME_MS)
        turns = Turns("boardroom", session.session_id, lane.clock, self.minutes.meeting_at, tail)
        lane.begin(turns, "a-model", 600.0, NOW_S)
        lane.send(unheard.end, NOW_S)
        return lane

    @property
    def live(self) -> Range:
        live = self.minutes.marks.live
        assert live is not None
        return live

    @property
    def records(self) -> list[Message]:
        return [from_map(each) for each in self._publisher.journal.page(1)]

    @property
    def stored(self) -> Any:
        """The marks as a successor would find them."""
        return self._publisher.journal.state("marks")


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings('room = "boardroom"\n[meeting]\ngap_min = 10')


@pytest.fixture
def subscriber(settings: Settings) -> Iterator[TurnsIn]:
    with TurnsIn(settings.turns_endpoint) as subscriber:
        yield subscriber


@pytest.fixture
def room(settings: Settings, subscriber: TurnsIn) -> Iterator[Room]:
    journal = TurnJournal(settings.state_dir / "turns.db")
    writer = AudioWriter(
        Folder(settings.state_dir / "audio"), hours_max=1, segment_s=SEGMENT_FRAMES * FRAME_MS / 1000
    )
    with (
        FramesIn(settings.frames_endpoint) as frames,
        TurnsOut(settings.turns_endpoint) as turns,
        ReplayServer(settings.replay_endpoint) as replay,
    ):
        until_s = time.monotonic() + WAIT_S
        while not turns.new_subscriptions():
            assert turns.pollable().poll(WAIT_S * 1000)
            assert time.monotonic() < until_s
        yield Room(settings, frames, Publisher(turns, replay, journal), writer)
    writer.close()
    journal.close()


def said(text: str, *times: tuple[int, int], order: int = 0, final: bool = True) -> TurnEvent:
    """Make the service's turn; times are the session's frames."""
    words = [
        {
            "start": start * FRAME_MS,
            "end": end * FRAME_MS,
            "text": word,
            "confidence": 0.9,
            "word_is_final": final,
        }
        for word, (start, end) in zip(text.split(), times, strict=bool(times))
    ]
    return TurnEvent.model_validate(
        {
            "type": "Turn",
            "turn_order": order,
            "turn_is_formatted": final,
            "end_of_turn": final,
            "transcript": text,
            "end_of_turn_confidence": 1.0,
            "words": words,
        }
    )


def silence(start: int, end: int) -> SilenceEvent:
    return SilenceEvent.model_validate(
        {"type": "Silence", "start_ms": start * FRAME_MS, "end_ms": end * FRAME_MS}
    )


HELLO = "....####..####......" + "." * 20
"""Two words, from frame 4 to 8 and from 10 to 14."""
HELLO_SAID = said("Hello there.", (0, 8), (10, 24))
"""As the service tells of it: the first word begins too early, the last ends too late."""


# Turns.


def test_a_final_and_its_mark_are_committed_together(room: Room, subscriber: TurnsIn) -> None:
    """Else a kill between them would lose or double it."""
    room.sound(HELLO)
    room.minutes.hear_turn(room.lane(), HELLO_SAID)

    (turn,) = room.records
    assert isinstance(turn, Turn)
    assert (turn.text, turn.seq, turn.final, turn.backfilled) == ("Hello there.", 1, True, False)
    assert turn == subscriber.receive(WAIT_S)
    assert room.stored == json.loads(json.dumps(room.minutes.marks.to_state()))
    assert room.live.start == FIRST + 1, "the earliest pause in which the turn may have ended"
    assert room.minutes.counts["finals"] == 1


def test_times_are_true_and_the_meeting_survives(room: Room) -> None:
    room.sound(HELLO)
    room.minutes.hear_turn(room.lane(), HELLO_SAID)
    room.sound(HELLO)
    room.restart()
    lane = room.lane()
    begins = len(HELLO) - (room.live.start - FIRST)
    room.minutes.hear_turn(lane, said("And you?", (begins + 4, begins + 8), (begins + 10, begins + 14)))

    first, second = room.records
    assert isinstance(first, Turn)
    assert isinstance(second, Turn)
    assert first.meeting_id == second.meeting_id
    assert first.meeting_started_at_ms == FIRST_MS + 7, "the sound began less than two seconds before"
    assert [word.start_ms for word in first.words] == [0, 500]
    assert [word.start_ms for word in second.words] == [2200, 2500]


def test_partials_are_published_and_not_kept(room: Room, subscriber: TurnsIn) -> None:
    room.sound(HELLO)
    lane = room.lane()
    room.minutes.hear_turn(lane, said("Hello—", (0, 8), final=False))

    partial = subscriber.receive(WAIT_S)
    assert isinstance(partial, Turn)
    assert (partial.text, partial.final) == ("Hello—", False)
    assert room.records == []
    assert lane.turn_is_open
    room.minutes.hear_turn(lane, HELLO_SAID)
    assert not lane.turn_is_open


def test_after_a_break_words_that_come_again_are_left_out(room: Room) -> None:
    room.sound(HELLO)
    room.minutes.hear_turn(room.lane(), HELLO_SAID)
    room.restart()
    room.sound("####......")
    lane, start = room.lane(), room.live.start - FIRST
    times = [(0, 8 - start), (10 - start, 14 - start), (40 - start, 44 - start)]
    room.minutes.hear_turn(lane, said("Hello there Yes.", *times))

    assert [turn.text for turn in room.records if isinstance(turn, Turn)] == ["Hello there.", "Yes."]
    assert room.minutes.counts["words_known"] == 2


def test_a_muted_session_says_nothing_more(room: Room) -> None:
    """Another one hears all of it again."""
    room.sound(HELLO)
    lane = room.lane()
    lane.is_muted = True
    before = room.minutes.marks.to_state()
    room.minutes.hear_turn(lane, HELLO_SAID)
    room.minutes.hear_silence(lane, silence(20, 40))
    room.minutes.hear_end(lane)
    for _ in range(UNREADABLE_MAX):
        room.minutes.hear_unreadable(lane)

    assert room.records == []
    assert room.minutes.marks.to_state() == before


def test_a_turn_without_words_moves_no_mark(room: Room) -> None:
    """Nobody knows where it ended."""
    room.sound(HELLO)
    room.minutes.hear_turn(room.lane(), said("Hello there."))

    assert len(room.records) == 1
    assert room.live.start == FIRST


def test_a_session_before_its_first_frame_is_not_listened_to(room: Room) -> None:
    """Its time means nothing yet."""
    room.sound("")
    room.sound(HELLO)
    lane = room.lane()
    empty = Lane(lane.range_id, lane.session, room.intake.frames(FIRST), is_live=True, has_partials=True)
    assert lane.turns is not None
    empty.begin(lane.turns, "a-model", 600.0, NOW_S)
    room.minutes.hear_turn(empty, HELLO_SAID)
    room.minutes.hear_silence(empty, silence(0, 40))

    assert room.records == []
    assert room.live.start == FIRST


# What an outage left behind.


def test_what_was_left_behind_is_backfilled(room: Room, subscriber: TurnsIn) -> None:
    """It has its own range, its own mark and true times; its partials would only confuse."""
    room.sound(HELLO + HELLO)
    live = room.minutes.split(FIRST + len(HELLO))
    (behind,) = room.minutes.marks.behind
    room.minutes.hear_turn(room.lane(live), said("And you?", (0, 8), (10, 24)))
    lane = room.lane(behind)
    room.minutes.hear_turn(lane, said("Hello—", (0, 8), final=False))
    room.minutes.hear_turn(lane, HELLO_SAID)

    second, first = room.records
    assert isinstance(first, Turn)
    assert isinstance(second, Turn)
    assert (first.backfilled, second.backfilled) == (True, False)
    assert first.meeting_id == second.meeting_id
    assert [first.start_ms, second.start_ms] == [0, 2000]
    assert [subscriber.receive(WAIT_S), subscriber.receive(WAIT_S)] == [second, first]


def test_a_range_that_was_heard_to_its_end_is_done(room: Room) -> None:
    room.sound(HELLO + HELLO)
    room.minutes.split(FIRST + len(HELLO))
    assert room.minutes.behind_s == 2.0
    room.minutes.hear_end(room.lane(room.minutes.marks.behind[0]))

    assert room.minutes.behind_s == 0.0
    assert [stored["end"] for stored in room.stored["ranges"]] == [None]


def test_a_split_is_stored_before_anything_is_heard(room: Room) -> None:
    """A kill then costs nothing: both ranges are there."""
    room.sound(HELLO + HELLO)
    room.minutes.split(FIRST + 30)
    room.restart()

    assert [(each.start, each.end) for each in room.minutes.marks.ranges] == [
        (FIRST, FIRST + 30),
        (FIRST + 30, None),
    ]


def test_a_session_that_ends_in_order_has_heard_all_it_was_sent(room: Room) -> None:
    room.sound(HELLO)
    lane = room.lane()
    assert not room.minutes.is_heard(room.live)
    room.minutes.hear_end(lane)

    assert room.minutes.is_heard(room.live)
    assert room.minutes.unheard_s == 0.0
    room.sound(".")
    assert room.minutes.unheard_s == 0.05


# Silence.


def test_silence_moves_the_mark_but_for_a_margin(room: Room) -> None:
    """A word may be beginning there."""
    room.sound("." * 60)
    room.minutes.hear_silence(room.lane(), silence(0, 50))

    assert room.live.start == FIRST + 50 - SILENCE_MARGIN_MS // FRAME_MS


def test_silence_in_an_open_turn_moves_nothing(room: Room) -> None:
    """What was said before it is not final yet."""
    room.sound(HELLO)
    lane = room.lane()
    room.minutes.hear_turn(lane, said("Hello—", (0, 8), final=False))
    room.minutes.hear_silence(lane, silence(16, 40))

    assert room.live.start == FIRST


def test_without_silence_events_old_sound_is_safe_in_the_end(room: Room) -> None:
    room.sound("." * 700)
    lane = room.lane()
    room.minutes.hear_nothing(lane)
    assert room.live.start == FIRST
    lane.taken_ms = 34_000
    room.minutes.hear_nothing(lane)

    assert room.live.start == FIRST + 80


def test_marks_that_only_silence_moved_are_stored_now_and_then(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill costs that much silence heard again; a disk is not written to each second of the night."""
    room.sound("." * 60)
    lane = room.lane()
    room.minutes.hear_silence(lane, silence(0, 50))
    room.minutes.keep()
    assert room.stored is None
    monkeypatch.setattr(minutes_module, "KEEP_S", 0.0)
    room.minutes.keep()
    assert room.stored["ranges"][0]["start"] == room.live.start
    assert room.intake.first_number == FIRST + 40


def test_sound_is_deleted_once_it_is_safe_and_not_before(room: Room) -> None:
    """Whoever says it is safe must have stored that."""
    room.sound(HELLO)
    lane = room.lane()
    room.minutes.hear_silence(lane, silence(20, 40))
    assert room.live.start == FIRST + 30
    assert room.intake.first_number == FIRST
    room.minutes.keep(always=True)
    assert room.intake.first_number == FIRST + 30


# Gaps.


def test_a_hole_is_recorded_and_the_mark_goes_on_behind_it(room: Room, subscriber: TurnsIn) -> None:
    room.sound(HELLO)
    room.minutes.hear_end(room.lane())
    room.writer.append(AudioGap(from_number=room.number, to_number=room.number + 20, reason="paused"))
    room.number += 20
    room.sound("..")

    (gap,) = room.records
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.end_ms - gap.start_ms, gap.seq) == ("paused", 1000, 1)
    assert gap == subscriber.receive(WAIT_S)
    assert (gap.meeting_id, gap.meeting_started_at_ms) == ("", FIRST_MS + 2007)
    assert room.live.start == FIRST + 60
    room.restart()
    room.take_in()
    assert len(room.records) == 1
    assert room.minutes.counts["gaps"] == 0


def test_of_several_holes_each_is_recorded_once_though_a_kill_comes_between(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process was away for an hour in which capture lost its device twice."""
    room.sound(HELLO)
    room.minutes.hear_end(room.lane())

    class KilledError(Exception):
        pass

    def die(place: str) -> None:
        if place == "gap-committed":
            raise KilledError

    for pause in (20, 30):
        room.writer.append(AudioGap(from_number=room.number, to_number=room.number + pause, reason="paused"))
        room.number += pause
        pcm = PCM["."]
        room.writer.append(AudioFrame(number=room.number, captured_at_ms=room.number * 50 + 7, pcm=pcm))
        room.number += 1
    for _ in range(2):
        with monkeypatch.context() as patch, pytest.raises(KilledError):
            patch.setattr(publisher_module, "reached", die)
            room.take_in()
        room.restart()
    room.take_in()

    assert [each.end_ms - each.start_ms for each in room.records if isinstance(each, Gap)] == [1000, 1500]
    assert room.live.start == FIRST + 60


def test_a_hole_within_a_meeting_has_its_place_there(room: Room) -> None:
    room.sound(HELLO)
    room.minutes.hear_turn(room.lane(), HELLO_SAID)
    room.number += 20
    room.sound("..")

    turn, gap = room.records
    assert isinstance(turn, Turn)
    assert isinstance(gap, Gap)
    assert (gap.meeting_id, gap.reason) == (turn.meeting_id, "not-captured")
    assert (gap.start_ms, gap.end_ms) == (2000, 3000)


def test_a_hole_that_was_announced_is_nobody_s_loss(room: Room) -> None:
    room.sound(HELLO)
    room.minutes.hear_end(room.lane())
    room.writer.append(AudioEnd(next_number=room.number, reason="stopped"))
    room.number += 1000
    room.sound("..")

    assert room.records == []
    assert room.live.start == FIRST + 1040


def test_sound_beyond_the_bound_is_a_gap_when_the_loss_is_over(room: Room) -> None:
    """What a session has had already is not lost with it."""
    room.sound(HELLO * 2)
    lane = room.lane()
    room.sound(HELLO)
    AudioReader(Folder(room.writer._folder.path)).release(FIRST + 100)
    room.take_in(lane)
    assert room.records == []
    assert room.live.start == FIRST + 100
    room.take_in(lane, now_s=NOW_S + LOST_QUIET_S)

    (gap,) = room.records
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.end_ms - gap.start_ms) == ("overflow", 20 * FRAME_MS)
    assert room.minutes.losses.frames == 20


def test_words_heard_before_their_range_was_dropped_are_kept(room: Room) -> None:
    """Their sound went, but a session had it: they were not declared lost."""
    room.sound(HELLO + HELLO + HELLO)
    room.minutes.split(FIRST + 50)
    lane = room.lane(room.minutes.marks.behind[0])
    AudioReader(Folder(room.writer._folder.path)).release(FIRST + 60)
    room.take_in(lane)
    assert room.minutes.marks.behind == []
    room.minutes.hear_turn(lane, HELLO_SAID)

    assert [turn.text for turn in room.records if isinstance(turn, Turn)] == ["Hello there."]
    assert room.live.start == FIRST + 60


def test_sound_on_which_sessions_break_is_given_up_in_the_end(room: Room) -> None:
    room.sound(HELLO)
    for _ in range(UNREADABLE_MAX):
        assert room.records == []
        room.minutes.hear_unreadable(room.lane())
        room.take_in()

    (gap,) = room.records
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.end_ms - gap.start_ms) == ("unreadable", len(HELLO) * FRAME_MS)
    assert room.live.start == FIRST + len(HELLO)


def test_breaks_at_different_places_are_not_the_same_sound_s_fault(room: Room) -> None:
    room.sound("." * 80)
    for number in range(2 * UNREADABLE_MAX):
        lane = room.lane()
        room.minutes.hear_unreadable(lane)
        room.take_in()
        room.minutes.marks.move(lane.range_id, FIRST + number + 1)

    assert room.records == []


def test_what_a_session_had_and_the_bound_took_is_told_when_the_session_breaks(room: Room) -> None:
    """As long as it lives its words may come; after that nobody can hear them again."""
    room.sound("." * 80)
    room.minutes.split(FIRST + 50)
    lane = room.lane(room.minutes.marks.behind[0])
    AudioReader(Folder(room.writer._folder.path)).release(FIRST + 60)
    room.take_in(lane)
    assert room.records == []
    room.minutes.hear_break(lane)
    room.take_in()

    (gap,) = room.records
    assert isinstance(gap, Gap)
    assert gap.reason == "overflow"
    assert (gap.end_ms - gap.start_ms) // FRAME_MS == 50


def test_sound_that_is_gone_altogether_is_not_waited_for(room: Room) -> None:
    """Somebody deleted the journal: what comes is new."""
    room.sound(HELLO)
    room.minutes.split(FIRST + 20)
    folder = room.writer._folder.path
    room.writer.close()
    for file in folder.iterdir():
        file.unlink()
    room.writer = AudioWriter(Folder(folder), hours_max=1)
    room.restart()
    assert room.intake.next_number == -1
    room.number = 5 * FIRST
    room.sound(HELLO)

    assert [(each.start, each.end) for each in room.minutes.marks.ranges] == [(5 * FIRST, None)]


# Sessions.


def test_people_are_told_of_sessions(room: Room, subscriber: TurnsIn) -> None:
    room.sound(HELLO)
    lane = room.lane()
    room.minutes.tell("started", lane, model="a-model")
    room.minutes.tell("drained")

    told = [subscriber.receive(WAIT_S), subscriber.receive(WAIT_S)]
    assert [
        (each.event, each.session_id, each.model, each.room)
        for each in told
        if isinstance(each, SessionMessage)
    ] == [("started", "s1", "a-model", "boardroom"), ("drained", "", "", "boardroom")]
