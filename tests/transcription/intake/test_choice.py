"""Which of the two the settings ask for."""

from collections.abc import Callable

import pytest

from minuted.bus import FramesIn
from minuted.config import Settings
from minuted.journal.turns import TurnJournal
from minuted.transcription.intake import (
    JournalIntake,
    MemoryIntake,
    intake_of,
)


@pytest.mark.parametrize(("where", "kind"), [("disk", JournalIntake), ("memory", MemoryIntake)])
def test_the_settings_say_where_sound_is_kept(
    make_settings: Callable[..., Settings], socket: FramesIn, where: str, kind: type
) -> None:
    """And where there is to be none on the disk, there is not even a folder for it."""
    settings = make_settings(f'[journal]\naudio = "{where}"')
    journal = TurnJournal(settings.state_dir / "turns.db")
    journal.keep({"intake": {"next_number": 5, "has_ended": False, "stretches": []}})
    intake = intake_of(settings, socket, journal)
    journal.close()

    assert isinstance(intake, kind)
    assert intake.next_number == (5 if where == "memory" else -1)
    assert (settings.state_dir / "audio").exists() == (where == "disk")
