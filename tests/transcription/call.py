"""A transcription loop that hears several sources, with real sockets on both sides."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from itertools import zip_longest

from minuted.bus import FramesIn, FramesOut, ReplayServer, TurnsIn, TurnsOut
from minuted.config import Settings
from minuted.journal.audio_writer import AudioWriter
from minuted.journal.folder import Folder
from minuted.journal.turns import TurnJournal
from minuted.messages import AudioEnd, AudioFrame, Gap, Message, Session, Turn
from minuted.transcription.publisher import Publisher
from minuted.transcription.sounds import sounds_of
from minuted.transcription.transcriber import Transcriber
from simulator.coded import Recording

WAIT_S_MAX = 60.0
ALL = slice(None)
FIRST = 1_000_000
FIRST_MS = FIRST * 50 + 7
"""Epoch milliseconds of every source's first frame."""


class Source:
    """A capture of a test's making: the journal first, then the socket."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._writer = AudioWriter(Folder(settings.audio_dir(name)), hours_max=1)
        self._out = FramesOut(settings.frames_of(name))
        self.number = max(FIRST, self._writer.next_number)

    def say(self, pcm: bytes, *, paced: bool = False) -> None:
        self._send(AudioFrame(number=self.number, captured_at_ms=self.number * 50 + 7, pcm=pcm, paced=paced))
        self.number += 1

    def end(self, reason: str = "drained") -> None:
        self._send(AudioEnd(next_number=self.number, reason=reason))

    def _send(self, record: AudioFrame | AudioEnd) -> None:
        self._writer.append(record)
        self._out.send(record)

    def close(self) -> None:
        self._writer.close()
        self._out.close()


class Call:
    """What a test sees of a transcription of several sources."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.messages: list[Message] = []
        self.error: BaseException | None = None
        self.names = [source.name for source in settings.sources]
        self._sockets = ExitStack()
        enter = self._sockets.enter_context
        frames = {name: enter(FramesIn(settings.frames_of(name))) for name in self.names}
        turns, replay = (
            enter(TurnsOut(settings.turns_endpoint)),
            enter(ReplayServer(settings.replay_endpoint)),
        )
        self._subscriber = enter(TurnsIn(settings.turns_endpoint))
        self.sources = {name: Source(settings, name) for name in self.names}
        self._stop, ready = threading.Event(), threading.Event()

        def work() -> None:
            journal = TurnJournal(settings.state_dir / "turns.db")
            sounds = sounds_of(settings, frames, journal)
            self.transcriber = Transcriber(settings, Publisher(turns, replay, journal), sounds)
            ready.set()
            try:
                self.transcriber.run(self._stop)
            except BaseException as error:
                self.error = error
            finally:
                journal.close()

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()
        assert ready.wait(WAIT_S_MAX)
        self.wait_for(lambda: self.messages)

    def play(
        self, recordings: Mapping[str, Recording], part: slice = ALL, *, in_real_time: bool = False
    ) -> None:
        """Have all sources heard side by side, from the same moment on: all of them, or a part."""
        began_s = time.monotonic()
        cut = (list(each.frames())[part] for each in recordings.values())
        for place, frames in enumerate(zip_longest(*cut)):
            if in_real_time:
                due_s = began_s + place * 0.05
                self.wait_for(lambda due_s=due_s: time.monotonic() >= due_s)
            for name, pcm in zip(recordings, frames, strict=True):
                if pcm is not None:
                    self.sources[name].say(pcm, paced=in_real_time)

    def end(self) -> None:
        """Say that all captures are over and have everything drained."""
        for source in self.sources.values():
            source.end()
        self.transcriber.drain()
        self.wait_for(lambda: "drained" in self.session_events)

    def wait_for(self, come: Callable[[], object]) -> None:
        """Take messages until `come()` is true."""
        until_s = time.monotonic() + WAIT_S_MAX
        while not come():
            if message := self._subscriber.receive(timeout_s=0.01):
                self.messages.append(message)
            if self.error:
                raise self.error
            assert time.monotonic() < until_s, "it does not come"

    @property
    def finals(self) -> list[Turn]:
        return [message for message in self.messages if isinstance(message, Turn) and message.final]

    @property
    def gaps(self) -> list[Gap]:
        return [message for message in self.messages if isinstance(message, Gap)]

    @property
    def session_events(self) -> list[str]:
        return [message.event for message in self.messages if isinstance(message, Session)]

    def words(self, channel: str | None) -> list[str]:
        return [word.text for turn in self.finals if turn.channel == channel for word in turn.words]

    def close(self) -> None:
        """End the loop as it stands; what is not yet heard stays in the journals."""
        self.transcriber.leave()
        self._thread.join(WAIT_S_MAX)
        assert not self._thread.is_alive()
        for source in self.sources.values():
            source.close()
        self._sockets.close()
