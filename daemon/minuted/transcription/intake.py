"""Sound as it comes in, once and in order: from the audio journal, or from the socket into memory."""

from collections import deque
from dataclasses import replace
from typing import Any, Final, NotRequired, Protocol, TypedDict

from minuted.bus import FramesIn
from minuted.config import Settings
from minuted.journal.audio import span
from minuted.journal.audio_reader import AudioReader, Cursor
from minuted.journal.folder import Folder
from minuted.journal.turns import TurnJournal
from minuted.messages import FRAME_MS, AudioEnd, AudioFrame, AudioGap
from minuted.transcription.clock import Stretch, Stretches
from minuted.transcription.holes import Hole

RECORDS_MAX: Final = 1000
"""Taken in at once; the loop has other things to do in between."""
UNPACED_FRAMES_MAX: Final = 1200
"""In memory, an unpaced recording waits in capture beyond this: a minute."""
PAUSED: Final = "paused"
DAMAGED: Final = "damaged"
MISSING_MAX: Final = 50
"""Damaged stretches that are remembered; each is declared once."""
DRIFT: Final = "drift"
"""The reason of a jump in the numbers where no sound is missing."""


class IntakeState(TypedDict):
    """What `Intake.to_state` gives."""

    next_number: int
    has_ended: bool
    stretches: list[Stretch]
    sound_before: NotRequired[int]
    reason: NotRequired[str]
    missing: NotRequired[list[tuple[int, int]]]


class Frames(Protocol):
    """A place in the sound that moves on."""

    def peek(self) -> AudioFrame | None:
        """Give the frame it stands at, or None when there is none yet."""

    def advance(self) -> None:
        """Go on to the next."""

    def close(self) -> None: ...


class Intake:
    """Where sound comes from. `take` is called often and takes in what is there."""

    def __init__(self, state: dict[str, Any] | None) -> None:
        """Go on from what `to_state` gave another process."""
        self.next_number: int = state["next_number"] if state else -1
        """The number after the newest frame or gap; -1 before the first."""
        self.sound_before: int = (
            min(self.next_number, state.get("sound_before", self.next_number)) if state else -1
        )
        """The number after the newest frame that has sound; what follows is a hole that goes on."""
        self.has_ended: bool = state["has_ended"] if state else True
        """Capture has said that no more will come for now."""
        self.stretches = Stretches(state["stretches"] if state else (), self.next_number)
        self.gone_before = -1
        """Sound up to this number was taken in, and is gone with its journal; -1 where none is."""
        self.has_more = False
        """There is more to be taken in than was taken."""
        self.is_recording = False
        self.is_paced = True
        self._reason: str = state.get("reason", "") if state else ""
        self._missing: deque[tuple[int, int]] = deque(
            ((first, before) for first, before in state.get("missing", ())) if state else (), MISSING_MAX
        )
        self._found: list[Hole] = []

    def to_state(self) -> dict[str, Any]:
        """Give what another process must know, to go on without declaring a hole twice."""
        return {
            "next_number": self.next_number,
            "sound_before": self.sound_before,
            "has_ended": self.has_ended,
            "reason": self._reason,
            "stretches": self.stretches.to_state(),
            "missing": [list(stretch) for stretch in self._missing],
        }

    def missing(self) -> list[Hole]:
        """Return what was taken in before, and was found missing when it was read again; each once."""
        found, self._found = self._found, []
        return found

    def take(self, reached: int) -> list[Hole]:
        """Take in what has come; give the holes found in it, without a reason where an end announced one.

        `reached` is the number up to which a session has been sent what there is.
        """
        raise NotImplementedError

    def is_full(self, reached: int) -> bool:
        """Whether a recording has to wait."""
        raise NotImplementedError

    def frames(self, number: int) -> Frames:
        """Read again from a frame on."""
        raise NotImplementedError

    def release(self, number: int) -> None:
        """Everything before `number` is safe."""
        raise NotImplementedError

    def why_gone(self, number: int) -> str:  # noqa: ARG002
        """Say why the frame `number` can no longer be read, though nobody has heard it."""
        return "overflow"

    @property
    def first_number(self) -> int:
        """The oldest frame that can still be read."""
        raise NotImplementedError

    @property
    def is_paused(self) -> bool:
        """Capture has said that it was asked not to listen."""
        return self.has_ended and self._reason == PAUSED

    def _end(self, end: AudioEnd) -> None:
        """Take capture's word that no more will come for now; a pause is to be told of, once it is over."""
        self.has_ended = True
        self._reason = PAUSED if end.reason == PAUSED else ""

    def _come(self, frame: AudioFrame) -> Hole | None:
        """Count a frame as the next; a jump is a hole."""
        hole = None
        if 0 <= self.next_number < frame.number:
            reason = self._reason if self.has_ended else self._why_missing(self.next_number)
            hole = Hole(self.next_number, frame.number, reason)
        if hole and hole.reason == DAMAGED:
            self.stretches.go_on_at(frame.number)  # it is no other sound
        # A recording that has come to its end and begins again is another one, be the numbers as they may.
        self.stretches.received(frame, anew=self.has_ended)
        self.has_ended, self._reason = False, ""
        self.is_recording = frame.source != "microphone"
        self.is_paced = frame.paced
        self.next_number = self.sound_before = frame.number + 1
        return hole

    def _skip(self, gap: AudioGap) -> Hole | None:
        """Take what capture says of sound there is none of; an empty gap tells why a hole is to come."""
        begins = max(gap.from_number, self.next_number)
        if gap.to_number <= begins:
            self._reason = gap.reason
            return None
        self.next_number = gap.to_number
        return Hole(begins, gap.to_number, "" if gap.reason == DRIFT else gap.reason)

    def _why_missing(self, number: int) -> str:  # noqa: ARG002  # its kinds look at it
        """Say why the sound from `number` on is not there."""
        return self._reason or "not-captured"


