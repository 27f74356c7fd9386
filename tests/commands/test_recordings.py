"""What many recordings come to, without a run: the summary, and what is refused before one begins."""

import subprocess
import sys
from pathlib import Path

import pytest

from minuted.commands.jobs import Job
from minuted.commands.recordings import Result, summary

JOBS = [Job(Path(f"/talks/{name}.wav"), Path(f"/talks/{name}")) for name in "abcde"]


def test_the_summary_names_each_that_failed_and_why() -> None:
    """Nobody reads a night's lines from the top."""
    results = [
        Result("done", "a.srt"),
        Result("failed", "there is no sound in it"),
        Result("passed over", "done before"),
        Result("done", "d.srt; but webhook is 2 turns behind", trouble=True),
        Result("stopped", "stopped before its end", asked=True),
    ]
    assert summary(JOBS, results, Path("/state/minuted.log")) == [
        "2 of 5 recordings done, 1 passed over as done before, 1 failed",
        "  /talks/b.wav: there is no sound in it",
        "  /talks/d.wav: d.srt; but webhook is 2 turns behind",
        "  /talks/e.wav: stopped before its end",
        "  (the log is /state/minuted.log)",
    ]


def test_the_summary_of_what_went_well_is_a_line() -> None:
    done = [Result("done", "a.srt")] * 5
    assert summary(JOBS, done, Path("/log")) == ["5 of 5 recordings done"]
    assert summary(JOBS, done[:2], Path("/log")) == ["2 of 5 recordings done; 3 not reached"]


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--input", "a", "b", "--watch"], 2, "captions are for one recording at a time: leave --watch out"),
        (["--write", "srt"], 2, "--write, --output-dir and --overwrite are for recordings: name them"),
        (["--input", "."], 2, "there is no recording in ."),
        (["--input", "nowhere.wav"], 2, "the recording nowhere.wav does not exist"),
        (["--input", "nowhere.wav", "--write", "txt"], 2, "the recording nowhere.wav does not exist"),
        (["--input", "nowhere.wav", "no.wav"], 2, "the recording nowhere.wav does not exist"),
        (["--input", "minuted.toml"], 2, "minuted.toml: not a recording that can be read: Format not recog"),
        (["--input", "a/talk.wav", "b/talk.wav", "--output-dir", "out"], 2, "would both be called talk"),
        (["--input", ".", "--write", "docx"], 2, "'docx' is no format: there are srt, vtt, txt, md, json"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_runs(tmp_path, options, status, said) -> None:
    config = tmp_path / "minuted.toml"
    folders = f'state_dir = "{tmp_path}/state"\nruntime_dir = "{tmp_path}/run"\nsink_dirs = []\n'
    config.write_text(f'{folders}[engine]\nservice = "local"\n')
    ended = subprocess.run(
        [sys.executable, "-m", "minuted", "run", "--config", config, *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (status, "")
    assert said in ended.stderr
    assert not (tmp_path / "run").exists()
