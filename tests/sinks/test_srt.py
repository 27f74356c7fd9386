"""Subtitles are in order, readable, true to the words, and whole after any kill."""

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pysubs2
import pytest
import srt as srt_reader
import webvtt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minuted import Word
from minuted.meeting_files import MEETINGS_MAX
from sinks.samples import NINE_THIRTY_MS, evenly, gap, load, opened, turn

srt = load("srt")

HOUR_MS = 3_600_000
# A busy machine is slow to make examples.
BOUNDED = settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Shown(NamedTuple):
    start_ms: int
    end_ms: int
    text: str


def read(content: str) -> list[Shown]:
    """Read with a strict reader, which accepts nothing but whole blocks."""
    cues = list(srt_reader.parse(content))
    assert [cue.index for cue in cues] == list(range(1, len(cues) + 1))
    return [Shown(ms(cue.start), ms(cue.end), cue.content) for cue in cues]


def ms(delta) -> int:
    return round(delta.total_seconds() * 1000)


def content_of(folder: Path) -> str:
    (file,) = folder.glob("*.srt")
    return file.read_text(encoding="utf-8")


def letters_of(text: str) -> str:
    return "".join(srt.words_of(text))


def render(*records) -> str:
    """Give the file of these records, composed at once."""
    passages = [srt.passage_of_gap(one) if one.type == "gap" else srt.passage_of(one) for one in records]
    passages.sort(key=lambda passage: (passage.start_ms, passage.seq))
    text, meeting, _ = srt.compose(passages, srt.Meeting(file=""))
    assert meeting.bytes == len(text)
    return text.decode()


# What people say, what formatters make of it, and what would break a file.
SPOKEN = st.one_of(
    st.sampled_from(
        ["so", "I", "think", "budget", "Mr.", "yes,", "no.", "2026", "42", "naïve", "übermorgen"]
    ),
    st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=14),
)
NASTY = st.one_of(
    SPOKEN,
    st.sampled_from(["-->", "--", ">", "- >", "<b>", "</i>", "{\\an8}", "\\N", "\\h", "&lt;", "AT&T", "1"]),
    st.sampled_from(["00:00:01,000", "00:00:01,000 --> 00:00:02,000", "1\n00:00:01,000 --> 00:00:02,000\nx"]),
    st.sampled_from(
        ["\n\n", "\r", "\x00", "\u2028", "\x85", "\ufeff", "\x1c", "0:0:0.0", "x" * 100, "9" * 50]
    ),
    st.sampled_from(["WEBVTT", "NOTE", "[Script Info]"]),
    st.text(max_size=60),
)


@st.composite
def turns(draw, words=SPOKEN, max_turns=5):
    """Draw turns as they are heard: one after another, with pauses, now and then over each other."""
    made = []
    at_ms = draw(st.integers(0, 5000))
    for seq in range(1, draw(st.integers(1, max_turns)) + 1):
        at_ms = max(0, at_ms + draw(st.one_of(st.integers(0, 1000), st.integers(-3000, 60_000))))
        timed = []
        for text in draw(st.lists(words, min_size=1, max_size=30)):
            at_ms += draw(st.one_of(st.just(0), st.integers(0, 2500)))
            end_ms = at_ms + draw(st.integers(0, 900))
            timed.append(Word(text=text, start_ms=at_ms, end_ms=end_ms))
            at_ms = end_ms
        made.append(
            turn(
                seq,
                " ".join(word.text for word in timed),
                start_ms=timed[0].start_ms,
                end_ms=at_ms,
                words=tuple(timed) if draw(st.booleans()) else (),
                speaker=draw(st.sampled_from([None, "A", "B", "Dr. Quite-Long Name of the Board"])),
            )
        )
    return made


def expected_letters(records) -> str:
    """Give every letter of the turns in the order of time, with the labels a change of speaker brings."""
    label, letters = "", ""
    texts = {f"session-{record.seq}": letters_of(record.text) for record in records}
    for passage in sorted(map(srt.passage_of, records), key=lambda passage: (passage.start_ms, passage.seq)):
        if texts[passage.id]:
            letters += passage.label.replace(" ", "") if passage.label != label else ""
            label = passage.label
            letters += texts[passage.id]
    return letters


@given(turns(words=NASTY))
@BOUNDED
def test_every_word_is_there_once_in_order_and_nothing_else(records):
    """Minutes that add, drop or move a word are wrong minutes."""
    cues = read(render(*records))
    assert "".join("".join(cue.text.split()) for cue in cues) == expected_letters(records)


