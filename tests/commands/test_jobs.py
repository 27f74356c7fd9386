"""Which recordings are taken, what their texts are called, and which are done."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minuted.commands.jobs import Job, Note, Notes, in_the_way, jobs_of, lacking, state_of
from minuted.usage import parser, wants_texts


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def names(jobs: list[Job], folder: Path) -> list[tuple[str, str]]:
    return [
        (str(job.recording.relative_to(folder)), str(job.target("srt").relative_to(folder))) for job in jobs
    ]


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ([], False),
        (["--input", "talk.wav"], False),
        (["--input", "talk.wav", "--pace", "fast"], False),
        (["--input", "talk.wav", "other.mp3"], True),
        (["--input", "talk.wav", "--input", "other.mp3"], True),
        (["--input", "/"], True),
        (["--input", "talk.wav", "--write", "srt"], True),
        (["--input", "talk.wav", "--output-dir", "out"], True),
        (["--input", "talk.wav", "--overwrite"], True),
    ],
)
def test_a_single_recording_is_what_it_always_was(options, asked) -> None:
    """Its words go to the sinks; nothing is written beside it unless somebody says so."""
    assert wants_texts(parser("1").parse_args(["run", *options])) is asked


def test_a_folder_s_recordings_are_taken_in_order(tmp_path) -> None:
    tree(tmp_path, "b.wav", "a.MP3", "notes.txt", "sub/c.flac", ".hidden.wav", ".trash/d.wav", "phone.m4a")
    assert names(jobs_of([tmp_path], None), tmp_path) == [
        ("a.MP3", "a.srt"),
        ("b.wav", "b.srt"),
        ("phone.m4a", "phone.srt"),
        ("sub/c.flac", "sub/c.srt"),
    ]


def test_a_folder_has_every_kind_that_is_read(tmp_path) -> None:
    """One that is passed over in silence is a meeting that nobody gets."""
    tree(tmp_path, "memo.caf", "radio.au", "studio.aifc")
    assert len(jobs_of([tmp_path], None)) == 3


def test_a_folder_that_may_not_be_read_is_told(tmp_path) -> None:
    """What lies in it would be missed by nobody else; a disk's lost+found stops nothing."""
    tree(tmp_path, "a.wav", "closed/b.wav")
    script = f"""
import os
from pathlib import Path
from minuted.commands.jobs import jobs_of
os.chdir({str(tmp_path)!r})
os.geteuid() or os.setresuid(65534, 65534, 65534)
print(*[(job.recording.name, job.problem) for job in jobs_of([Path(".")], None)])
"""
    tmp_path.chmod(0o755)
    (tmp_path / "closed").chmod(0o700 if os.geteuid() == 0 else 0)
    asked = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    (tmp_path / "closed").chmod(0o700)
    told = "('a.wav', '') ('closed', 'the folder cannot be read: Permission denied')"
    assert asked.stdout.strip() == told, asked.stderr


def test_one_that_is_named_twice_is_taken_once(tmp_path) -> None:
    tree(tmp_path, "a.wav", "b.unknown")
    found = jobs_of([tmp_path / "a.wav", tmp_path, tmp_path / "b.unknown"], None)
    assert [job.recording.name for job in found] == ["a.wav", "b.unknown"]


def test_two_of_one_name_do_not_mix(tmp_path) -> None:
    """Neither beside each other, nor of two folders, nor in one folder for all."""
    tree(tmp_path, "mon/talk.wav", "mon/talk.mp3", "tue/talk.wav")
    assert [target for _, target in names(jobs_of([tmp_path], None), tmp_path)] == [
        "mon/talk.mp3.srt",
        "mon/talk.wav.srt",
        "tue/talk.srt",
    ]
    out = tmp_path / "out"
    assert [target for _, target in names(jobs_of([tmp_path], out), tmp_path)] == [
        "out/mon/talk.mp3.srt",
        "out/mon/talk.wav.srt",
        "out/tue/talk.srt",
    ]
    with pytest.raises(ValueError, match="would both be called talk"):
        jobs_of([tmp_path / "mon/talk.wav", tmp_path / "tue/talk.wav"], out)


def note_of(recording: Path, *written: Path) -> Note:
    return Note(*state_of(recording), "m", 0, 1, tuple(map(str, written)))


def test_what_is_noted_holds_for_the_same_recording_alone(tmp_path) -> None:
    """A recording that was replaced has other words in it."""
    (recording,) = jobs_of([tree(tmp_path, "a.wav") / "a.wav"], None)
    notes = Notes(tmp_path / "notes.json")
    assert notes.of(recording.recording) is None
    stored = notes.keep(recording.recording, note_of(recording.recording))
    assert list(stored) == [str(recording.recording)]
    assert notes.of(recording.recording) == note_of(recording.recording)
    recording.recording.write_bytes(b"another")
    assert notes.of(recording.recording) is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"/a.wav": 3}', '{"/a.wav": {"bytes": 1}}'])
def test_notes_that_are_damaged_are_none(tmp_path, text) -> None:
    (tmp_path / "notes.json").write_text(text)
    assert Notes(tmp_path / "notes.json").of(Path("/a.wav")) is None


def test_a_file_that_is_not_ours_is_in_the_way(tmp_path) -> None:
    """Somebody's own subtitles are not to be written over."""
    (job,) = jobs_of([tree(tmp_path, "a.wav", "a.srt") / "a.wav"], None)
    assert in_the_way(job, ("srt", "vtt"), None) == [tmp_path / "a.srt"]
    assert in_the_way(job, ("srt", "vtt"), note_of(job.recording, tmp_path / "a.srt")) == []
    assert lacking(job, ("srt", "vtt")) == ["vtt"]
