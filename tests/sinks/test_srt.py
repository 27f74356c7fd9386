"""Subtitles are in order, readable, true to the words, and whole after any kill."""

import textwrap

import pysubs2

from minuted import Word
from sinks.samples import evenly, gap, opened, turn
from sinks.subtitles import HOUR_MS, content_of, read, write_all

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
        00:00:10,000 --> 00:00:13,850
        Good morning, everybody. Let us start
        with the first item on the agenda,

        2
        00:00:13,900 --> 00:00:17,750
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
    assert [cue[:2] for cue in read(content_of(tmp_path))] == [(1000, 3950), (4000, 4833), (9000, 9900)]


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
