"""A transcription loop on a thread, with real sockets on both sides and the simulated service behind it."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from minuted.bus import FramesIn, FramesOut, ReplayServer, TurnsIn, TurnsOut
from minuted.config import Settings
from minuted.journal.audio_writer import AudioWriter
from minuted.journal.folder import Folder
from minuted.journal.turns import TurnJournal, TurnJournalFullError
from minuted.messages import AudioEnd, AudioFrame, AudioGap, Gap, Message, Record, Session, Turn
from minuted.transcription.publisher import Publisher
from minuted.transcription.sounds import sounds_of
from minuted.transcription.transcriber import Transcriber
from simulator import Service
from simulator.coded import Recording
from simulator.proxy import Proxy

WAIT_S_MAX = 60.0
ALL = slice(None)
FIRST = 1_000_000
"""The first frame's number: sound time 50,000,000 ms."""


class Journal(TurnJournal):
    """A turn journal that a test may take the room from."""

    is_full: threading.Event

    def commit_all(
        self,
        records: Sequence[Record],
        state: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> list[Record]:
        self._look()
        return super().commit_all(records, state, labels)

    def keep(self, state: Mapping[str, Any]) -> None:
        if hasattr(self, "is_full"):
            self._look()
        super().keep(state)

    def _look(self) -> None:
        if self.is_full.is_set():
            raise TurnJournalFullError("database or disk is full")


class Room:
    """What a test sees of a transcription: frames go in, messages come out."""

    def __init__(self, settings: Settings) -> None:
        self.messages: list[Message] = []
        self.settings = settings
        self.error: BaseException | None = None
        self.drained: bool | None = None
        """What the loop gave at its end."""
        self._sockets: Any = (
            FramesIn(settings.frames_endpoint),
            TurnsOut(settings.turns_endpoint),
            ReplayServer(settings.replay_endpoint),
        )
        frames, turns, replay = self._sockets
        self._ready = threading.Event()
        self._disk_is_full = threading.Event()
        self._made: list[Transcriber] = []
        self._stop = threading.Event()
        self._subscriber = TurnsIn(settings.turns_endpoint)
        on_disk = settings.journal.audio == "disk"
        self._writer = AudioWriter(Folder(settings.state_dir / "audio"), hours_max=1) if on_disk else None
        self._frames = FramesOut(settings.frames_endpoint)
        self._sent_before = -1
        self._next_number = max(FIRST, self._writer.next_number) if self._writer else FIRST

        def work() -> None:
            journal = Journal(settings.state_dir / "turns.db")
            journal.is_full = self._disk_is_full
            sounds = sounds_of(settings, {"": frames}, journal)
            transcriber = Transcriber(settings, Publisher(turns, replay, journal), sounds)
            self._made.append(transcriber)
            self._ready.set()
            try:
                self.drained = transcriber.run(self._stop)
            except BaseException as error:
                self.error = error
            finally:
                journal.close()

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()
        assert self._ready.wait(WAIT_S_MAX)
        self.transcriber = self._made[0]
        self.wait_for(lambda: self.messages)  # subscribed: the first heartbeat

    def play(
        self,
        recording: Recording,
        part: slice = ALL,
        *,
        source: str = "microphone",
        paced: bool = False,
        in_real_time: bool = False,
    ) -> None:
        """Send a recording's frames, or a part of them: as fast as they are taken, or in real time."""
        began_s = time.monotonic()
        for place, pcm in enumerate(list(recording.frames())[part]):
            if in_real_time:
                due_s = began_s + place * 0.05
                self.wait_for(lambda due_s=due_s: time.monotonic() >= due_s)
            frame = AudioFrame(
                number=self._next_number,
                captured_at_ms=self._next_number * 50 + 7,
                pcm=pcm,
                source=source,
                paced=paced or in_real_time,
            )
            self._send(frame)
            self._next_number += 1
            self._sent_before = self._next_number

    @property
    def has_taken_all(self) -> bool:
        """Whether all that was played has come in: a moment then is where the sound is."""
        return all(channel.intake.next_number >= self._sent_before for channel in self.transcriber._channels)

    def _send(self, message: AudioFrame | AudioGap | AudioEnd) -> None:
        """As capture does: the journal first, and then it need not wait."""
        if self._writer:
            self._writer.append(message)
            self._frames.send(message)
        else:
            assert self._frames.send(message, wait_s=WAIT_S_MAX)

    def fill_disk(self) -> None:
        self._disk_is_full.set()

    def empty_disk(self) -> None:
        self._disk_is_full.clear()

    def skip(self, frames: int) -> None:
        """Leave out frames, as a capture that was away."""
        self._next_number += frames

    def pause(self) -> None:
        """As capture, when it is asked not to listen."""
        self._send(AudioEnd(next_number=self._next_number, reason="paused"))

    def miss(self, frames: int, reason: str) -> None:
        """Say that frames are missing, and why."""
        begins, self._next_number = self._next_number, self._next_number + frames
        self._send(AudioGap(from_number=begins, to_number=self._next_number, reason=reason))

    def retry_now(self) -> None:
        """Spare the test the minute until the next try."""
        for channel in self.transcriber._channels:
            channel.lanes.connect_at_s = channel.lanes.behind_at_s = 0.0

    def end(self) -> None:
        """Say that capture is over and have everything drained."""
        self._send(AudioEnd(next_number=self._next_number, reason="drained"))
        self.transcriber.drain()
        self.wait_for(lambda: "drained" in self.session_events or self.error)
        if self.error:
            raise self.error

    def wait_for(self, come: Callable[[], object]) -> None:
        """Take messages until `come()` is true."""
        until_s = time.monotonic() + WAIT_S_MAX
        while not come():
            if message := self._subscriber.receive(timeout_s=0.01):
                self.messages.append(message)
            assert time.monotonic() < until_s, "it does not come"
            if self.error and not come():
                raise self.error

    @property
    def finals(self) -> list[Turn]:
        return [message for message in self.messages if isinstance(message, Turn) and message.final]

    @property
    def partials(self) -> list[Turn]:
        return [message for message in self.messages if isinstance(message, Turn) and not message.final]

    @property
    def gaps(self) -> list[Gap]:
        return [message for message in self.messages if isinstance(message, Gap)]

    @property
    def session_events(self) -> list[str]:
        return [message.event for message in self.messages if isinstance(message, Session)]

    @property
    def words(self) -> list[str]:
        return [word.text for turn in self.finals for word in turn.words]

    def stop(self) -> None:
        """End the loop as it stands; what is not yet heard stays in the journals."""
        self.transcriber.drain()
        self.close()

    def close(self) -> None:
        self._stop.set()
        self.transcriber.drain()
        self._thread.join(WAIT_S_MAX)
        assert not self._thread.is_alive()
        if self._writer:
            self._writer.close()
        for socket in (self._subscriber, self._frames, *self._sockets):
            socket.close()


@pytest.fixture
def short_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions of seconds are believed to expire when the service says so, from the first on."""
    monkeypatch.setattr("minuted.transcription.lanes.SESSION_S_MIN", 1.0)


@pytest.fixture
def make_room(
    make_settings: Any, monkeypatch: pytest.MonkeyPatch, no_key: Path
) -> Iterator[Callable[..., Room]]:
    """Make a Room whose service is a given simulator."""
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "a-key")
    rooms: list[Room] = []

    def make(service: Service | Proxy, text: str = "") -> Room:
        settings = make_settings(
            f'room = "boardroom"\n[engine]\nservice = "assemblyai"\nurl = "{service.url}"\n{text}'
        )
        rooms.append(Room(settings))
        return rooms[-1]

    yield make
    for room in rooms:
        room.close()
