"""A room with a journal and a publisher, and who subscribes to it."""

from collections.abc import Callable, Iterator

import pytest

from minuted.bus import FramesIn, ReplayServer, TurnsIn, TurnsOut
from minuted.config import Settings
from minuted.journal.audio_writer import AudioWriter
from minuted.journal.folder import Folder
from minuted.journal.turns import TurnJournal
from minuted.messages import FRAME_MS
from minuted.transcription.publisher import Publisher
from transcription.minutes.room import SEGMENT_FRAMES, Room
from waiting import until


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings('room = "boardroom"\n[meeting]\ngap_min = 10')


@pytest.fixture
def subscriber(settings: Settings) -> Iterator[TurnsIn]:
    with TurnsIn(settings.turns_endpoint) as subscriber:
        yield subscriber


@pytest.fixture
def room(settings: Settings, subscriber: TurnsIn) -> Iterator[Room]:
    journal = TurnJournal(settings.state_dir / "turns.db")
    writer = AudioWriter(
        Folder(settings.state_dir / "audio"), hours_max=1, segment_s=SEGMENT_FRAMES * FRAME_MS / 1000
    )
    with (
        FramesIn(settings.frames_endpoint) as frames,
        TurnsOut(settings.turns_endpoint) as turns,
        ReplayServer(settings.replay_endpoint) as replay,
    ):
        until(turns.new_subscriptions)
        yield Room(settings, frames, Publisher(turns, replay, journal), writer)
    writer.close()
    journal.close()
