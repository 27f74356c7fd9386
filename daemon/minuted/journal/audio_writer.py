"""Writes the audio journal: appends, syncs, recovers, and keeps within a bound."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from minuted.journal.audio import (
    AudioRecord,
    Segment,
    message,
    name_of,
    pack,
    segment_numbers,
    span,
)
from minuted.journal.folder import Folder
from minuted.messages import FRAME_BYTES, FRAME_MS, AudioEnd, AudioFrame

FRAME_RECORD_BYTES: Final = len(
    pack(AudioFrame(number=1 << 40, captured_at_ms=1 << 41, pcm=bytes(FRAME_BYTES)))
)
"""What a frame takes on the disk."""


_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class JournalFullError(OSError):
    """There is no room on the disk: the journal is as it was, and the same can be tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """Sound that went unheard because the journal was full: frames among `from_number` to `to_number - 1`."""

    frames: int
    from_number: int
    to_number: int


class AudioWriter:
    """Appends to the journal in a folder. One process writes; one of its threads appends.

    `append` never waits for the disk. Another thread calls `sync` a few times a second, and `prune`.
    What `append` returned from survives the end of the process, what `sync` returned from a power cut.
    Any OSError but a JournalFullError is final, and comes again from every later call: the process
    must end, for nobody can know what reached the disk, and a second try would not tell.
    """

    def __init__(self, folder: Folder, *, hours_max: float, segment_s: float = 60.0) -> None:
        """Open the journal, cutting a record off its end that was not written to the last byte.

        It holds at most `hours_max` hours of sound, in segments of `segment_s`.
        Raises FolderInUseError when another process writes here.
        """
        folder.claim()
        self.next_number = 0
        """The number the next frame has at least."""
        self.cut_bytes = 0
        """What was cut off the end when the journal was opened."""
        self._folder = folder
        self._segment_frames = max(1, round(segment_s * 1000 / FRAME_MS))
        self._bytes_max = round(hours_max * 3_600_000 / FRAME_MS) * FRAME_RECORD_BYTES
        self._lock = threading.Lock()
        self._syncing = threading.Lock()
        self._failure: OSError | None = None
        self._segment = -1
        self._descriptor: int | None = None
        self._offset = 0
        self._finished: list[int] = []  # left behind by `append`, and still to be synced
        self._inherited = list(segment_numbers(folder))
        self._is_dirty = self._has_new_names = self._may_be_full = True
        if self._inherited:
            self._recover(self._inherited.pop())

    def append(self, record: AudioRecord) -> None:
        """Store a frame, a gap or an end.

        Raises JournalFullError when there is no room, ValueError for a number before `next_number`.
        """
        first, following = span(record)
        if first < self.next_number or following < first:
            raise ValueError(f"number {first} comes before {self.next_number}")
        data = pack(record)
        with self._lock, self._writing():
            if self._is_due(record, first):
                self._begin_segment(first)
            self._write(data)
            self.next_number = following
            self._is_dirty = True

    def rotate(self) -> None:
        """Go on in a new segment, so that all sound up to now can be deleted as soon as it is safe.

        Raises JournalFullError as `append` does.
        """
        with self._lock, self._writing():
            if self._segment < self.next_number:
                self._begin_segment(self.next_number)

    def sync(self) -> int:
        """Bring all that was appended before this call to the disk; give its `next_number`.

        May be called from any thread.
        """
        with self._syncing:
            with self._lock:
                self._raise_failure()
                number = self.next_number
                finished, self._finished = self._finished, []
                current = [self._descriptor] if self._is_dirty and self._descriptor is not None else []
                has_new_names = self._has_new_names
                self._is_dirty = self._has_new_names = False
            try:
                self._sync_inherited()
                for descriptor in (*finished, *current):
                    self._folder.sync(descriptor)
                if has_new_names:
                    self._folder.sync_names()
            except OSError as error:
                self._failure = error
                raise
            finally:
                for descriptor in finished:
                    self._folder.close_file(descriptor)
            return number

    def prune(self) -> Pruned | None:
        """Delete the oldest segments beyond the bound, never the newest; tell what sound went, if any.

        May be called from any thread, often: it looks only when a segment has been added.
        """
        if not self._may_be_full:
            return None
        self._may_be_full = False
        numbers = segment_numbers(self._folder)
        sizes = [self._folder.size(name_of(number)) for number in numbers]
        excess = sum(sizes) - self._bytes_max
        frames, lost = 0, []
        for (begins, ends), size in zip(pairwise(numbers), sizes, strict=False):
            if excess <= 0:
                break
            if in_segment := self._count_frames(begins):
                frames += in_segment
                lost += [begins, ends]
            self._folder.unlink(name_of(begins))
            excess -= size
        return Pruned(frames=frames, from_number=lost[0], to_number=lost[-1]) if lost else None

    def close(self) -> None:
        """Sync and let go of the folder. After a failure nothing is synced."""
        try:
            if self._failure is None:
                self.sync()
        finally:
            self._failure = self._failure or OSError(errno.EBADF, "the journal is closed")
            if self._descriptor is not None:
                self._folder.close_file(self._descriptor)
                self._descriptor = None
            self._folder.close()

    def _recover(self, newest: int) -> None:
        """Go on in the newest segment, behind its last whole record."""
        self._segment, self.next_number = newest, newest
        with closing(Segment(self._folder, newest)) as segment:
            while found := segment.read():
                self.next_number = max(self.next_number, found[-1].next_number)
            self._offset = segment.end
        self.cut_bytes = self._folder.size(name_of(newest)) - self._offset
        self._descriptor = self._folder.open(name_of(newest), writing=True)
        if self.cut_bytes:
            self._folder.truncate(self._descriptor, self._offset)

    def _is_due(self, record: AudioRecord, number: int) -> bool:
        """Say whether a record begins a new segment."""
        if self._descriptor is None or number - self._segment >= self._segment_frames:
            return True
        # The newest segment is never deleted: it shall hold no sound when a recording is over.
        return isinstance(record, AudioEnd) and number > self._segment

    def _begin_segment(self, number: int) -> None:
        descriptor = self._folder.create(name_of(number))
        if self._descriptor is not None:
            self._finished.append(self._descriptor)
        self._segment, self._descriptor, self._offset = number, descriptor, 0
        self._is_dirty = self._has_new_names = self._may_be_full = True

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._raise_failure()
        try:
            yield
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise JournalFullError(error.errno, error.strerror, str(self._folder.path)) from None
            self._failure = error
            raise

    def _write(self, data: bytes) -> None:
        assert self._descriptor is not None
        try:
            if self._folder.write(self._descriptor, data, self._offset) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self._folder.truncate(self._descriptor, self._offset)
            raise
        self._offset += len(data)

    def _sync_inherited(self) -> None:
        """Sync what a predecessor that was killed may have left unsynced, once."""
        while self._inherited:
            try:
                descriptor = self._folder.open(name_of(self._inherited.pop()))
            except FileNotFoundError:  # it was safe, and has been deleted
                continue
            try:
                self._folder.sync(descriptor)
            finally:
                self._folder.close_file(descriptor)

    def _count_frames(self, number: int) -> int:
        frames = 0
        try:
            segment = Segment(self._folder, number)
        except FileNotFoundError:
            return 0
        with closing(segment):
            while found := segment.read():
                frames += sum(isinstance(message(stored), AudioFrame) for stored in found)
        return frames

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
