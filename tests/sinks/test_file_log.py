"""The file log holds each record once, whatever was killed, moved away or full."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted.messages import from_map
from rights import NOBODY, needs_root
from sinks.samples import gap, load, opened, turn

file_log = load("file_log")


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_finals_revisions_and_gaps_are_written_as_they_stand_on_the_wire(tmp_path):
    """Whoever reads the log and whoever subscribes to the socket use one description."""
    sink = opened("file_log", path=tmp_path / "turns.jsonl")
    records = [turn(1, "Grüße, 世界"), turn(2, type="revision", revision=1, speaker="B"), gap(3)]
    sink.write(records[0])
    sink.revise(records[1])
    sink.gap(records[2])
    sink.close()
    assert [from_map(line) for line in lines_of(sink.path)] == records
    assert "Grüße, 世界" in sink.path.read_text(encoding="utf-8")
    assert '": ' not in sink.path.read_text(encoding="utf-8")


def test_a_turn_is_on_the_disk_when_write_returns(tmp_path):
    """The cursor moves then, and the turn is not offered again."""
    sink = opened("file_log", path=tmp_path / "turns.jsonl")
    sink.write(turn(1))
    assert sink.checkpoint["bytes"] == sink.path.stat().st_size
    assert sink.path.read_bytes().endswith(b"\n")


def test_missing_folders_are_made_and_only_the_group_may_read(tmp_path):
    """Minutes are nobody else's business."""
    sink = opened("file_log", path=tmp_path / "a" / "b" / "turns.jsonl")
    sink.write(turn(1))
    assert sink.path.stat().st_mode & 0o777 & ~0o640 == 0


def test_a_cut_at_any_byte_of_an_uncommitted_line_leaves_every_line_once(tmp_path):
    """A kill can come between any two bytes; the runner then offers the same turn again."""
    path = tmp_path / "turns.jsonl"
    sink = opened("file_log", path=path)
    sink.write(turn(1))
    committed, first = sink.checkpoint, path.read_bytes()
    sink.write(turn(2, "The second."))
    whole = path.read_bytes()
    for length in range(len(first), len(whole) + 1):
        for zeros in (b"", bytes(len(whole) - length)):
            path.write_bytes(whole[:length] + zeros)
            again = opened("file_log", committed, path=path)
            assert path.read_bytes().startswith(first)
            again.write(turn(2, "The second."))
            assert path.read_bytes() == whole


def test_a_cut_at_any_byte_of_the_very_first_line_leaves_it_once(tmp_path):
    """There is no checkpoint yet to cut back to."""
    path = tmp_path / "turns.jsonl"
    opened("file_log", path=path).write(turn(1))
    whole = path.read_bytes()
    for before, step in ((b"", 1), (b'{"foreign": 1}\n', 9)):
        for length in (*range(0, len(whole), step), len(whole)):
            path.write_bytes(before + whole[:length])
            again = opened("file_log", path=path)
            again.write(turn(1))
            assert path.read_bytes() == before + whole


@pytest.mark.parametrize("foreign", [b"what was here", b"what was here\n", b'{"v":', b"\x00\xff"])
def test_a_file_of_somebody_elses_is_added_to_on_a_new_line(tmp_path, foreign):
    """Not one byte that was there before is ours to remove."""
    path = tmp_path / "turns.jsonl"
    path.write_bytes(foreign)
    opened("file_log", path=path).write(turn(1))
    content = path.read_bytes()
    assert content.startswith(foreign)
    assert json.loads(content[len(foreign) :].strip() if foreign != b'{"v":' else content)["seq"] == 1


NOTES = [
    b"a note\n",
    b"half a note",
    b'{"seq": 2}\n',
    b"\n\n",
    b"x" * 5000 + b"\n",
    b"\xff\xfe\n",
    b'{"v": "mine',
]


@pytest.mark.parametrize("note", NOTES, ids=lambda note: repr(note[:12]))
@pytest.mark.parametrize("is_restarted", [False, True])
def test_what_somebody_appends_is_kept(tmp_path, note, is_restarted):
    """A remark in the margin, whether or not its line is whole."""
    path = tmp_path / "turns.jsonl"
    sink = opened("file_log", path=path)
    sink.write(turn(1))
    expected = path.read_bytes()
    for seq in (2, 3):
        with path.open("ab") as other:
            other.write(note)
        if is_restarted:
            sink = opened("file_log", sink.checkpoint, path=path)
        sink.write(turn(seq))
        expected += note + (b"" if note.endswith(b"\n") else b"\n") + file_log.line_of(turn(seq))
        assert path.read_bytes() == expected