@given(turns(words=NASTY))
@BOUNDED
def test_cues_are_in_order_never_overlap_and_fit_the_screen(records):
    """Players show what overlaps in any order, cut what is too wide, or both."""
    cues = read(render(*records))
    for cue in cues:
        assert 0 < cue.end_ms - cue.start_ms <= srt.CUE_MS_MAX
        lines = cue.text.split("\n")
        assert len(lines) <= 2
        assert all(0 < len(line) <= 42 and line == line.strip() for line in lines)
    for before, after in pairwise(cues):
        assert before.end_ms <= after.start_ms
        assert before.start_ms < after.start_ms


@given(turns())
@BOUNDED
def test_cues_stay_long_enough_and_leave_a_breath_where_there_is_time(records):
    """Below 5/6 s nobody reads, and two cues without a frame between look like one."""
    cues = read(render(*records))
    for before, after in pairwise(cues):
        room_ms = after.start_ms - before.start_ms
        assert before.end_ms - before.start_ms >= min(srt.CUE_MS_MIN, room_ms)
        if room_ms >= srt.CUE_MS_MIN + srt.SPACE_MS:
            assert after.start_ms - before.end_ms >= srt.SPACE_MS
    assert not cues or cues[-1].end_ms - cues[-1].start_ms >= srt.CUE_MS_MIN


@given(turns(max_turns=1))
@BOUNDED
def test_cues_begin_with_their_first_word_and_end_soon_after_their_last(records):
    """The words keep their true times; only silence is used to stay a little."""
    (record,) = records
    passage = srt.passage_of(record)
    timed = record.words or evenly(record.text, record.start_ms, record.end_ms)
    assert passage.cues[0].start_ms == record.start_ms
    words = [word for cue in passage.cues for word in cue.text.split()]
    assert len(words) == len(timed)
    said = iter(timed)
    for cue in passage.cues:
        span = [next(said) for _ in cue.text.split()]
        if record.words:
            assert cue.start_ms == span[0].start_ms
            assert cue.spoken_ms == min(max(span[-1].end_ms, cue.start_ms + 1), cue.start_ms + srt.CUE_MS_MAX)
            assert cue.until_ms == span[-1].end_ms + srt.LINGER_MS


@given(turns(words=NASTY))
@BOUNDED
def test_three_independent_readers_see_the_same(records):
    """Every player reads SRT in its own way."""
    content = render(*records)
    cues = read(content)
    if not cues:
        return
    others = [Shown(e.start, e.end, e.plaintext) for e in pysubs2.SSAFile.from_string(content, format_="srt")]
    assert others == cues
    captions = webvtt.from_buffer(io.BytesIO(content.encode()), format="srt")
    assert [caption.raw_text for caption in captions] == [cue.text for cue in cues]
    assert [caption.text for caption in captions] == [cue.text for cue in cues]
    times = [(caption.start.replace(".", ","), caption.end.replace(".", ",")) for caption in captions]
    assert times == [(srt.stamp(cue.start_ms), srt.stamp(cue.end_ms)) for cue in cues]


@given(turns(words=NASTY, max_turns=5), st.data())
@BOUNDED
def test_the_file_is_the_same_in_whatever_order_turns_come_and_whatever_is_killed(records, data):
    """What was heard during an outage comes late and still stands where it was said."""
    records = [*records, gap(len(records) + 1, start_ms=records[-1].end_ms, end_ms=records[-1].end_ms + 4200)]
    records = [record for record in records if record.type == "gap" or letters_of(record.text)]
    # A gap alone begins no file.
    order = data.draw(st.permutations(records).filter(lambda order: order[0].type != "gap" or not order[1:]))
    with tempfile.TemporaryDirectory() as folder:
        sink = opened("srt", directory=Path(folder))
        for record in order:
            committed = sink.checkpoint
            write_all(sink, record)
            if data.draw(st.booleans()):
                # Killed before that was noted: the record is offered once more.
                sink = opened("srt", committed, directory=Path(folder))
                write_all(sink, record)
        if len(order) > 1:
            assert content_of(Path(folder)) == render(*records)


def write_all(sink, *records):
    for record in records:
        if record.type == "gap":
            sink.gap(record)
        elif record.type == "revision":
            sink.revise(record)
        else:
            sink.write(record)
        # As the runner does: what is left here comes back as it was stored.
        sink.checkpoint = json.loads(json.dumps(sink.checkpoint))


