"""Whatever is said: every word once, in cues that fit the screen and the rules, to every reader."""

import io
import tempfile
from itertools import pairwise
from pathlib import Path

import pysubs2
import webvtt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minuted import Word, text_layout
from sinks.samples import evenly, gap, opened, turn
from sinks.subtitles import Shown, content_of, read, srt, write_all

# A busy machine is slow to make examples.
BOUNDED = settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])


def letters_of(text: str) -> str:
    return "".join(srt.without_markup(text).split())


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
        assert all(0 < text_layout.width(line) <= 42 and line == line.strip() for line in lines)
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
            assert after.start_ms - before.end_ms >= srt.EARLY_END_MS_MAX
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
            read_ms = cue.start_ms + round(len(cue.text) / 20 * 1000)
            assert cue.until_ms == max(span[-1].end_ms + srt.LINGER_MS, read_ms)


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
