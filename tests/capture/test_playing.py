"""A recording is played once in a run, however often the process that plays it is killed."""

import json
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from minuted.capture.playing import NOTE, begin, started_at_ms
from minuted.capture.recording import Recording
from minuted.config import Settings
from minuted.journal.audio_reader import AudioReader
from minuted.journal.audio_writer import AudioWriter
from minuted.journal.folder import Folder
from minuted.messages import FRAME_BYTES, AudioEnd, AudioFrame, AudioGap

NOW_MS = 1_700_000_000_123
NOW = (NOW_MS, NOW_MS // 50)
"""The time, and the number of a frame that is heard now."""
RUN = {"MINUTED_RUN": "first"}


def test_a_playing_begins_at_the_clock_or_behind_what_is_there(tmp_path: Path):
    new = begin(tmp_path, "r", "a.wav", 0, NOW)
    assert (new.first_number, new.from_number, new.started_at_ms) == (NOW_MS // 50, NOW_MS // 50, NOW_MS)
    assert begin(tmp_path, "s", "a.wav", NOW_MS, NOW).first_number == NOW_MS


def test_the_same_run_goes_on_where_the_journal_ends(tmp_path: Path):
    new = begin(tmp_path, "r", "a.wav", 7, NOW)
    assert begin(tmp_path, "r", "a.wav", 7, (NOW_MS + 9999, NOW_MS // 50 + 200)) == new
    resumed = begin(tmp_path, "r", "a.wav", new.first_number + 30, (NOW_MS + 9999, (NOW_MS + 9999) // 50))
    assert resumed == replace(new, from_number=new.first_number + 30)
    assert resumed.goes_on
    assert not new.goes_on


@pytest.mark.parametrize(("run", "recording"), [("s", "a.wav"), ("r", "b.wav"), ("", "a.wav")])
def test_another_run_or_recording_or_none_begins_anew(tmp_path: Path, run: str, recording: str):
    """Started by hand, nobody says that it is the same playing."""
    first = begin(tmp_path, "r", "a.wav", 0, NOW)
    there = first.first_number + 30
    again = begin(tmp_path, run, recording, there, (NOW_MS + 100, NOW_MS // 50 + 2))
    assert (again.first_number, again.from_number, again.started_at_ms) == (there, there, NOW_MS + 100)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"run": "r"}', b"\xff"])
def test_a_note_that_is_none_is_no_hindrance(tmp_path: Path, content: bytes):
    assert started_at_ms(tmp_path) is None
    (tmp_path / NOTE).write_bytes(content)
    assert started_at_ms(tmp_path) is None
    assert not begin(tmp_path, "r", "a.wav", 5, NOW).goes_on
    assert begin(tmp_path, "r", "a.wav", NOW_MS, NOW).goes_on
    assert started_at_ms(tmp_path) == NOW_MS


def test_recordings_that_are_played_together_begin_as_one(tmp_path: Path):
    """Two channels of a call: what was said at once must have one time, whichever process comes first."""
    for name, last in (("table", NOW_MS), ("far", NOW_MS + 5)):
        writer = AudioWriter(Folder(tmp_path / f"audio-{name}"), hours_max=1)
        writer.append(AudioEnd(next_number=last, reason="drained"))
        writer.append(AudioGap(from_number=last, to_number=last + 1, reason="x"))
        writer.close()
    table = begin(tmp_path, "r", "a\nb", NOW_MS + 1, NOW, [tmp_path / "audio-far"])
    far = begin(
        tmp_path, "r", "a\nb", NOW_MS + 6, (NOW_MS + 800, NOW_MS // 50 + 16), [tmp_path / "audio-table"]
    )
    assert table == far
    assert table.first_number == NOW_MS + 6


# Killed.


def expected(path: Path) -> list[bytes]:
    """The sound of each frame of a recording that is played undisturbed."""
    pcm = b"".join(Recording(path).pcm())
    pcm += bytes(-len(pcm) % FRAME_BYTES)
    return [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)]


def check_whole(journal, path: Path, *, paced: bool) -> None:
    """Hold the journal against the recording: each frame once, in its place, at its time, and the end."""
    *frames, last = journal
    assert all(isinstance(frame, AudioFrame) for frame in frames)
    first = frames[0]
    sound = expected(path)
    assert [frame.number - first.number for frame in frames] == list(range(len(sound)))
    assert [frame.pcm for frame in frames] == sound
    assert [frame.captured_at_ms - first.captured_at_ms for frame in frames] == [
        50 * place for place in range(len(sound))
    ]
    assert {(frame.source, frame.paced) for frame in frames} == {(path.name, paced)}
    assert last == AudioEnd(next_number=first.number + len(sound), reason="drained")


def newest(settings: Settings) -> int:
    return AudioReader(Folder(settings.state_dir / "audio")).newest_number


@pytest.fixture
def resampled(tmp_path: Path) -> Path:
    """Two minutes and a bit that have to be resampled: a wrong start would be heard in every sample."""
    path = tmp_path / "talk.flac"
    noise = np.random.default_rng(2).uniform(-0.3, 0.3, (44_100 * 121 + 7, 2))
    soundfile.write(path, noise, 44_100)
    return path


def test_a_recording_killed_at_every_place_is_in_the_journal_once(
    configure: Callable[..., Settings], start, resampled: Path, tmp_path: Path
):
    """Before the first frame, between the two things done with one, at a segment's end, before the end."""
    settings = configure(f'source = "{resampled}"\npace = "fast"')
    frames = len(expected(resampled))
    places = [
        "recording-noted:1",
        "frame-journalled:1",
        "frame-pushed:700",
        "frame-journalled:499",
        f"frame-journalled:{frames - 1200}",
    ]
    for count, place in enumerate(places):
        process = start(settings, {**RUN, "MINUTED_CRASH_AT": f"{place}:{tmp_path}/crash{count}"})
        assert process.end() == -signal.SIGKILL, process.stderr
    # All has been stored by now but the end.
    assert len(process.journal) == frames
    assert start(settings, RUN).end() == 0
    check_whole(process.journal, resampled, paced=False)

    before = process.journal
    assert start(settings, RUN).end() == 0
    assert process.journal == before
    assert start(settings, {"MINUTED_RUN": "second"}).end() == 0
    assert len(process.journal) == 2 * len(before)
    assert process.journal[frames + 1].pcm == before[0].pcm


def test_a_recording_killed_at_any_moment_is_in_the_journal_once(
    configure: Callable[..., Settings], start, resampled: Path
):
    settings = configure(f'source = "{resampled}"\npace = "fast"')
    kills = 0
    while True:
        process = start(settings, RUN)
        before = newest(settings)
        process.wait_for(
            lambda process=process, before=before: process.has_ended or newest(settings) > before
        )
        if kills == 4 or process.has_ended:
            break
        process.popen.kill()
        kills += process.end() == -signal.SIGKILL
    assert process.end() == 0
    assert kills
    check_whole(process.journal, resampled, paced=False)


def test_a_recording_killed_in_real_time_goes_on_in_real_time(
    configure: Callable[..., Settings], start, record, noise: bytes
):
    path = record(noise[: 60 * FRAME_BYTES])
    settings = configure(f'source = "{path}"')
    for stored in (8, 25):
        process = start(settings, RUN)
        process.wait_for(lambda stored=stored: count_stored(settings) >= stored)
        process.popen.kill()
        assert process.end() == -signal.SIGKILL
    left = 60 - len(process.journal)
    began_s = time.monotonic()
    assert start(settings, RUN).end() == 0
    # Whoever transcribes it may be nobody who takes sound faster than it was said.
    assert time.monotonic() - began_s > left * 0.05
    check_whole(process.journal, path, paced=True)


def count_stored(settings: Settings) -> int:
    reader = AudioReader(Folder(settings.state_dir / "audio"))
    return reader.newest_number - reader.first_number + 1 if reader.first_number else 0


def test_what_was_stored_of_a_stopped_resumed_playing_is_right_too(
    configure: Callable[..., Settings], start, record, noise: bytes
):
    settings = configure(f'source = "{record(noise)}"')
    process = start(settings, RUN)
    process.wait_for(lambda: count_stored(settings) >= 5)
    process.popen.kill()
    process.end()
    again = start(settings, RUN)
    before = newest(settings)
    again.wait_for(lambda: newest(settings) > before)
    assert again.stop() == 0
    *frames, last = process.journal
    assert b"".join(frame.pcm for frame in frames) == noise[: len(frames) * FRAME_BYTES]
    assert last == AudioEnd(next_number=frames[-1].number + 1, reason="stopped")


@pytest.mark.parametrize(
    "change",
    [
        {"first_number": 1 << 62},
        {"first_number": -5},
        {"started_at_ms": "now"},
        {"first_number": 1e999},
        {"run": 5},
    ],
)
def test_a_note_of_a_recording_that_cannot_be_read_has_it_played_from_its_beginning(tmp_path, change, capsys):
    """Twice is better than never, and no process may end of it again and again."""
    begun = begin(tmp_path, "run", "talk.wav", 0, NOW)
    note = tmp_path / NOTE
    note.write_text(json.dumps({**json.loads(note.read_text()), **change}))
    again = begin(tmp_path, "run", "talk.wav", begun.first_number + 10, NOW)
    assert not again.goes_on
    assert again.first_number >= begun.first_number + 10
    assert "recording_note_damaged" in capsys.readouterr().out
    assert begin(tmp_path, "run", "talk.wav", again.first_number + 5, NOW).goes_on