LONG = (
    "Good morning, everybody. Let us start with the first item on the agenda, which is the budget "
    "for next year and for the year after that. Does anybody want to begin?"
)


def test_a_turn_becomes_cues_that_end_where_people_stop(tmp_path):
    """This is what a person sees."""
    write_all(opened("srt", directory=tmp_path), turn(1, LONG), turn(2, "Yes.", start_ms=20_150))
    assert content_of(tmp_path) == textwrap.dedent(
        """\
        1
        00:00:10,000 --> 00:00:13,817
        Good morning, everybody. Let us start
        with the first item on the agenda,

        2
        00:00:13,900 --> 00:00:17,717
        which is the budget for next
        year and for the year after that.

        3
        00:00:17,800 --> 00:00:19,800
        Does anybody want to begin?

        4
        00:00:20,150 --> 00:00:20,983
        Yes.

        """
    )


def test_a_cue_makes_room_for_the_next_turn(tmp_path):
    """It stays into the silence; when someone speaks sooner, their words come on time."""
    sink = opened("srt", directory=tmp_path)
    write_all(sink, turn(1, "And so on.", start_ms=1000, end_ms=3000))
    assert read(content_of(tmp_path))[-1].end_ms == 3500
    write_all(sink, turn(2, "Yes.", start_ms=3200, end_ms=3400))
    assert [cue[:2] for cue in read(content_of(tmp_path))] == [(1000, 3117), (3200, 4033)]


def test_a_turn_over_another_waits_until_that_is_over(tmp_path):
    """Two cues at once are shown by every player differently."""
    write_all(
        opened("srt", directory=tmp_path),
        turn(1, "I was saying", start_ms=1000, end_ms=4000),
        turn(2, "No.", start_ms=2000, end_ms=2400),
        turn(3, "Please.", start_ms=9000, end_ms=9400),
    )
    assert [cue[:2] for cue in read(content_of(tmp_path))] == [(1000, 3917), (4000, 4833), (9000, 9900)]


def test_a_change_of_speaker_is_named_once(tmp_path):
    """As in a play: a name where somebody else begins, not at every line."""
    speakers = ["A", "A", "B", None, "B", "  ", "Chair"]
    records = [turn(n, "well", speaker=speaker) for n, speaker in enumerate(speakers, 1)]
    write_all(opened("srt", directory=tmp_path), *records)
    shown = [cue.text for cue in read(content_of(tmp_path))]
    assert shown == ["A: well", "well", "B: well", "well", "B: well", "well", "Chair: well"]


def test_a_name_never_stands_alone(tmp_path):
    """It belongs to what is said."""
    write_all(opened("srt", directory=tmp_path), turn(1, "w" * 120, speaker="Dr. Long Name Indeed, PhD"))
    cues = read(content_of(tmp_path))
    assert cues[0].text == f"Dr. Long Name Indeed:\n{'w' * 42}"
    assert "".join(cue.text for cue in cues[1:]).replace("\n", "") == "w" * 78


def test_a_gap_is_said_where_nothing_is_heard(tmp_path):
    """A hole in the minutes must not look like silence in the room."""
    write_all(
        opened("srt", directory=tmp_path),
        turn(1, "Hello.", start_ms=1000, end_ms=1500),
        gap(2, start_ms=10_000, end_ms=14_200),
        gap(3, start_ms=20_000, end_ms=200_000, reason="paused"),
        gap(4, start_ms=300_000, end_ms=390_000, reason="outage"),
        gap(5, start_ms=400_000, end_ms=400_050, reason="overflow"),
        turn(6, "Again.", start_ms=400_300, end_ms=400_700),
    )
    assert [cue for cue in read(content_of(tmp_path)) if cue.text.startswith("[")] == [
        (10_000, 14_200, "[no audio 4.2 s]"),
        (20_000, 27_000, "[paused 3 min]"),
        (300_000, 307_000, "[not transcribed 1.5 min]"),
        (400_000, 400_300, "[no audio 0.1 s]"),
    ]


def test_a_gap_gives_way_to_words(tmp_path):
    """Words found later for a part of it are worth more than the notice."""
    write_all(
        opened("srt", directory=tmp_path),
        turn(1, "Hello.", start_ms=1000, end_ms=1500),
        gap(2, start_ms=1200, end_ms=1400),
        gap(3, start_ms=2000, end_ms=62_000, reason="outage"),
        turn(4, "Late.", start_ms=4000, end_ms=4500, backfilled=True),
    )
    cues = read(content_of(tmp_path))
    assert [cue.text for cue in cues] == ["Hello.", "[not transcribed 1 min]", "Late."]
    assert cues[1].end_ms == 3917
    assert cues[2].start_ms == 4000