class JournalIntake(Intake):
    """Sound from the audio journal; the frames socket only says that there is more."""

    def __init__(self, doorbell: FramesIn | None, reader: AudioReader, state: dict[str, Any] | None) -> None:
        """Without a doorbell, nobody is expected to add anything."""
        newest, gone_before = reader.newest_number, -1
        if state and newest < 0:
            gone_before = state["next_number"]
            # The journal is gone: whatever comes is new.
            state = {**state, "next_number": -1, "has_ended": True}
        elif state:
            # What a power cut took was never stored: its numbers are given once more.
            state = {**state, "next_number": min(state["next_number"], newest + 1)}
        super().__init__(state)
        self.gone_before = gone_before
        self._doorbell = doorbell
        self._reader = reader
        self._cursor = reader.cursor(max(0, self.next_number))

    def take(self, reached: int) -> list[Hole]:  # noqa: ARG002  # nobody waits for it: the journal is large
        for _ in range(RECORDS_MAX if self._doorbell else 0):
            if self._doorbell is None or self._doorbell.receive() is None:
                break
        holes: list[Hole] = []
        for _ in range(RECORDS_MAX):
            record = self._cursor.next()
            if record is None:
                self.has_more = False
                return holes
            if isinstance(record, AudioEnd):
                if hole := self._lacks(record.next_number):
                    holes.append(hole)
                self._end(record)
            elif hole := self._skip(record) if isinstance(record, AudioGap) else self._come(record):
                holes.append(hole)
        self.has_more = True
        return holes

    def is_full(self, reached: int) -> bool:  # noqa: ARG002
        """Capture itself sees how much the journal holds."""
        return False

    def frames(self, number: int) -> Frames:
        return _JournalFrames(self._reader.cursor(number), self, number)

    def _lacks(self, before: int) -> Hole | None:
        """Return what is missing before an end: capture had sound up to it."""
        first = self.next_number
        if not 0 <= first < before:
            return None
        self.next_number = before
        return Hole(first, before, "overflow" if first < self._reader.first_number else DAMAGED)

    def look_at(self, expected: int, number: int) -> None:
        """Note what is missing between two numbers of sound that was taken in, where that is new."""
        first = max(expected, self.first_number)
        # What lies behind is yet to be taken in, and is looked at then.
        before = min(number, self.sound_before)
        begins_there = self.stretches.at(number * FRAME_MS).sound_ms == number * FRAME_MS
        if first < before and not begins_there:
            self._miss(first, before)

    def look_at_end(self, expected: int) -> int:
        """Note what is missing at the end of the sound that was taken in; give where it goes on."""
        first, before = max(expected, self.first_number), self.sound_before
        if first >= before:
            return expected
        self._miss(first, before)
        self.sound_before = first
        return before

    def _miss(self, first: int, before: int) -> None:
        if not any(begins <= first and before <= ends for begins, ends in self._missing):
            self._missing.append((first, before))
            self._found.append(Hole(first, before, DAMAGED))

    def release(self, number: int) -> None:
        self._reader.release(number)

    @property
    def first_number(self) -> int:
        return self._reader.first_number

    def _why_missing(self, number: int) -> str:
        if self._cursor.follows_damage:
            return DAMAGED
        return "overflow" if number < self._reader.first_number else super()._why_missing(number)


