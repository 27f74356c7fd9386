"""The frames whose words are not yet safe, and which of them to send next. Pure: no clock, no socket."""

from collections import deque
from dataclasses import replace

from minuted.messages import FRAME_MS, AudioFrame


class Backlog:
    """Holds frames from the mark (the first whose words are not safe) to now.

    A new session begins again at the mark, whatever was sent before. Bounded in seconds: the oldest
    frames go first, and are counted.
    """

    def __init__(self, seconds_max: float) -> None:
        self.frames_max = int(seconds_max * 1000 / FRAME_MS)
        self.dropped = 0
        """Frames that went unsent because the bound was reached: their words are lost."""
        self._frames: deque[AudioFrame] = deque()
        self._sent = 0  # how many of them the present session has had
        self._last_number = -1
        self._shift = 0

    def append(self, frame: AudioFrame) -> AudioFrame | None:
        """Take the next frame; give the one that had to go for it without having been sent."""
        number = frame.number + self._shift
        if number <= self._last_number:
            # Capture began anew under a clock that was set back: sound time goes on regardless.
            self._shift += self._last_number + 1 - number
            number = self._last_number + 1
        self._last_number = number
        self._frames.append(frame if not self._shift else replace(frame, number=number))
        if len(self._frames) <= self.frames_max:
            return None
        oldest = self._frames.popleft()
        if self._sent:
            self._sent -= 1
            return None
        self.dropped += 1
        return oldest

    @property
    def newest(self) -> AudioFrame:
        """Give the frame taken last, as it is numbered here. One must have been taken."""
        return self._frames[-1]

    def next(self) -> AudioFrame | None:
        """Give the next frame the present session has not had, or None."""
        return self._frames[self._sent] if self._sent < len(self._frames) else None

    def sent(self) -> None:
        """Note that the session has been given what `next` gave."""
        self._sent += 1

    def rewind(self) -> None:
        """A new session: begin again at the mark."""
        self._sent = 0

    def release(self, sound_ms: int) -> None:
        """Move the mark: the words of every frame that ends at or before `sound_ms` are safe."""
        while self._sent and (self._frames[0].number + 1) * FRAME_MS <= sound_ms:
            self._frames.popleft()
            self._sent -= 1

    def release_sent(self) -> None:
        """Everything the session was sent is safe: it terminated in order."""
        for _ in range(self._sent):
            self._frames.popleft()
        self._sent = 0

    @property
    def held_ms(self) -> int:
        """How much audio is kept."""
        return len(self._frames) * FRAME_MS

    @property
    def unsent_ms(self) -> int:
        """How far behind the microphone the session is."""
        return (len(self._frames) - self._sent) * FRAME_MS
