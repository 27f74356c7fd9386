"""The ways on for frames: through the socket alone, or into the audio journal first."""

import threading
import time
from typing import Any, Final, Literal, Protocol

import structlog

from minuted.bus import FramesOut
from minuted.journal.audio import AudioRecord, segment_numbers
from minuted.journal.audio_reader import AudioReader
from minuted.journal.audio_writer import AudioWriter, JournalFullError
from minuted.journal.folder import Folder
from minuted.messages import AudioEnd, AudioFrame, AudioGap
from minuted.runtime.kill_points import reached

UNREAD_FRAMES_MAX: Final = 12_000
"""A recording played fast waits while the journal holds so much of it, 10 minutes, that is not safe yet."""
LOOK_S: Final = 0.05
"""How often it looks whether it may go on."""
SYNC_EVERY_S: Final = 0.25
"""How much a power cut may cost."""
LINGER_MS: Final = 200
"""How long what was pushed may take to leave; the journal has it."""

Reason = Literal["drained", "stopped", "paused"]

log = structlog.get_logger(__name__)


class JournalFailedError(Exception):
    """The disk failed: nobody knows what it holds, and the process must end."""


class Outlet(Protocol):
    """Takes frames in order, then an end; after a pause it goes on. What gives False is asked again."""

    trouble: str
    """Why it has no room, in one line."""

    def take(self, frame: AudioFrame | AudioGap, wait_s: float) -> bool:
        """Take a frame, or word of some that are missing; False when it cannot within `wait_s`."""

    def finish(self, reason: Reason, wait_s: float) -> bool:
        """Tell that no more comes; False when that cannot be told within `wait_s`."""

    def lose(self, number: int) -> None:
        """Tell that there is no device from `number` on, and that a pause is over by then."""

    def close(self, *, hurried: bool = False) -> None:
        """Let go of everything, once what was taken is on its way; at once when `hurried`."""

    def check(self) -> None:
        """Raise JournalFailedError once that has happened."""

    def status(self) -> dict[str, Any]:
        """Tell what only this one has. May be called from any thread."""


class Direct:
    """Straight into the socket. Waits for the receiver; what a killed process had taken is lost."""

    def __init__(self, out: FramesOut) -> None:
        self.trouble = ""
        self._out = out
        self._next_number: int | None = None
        self._is_paused = False

    def take(self, frame: AudioFrame | AudioGap, wait_s: float) -> bool:
        if not self._out.send(frame, wait_s):
            return False
        self._next_number = frame.to_number if isinstance(frame, AudioGap) else frame.number + 1
        self._is_paused = False
        return True

    def finish(self, reason: Reason, wait_s: float) -> bool:
        # Of a pause the receiver must know, though it was another process that was heard before it.
        if reason != "paused" and (self._next_number is None or self._is_paused):
            return True
        end = AudioEnd(next_number=self._next_number or 0, reason=reason)
        self._is_paused = reason == "paused" and self._out.send(end, wait_s)
        return self._is_paused or (reason != "paused" and self._out.send(end, wait_s))

    def lose(self, number: int) -> None:
        begins = self._next_number or number
        if self._is_paused and number > begins:
            self._out.send(AudioGap(from_number=begins, to_number=number, reason="paused"))
            begins = self._next_number = number
        self._out.send(AudioGap(from_number=begins, to_number=begins, reason="device-lost"))

    def close(self, *, hurried: bool = False) -> None:
        self._out.close(0 if hurried else -1)

    def check(self) -> None:
        return

    def status(self) -> dict[str, Any]:
        return {}


