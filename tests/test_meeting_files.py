"""One file a meeting, for any format: what a sink's author gets from deriving from it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from minuted import Gap, Reject, Turn
from minuted.delivery import discovery
from minuted.meeting_files import MeetingFiles, names_of, slug
from sinks.samples import NINE_THIRTY_MS, gap, load, opened, turn
from sinks.subtitles import write_all

README = (Path(__file__).parents[1] / "sinks" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("sink", "options"), [("srt", {}), ("srt", {"format": "vtt"}), ("txt", {})])
def test_a_document_is_what_the_live_file_is(tmp_path, sink, options):
    """What is exported later must not differ from what was written at the time."""
    live = opened(sink, directory=tmp_path, **options)
    records = [turn(1, "one", speaker="A"), turn(3, "three"), gap(4, 35_000, 39_000), turn(2, "two")]
    for record in records:
        (live.gap if isinstance(record, Gap) else live.write)(record)
    (file,) = [path for path in tmp_path.iterdir() if path.is_file()]

    written = live.document(records, "boardroom", records[0].meeting_started_at_ms)

    assert written == file.read_bytes()
    assert written.count(b"three") == 1


def test_a_document_of_nothing_is_a_whole_file_of_its_format():
    """A recording without a word has outputs too."""
    srt, txt = load("srt").Srt, load("txt").Txt

    assert srt(directory=Path()).document([], "r", 0) == b""
    assert srt(directory=Path(), format="vtt").document([], "r", 0) == b"WEBVTT\n\n"
    assert txt(directory=Path()).document([], "r", 0, "Budget").startswith(b"r: Budget, ")


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("sink", ["srt", "txt"])
def test_revisions_taken_at_once_are_as_those_taken_one_by_one(tmp_path, sink, killed):
    """Also where a kill came before it was noted, and all of them are offered again."""
    other = {"meeting_id": "meeting-2", "meeting_started_at_ms": NINE_THIRTY_MS + 3_600_000}
    turns = [turn(seq, f"turn {seq}", speaker="A", **(other if seq > 3 else {})) for seq in range(1, 6)]
    revised = {"type": "revision", "revision": 1}
    revisions = [
        replace(turns[seq - 1], seq=seq + 5, speaker="Anna" if seq % 2 else "Bert", **revised)
        for seq in range(1, 6)
    ]
    unknown = replace(revisions[0], id="of before this sink", seq=11)
    files = []
    for name in ("each", "all"):
        own = opened(sink, directory=tmp_path / name)
        write_all(own, *turns)
        if name == "each":
            write_all(own, *revisions, unknown)
        else:
            committed = own.checkpoint
            own.revise_all([*revisions, unknown])
            if killed:
                own = opened(sink, json.loads(json.dumps(committed)), directory=tmp_path / name)
                own.revise_all([*revisions, unknown])
        files.append({file.name: file.read_text() for file in (tmp_path / name).glob(f"*.{sink}")})
    assert files[0] == files[1]
    assert len(files[1]) == 2
    text = "".join(files[1].values())
    assert text.count("Anna") == 3
    assert all(text.count(f"turn {seq}") == 1 for seq in range(1, 6))


def test_the_format_shown_in_the_readme_works_when_saved(tmp_path):
    """An example that does not run is worse than none."""
    (text,) = (block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "Tsv" in block)
    folder = tmp_path / "sinks"
    folder.mkdir()
    (folder / "tsv.py").write_text(text, encoding="utf-8")
    file = discovery.find_all([folder])["tsv"]
    sink = discovery.load(file)(directory=tmp_path / "out")
    sink.checkpoint = {}
    sink.open()

    sink.write(turn(2, "two", speaker="B"))
    sink.write(turn(1, "one", speaker="A"))

    (written,) = (tmp_path / "out").glob("*.tsv")
    assert written.read_text() == "10000\tA\tone\n20000\tB\ttwo\n"
    assert [option.name for option in discovery.describe(file.path).options] == ["directory"]


def test_a_meeting_s_title_stands_in_its_file_s_name():
    """People look for the title, not for the minute."""
    values = turn(1).to_map() | {"words": (), "meeting_title": "Budget: 2027 / Q1"}
    titled = Turn(**values)

    assert next(names_of(titled, ".srt")).endswith("-budget-2027-q1.srt")
    assert re.fullmatch(r"boardroom-[-\dT]+\.srt", next(names_of(turn(1), ".srt")))


def test_no_name_leads_out_of_the_folder():
    """A room's name and a title come from people."""
    assert slug("../../etc/passwd") == "etc-passwd"
    assert len(slug("é" * 300).encode()) <= 100


def test_it_is_no_sink_by_itself():
    """A format must say what a turn looks like."""
    with pytest.raises(TypeError, match="abstract"):
        MeetingFiles(directory=Path())  # type: ignore[abstract]


@pytest.mark.parametrize("started_at_ms", [300_000_000_000_000, 2**60, -(2**60)])
def test_a_meeting_at_a_time_no_calendar_has_is_rejected(started_at_ms: int) -> None:
    """Tried again, it would hold up all that is said after it."""
    with pytest.raises(Reject, match="no calendar has"):
        next(names_of(replace(turn(1), meeting_started_at_ms=started_at_ms), ".srt"))


OTHER = {"meeting_id": "meeting-2", "meeting_started_at_ms": NINE_THIRTY_MS + 3_600_000}


def spoilt(text: bytes) -> bytes:
    place = text.index(b"one")
    return text[:place] + b"oNe" + text[place + 3 :]


