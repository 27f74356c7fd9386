"""Frames between the thread that makes them and the one that sends them: what memory holds."""

import threading
from collections import deque
from typing import Literal

from minuted.messages import AudioEnd, AudioFrame, AudioGap

Item = AudioFrame | AudioGap | AudioEnd
"""Sound, what is missing of it, or the word that none comes for now."""


class Backlog:
    """A bounded line of frames. When it is full, a recording waits and a microphone cannot.

    "wait" holds up whoever puts the next frame; "drop" lets the oldest frame go and counts it.
    """

    def __init__(self, frames_max: int, *, when_full: Literal["wait", "drop"]) -> None:
        self.dropped = 0
        self._frames_max = frames_max
        self._waits = when_full == "wait"
        self._frames: deque[Item] = deque()
        self._ended = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def is_drained(self) -> bool:
        """Whether all there was has been taken, and nothing more will come."""
        return self._ended and not self._frames

    def put(self, frame: Item) -> bool:
        """Add a frame, or what stands between two; False when no more are wanted."""
        with self._changed:
            while self._waits and len(self._frames) >= self._frames_max and not self._ended:
                self._changed.wait()
            if self._ended:
                return False
            if len(self._frames) >= self._frames_max:
                self.dropped += isinstance(self._frames.popleft(), AudioFrame)
            self._frames.append(frame)
            self._changed.notify_all()
        return True

    def take(self, timeout_s: float) -> Item | None:
        """Take the oldest, or None when there is none for `timeout_s` or no more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._ended, timeout_s)
            if not self._frames:
                return None
            frame = self._frames.popleft()
            self._changed.notify_all()
            return frame

    def end(self) -> None:
        """Take no more frames; those that are here can still be taken."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
