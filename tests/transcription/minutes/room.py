"""A room whose sound is written down as a pattern, and the process that takes its minutes."""

from array import array
from typing import Any

from assemblyai.streaming.v3 import SilenceEvent, TurnEvent

from minuted.bus import FramesIn
from minuted.config import Settings
from minuted.journal.audio_reader import AudioReader
from minuted.journal.audio_writer import AudioWriter
from minuted.journal.folder import Folder
from minuted.messages import (
    FRAME_MS,
    FRAME_SAMPLES,
    AudioFrame,
    Message,
    from_map,
)
from minuted.transcription.intake import IntakeState, JournalIntake
from minuted.transcription.lane import Lane
from minuted.transcription.marks import Range
from minuted.transcription.minutes import Minutes
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
    failed: str | None = None

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id

    def fail(self, reason: str, *, is_unreadable: bool) -> None:
        assert is_unreadable
        self.failed = reason

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
        state = self._publisher.journal.state("intake", IntakeState)
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
QUIET = "." * len(HELLO)
HELLO_SAID = said("Hello there.", (0, 8), (10, 24))
"""As the service tells of it: the first word begins too early, the last ends too late."""
