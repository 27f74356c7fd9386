"""The files: their names, what is rewritten in them, and what a kill or a full disk leaves."""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from minuted.meeting_files import MEETINGS_MAX
from minuted.transcription import speakers
from sinks.samples import NINE_THIRTY_MS, opened, turn
from sinks.subtitles import HOUR_MS, content_of, read, write_all


def test_the_file_is_named_by_room_and_local_time(tmp_path, monkeypatch):
    """People look for the meeting at half past nine, by their own clock."""
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    rooms = ["boardroom", "Großer Saal / 2. OG", "会議室", "../../etc", "x" * 300, "…"]
    for room in rooms:
        write_all(opened("srt", directory=tmp_path / str(rooms.index(room))), turn(1, room=room))
    names = [next((tmp_path / str(n)).glob("*.srt")).name for n in range(len(rooms))]
    stamp = "2026-11-22T1515.srt"
    assert names[:4] == [f"boardroom-{stamp}", f"großer-saal-2-og-{stamp}", f"会議室-{stamp}", f"etc-{stamp}"]
    assert names[4:] == [f"{'x' * 100}-{stamp}", f"room-{stamp}"]


def test_two_meetings_of_one_minute_have_two_files(tmp_path):
    """A meeting that was ended and begun anew at once is another meeting."""
    sink = opened("srt", directory=tmp_path)
    for seq in range(1, 7):
        write_all(sink, turn(seq, f"word {seq}", meeting_id=f"meeting-{seq % 2}"))
    files = sorted(tmp_path.glob("*.srt"))
    assert [len(read(file.read_text())) for file in files] == [3, 3]
    again = opened("srt", sink.checkpoint, directory=tmp_path)
    write_all(again, turn(7, meeting_id="meeting-0"), turn(8, meeting_id="meeting-1"))
    assert [len(read(file.read_text())) for file in files] == [4, 4]
    assert sorted(tmp_path.glob("*.srt")) == files


def test_a_file_that_is_not_ours_is_left_alone(tmp_path):
    """Somebody may have put one there under the same name."""
    foreign = tmp_path / "boardroom-2026-11-22T0930.srt"
    foreign.write_text("1\n00:00:00,000 --> 00:00:01,000\nSomebody else's\n\n")
    before = foreign.read_bytes()
    write_all(opened("srt", directory=tmp_path), turn(1), turn(2))
    assert foreign.read_bytes() == before
    (ours,) = set(tmp_path.glob("*.srt")) - {foreign}
    assert len(read(ours.read_text())) == 2


def test_a_late_turn_is_put_where_it_was_said(tmp_path):
    """Nobody reads minutes in the order in which a network came back."""
    sink = opened("srt", directory=tmp_path)
    write_all(sink, turn(1, "one"), turn(4, "four"), turn(2, "two", start_ms=20_000, backfilled=True))
    write_all(sink, turn(5, "five"), turn(3, "three", start_ms=30_000, backfilled=True), turn(6, "six"))
    assert [cue.text for cue in read(content_of(tmp_path))] == ["one", "two", "three", "four", "five", "six"]


def test_a_revision_changes_the_turn_in_its_place(tmp_path):
    """The service names speakers anew when it has heard more."""
    sink = opened("srt", directory=tmp_path)
    write_all(sink, turn(1, "one", speaker="A"), turn(2, "two", speaker="A"), turn(3, "three", speaker="A"))
    revision = {"type": "revision", "revision": 1}
    write_all(sink, turn(4, "two", id="session-2", start_ms=20_000, speaker="B", **revision))
    assert [cue.text for cue in read(content_of(tmp_path))] == ["A: one", "B: two", "A: three"]
    write_all(sink, turn(5, "one hundred", id="session-1", start_ms=10_000, speaker="B", **revision))
    write_all(sink, turn(6, "six", start_ms=60_000, speaker="A"))
    assert [cue.text for cue in read(content_of(tmp_path))] == [
        "B: one hundred",
        "two",
        "A: three",
        "six",
    ]


def test_a_revision_of_what_is_not_known_changes_nothing(tmp_path):
    """It may be of a turn from before this sink was configured."""
    sink = opened("srt", directory=tmp_path)
    write_all(sink, turn(9, type="revision", revision=1))
    write_all(sink, turn(1, "one"))
    before = content_of(tmp_path)
    write_all(sink, turn(9, type="revision", revision=1))
    assert content_of(tmp_path) == before


SHORT = "Does anybody here want to begin? Nobody? Then I shall."


def test_a_cut_at_any_byte_of_an_uncommitted_block_leaves_every_cue_once(tmp_path):
    """A kill can come between any two bytes of either file."""
    sink = opened("srt", directory=tmp_path)
    write_all(sink, turn(1, "The first.", start_ms=0))
    committed, (file,) = sink.checkpoint, tmp_path.glob("*.srt")
    passages = tmp_path / ".minuted" / f"{file.name}.passages"
    first, first_passages = file.read_bytes(), passages.read_bytes()
    write_all(sink, turn(2, SHORT, start_ms=500))
    second, second_passages = file.read_bytes(), passages.read_bytes()
    states = [(first, second_passages[:n]) for n in range(len(first_passages), len(second_passages), 13)]
    states += [(second[:n], second_passages) for n in range(len(first), len(second) + 1)]
    for state, state_passages in states:
        with file.open("r+b") as out:
            out.write(state)
            out.truncate()
        passages.write_bytes(state_passages)
        again = opened("srt", committed, directory=tmp_path)
        assert len(read(file.read_text())) == (2 if state == second else 1)
        write_all(again, turn(2, SHORT, start_ms=500))
        assert file.read_bytes() == second
        assert passages.read_bytes() == second_passages


