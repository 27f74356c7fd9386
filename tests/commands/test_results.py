"""Where the words of a run are, as its end tells."""

import os
import sys
import wave
from dataclasses import replace
from pathlib import Path

import pytest
from moonshine_voice.utils import get_assets_path

from fake_publisher import turn
from minuted.commands import printing
from minuted.commands.results import Before, lines, look, show
from minuted.journal.cursor import Cursor, path_of
from minuted.journal.turns import TurnJournal
from minuted.messages import Gap
from terminals import Conversation


@pytest.fixture
def journal(make_settings):
    """A closed journal with turns of these meetings; a gap comes before them."""

    def write(*meeting_ids: str) -> int:
        made = TurnJournal(make_settings().state_dir / "turns.db")
        made.commit(Gap(room="r", meeting_id="", start_ms=0, end_ms=1, reason="paused"))
        for number, meeting_id in enumerate(meeting_ids):
            made.commit(replace(turn(None), id=f"{meeting_id}-{number}", meeting_id=meeting_id))
        made.close()
        return 1 + len(meeting_ids)

    return write


NOTHING = Before(0, {})


def test_one_sink_is_one_line(make_settings, journal, tmp_path: Path) -> None:
    journal("m1", "m1")
    settings = make_settings(f'[sinks.file_log]\npath = "{tmp_path}/turns.jsonl"\n')
    assert lines(settings, NOTHING) == [
        f"2 turns in {tmp_path}/turns.jsonl; `minuted export` shows the meeting"
    ]


def test_several_are_a_line_each_with_what_they_lack(make_settings, journal, tmp_path: Path) -> None:
    journal("m1", "m2")
    (tmp_path / "srt").mkdir()
    (tmp_path / "srt/old.srt").touch()
    settings = make_settings(
        f'[sinks.file_log]\npath = "{tmp_path}/turns.jsonl"\n'
        f'[sinks.srt]\ndirectory = "{tmp_path}/srt"\n'
        '[sinks.webhook]\nurl = "https://me:secret@example.org/turns?key=secret"\n'
        "[sinks.own]\nport = 7\n[sinks.off]\nenabled = false\n"
    )
    before = Before(0, {tmp_path / "srt/old.srt": (tmp_path / "srt/old.srt").stat().st_mtime_ns})
    (tmp_path / "srt/new.srt").touch()
    path_of(settings.state_dir, "webhook").parent.mkdir()
    place = Cursor(path_of(settings.state_dir, "webhook"))
    place.place("epoch", 1)
    place.close()

    assert lines(settings, before, " --config there.toml") == [
        "2 turns:",
        f"  file_log  {tmp_path}/turns.jsonl",
        f"  srt       {tmp_path}/srt/new.srt",
        "  webhook   https://example.org/turns (2 still to be delivered, at the next start)",
        "  own       a place of its own",
        "`minuted export --list --config there.toml` shows the meetings",
    ]


def test_many_files_are_counted(make_settings, journal, tmp_path: Path) -> None:
    journal("m1")
    for number in range(4):
        (tmp_path / f"{number}.txt").touch()
    settings = make_settings(f'[sinks.txt]\ndirectory = "{tmp_path}"\n')
    assert lines(settings, NOTHING)[0].startswith(f"1 turn in 4 files in {tmp_path}; ")


def test_only_what_came_since_is_told_of(make_settings, journal) -> None:
    many = journal("m1", "m2")
    assert lines(make_settings(), Before(many - 1, {})) == [
        "1 turn in the journal; `minuted export` shows the meeting"
    ]
    assert lines(make_settings(), Before(many, {})) == ["no words were heard"]


def test_nobody_is_told_where_nobody_looks(make_settings, journal, capfd) -> None:
    """A service's log, and a program that reads captions, get no line more."""
    journal("m1")
    assert look(make_settings()) is None
    show(make_settings(), None, None)
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_read_is_passed_over(make_settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "is_seen", lambda: True)
    assert look(make_settings()) == NOTHING
    show(make_settings(), NOTHING, None)
    (make_settings().state_dir / "turns.db").mkdir()
    assert look(make_settings()) is None


def test_a_run_ends_with_it(runtime_dir: Path) -> None:
    """In a terminal, below the captions."""
    recording = runtime_dir / "talk.wav"
    with (
        wave.open(str(Path(get_assets_path(), "two_cities.wav"))) as whole,
        wave.open(str(recording), "wb") as cut,
    ):
        cut.setparams(whole.getparams())
        cut.writeframes(whole.readframes(5 * whole.getframerate()))
    (runtime_dir / "minuted.toml").write_text(
        f'state_dir = "{runtime_dir}/state"\nruntime_dir = "{runtime_dir}/run"\n[engine]\nservice = "local"\n'
        f'[sinks.file_log]\npath = "{runtime_dir}/turns.jsonl"\n'
    )
    words = ("run", "--watch", "--input", recording, "--pace", "fast")
    run = Conversation(
        [sys.executable, "-m", "minuted", *words], runtime_dir, {**os.environ, "TERM": "xterm"}
    )
    try:
        assert run.end() == 0, run.written
    finally:
        run.close()
    log = (runtime_dir / "turns.jsonl").read_text().splitlines()
    turns = "1 turn" if len(log) == 1 else f"{len(log)} turns"
    assert log
    assert run.written.rstrip().endswith(
        f"{turns} in {runtime_dir}/turns.jsonl; `minuted export` shows the meeting"
    )
