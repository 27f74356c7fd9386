"""`minuted export` finds the meeting that is meant, and leaves no half file."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from fake_publisher import FakePublisher
from minuted.cli import main
from minuted.commands.export import write_whole
from minuted.journal.turns import TurnJournal
from sinks.samples import NINE_THIRTY_MS, gap, turn

DAY_MS = 86_400_000
SEVERAL = "these are 2 meetings (m0, m1): name one with --meeting"


pytestmark = pytest.mark.usefixtures("utc")


@pytest.fixture
def settings(make_settings, runtime_dir):
    found = make_settings()
    (runtime_dir / "minuted.toml").write_text(
        f'state_dir = "{found.state_dir}"\nruntime_dir = "{runtime_dir}"\nsink_dirs = []\n'
    )
    return found


@pytest.fixture
def export(settings, runtime_dir, capfd) -> Callable[..., tuple[int, str, str]]:
    def ask(*options: str) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main(["export", "--config", str(runtime_dir / "minuted.toml"), *options])
        return (status, *capfd.readouterr())

    return ask


def of(day: int, **values):
    return {"meeting_id": f"m{day}", "meeting_started_at_ms": NINE_THIRTY_MS + day * DAY_MS, **values}


RECORDS = [
    turn(1, "first day", **of(0)),
    turn(2, "second day", **of(1)),
    turn(3, "late, on the first day", start_ms=5000, backfilled=True, **of(0)),
    gap(4, 60_000, 61_000, **of(1)),
    turn(5, "second day, anew", id="session-2", start_ms=20_000, type="revision", revision=1, **of(1)),
]


@pytest.fixture(params=["daemon", "file"])
def kept(request, settings):
    """The same journal, given by a running daemon and left by one."""
    if request.param == "daemon":
        with FakePublisher(settings.turns_endpoint, settings.replay_endpoint) as publisher:
            for record in RECORDS:
                publisher.publish(make=lambda _, record=record: record)
            yield
    else:
        journal = TurnJournal(settings.state_dir / "turns.db")
        for record in RECORDS:
            journal.commit(record)
        journal.close()
        yield


def test_the_last_meeting_is_what_most_people_want(export, kept) -> None:
    """With a turn as it was revised, and what is missing."""
    heading = "boardroom, Monday 23 November 2026, 09:30"
    expected = f"{heading}\n\n00:00:20  second day, anew\n00:01:00  [no audio 1.0 s]\n"
    assert export() == (0, expected, "")
    assert export("--last", "--format", "txt") == (0, expected, "")


def test_a_meeting_is_found_by_its_name(export, kept) -> None:
    status, out, _ = export("--meeting", "m0", "--format", "srt")
    assert status == 0
    assert [line for line in out.splitlines() if "day" in line] == ["late, on the first day", "first day"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--meeting", "x"), "there is no meeting x: minuted export --list"),
        (("--meeting", "m"), "m begins the names of 2 meetings: give more of it"),
        (("--from", "2026-11-25"), "there is nothing between these times: minuted export --list"),
        (
            ("--from", "2026-11-22", "--format", "srt"),
            SEVERAL,
        ),
    ],
)
def test_what_cannot_be_given_is_said(export, kept, options, said) -> None:
    assert export(*options) == (1, "", f"minuted: {said}\n")


def test_times_choose_what_was_said_between_them(export, kept) -> None:
    """By the clock on the wall, over meetings."""
    _, out, _ = export("--from", "2026-11-22T09:30:08", "--to", "2026-11-23T09:30:30", "--format", "md")
    said = [line.partition("` ")[2] for line in out.splitlines() if line.startswith("`")]
    assert said == ["first day", "second day, anew"]


def test_the_list_has_a_line_for_each_meeting(export, kept) -> None:
    status, out, _ = export("--list")
    lines = [line.split() for line in out.splitlines()]
    assert status == 0
    assert [(line[0], line[1], line[2]) for line in lines] == [
        ("m0", "2026-11-22", "09:30"),
        ("m1", "2026-11-23", "09:30"),
    ]
    assert [line[-2:] for line in lines] == [["2", "turns"], ["1", "turn"]]
    assert len(export("--list", "--from", "2026-11-23")[1].splitlines()) == 1


def test_the_output_s_name_says_its_format(export, kept, tmp_path) -> None:
    assert export("--output", str(tmp_path / "out.json")) == (0, f"written: {tmp_path}/out.json\n", "")
    assert len(json.loads((tmp_path / "out.json").read_text())["records"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_a_long_journal_is_read_from_its_end(settings, export) -> None:
    """Months lie before the last meeting, and the daemon has better things to do than to give them all."""
    records = [turn(n, f"old {n}", id=f"o{n}", **of(0)) for n in range(1, 4001)]
    records += [turn(n, f"new {n}", id=f"n{n}", **of(1)) for n in range(4001, 4101)]
    with FakePublisher(settings.turns_endpoint, settings.replay_endpoint) as publisher:
        publisher.records = records
        assert len(export()[1].splitlines()) == 102
        assert min(question["from_seq"] for question in publisher.asked) > 2000


def test_a_file_is_whole_or_as_it_was(tmp_path) -> None:
    """A text that breaks off in the middle is taken for the whole one."""
    file = tmp_path / "minutes.txt"
    write_whole(file, b"one")
    assert file.stat().st_mode & 0o777 == 0o640
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match=r"folder'$"):
        write_whole(tmp_path / "folder", b"two")
    with pytest.raises(FileNotFoundError, match=r"none/minutes\.txt'$"):
        write_whole(tmp_path / "none" / "minutes.txt", b"two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "minutes.txt"]


def test_what_is_no_file_stays_what_it_is(export, kept, tmp_path) -> None:
    """Root writes to /dev/null, too, and it has to be there afterwards."""
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_bytes)
        assert export("--output", str(pipe)) == (0, "", "")
        assert b"second day" in read.result()
    assert pipe.is_fifo()
    link.symlink_to(file)
    assert export("--output", str(link)) == (0, f"written: {link}\n", "")
    assert link.is_symlink()
    assert b"second day" in file.read_bytes()