def test_a_cut_at_any_byte_of_a_meetings_first_block_leaves_it_once(tmp_path):
    """There is nothing yet that says the file is ours."""
    write_all(opened("srt", directory=tmp_path), turn(1, SHORT))
    (file,) = tmp_path.glob("*.srt")
    whole = file.read_bytes()
    for length in range(len(whole) + 1):
        file.write_bytes(whole[:length])
        write_all(opened("srt", directory=tmp_path), turn(1, SHORT))
        assert file.read_bytes() == whole
        assert list(tmp_path.glob("*.srt")) == [file]


@pytest.mark.parametrize(
    "late",
    [turn(4, "late", start_ms=500), turn(4, "anew", id="session-1", type="revision", speaker="B")],
)
def test_a_file_written_anew_and_not_committed_is_taken_back(tmp_path, late):
    """The kill came after the new file had its name; the turn is offered again."""
    sink = opened("srt", directory=tmp_path)
    write_all(sink, turn(1, "first", start_ms=1000), turn(3, "third", start_ms=9000))
    committed, before = sink.checkpoint, content_of(tmp_path)
    write_all(sink, late)
    after = content_of(tmp_path)
    assert after != before
    again = opened("srt", committed, directory=tmp_path)
    assert content_of(tmp_path) == before
    write_all(again, late)
    assert content_of(tmp_path) == after


def test_a_file_that_was_taken_away_is_begun_anew(tmp_path):
    """Whoever moves the minutes away does not want them back."""
    sink = opened("srt", directory=tmp_path)
    write_all(sink, turn(1, "one"), turn(2, "two"))
    (file,) = tmp_path.glob("*.srt")
    file.rename(tmp_path / "archive")
    write_all(sink, turn(3, "three"), turn(4, "four", start_ms=1))
    assert [cue.text for cue in read(content_of(tmp_path))] == ["four", "three"]


def test_the_folder_of_drafts_may_be_lost(tmp_path):
    """Then the meeting goes on in a second file, and what is written stays as it is."""
    sink = opened("srt", directory=tmp_path)
    write_all(sink, turn(1, "one"))
    (file,) = tmp_path.glob("*.srt")
    shutil.rmtree(tmp_path / ".minuted")
    again = opened("srt", sink.checkpoint, directory=tmp_path)
    write_all(again, turn(2, "two"), turn(3, "three"))
    (other,) = set(tmp_path.glob("*.srt")) - {file}
    assert [cue.text for cue in read(file.read_text())] == ["one"]
    assert [cue.text for cue in read(other.read_text())] == ["two", "three"]


def test_drafts_are_kept_for_the_last_few_meetings_only(tmp_path):
    """They hold what was said, and are not kept longer than they are of use."""
    sink = opened("srt", directory=tmp_path)
    for day in range(MEETINGS_MAX + 4):
        started = {"meeting_id": f"m{day}", "meeting_started_at_ms": NINE_THIRTY_MS + day * 24 * HOUR_MS}
        write_all(sink, turn(day + 1, f"day {day}", **started))
    assert len(list(tmp_path.glob("*.srt"))) == MEETINGS_MAX + 4
    assert len(list((tmp_path / ".minuted").iterdir())) == MEETINGS_MAX
    assert len(sink.checkpoint["meetings"]) == MEETINGS_MAX
    assert MEETINGS_MAX == speakers.MEETINGS_MAX, "a name must not come too late for the subtitles alone"


def test_only_the_group_may_read(tmp_path):
    """Minutes are nobody else's business."""
    sink = opened("srt", directory=tmp_path)
    write_all(sink, turn(2), turn(1))
    for file in [*tmp_path.glob("*.srt"), *(tmp_path / ".minuted").iterdir()]:
        assert file.stat().st_mode & 0o777 & ~0o640 == 0


def test_a_full_disk_leaves_whole_cues_and_the_turn_is_tried_again(tmp_path):
    """Half a cue makes strict readers refuse the whole file."""
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), str(Path(__file__).parents[1])],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "TZ": "UTC"},
    )
    assert result.returncode == 0, result.stderr
    assert [cue.text for cue in read(content_of(tmp_path))] == ["zero", "one", "two"]


FULL_DISK = textwrap.dedent(
    """
    import resource, sys
    from pathlib import Path
    folder = Path(sys.argv[1])
    sys.path.insert(0, sys.argv[2])
    from sinks.samples import opened, turn

    def limit(size_bytes):
        # Python ignores SIGXFSZ, so that a write beyond the limit is cut short like one on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))

    sink = opened("srt", directory=folder)
    sink.write(turn(1, "one", start_ms=60_000))
    (file,) = folder.glob("*.srt")
    for record in (turn(2, "two", start_ms=70_000), turn(3, "zero", start_ms=1000)):
        one, checkpoint = file.read_bytes(), sink.checkpoint
        for size_bytes in range(0, 600, 3):
            limit(size_bytes)
            try:
                sink.write(record)
            except OSError:
                assert file.read_bytes() == one and sink.checkpoint == checkpoint
            else:
                break
        assert size_bytes > len(one), "the limit was not felt"
        limit(resource.RLIM_INFINITY)
    """
)