class _JournalFrames:
    def __init__(self, cursor: Cursor, intake: JournalIntake, number: int) -> None:
        self._cursor = cursor
        self._intake = intake
        self._expected = number
        self._frame: AudioFrame | None = None

    def peek(self) -> AudioFrame | None:
        while self._frame is None and (record := self._cursor.next()):
            if isinstance(record, AudioEnd):
                continue
            begins, ends = span(record)
            self._intake.look_at(self._expected, begins)
            self._expected = max(self._expected, ends)
            if isinstance(record, AudioFrame):
                self._frame = record
        if self._frame is None:
            self._expected = self._intake.look_at_end(self._expected)
        return self._frame

    def advance(self) -> None:
        self._frame = None

    def close(self) -> None:
        self._cursor.close()


class MemoryIntake(Intake):
    """Sound from the frames socket, kept in memory only: what a killed process held is lost.

    Bounded: of a microphone the oldest frames go first; a recording is made to wait.
    """

    def __init__(self, socket: FramesIn, frames_max: int, state: dict[str, Any] | None) -> None:
        super().__init__(state)
        self._began_at = self.next_number
        self._kept: deque[AudioFrame] = deque()
        self._socket = socket
        self._frames_max = frames_max
        self._shift = 0

    def take(self, reached: int) -> list[Hole]:
        holes: list[Hole] = []
        for _ in range(RECORDS_MAX):
            if self.is_full(reached) or not (message := self._socket.receive()):
                self.has_more = False
                return holes
            if isinstance(message, AudioEnd):
                self._end(message)
                continue
            if isinstance(message, AudioGap):
                if gap := self._skip(self._shifted(message)):
                    holes.append(gap)
                continue
            frame = self._numbered(message)
            if hole := self._come(frame):
                holes.append(hole)
            self._kept.append(frame)
            if len(self._kept) > self._frames_max:
                self._kept.popleft()
        self.has_more = True
        return holes

    def is_full(self, reached: int) -> bool:
        # What has been sent and is still not safe must not hold up what would make it so.
        limit = self._frames_max if self.is_paced else min(self._frames_max, UNPACED_FRAMES_MAX)
        return self.is_recording and reached < self.next_number and len(self._kept) >= limit

    def frames(self, number: int) -> Frames:
        return _MemoryFrames(self._kept, number)

    def release(self, number: int) -> None:
        while self._kept and self._kept[0].number < number:
            self._kept.popleft()

    def why_gone(self, number: int) -> str:
        return "restart" if number < self._began_at else super().why_gone(number)

    @property
    def first_number(self) -> int:
        return self._kept[0].number if self._kept else max(0, self.next_number)

    def _why_missing(self, number: int) -> str:
        return "restart" if number == self._began_at else super()._why_missing(number)

    def _numbered(self, frame: AudioFrame) -> AudioFrame:
        """Have sound time go on where capture began anew under a clock that was set back."""
        if (number := frame.number + self._shift) < self.next_number:
            self._shift += self.next_number - number
        return replace(frame, number=frame.number + self._shift) if self._shift else frame

    def _shifted(self, gap: AudioGap) -> AudioGap:
        from_number, to_number = gap.from_number + self._shift, gap.to_number + self._shift
        return replace(gap, from_number=from_number, to_number=to_number)


class _MemoryFrames:
    def __init__(self, kept: deque[AudioFrame], number: int) -> None:
        self._kept = kept
        self._number = number

    def peek(self) -> AudioFrame | None:
        kept = self._kept
        if not kept or kept[-1].number < self._number:
            return None
        # Without holes this is the place at once; each hole before it means a step back.
        index = max(0, min(self._number - kept[0].number, len(kept) - 1))
        while index and kept[index - 1].number >= self._number:
            index -= 1
        self._number = kept[index].number
        return kept[index]

    def advance(self) -> None:
        self._number += 1

    def close(self) -> None:
        """Nothing to let go of."""


def state_key(what: str, channel: str | None) -> str:
    """Name what the turn journal keeps for a channel; the only one has the plain names."""
    return f"{what}/{channel}" if channel else what


def intake_of(settings: Settings, frames: FramesIn, journal: TurnJournal, source: str = "") -> Intake:
    """Make the intake that `journal.audio` asks for, going on where the last process was."""
    state = journal.state(state_key("intake", source), IntakeState)
    if settings.journal.audio == "disk":
        return JournalIntake(frames, AudioReader(Folder(settings.audio_dir(source))), state)
    return MemoryIntake(frames, int(settings.journal.memory_s_max * 1000 / FRAME_MS), state)