@pytest.mark.parametrize("note", NOTES, ids=lambda note: repr(note[:12]))
def test_what_somebody_appends_around_a_kill_is_kept_and_the_line_comes_once(tmp_path, note):
    """Before the write that was not committed, and after it."""
    path = tmp_path / "turns.jsonl"
    sink = opened("file_log", path=path)
    sink.write(turn(1))
    committed, first, line = sink.checkpoint, path.read_bytes(), file_log.line_of(turn(2))
    gap_ = b"" if note.endswith(b"\n") else b"\n"
    for length in (*range(0, len(line), 7), len(line)):
        path.write_bytes(first + note + gap_ + line[:length])
        opened("file_log", committed, path=path).write(turn(2))
        assert path.read_bytes() == first + note + gap_ + line
    path.write_bytes(first + line + note)
    again = opened("file_log", committed, path=path)
    again.write(turn(2))
    assert path.read_bytes() == first + line + note
    again.write(turn(3))
    assert path.read_bytes() == first + line + note + gap_ + file_log.line_of(turn(3))
    path.write_bytes(first + line[:40] + note)
    opened("file_log", committed, path=path).write(turn(2))
    assert path.read_bytes() == first + line[:40] + note + gap_ + line


@given(st.binary(max_size=300), st.integers(0, 400), st.binary(max_size=300))
def test_only_what_was_written_here_is_ever_cut(before, written_bytes, after):
    """Whatever stands beyond the last committed line."""
    line = file_log.line_of(turn(2))
    beyond = before + b"\n" + line[:written_bytes] + after
    cut = file_log.torn(line, beyond)
    piece = beyond[len(beyond) - cut :]
    assert line.startswith(piece.rstrip(b"\0"))
    assert b"\n" not in piece


def test_lines_that_a_restored_place_knows_nothing_of_are_kept(tmp_path):
    """state_dir came from yesterday's backup: what follows is other words under the same numbers."""
    path = tmp_path / "turns.jsonl"
    sink = opened("file_log", path=path)
    sink.write(turn(1))
    yesterday = sink.checkpoint
    for seq in (2, 3, 4):
        sink.write(turn(seq))
    before = path.read_bytes()
    restored = opened("file_log", yesterday, path=path)
    assert path.read_bytes() == before
    for seq in (2, 3):
        restored.write(turn(seq, "Said today."))
    assert path.read_bytes() == before + b"".join(
        file_log.line_of(turn(seq, "Said today.")) for seq in (2, 3)
    )


def test_records_that_come_again_after_the_place_was_restored_are_not_written_twice(tmp_path):
    """Only the sink's own place came from a backup: the journal gives it the same records again."""
    path = tmp_path / "turns.jsonl"
    sink = opened("file_log", path=path)
    sink.write(turn(1))
    yesterday = sink.checkpoint
    for seq in (2, 3, 4):
        sink.write(turn(seq))
    before = path.read_bytes()
    restored = opened("file_log", yesterday, path=path)
    for seq in (2, 3, 4, 5):
        restored.write(turn(seq))
    assert path.read_bytes() == before + file_log.line_of(turn(5))


def test_what_is_appended_at_the_same_moment_is_not_written_over(tmp_path, monkeypatch):
    """Between the look at the file's end and the write."""
    path = tmp_path / "turns.jsonl"
    sink = opened("file_log", path=path)
    sink.write(turn(1))
    look = file_log.os.fstat

    def look_and_be_overtaken(file):
        status = look(file)
        if not overtaken:
            overtaken.append(True)
            with path.open("ab") as other:
                other.write(b"a note\n")
        return status

    overtaken = []
    monkeypatch.setattr(file_log.os, "fstat", look_and_be_overtaken)
    sink.write(turn(2))
    monkeypatch.undo()
    sink.write(turn(3))
    lines = path.read_bytes().splitlines(keepends=True)
    assert lines == [file_log.line_of(turn(1)), b"a note\n", *(file_log.line_of(turn(seq)) for seq in (2, 3))]


@given(st.binary(max_size=300), st.integers(0, 400))
def test_no_foreign_byte_is_lost_whatever_the_file_ends_in(foreign, kept_bytes):
    """It may be any program's file, and may look like ours."""
    line = file_log.line_of(turn(1))
    for before in (foreign, foreign + line[:kept_bytes], foreign + b"\n" + line[:kept_bytes]):
        after = before + file_log.missing(line, before[-len(line) - 1 :])
        assert after.startswith(before)
        assert after.endswith(line)
        assert after == line or after[-len(line) - 1 : -len(line)] == b"\n"


