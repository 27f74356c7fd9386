"""Reads the audio journal while it is being written, and deletes from it what is safe."""

from bisect import bisect_right
from collections import deque
from itertools import pairwise
from typing import Self

from minuted.journal.audio import (
    AudioRecord,
    Segment,
    Stored,
    message,
    name_of,
    segment_numbers,
    span,
)
from minuted.journal.folder import Folder


class AudioReader:
    """Reads the journal in a folder, from as many places at once as need be.

    A cursor belongs to one thread at a time, and so does the reader.
    """

    def __init__(self, folder: Folder) -> None:
        self.corrupt = 0
        """Damaged stretches that cursors had to skip: each cost a record or more."""
        self._folder = folder
        self._newest: Segment | None = None
        self._newest_next = 0

    def cursor(self, number: int) -> "Cursor":
        """Read from the frame `number` on."""
        return Cursor(self, self._folder, number)

    @property
    def first_number(self) -> int:
        """The lowest number the journal may hold; 0 when it is new."""
        numbers = segment_numbers(self._folder)
        return numbers[0] if numbers else 0

    @property
    def newest_number(self) -> int:
        """The number of the newest frame, or of the last one a newer gap stands for; -1 when there is none.

        Looks only at what has been added since it was last asked.
        """
        while self._newest is None or segment_numbers(self._folder)[-1:] != (self._newest.number,):
            numbers = segment_numbers(self._folder)
            if not numbers:
                return -1
            self.close()
            self._newest = _open(self._folder, numbers[-1])
            self._newest_next = numbers[-1]
        while found := self._newest.read():
            self._newest_next = found[-1].next_number
        return self._newest_next - 1

    def release(self, number: int) -> int:
        """Delete the segments that lie wholly before `number`, never the newest; give how many went.

        The caller has stored its mark before: what is deleted cannot be asked for again. A deleted
        file may be back after a power cut; the next call deletes it again.
        """
        released = 0
        for begins, ends in pairwise(segment_numbers(self._folder)):
            if ends > number:
                break
            self._folder.unlink(name_of(begins))
            released += 1
        return released

    def close(self) -> None:
        if self._newest is not None:
            self._newest.close()
            self._newest = None


class Cursor:
    """A place in the journal that moves on. Made by `AudioReader.cursor`; close it."""

    def __init__(self, reader: AudioReader, folder: Folder, number: int) -> None:
        self.number = number
        """Where it stands: every record before this number has been given, or was not wanted."""
        self.corrupt = 0
        """Damaged stretches it had to skip; a little ahead of the records it has given."""
        self.follows_damage = False
        """Whether the last record given stands behind something that could not be read."""
        self._is_behind_damage = False
        self._reader = reader
        self._folder = folder
        self._stored: deque[Stored] = deque()
        self._segment: Segment | None = None
        self._left = -1  # the segment before it

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def next(self) -> AudioRecord | None:
        """Give the next frame, gap or end; None when there is nothing more yet.

        Each is given once, in order. A hole in the numbers with no gap for it is sound that was
        damaged, dropped by the bound, or lost with the power. A gap may begin before the number asked for.
        """
        while self._stored or self._read_on():
            stored = self._stored.popleft()
            self._is_behind_damage |= stored.follows_damage
            if stored.next_number < self.number:
                self._is_behind_damage = False
                continue
            record = message(stored)
            if record is None:
                self._skipped(1)
                self._is_behind_damage = True
            elif stored.next_number > self.number or span(record)[0] == self.number:
                self.number = span(record)[1]
                self.follows_damage, self._is_behind_damage = self._is_behind_damage, False
                return record
        return None

    def close(self) -> None:
        """Let go of the file. The cursor is of no more use."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _read_on(self) -> bool:
        """Take in the next records, from the next segment where one ends."""
        while segment := self._segment or self._enter():
            if self._take(segment):
                return True
            if not self._is_followed(segment):
                return False
            # The writer has left this segment: what it wrote here before can be seen by now.
            if self._take(segment):
                return True
            self._leave(segment)
        return False

    def _enter(self) -> Segment | None:
        """Open the segment that holds the place, or the first one after it."""
        while numbers := [number for number in segment_numbers(self._folder) if number > self._left]:
            self._segment = _open(self._folder, numbers[max(0, bisect_right(numbers, self.number) - 1)])
            if self._segment is not None:
                return self._segment
        return None

    def _take(self, segment: Segment) -> bool:
        before = segment.corrupt
        self._stored.extend(segment.read())
        self._skipped(segment.corrupt - before)
        return bool(self._stored)

    def _skipped(self, stretches: int) -> None:
        self.corrupt += stretches
        self._reader.corrupt += stretches

    def _is_followed(self, segment: Segment) -> bool:
        numbers = segment_numbers(self._folder)
        return bool(numbers) and numbers[-1] > segment.number

    def _leave(self, segment: Segment) -> None:
        self._skipped(segment.has_rest)
        self._is_behind_damage |= segment.has_rest
        self._left = segment.number
        self.close()


def _open(folder: Folder, number: int) -> Segment | None:
    """Open a segment; None when it has been deleted in the meantime."""
    try:
        return Segment(folder, number)
    except FileNotFoundError:
        return None