def test_a_gap_alone_makes_no_file(tmp_path):
    """An unplugged microphone overnight is no meeting."""
    sink = opened("srt", directory=tmp_path)
    write_all(sink, gap(1))
    assert list(tmp_path.glob("*.srt")) == []
    assert sink.checkpoint == {}


def test_a_turn_without_words_makes_no_cue(tmp_path):
    """A cue of nothing breaks strict readers."""
    sink = opened("srt", directory=tmp_path)
    write_all(sink, turn(1, " \x00\n "), turn(2, "Hello."))
    assert [cue.text for cue in read(content_of(tmp_path))] == ["Hello."]


def test_a_number_does_not_stand_alone_in_the_last_line(tmp_path):
    """One well-known reader takes it for the number of the next cue."""
    write_all(opened("srt", directory=tmp_path), turn(1, "w" * 42 + " 2026"))
    cues = pysubs2.SSAFile.from_string(content_of(tmp_path), format_="srt")
    assert [cue.plaintext for cue in cues] == ["w" * 42, "2026"]


def test_speech_faster_than_its_times_still_spreads(tmp_path):
    """A recogniser without word times gives the span of a line at best."""
    record = turn(1, "one two three four " * 20, start_ms=5000, end_ms=25_000, words=())
    write_all(opened("srt", directory=tmp_path), record)
    cues = read(content_of(tmp_path))
    assert cues[0].start_ms == 5000
    assert 25_000 <= cues[-1].end_ms <= 25_500
    lengths = [cue.end_ms - cue.start_ms for cue in cues]
    assert max(lengths) < 2 * min(lengths)


def test_text_written_otherwise_than_its_words_is_spread_over_them(tmp_path):
    """The service writes numbers and punctuation into the text and not into the words."""
    spoken = (
        "it costs twenty three thousand four hundred euros we said and the other one costs nothing at all"
    )
    record = turn(
        1,
        "It costs €23,400, we said; and the other one costs nothing at all, which is better.",
        start_ms=1000,
        end_ms=11_000,
        words=evenly(spoken, 1000, 11_000),
    )
    write_all(opened("srt", directory=tmp_path), record)
    cues = read(content_of(tmp_path))
    assert cues[0].start_ms == 1000
    assert all(cue.end_ms <= 11_500 for cue in cues)


def test_a_long_pause_in_a_turn_parts_its_cues(tmp_path):
    """Words said after a silence are not shown before it."""
    words = (
        Word(text="So", start_ms=0, end_ms=300),
        Word(text="then", start_ms=4000, end_ms=4300),
    )
    write_all(opened("srt", directory=tmp_path), turn(1, "So then", start_ms=0, end_ms=4300, words=words))
    assert [(cue.start_ms, cue.text) for cue in read(content_of(tmp_path))] == [(0, "So"), (4000, "then")]


def test_times_go_beyond_a_hundred_hours(tmp_path):
    """A daemon listens for weeks, and a meeting nobody ends goes on."""
    hundred_ms = 100 * HOUR_MS
    write_all(
        opened("srt", directory=tmp_path),
        turn(1, "Still here.", start_ms=hundred_ms - 2000, end_ms=hundred_ms - 200),
        turn(2, "And now.", start_ms=hundred_ms - 50, end_ms=hundred_ms + 900),
        turn(3, "Over.", start_ms=hundred_ms + 1000, end_ms=hundred_ms + 1500),
    )
    lines = [line for line in content_of(tmp_path).splitlines() if "-->" in line]
    assert lines == [
        "99:59:58,000 --> 99:59:59,867",
        "99:59:59,950 --> 100:00:00,917",
        "100:00:01,000 --> 100:00:02,000",
    ]
    assert len(read(content_of(tmp_path))) == 3


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
        assert len(read(file.read_text())) == 1
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
    for day in range(12):
        started = {"meeting_id": f"m{day}", "meeting_started_at_ms": NINE_THIRTY_MS + day * 24 * HOUR_MS}
        write_all(sink, turn(day + 1, f"day {day}", **started))
    assert len(list(tmp_path.glob("*.srt"))) == 12
    assert len(list((tmp_path / ".minuted").iterdir())) == MEETINGS_MAX
    assert len(sink.checkpoint["meetings"]) == MEETINGS_MAX


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
        for size_bytes in range(0, 400, 3):
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
