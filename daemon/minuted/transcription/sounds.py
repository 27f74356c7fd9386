"""Which sound a transcription hears: that of its sources, and what others have left behind unheard."""

import re
from collections.abc import Mapping
from typing import Final

from minuted.bus import FramesIn
from minuted.config import Settings
from minuted.journal.audio import name_of, segment_numbers
from minuted.journal.audio_reader import AudioReader
from minuted.journal.folder import Folder, FolderInUseError
from minuted.journal.turns import TurnJournal
from minuted.transcription.channel import Sound
from minuted.transcription.intake import IntakeState, JournalIntake, intake_of, state_key

KEPT: Final = ("marks", "intake", "idle")
"""What the turn journal keeps of each channel."""


def sounds_of(settings: Settings, frames: Mapping[str, FramesIn], journal: TurnJournal) -> list[Sound]:
    """Give the sound of each source, whose frames come in by its name, and of each that was left behind."""
    sounds = [Sound(name, frames[name], intake_of(settings, frames[name], journal, name)) for name in frames]
    for name in left_behind(settings):
        reader = AudioReader(Folder(settings.audio_dir(name)))
        state = journal.state(state_key("intake", name), IntakeState)
        sounds.append(Sound(name, None, JournalIntake(None, reader, state)))
    return sounds


def left_behind(settings: Settings) -> list[str]:
    """Name the sources that are not configured any more, and whose sound is still there."""
    configured = {source.name for source in settings.sources}
    found = []
    for path in sorted(settings.state_dir.glob("audio*")):
        match = re.fullmatch(r"audio(?:-(\w+))?", path.name)
        name = (match[1] or "") if match else None
        if name is not None and name not in configured and path.is_dir() and segment_numbers(Folder(path)):
            found.append(name)
    return found


def leave_nothing(settings: Settings, journal: TurnJournal, name: str) -> bool:
    """Delete what a source has left behind; False while its capture is still there.

    The sound goes first: were its marks forgotten before it, it would be heard once more.
    """
    folder = Folder(settings.audio_dir(name))
    try:
        folder.claim()
    except FolderInUseError:
        return False
    try:
        for number in segment_numbers(folder):
            folder.unlink(name_of(number))
        folder.sync_names()
    finally:
        folder.close()
    journal.keep({state_key(what, name): None for what in KEPT})
    return True
