"""Which sources a transcription hears: its own, and what an earlier configuration left behind."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minuted.config import Settings
from minuted.journal.audio import segment_numbers
from minuted.journal.audio_writer import AudioWriter
from minuted.journal.folder import Folder
from minuted.journal.turns import TurnJournal
from minuted.messages import FRAME_BYTES, AudioFrame
from minuted.transcription.sounds import leave_nothing, left_behind, sounds_of

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
    assert (journal.state("marks/desk"), journal.state("intake/desk")) == (None, None)
