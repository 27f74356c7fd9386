"""What has been heard, and what still has to be: turns and gaps committed together with the marks."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import structlog
from assemblyai.streaming.v3 import SilenceEvent, TurnEvent

from minuted import messages
from minuted.config import MICROPHONE, Settings
from minuted.messages import FRAME_MS
from minuted.runtime.kill_points import reached
from minuted.transcription.among import Among, together
from minuted.transcription.clock import Stretch
from minuted.transcription.containment import contained
from minuted.transcription.doubts import LIKE_SPEECH, Doubts, Verdict
from minuted.transcription.holes import Hole, Losses, gap_of
from minuted.transcription.idle import Idle, IdleState
from minuted.transcription.intake import Intake, state_key
from minuted.transcription.lane import Lane
from minuted.transcription.marks import Marks, MarksState, Range
from minuted.transcription.meetings import CutsState, Meeting, Meetings, MeetingsState, Unheard
from minuted.transcription.pauses import (
    END_LATE_MS_MIN,
    has_loud,
    mark_after,
    sound_end_ms,
    sound_start_ms,
    word_start,
)
from minuted.transcription.progress import MARGIN_FRAMES, Doubt, Evidence
from minuted.transcription.publisher import Publisher
from minuted.transcription.remarks import Remarks
from minuted.transcription.seam import may_come_again
from minuted.transcription.turns import Taken

SILENCE_MARGIN_MS: Final = 500
"""Confirmed silence moves the mark up to this long before its end, where a word may be beginning."""
KEEP_S: Final = 30.0
"""How often marks that only silence has moved are stored; a kill costs that much silence heard again."""
AWAY_S: Final = 30.0
"""Without a sound for so long, and without a word from capture, the microphone is away."""
GAP_FRAMES_MIN: Final = 10
"""What was like speech for less than 500 ms is not worth a gap: a cough, a chair."""
NO_WORDS: Final = "no-words"
"""The reason of a gap where somebody seems to have spoken and the service told no words, twice."""
UNREADABLE_MAX: Final = 3
"""Sessions that may break on the same sound; then it is declared unheard, and the next begins after it."""
SOUNDLESS_MAX: Final = 100
"""Stretches without sound remembered, for how much is still to be heard."""

log = structlog.get_logger(__name__)


class Minutes:
    """Turns what sessions say into records, and moves the marks with them. Used from the loop's thread."""

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        intake: Intake,
        meetings: Meetings | None = None,
        among: Among | None = None,
    ) -> None:
        """`meetings`: those of the room; `among`: its place, where there are several channels."""
        journal = publisher.journal
        self.channel = (among.name or None) if among else None
        self._among = among
        journal.notice_missing([self._key(what) for what in ("marks", "intake", "idle")])
        journal.notice_missing(["meetings", "cuts"])
        self.marks = Marks.from_state(journal.state(self._key("marks"), MarksState))
        if intake.next_number >= 0:
            self.marks.cut_after(intake.next_number)
        self.counts = dict.fromkeys(("finals", "gaps", "words_known", "heard_again"), 0)
        self.doubts = Doubts()
        self.losses = Losses()
        self.remarks = Remarks()
        self.idle = Idle(settings.engine.idle_after_s, journal.state(self._key("idle"), IdleState))
        self._room = settings.room
        self._gap_ms = settings.meeting.gap_min * 60_000
        self._publisher = publisher
        self._intake = intake
        if meetings is None:
            meetings = Meetings(journal.state("meetings", MeetingsState), journal.state("cuts", CutsState))
        self._meetings = meetings
        self._kept = self.marks.to_state()
        self._kept_s = self._sound_s = time.monotonic()
        self._unreadable = (-1, 0)
        # Found, and still to be declared: in the sound that came in, and what was given up since.
        self._holes: deque[Hole] = deque()
        # Numbers that no sound has had: between two runs, or while the device was gone.
        self._soundless: deque[Hole] = deque(maxlen=SOUNDLESS_MAX)
        self._given_up: deque[Hole] = deque()
        self._unsure: dict[int, Hole] = {}
        self._give_up_what_is_gone(intake.gone_before)
        self._release()

    def _give_up_what_is_gone(self, gone_before: int) -> None:
        """The audio journal is gone: what was still to be heard of it never will be."""
        for unheard in self.marks.ranges if gone_before >= 0 else ():
            end = gone_before if unheard.end is None else unheard.end
            if unheard.start < end:
                log.error("sound_gone", from_number=unheard.start, to_number=end)
                self._given_up.append(Hole(unheard.start, end, "damaged"))
        if gone_before >= 0:
            self.marks.ranges.clear()

    # Sound.

    def take_in(self, sent: Mapping[int, int], now_s: float) -> bool:
        """Take in new sound and declare what is missing of it; True when there was any.

        `sent` gives for each range the number up to which a session has had it.
        Raises TurnJournalFullError, as everything that records does.
        """
        live, before = self.marks.live, self._intake.next_number
        holes = self._intake.take(sent.get(live.id, live.start) if live else 0)
        first, came = self._intake.first_number, self._intake.next_number != before
        if came and before < 0 and self.marks.ranges:
            # How far sound was taken in is not known any more: twice is better than never.
            log.error("sound_heard_again", from_number=first)
            self.marks.ranges.clear()
        if came:
            self._sound_s = now_s
        if self.marks.live is None and self._intake.next_number > first:
            self.marks.begin(first)
        for hole in holes:
            self.marks.skip(hole.from_number, hole.to_number)
        self._soundless.extend(holes)
        self._holes.extend(hole for hole in holes if hole.reason)
        for hole in self._intake.missing():
            is_last = hole.from_number >= self._intake.sound_before
            self.marks.skip(hole.from_number, self._intake.next_number if is_last else hole.to_number)
            self._given_up.append(hole)
        self._lose_before(first, sent, now_s)
        while self._holes:
            # Killed in between, the next process has to find the following ones.
            following = self._holes[1].from_number if len(self._holes) > 1 else None
            self._declare(self._holes[0], next_number=following)
            self._holes.popleft()
        self._declare_given_up()
        return came

    def _declare_given_up(self) -> None:
        while self._given_up:
            self._declare(self._given_up[0])
            self._given_up.popleft()

    def _lose_before(self, first: int, sent: Mapping[int, int], now_s: float) -> None:
        """Let go of what can no longer be read."""
        for unheard in self.marks.ranges:
            begins = max(unheard.start, sent.get(unheard.id, 0))
            ends = first if unheard.end is None else min(first, unheard.end)
            if begins < ends:
                self.losses.lose(Hole(begins, ends, self._intake.why_gone(begins)), now_s)
            if unheard.start < min(begins, ends):
                # A session has it and may still say its words; nobody else can.
                from_number = (
                    self._unsure[unheard.id].from_number if unheard.id in self._unsure else unheard.start
                )
                self._unsure[unheard.id] = Hole(
                    from_number, min(begins, ends), self._intake.why_gone(unheard.start)
                )
        self.marks.drop_before(first)
        if hole := self.losses.take(now_s):
            self._given_up.append(hole)

    # What sessions say.

    def hear_turn(self, lane: Lane, event: TurnEvent) -> None:
        """Publish a partial; commit a final."""
        if lane.turns is None or not lane.clock.sent_ms or lane.is_muted:
            return
        if lane.progress.is_handed_on(event.turn_order, lane.span_of(event)):
            log.warning("late_turn_ignored", turn_order=event.turn_order)
            return
        lane.turn_is_open = not event.end_of_turn
        if event.end_of_turn:
            lane.open_from_ms = None
        self._hear_progress(lane, event)
        repeated, known = lane.turns.repeated, lane.turns.known
        taken = lane.turns.take(event)
        self.counts["words_known"] += lane.turns.known - known
        if (count := lane.turns.repeated) > repeated and count & (count - 1) == 0:  # the 1st, 2nd, 4th …
            log.info("final_repeated", turn_order=event.turn_order, count=count)
        if taken is None:
            return
        if taken.turn.final:
            self._offer(lane, taken)
        elif lane.is_live:
            lane.open_from_ms = taken.words[0].start_ms if taken.words else lane.open_from_ms
            self._publisher.passing(taken.turn)

    def _hear_progress(self, lane: Lane, event: TurnEvent) -> None:
        """Follow what the session tells; sound that a final turn leaves behind in doubt is heard again."""
        span = lane.span_of(event)
        if span and lane.progress.told(event.turn_order, event.transcript, span, time.monotonic()):
            self.doubts.progressed()
        if event.end_of_turn and (doubt := lane.progress.ended(event.turn_order, span)) and span:
            self._hear_again(lane, doubt, span, event)

    def _hear_again(self, lane: Lane, doubt: Doubt, span: tuple[int, int], event: TurnEvent) -> None:
        """Leave doubtful sound before a turn to another session."""
        self.settle()  # what was said before it is committed first
        unheard = self.marks.get(lane.range_id)
        if unheard is None:
            return
        end = span[0]
        if event.words:
            first = event.words[0]
            late_ms = END_LATE_MS_MIN if len(event.words) == 1 else 0  # the next turn may begin in it
            end_ms = lane.clock.end_ms(first.end) - late_ms
            end = word_start(lane.levels, lane.clock.start_ms(first.start), end_ms)
        start = max(unheard.start, doubt.start - MARGIN_FRAMES)
        if doubt.evidence is Evidence.MISSING and not has_loud(lane.levels, start, end):
            return  # the service counts differently: nothing was said there
        now_s = time.monotonic()
        if not self.doubts.is_credible(doubt.evidence, now_s):
            # It would be heard again in vain, as others of late.
            self._give_up(doubt, max(unheard.start, doubt.start), end)
            self._declare_given_up()
        elif part := self.marks.carve(unheard.id, start, end):
            self.doubts.open(part.id, doubt.evidence, now_s)
            lane.progress.hand_on(doubt, end)
            self.counts["heard_again"] += 1
            duration_s = (end - start) * FRAME_MS / 1000
            log.warning("words_missing", evidence=_name(doubt.evidence), duration_s=duration_s)

    def _offer(self, lane: Lane, taken: Taken) -> None:
        """Commit a final; where there are several channels, a live one in its place among theirs."""
        if self._among and lane.is_live and taken.words:
            self._among.hold(taken, partial(self._commit, lane, taken), is_paced=self._intake.is_paced)
        else:
            self.settle()
            self._commit(lane, taken)

    def settle(self) -> None:
        """Commit the finals that wait for their place; the marks may be moved then."""
        if self._among:
            self._among.settle()

    @contained
    def _commit(self, lane: Lane, taken: Taken) -> None:
        """The one way a final takes: journal and mark together, then subscribers, then its sound goes."""
        if lane.is_muted:
            return
        reached("turn-heard")
        self._meetings.heard_until(taken.turn.meeting_id, taken.end_ms)
        unheard = self.marks.get(lane.range_id)  # None where a bound has taken its sound in the meantime
        if unheard and taken.words:  # without them nobody knows where it ended
            number = min(mark_after(lane.levels, taken.end_ms), lane.sent_before)
            mark_ms = max(number, unheard.start) * FRAME_MS
            last = taken.words[-1]
            lane.spoken_until_ms = sound_end_ms(lane.levels, taken.end_ms)
            ended = replace(last, end_ms=max(last.start_ms, lane.spoken_until_ms))
            tail = may_come_again((*unheard.tail, *taken.words[:-1], ended), mark_ms)
            self.marks.move(unheard.id, number, tail)
            self.doubts.told(unheard.id)
            self._unsure.pop(unheard.id, None)
        turn = taken.turn if unheard and unheard.is_live else replace(taken.turn, backfilled=True)
        self._publisher.record(turn, self._state())
        reached("turn-published")
        self.counts["finals"] += 1
        self._release()

    def hear_silence(self, lane: Lane, event: SilenceEvent) -> None:
        """Move the mark to where the service heard nothing, unless a turn is open."""
        if lane.clock.sent_ms and not lane.turn_is_open:
            self._move(lane, lane.clock.end_ms(event.end_ms) - SILENCE_MARGIN_MS)

    def hear_nothing(self, lane: Lane) -> None:
        """Move the mark past sound that brought no turn, where the service confirms no silence.

        What has been in doubt for too long is passed over as well.
        """
        if not lane.is_muted and (doubt := lane.progress.expire()):
            self._pass_over(lane, doubt, lane.progress.oldest_kept)
        if (wordless_ms := lane.wordless_before_ms()) is not None:
            self._move(lane, wordless_ms)

    def _move(self, lane: Lane, safe_ms: int) -> None:
        if not lane.is_muted and not (self._among and self._among.holds):
            self._unsure.pop(lane.range_id, None)
            hold = self.idle.hold_before if lane.is_live else lane.sent_before
            doubt = lane.progress.hold_before()
            hold = hold if doubt is None else min(hold, doubt)
            self.marks.move(lane.range_id, int(min(safe_ms // FRAME_MS, lane.sent_before, hold)))

    def _pass_over(self, lane: Lane, doubt: Doubt, before: int) -> None:
        """Go on without words for doubtful sound; where it was like speech, a gap tells."""
        unheard = self.marks.get(lane.range_id)
        if unheard is None:
            return
        start = max(unheard.start, doubt.start)
        self.marks.move(unheard.id, before)
        self._give_up(doubt, start, before)

    def _give_up(self, doubt: Doubt, start: int, end: int) -> None:
        """Declare that there will be no words for what was like speech, unless it is too short for any."""
        if doubt.evidence & LIKE_SPEECH and end - start >= GAP_FRAMES_MIN:
            self._given_up.append(Hole(start, end, NO_WORDS))

    def hear_end(self, lane: Lane) -> None:
        """A session ended in order: all it was sent has been heard."""
        if lane.is_muted:
            return
        self.settle()
        is_looked_at = lane.is_live and self.idle.is_listening and not self._intake.is_recording
        doubt = lane.progress.open_doubt(by_loudness=not is_looked_at)
        evidence = doubt.evidence if doubt else Evidence(0)
        verdict = self.doubts.ended(lane.range_id, evidence, time.monotonic())
        unheard = self.marks.get(lane.range_id)
        if doubt and unheard and verdict is Verdict.AGAIN:
            log.warning("words_missing", evidence=_name(evidence))
            self.counts["heard_again"] += 1
            self.marks.move(
                unheard.id, min(lane.sent_before, max(unheard.start, doubt.start - MARGIN_FRAMES))
            )
            self.keep(always=True)
            return
        if doubt and unheard and verdict is Verdict.GIVEN_UP:
            self._given_up.append(Hole(max(unheard.start, doubt.start), lane.sent_before, NO_WORDS))
        had_all = lane.is_live and lane.sent_before >= self._intake.sound_before
        if lane.is_live and self.idle.phase == "closing":
            self.marks.move(lane.range_id, int(min(lane.sent_before, self.idle.hold_before)))
        else:
            self.marks.move(lane.range_id, self._intake.next_number if had_all else lane.sent_before, ())
        if lane.has_sent_all:
            self.marks.finish(lane.range_id)
        self._declare_given_up()  # together with the mark: this may be the last session there is
        self.keep(always=True)

    def pass_noise(self, now_s: float) -> None:
        """Let go of ranges that wait to be heard again, if the like of them was found to be noise since."""
        noise = [part.id for part in self.marks.behind if self.doubts.is_noise(part.id, now_s)]
        for range_id in noise:
            self.marks.finish(range_id)
        if noise:
            self.keep(always=True)

    def hear_break(self, lane: Lane) -> None:
        """A session broke: what only it could still have told is lost."""
        self.settle()
        if hole := self._unsure.pop(lane.range_id, None):
            self._given_up.append(hole)

    def hear_unreadable(self, lane: Lane) -> None:
        """A session broke on a turn that cannot be read: after a few tries its sound is given up."""
        unheard = self.marks.get(lane.range_id)
        if unheard is None or lane.is_muted:
            return
        number, times = self._unreadable
        self._unreadable = (unheard.start, times + 1 if number == unheard.start else 1)
        if self._unreadable[1] < UNREADABLE_MAX or lane.sent_before <= unheard.start:
            return
        self.marks.move(unheard.id, lane.sent_before, ())
        self._given_up.append(Hole(unheard.start, lane.sent_before, "unreadable"))

    def split(self, number: int) -> Range:
        """Leave what is before `number` to another session; give what the live one begins with."""
        _, live = self.marks.split(number)
        self.keep(always=True)
        reached("range-split")
        return live

    # Meetings and gaps.

    def meeting_at(self, start_ms: int, lane: Lane | None = None) -> Meeting:
        """Give the meeting that a turn beginning at sound time `start_ms` belongs to.

        By the sound its lane was sent it is known on which side of somebody's cut it really begins.
        """
        if lane and self._meetings.is_cut_after(start_ms):
            start_ms = sound_start_ms(lane.levels, max(start_ms, lane.spoken_until_ms))
        behind = [
            Unheard(unheard.start * FRAME_MS, unheard.end * FRAME_MS)
            for unheard in self.marks.behind
            if unheard.end is not None
        ]
        if self._among:
            behind += self._among.unheard_before(start_ms)
        return self._meetings.at(start_ms, self._stretch_at(start_ms), self._gap_ms, behind)

    def _stretch_at(self, sound_ms: int) -> Stretch:
        stretch = self._intake.stretches.at(sound_ms)
        return together(stretch) if self._among else stretch

    @property
    def meeting(self) -> Meeting | None:
        """The meeting that is going on, or awaited. For any thread."""
        heard_ms = self._intake.next_number * FRAME_MS
        return self._meetings.now(max(heard_ms, *self._meetings.cuts_ms, 0), self._gap_ms)

    def cut_meetings(self, now: tuple[int, int], title: str | None, *, begins: bool) -> Meeting | None:
        """End the meeting where the sound is now, and begin another one; store that. Give what was begun.

        Raises TurnJournalFullError.
        """
        sound_ms, stretch = self._now_in_sound(*now)
        begun = self._meetings.cut(sound_ms, stretch, title, begins=begins)
        self.store()
        return begun

    def _now_in_sound(self, now_ms: int, now_sound_ms: int) -> tuple[int, Stretch]:
        """Return where the sound is, and its stretch; where none comes, where it will go on."""
        newest_ms = self._intake.next_number * FRAME_MS
        stretch = self._stretch_at(max(newest_ms, 0))
        is_away = self._intake.has_ended or time.monotonic() - self._sound_s > AWAY_S
        if newest_ms >= 0 and not (is_away and stretch.source == MICROPHONE):
            return newest_ms, stretch
        # The wall clock may have been set since the last frame.
        sound_ms = max(newest_ms, now_sound_ms)
        return sound_ms, replace(stretch, wall_offset_ms=now_ms - sound_ms)

    @property
    def cuts_ms(self) -> Sequence[int]:
        """The sound times at which somebody began or ended a meeting."""
        return self._meetings.cuts_ms

    def _declare(self, hole: Hole, next_number: int | None = None) -> None:
        """Record a stretch of which there will be no words; sound from `next_number` on is taken in anew."""
        start_ms = hole.from_number * FRAME_MS
        wall_offset_ms = self._intake.stretches.at(start_ms).wall_offset_ms
        gap = gap_of(hole, self._meetings.before(start_ms), wall_offset_ms, self._room, self.channel)
        log.error("gap", reason=hole.reason, duration_s=(gap.end_ms - gap.start_ms) / 1000)
        self._publisher.record(gap, self._state(next_number))
        self.counts["gaps"] += 1

    # State.

    def keep(self, *, always: bool = False) -> None:
        """Store marks that moved without a record, now and then; then let go of what is safe."""
        late = always or time.monotonic() - self._kept_s >= KEEP_S
        if late and self.marks.to_state() != self._kept:
            self.store()

    def store(self) -> None:
        """Store the marks; then let go of what is safe. Raises TurnJournalFullError."""
        self._publisher.journal.keep(self._state())
        reached("marks-kept")
        self._release()

    def restore(self) -> None:
        """Go back to what was stored last: a turn could not be, and will be heard again."""
        journal = self._publisher.journal
        if self._among:
            self._among.drop()
        self.marks = Marks.from_state(journal.state(self._key("marks"), MarksState))
        self.restore_meetings()

    def restore_meetings(self) -> None:
        """Know of the meetings what was stored last."""
        journal = self._publisher.journal
        self._meetings.restore(journal.state("meetings", MeetingsState), journal.state("cuts", CutsState))

    @property
    def last_seq(self) -> int:
        """The number of the newest record."""
        return self._publisher.journal.last_seq

    def is_heard(self, unheard: Range) -> bool:
        """Whether there is nothing left of a range for now."""
        end = self._intake.next_number if unheard.end is None else unheard.end
        return unheard.start >= end

    @property
    def unheard_s(self) -> float:
        """How much sound still has to be heard."""
        return self._seconds(self.marks.ranges)

    @property
    def behind_s(self) -> float:
        """How much of it outages have left behind."""
        return self._seconds(self.marks.behind)

    def tell(self, event: str, lane: Lane | None = None, **details: Any) -> None:
        """Publish what became of a session."""
        session_id = lane.session.session_id if lane else ""
        self._publisher.passing(
            messages.Session(
                event=event,
                room=self._room,
                at_ms=time.time_ns() // 1_000_000,
                session_id=session_id,
                channel=self.channel,
                **details,
            )
        )

    def warn(self, text: str, lane: Lane | None = None) -> None:
        """Publish that something is not as it should be, once; the status shows it as long as it is so."""
        if self.remarks.hear(text):
            log.warning("service_warning", reason=text)
            self.tell("warning", lane, reason=text)

    def _seconds(self, ranges: list[Range]) -> float:
        newest = self._intake.next_number
        spans = [(each.start, newest if each.end is None else each.end) for each in ranges]
        frames = sum(max(0, end - start) for start, end in spans)
        for hole in self._soundless:
            frames -= sum(
                max(0, min(end, hole.to_number) - max(start, hole.from_number)) for start, end in spans
            )
        return max(0, frames) * FRAME_MS / 1000

    def _state(self, next_number: int | None = None) -> dict[str, Any]:
        intake = self._intake.to_state()
        if next_number is not None:
            intake |= {"next_number": next_number, "has_ended": False}
        return {
            self._key("marks"): self.marks.to_state(),
            "meetings": self._meetings.to_state(),
            "cuts": self._meetings.cuts_ms,
            self._key("intake"): intake,
            self._key("idle"): self.idle.to_state(),
        }

    def _key(self, what: str) -> str:
        return state_key(what, self.channel)

    def _release(self) -> None:
        """Delete the sound before the marks that were just stored."""
        self._kept, self._kept_s = self.marks.to_state(), time.monotonic()
        if (number := self.marks.safe_before) is not None:
            self._intake.release(number)
            reached("sound-released")


def _name(evidence: Evidence) -> str:
    return (evidence.name or "").lower()
