"""The ways on for frames: through the socket alone, or into the audio journal first."""

import threading
import time
from typing import Any, Final, Literal, Protocol

import structlog

from minuted.bus import FramesOut
from minuted.journal.audio import segment_numbers
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

Reason = Literal["drained", "stopped"]

log = structlog.get_logger(__name__)


class JournalFailedError(Exception):
    """The disk failed: nobody knows what it holds, and the process must end."""


class Outlet(Protocol):
    """Takes frames in order, then an end. What gives False is asked again."""

    trouble: str
    """Why it has no room, in one line."""

    def take(self, frame: AudioFrame, wait_s: float) -> bool:
        """Take a frame; False when it cannot within `wait_s`."""

    def finish(self, reason: Reason, wait_s: float) -> bool:
        """Tell that no more comes; False when that cannot be told within `wait_s`."""

    def lose(self) -> None:
        """Tell that the device was lost, where there is somebody to tell."""

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

    def take(self, frame: AudioFrame, wait_s: float) -> bool:
        if not self._out.send(frame, wait_s):
            return False
        self._next_number = frame.number + 1
        return True

    def finish(self, reason: Reason, wait_s: float) -> bool:
        if self._next_number is None:
            return True
        return self._out.send(AudioEnd(next_number=self._next_number, reason=reason), wait_s)

    def lose(self) -> None:
        # To the receiver it is as if this process had crashed: the next one goes on.
        return

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
        self._has_ended = writer.next_number == 0 or _ends(folder, writer.next_number)
        self._failure: OSError | None = None
        self._unpushed = 0
        self._pruned = 0
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()

    def take(self, frame: AudioFrame, wait_s: float) -> bool:
        if self._is_far_ahead():
            self._stop.wait(min(wait_s, LOOK_S))
            return False
        missing = self._writer.next_number
        if self._has_begun and frame.number > missing:
            # Numbers follow each other while a process lives: these were dropped while there was no room.
            gap = AudioGap(from_number=missing, to_number=frame.number, reason="journal-full")
            if not self._append(gap, wait_s):
                return False
        if not self._append(frame, wait_s):
            return False
        self._has_begun, self._has_ended = True, False
        reached("frame-journalled")
        self._unpushed += not self._out.send(frame)
        reached("frame-pushed")
        return True

    def finish(self, reason: Reason, wait_s: float) -> bool:
        end = AudioEnd(next_number=self._writer.next_number, reason=reason)
        # A predecessor that was killed may have stored it already.
        if not self._has_ended and not self._append(end, wait_s):
            return False
        self._has_ended = True
        self._out.send(end)
        return True

    def lose(self) -> None:
        number = self._writer.next_number
        if number:
            self._append(AudioGap(from_number=number, to_number=number, reason="device-lost"), 0)

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


def _ends(folder: Folder, next_number: int) -> bool:
    """Say whether the journal's last word is that the sound was over."""
    with AudioReader(folder).cursor(next_number) as cursor:
        return isinstance(cursor.next(), AudioEnd)
