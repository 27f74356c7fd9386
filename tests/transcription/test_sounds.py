"""Which sources a transcription hears: its own, and what an earlier configuration left behind."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minuted.bus import FramesIn, ReplayServer, TurnsOut
from minuted.config import Settings
from minuted.journal.audio import segment_numbers
from minuted.journal.audio_writer import AudioWriter
from minuted.journal.folder import Folder
from minuted.journal.turns import TurnJournal
from minuted.messages import FRAME_BYTES, AudioFrame
from minuted.transcription.among import Among
from minuted.transcription.intake import intake_of
from minuted.transcription.minutes import Minutes
from minuted.transcription.order import Order
from minuted.transcription.publisher import Publisher
from minuted.transcription.sounds import KEPT, leave_nothing, left_behind, sounds_of

TWO = "[[capture.sources]]\nname = 'table'\n[[capture.sources]]\nname = 'far'\ndevice = 'HDMI'\n"


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings(TWO)


@pytest.fixture
def journal(settings: Settings) -> Iterator[TurnJournal]:
    journal = TurnJournal(settings.state_dir / "turns.db")
    yield journal
    journal.close()


def keep_sound(folder: Path) -> AudioWriter:
    writer = AudioWriter(Folder(folder), hours_max=1)
    writer.append(AudioFrame(number=7, captured_at_ms=350, pcm=bytes(FRAME_BYTES)))
    return writer


def test_only_sound_that_nobody_is_configured_to_hear_is_left_behind(settings: Settings) -> None:
    for name in ("audio", "audio-far", "audio-desk"):
        keep_sound(settings.state_dir / name).close()
    (settings.state_dir / "audio-empty").mkdir()
    (settings.state_dir / "audio-run.json").write_text("{}")
    assert left_behind(settings) == ["", "desk"]


def test_it_is_heard_as_a_channel_that_gets_no_more(settings: Settings, journal: TurnJournal) -> None:
    keep_sound(settings.audio_dir("desk")).close()
    (sound,) = sounds_of(settings, {}, journal)
    assert (sound.name, sound.frames) == ("desk", None)
    assert sound.intake.take(0) == []
    assert sound.intake.next_number == 8


def test_what_is_left_goes_only_when_its_capture_has_gone(settings: Settings, journal: TurnJournal) -> None:
    """A capture that is slow to end may still have something to add."""
    journal.keep({"marks/desk": {"ranges": []}, "intake/desk": {"next_number": 8}})
    writer = keep_sound(settings.audio_dir("desk"))
    assert not leave_nothing(settings, journal, "desk")
    assert journal.state("marks/desk")
    writer.close()
    assert leave_nothing(settings, journal, "desk")
    assert not segment_numbers(Folder(settings.audio_dir("desk")))
    assert [journal.state(f"{what}/desk") for what in KEPT] == [None, None, None]


def test_all_that_is_kept_of_a_channel_alone_is_known(settings: Settings, journal: TurnJournal) -> None:
    """What is forgotten of it would be found by a source that is called so again."""
    order: Order[Any] = Order()
    with (
        TurnsOut(settings.turns_endpoint) as turns,
        ReplayServer(settings.replay_endpoint) as replay,
        FramesIn(settings.frames_of("far")) as frames,
    ):
        publisher = Publisher(turns, replay, journal)
        intake = intake_of(settings, frames, journal, "far")
        Minutes(settings, publisher, intake, among=Among("far", order, list)).store()
    assert [journal.state(f"{what}/far") is not None for what in KEPT] == [True] * len(KEPT)
    assert journal.state("meetings") == []
    assert [journal.state(what) for what in KEPT] == [None] * len(KEPT)