def test_a_log_that_was_moved_away_is_begun_anew(tmp_path):
    """That is how logrotate works, and nobody has to tell the service."""
    path, moved = tmp_path / "turns.jsonl", tmp_path / "turns.jsonl.1"
    sink = opened("file_log", path=path)
    sink.write(turn(1))
    path.rename(moved)
    sink.write(turn(2))
    sink.write(turn(3))
    assert [line["seq"] for line in lines_of(moved)] == [1]
    assert [line["seq"] for line in lines_of(path)] == [2, 3]


def test_a_log_that_was_emptied_is_begun_anew(tmp_path):
    """logrotate's copytruncate keeps the file and empties it."""
    sink = opened("file_log", path=tmp_path / "turns.jsonl")
    sink.write(turn(1))
    sink.write(turn(2))
    sink.path.write_bytes(b"")
    sink.write(turn(3))
    assert [line["seq"] for line in lines_of(sink.path)] == [3]


def test_another_file_than_the_checkpoints_is_never_cut(tmp_path):
    """After a change of the path, or a restored copy, the length we remember is another file's."""
    sink = opened("file_log", path=tmp_path / "turns.jsonl")
    sink.write(turn(1))
    other = tmp_path / "other.jsonl"
    other.write_bytes(sink.path.read_bytes() * 3)
    again = opened("file_log", sink.checkpoint, path=other)
    again.write(turn(2))
    assert [line["seq"] for line in lines_of(other)] == [1, 1, 1, 2]


def test_a_full_disk_leaves_whole_lines_and_the_turn_is_tried_again(tmp_path):
    """Half a line would be read by whoever follows the file."""
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "turns.jsonl"), str(Path(__file__).parents[1])],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 0, result.stderr


FULL_DISK = textwrap.dedent(
    """
    import resource, sys
    from pathlib import Path
    path = Path(sys.argv[1])
    sys.path.insert(0, sys.argv[2])
    from sinks.samples import opened, turn

    sink = opened("file_log", path=path)
    sink.write(turn(1))
    one, checkpoint = path.read_bytes(), sink.checkpoint
    # Python ignores SIGXFSZ, so that a write beyond the limit is cut short like one on a full disk.
    for room in (1, len(one) // 2, len(one) - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(one) + room, resource.RLIM_INFINITY))
        try:
            sink.write(turn(2))
        except OSError:
            assert path.read_bytes() == one and sink.checkpoint == checkpoint
        else:
            raise SystemExit("the limit was not felt")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    sink.write(turn(2))
    assert path.read_bytes().count(b"\\n") == 2
    """
)


@needs_root
def test_another_user_s_link_is_not_followed(tmp_path):
    """A dangling one would make a file wherever its owner likes."""
    path = tmp_path / "turns.jsonl"
    path.symlink_to(tmp_path / "elsewhere")
    os.lchown(path, NOBODY, NOBODY)
    with pytest.raises(PermissionError, match="is another user's link: remove it"):
        opened("file_log", path=path).write(turn(1))
    assert not (tmp_path / "elsewhere").exists()
    # Who looks after the service may lead its log elsewhere.
    os.lchown(path, 0, 0)
    opened("file_log", path=path).write(turn(1))
    assert (tmp_path / "elsewhere").exists()


def test_a_check_takes_what_a_write_would_and_refuses_the_rest(tmp_path):
    sink = opened("file_log", path=tmp_path / "turns.jsonl")
    for name in ("turns.jsonl", "new.jsonl", "new/folder/turns.jsonl"):
        sink.path = tmp_path / name
        assert sink.check() == f"to {tmp_path / name}"
    assert [place.name for place in tmp_path.iterdir()] == ["turns.jsonl"]
    sink.path = tmp_path
    with pytest.raises(OSError, match="is a folder"):
        sink.check()


@needs_root
def test_a_check_refuses_a_stranger_s_link_as_a_write_does(tmp_path):
    sink = opened("file_log", path=tmp_path / "turns.jsonl")
    sink.path = tmp_path / "link"
    sink.path.symlink_to(tmp_path / "turns.jsonl")
    assert sink.check()
    os.chown(sink.path, 4711, -1, follow_symlinks=False)
    with pytest.raises(PermissionError, match="is another user's link: remove it"):
        sink.check()