class Journalled:
    """Into the journal, then into the socket if it has room: the receiver reads the journal.

    A thread of its own brings to the disk what was appended, and keeps the journal within its bound.
    A recording, whose first number is `played_from`, is held up before it fills the disk.
    """

    def __init__(
        self,
        writer: AudioWriter,
        folder: Folder,
        out: FramesOut,
        stop: threading.Event,
        *,
        played_from: int | None = None,
        unread_frames_max: int = UNREAD_FRAMES_MAX,
    ) -> None:
        self.trouble = ""
        self._writer = writer
        self._folder = folder
        self._out = out
        self._stop = stop
        self._oldest = self._played_from = played_from
        self._unread_frames_max = unread_frames_max
        self._has_begun = False
        last = last_word(folder, writer.next_number)
        self._has_ended = writer.next_number == 0 or isinstance(last, AudioEnd)
        self._is_paused = isinstance(last, AudioEnd) and last.reason == "paused"
        self._failure: OSError | None = None
        self._unpushed = 0
        self._pruned = 0
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()

    def take(self, frame: AudioFrame | AudioGap, wait_s: float) -> bool:
        if self._is_far_ahead():
            self._stop.wait(min(wait_s, LOOK_S))
            return False
        missing = self._writer.next_number
        number = frame.from_number if isinstance(frame, AudioGap) else frame.number
        if self._has_begun and number > missing:
            # Numbers follow each other while sound is heard: these were dropped while there was no room.
            gap = AudioGap(from_number=missing, to_number=number, reason="journal-full")
            if not self._append(gap, wait_s):
                return False
        if not self._append(frame, wait_s):
            return False
        if isinstance(frame, AudioGap):
            return True
        self._has_begun, self._has_ended, self._is_paused = True, False, False
        reached("frame-journalled")
        self._unpushed += not self._out.send(frame)
        reached("frame-pushed")
        return True

    def finish(self, reason: Reason, wait_s: float) -> bool:
        end = AudioEnd(next_number=self._writer.next_number, reason=reason)
        # A predecessor that was killed may have stored it already; a pause is over only when there is sound.
        is_told = self._is_paused if reason == "paused" and end.next_number else self._has_ended
        if not is_told and not self._append(end, wait_s):
            return False
        self._has_ended = True
        self._is_paused = self._is_paused or reason == "paused"
        self._has_begun = False
        self._out.send(end)
        return True

    def lose(self, number: int) -> None:
        begins = self._writer.next_number
        if not begins:
            return
        if self._is_paused and number > begins:
            if not self._append(AudioGap(from_number=begins, to_number=number, reason="paused"), 0):
                return
            self._is_paused, begins = False, number
        self._append(AudioGap(from_number=begins, to_number=begins, reason="device-lost"), 0)

    def close(self, *, hurried: bool = False) -> None:  # noqa: ARG002  # it never takes long
        if self._closing.is_set():
            return
        self._closing.set()
        self._keeper.join()
        try:
            self._writer.close()
        except OSError as error:
            self._failure = self._failure or error
        self._out.close(LINGER_MS)

    def check(self) -> None:
        if self._failure:
            raise JournalFailedError(str(self._failure)) from self._failure

    def status(self) -> dict[str, Any]:
        return {"unpushed": self._unpushed, "pruned": self._pruned}

    def _append(self, record: AudioFrame | AudioGap | AudioEnd, wait_s: float) -> bool:
        try:
            self._writer.append(record)
        except JournalFullError as error:
            if not self.trouble:
                log.error("journal_full", reason=str(error))
            self.trouble = f"no room for the audio journal: {error.strerror}"
            time.sleep(wait_s)
            return False
        except OSError as error:
            self._failure = error
            return False
        if self.trouble:
            log.info("journal_has_room")
            self.trouble = ""
        return True

    def _is_far_ahead(self) -> bool:
        """Say whether a recording has to wait. Its own numbers have no holes, so they count frames."""
        if self._oldest is None or self._played_from is None or self._stop.is_set():
            return False
        if self._writer.next_number - self._oldest >= self._unread_frames_max:
            self._oldest = max(self._played_from, *segment_numbers(self._folder)[:1], 0)
        return self._writer.next_number - self._oldest >= self._unread_frames_max

    def _keep(self) -> None:
        while not self._closing.wait(SYNC_EVERY_S):
            try:
                self._writer.sync()
                pruned = self._writer.prune()
            except OSError as error:
                self._failure = error
                return
            if pruned:
                self._pruned += pruned.frames
                log.error(
                    "journal_pruned",
                    frames=pruned.frames,
                    from_number=pruned.from_number,
                    to_number=pruned.to_number,
                    intentional=False,
                )


def last_word(folder: Folder, next_number: int) -> AudioRecord | None:
    """Give what stands in the journal behind its last frame: why no more came, if anybody said so."""
    last = None
    with AudioReader(folder).cursor(next_number) as cursor:
        while record := cursor.next():
            last = record
    return last