@pytest.mark.parametrize(
    "spoil",
    [
        spoilt,
        lambda text: text[:20],
        lambda text: b"\xff" * len(text),
        lambda text: b"[1]\n" * len(text),
        None,
    ],
)
@pytest.mark.parametrize("sink", ["srt", "txt"])
def test_a_damaged_hidden_file_costs_its_meeting_alone_and_is_told_of_once(tmp_path, sink, spoil, capsys):
    """What is written stays; what is still said of that meeting goes into another file."""
    live = opened(sink, directory=tmp_path)
    write_all(live, turn(1, "one"), turn(3, "three"), turn(4, "four", **OTHER))
    files = sorted(tmp_path.glob(f"*.{sink}"))
    kept = tmp_path / ".minuted" / f"{files[0].name}.passages"
    kept.unlink() if spoil is None else kept.write_bytes(spoil(kept.read_bytes()))

    again = opened(sink, json.loads(json.dumps(live.checkpoint)), directory=tmp_path)
    again.write(replace(turn(2, "two"), seq=5))
    again.revise_all([replace(turn(3, "three"), seq=6, type="revision", revision=1, speaker="Anna")])
    again.write(replace(turn(5, "five", **OTHER), seq=7))
    again.write(replace(turn(8, "eight"), seq=8))

    texts = {file.name: file.read_text() for file in sorted(tmp_path.glob(f"*.{sink}"))}
    assert len(texts) == 3
    assert "one" in texts[files[0].name]
    assert "three" in texts[files[0].name]
    assert sum("two" in text for text in texts.values()) == 1
    assert sum("eight" in text for text in texts.values()) == 1
    assert "five" in texts[files[1].name]
    assert capsys.readouterr().out.count("meeting_file_damaged") == 1


@pytest.mark.parametrize("sink", ["srt", "txt"])
@pytest.mark.parametrize("since", [1, 3])
def test_what_was_written_after_a_backup_of_the_sink_s_place_is_kept(tmp_path, sink, since):
    """The folder of the files is no part of `state_dir`: a meeting that went on is in it whole."""
    before = opened(sink, directory=tmp_path)
    write_all(before, *(turn(seq, f"turn {seq}") for seq in (1, 2)))
    backup = json.loads(json.dumps(before.checkpoint))
    write_all(before, *(turn(seq, f"turn {seq}") for seq in range(3, 3 + since)))
    (file,) = tmp_path.glob(f"*.{sink}")
    whole = file.read_text()

    write_all(opened(sink, backup, directory=tmp_path), replace(turn(3, "said today"), id="of today"))

    assert file.read_text() == whole
    (other,) = set(tmp_path.glob(f"*.{sink}")) - {file}
    assert "said today" in other.read_text()


@pytest.mark.parametrize("sink", ["srt", "txt"])
def test_a_turn_that_a_kill_left_uncommitted_comes_once(tmp_path, sink):
    killed = opened(sink, directory=tmp_path)
    write_all(killed, turn(1, "turn 1"))
    committed = json.loads(json.dumps(killed.checkpoint))
    write_all(killed, turn(2, "turn 2"))

    write_all(opened(sink, committed, directory=tmp_path), turn(2, "turn 2"), turn(3, "turn 3"))

    (file,) = tmp_path.glob(f"*.{sink}")
    assert re.findall(r"turn \d", file.read_text()) == ["turn 1", "turn 2", "turn 3"]


@pytest.mark.parametrize(
    "change",
    [{"bytes": "many"}, {"last": [1]}, {"file": "../elsewhere.srt"}, {"passages_bytes": -1}, {"file": None}],
)
def test_a_meeting_of_the_checkpoint_that_cannot_be_read_is_left_alone(tmp_path, change, capsys):
    live = opened("srt", directory=tmp_path)
    write_all(live, turn(1, "one"), turn(2, "two", **OTHER))
    stored = json.loads(json.dumps(live.checkpoint))
    first = turn(1, "one").meeting_id
    stored["meetings"][first] |= change
    stored["meetings"][OTHER["meeting_id"]]["later"] = 1  # of a later version
    again = opened("srt", stored, directory=tmp_path)
    write_all(again, turn(3, "three"), turn(4, "four", **OTHER))
    assert len(list(tmp_path.glob("*.srt"))) == 3
    assert capsys.readouterr().out.count("meeting_file_damaged") == 1


def test_a_link_with_the_next_file_s_name_is_not_followed(tmp_path):
    """It may lead into a place that its maker cannot write to."""
    folder, elsewhere = tmp_path / "srt", tmp_path / "elsewhere"
    folder.mkdir()
    name = next(names_of(turn(1, "one"), ".srt"))
    (folder / name).symlink_to(elsewhere)
    write_all(opened("srt", directory=folder), turn(1, "one"))
    assert not elsewhere.exists()
    (file,) = [path for path in folder.glob("*.srt") if not path.is_symlink()]
    assert "one" in file.read_text()


def test_a_check_tries_the_folder_and_leaves_it_as_it_is(tmp_path):
    sink = opened("srt", directory=tmp_path / "srt")
    (tmp_path / "file").touch()
    for folder, said in (
        (tmp_path / "srt", ""),
        (tmp_path / "new/srt", ""),
        (tmp_path / "file", "no folder"),
    ):
        sink.directory = folder
        if said:
            with pytest.raises(OSError, match=f"nothing can be written to {folder}: {folder} is {said}"):
                sink.check()
        else:
            assert sink.check() == f"to {folder}"
    assert sorted(place.name for place in tmp_path.iterdir()) == ["file", "srt"]
