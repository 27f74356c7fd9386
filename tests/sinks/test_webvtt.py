"""The same subtitles for web pages: what a strict WebVTT reader finds is what the SRT file says."""

import html
import random

import srt as srt_reader
import webvtt

from sinks.samples import gap, opened, turn
from sinks.subtitles import write_all

WORDS = ["so", "AT&T", "-->", "<b>", "budget", "Mr.", "yes,", "2026", "übermorgen", "WEBVTT", "NOTE", "&lt;"]


def records():
    chance = random.Random(7)
    made = [turn(n, " ".join(chance.choices(WORDS, k=12)), speaker="AB"[n % 2]) for n in range(1, 9)]
    late = turn(9, "late words", start_ms=15_000, backfilled=True)
    revised = turn(10, "anew", id="session-3", start_ms=30_000, speaker="C", type="revision", revision=1)
    return [
        *made,
        gap(11, start_ms=400_000, end_ms=430_000),
        late,
        revised,
        turn(12, "Hours.", start_ms=3_599_500),
    ]


def written(folder, **options):
    sink = opened("srt", directory=folder, **options)
    write_all(sink, *records())
    (file,) = folder.glob(f"*.{options.get('format', 'srt')}")
    return file


def test_a_strict_reader_finds_the_cues_of_the_srt_file(tmp_path):
    """Late turns, revisions and gaps included: both files are the same subtitles."""
    web = webvtt.read(str(written(tmp_path / "vtt", format="vtt")))
    plain = list(srt_reader.parse(written(tmp_path / "srt").read_text(encoding="utf-8")))

    assert len(plain) > 10
    assert [look_alike(html.unescape(caption.raw_text)) for caption in web] == [cue.content for cue in plain]
    assert [caption.start_in_seconds for caption in web] == [int(cue.start.total_seconds()) for cue in plain]
    assert [caption.end for caption in web] == [srt_time(cue.end) for cue in plain]


def look_alike(text) -> str:
    """Return a text with what SRT has in the place of marks: it has no escapes."""
    for mark, instead in (("-->", "→"), ("<", "‹"), (">", "›"), ("&lt;", "＆lt;")):
        text = text.replace(mark, instead)
    return text


def srt_time(moment) -> str:
    return srt_reader.timedelta_to_srt_timestamp(moment).replace(",", ".")


def test_it_begins_as_the_format_demands(tmp_path):
    """Without its first line a browser shows nothing at all; it is there once, after a rewrite too."""
    text = written(tmp_path, format="vtt").read_text(encoding="utf-8")

    assert text.startswith("WEBVTT\n\n1\n00:00:10.000 --> ")
    assert text.count("WEBVTT\n\n1\n") == 1


def test_a_kill_at_any_byte_of_the_first_block_leaves_it_once(tmp_path):
    """There is nothing yet that says the file is ours."""
    opened("srt", directory=tmp_path, format="vtt").write(turn(1, "Good morning."))
    (file,) = tmp_path.glob("*.vtt")
    whole = file.read_bytes()
    for length in range(len(whole) + 1):
        file.write_bytes(whole[:length])
        opened("srt", directory=tmp_path, format="vtt").write(turn(1, "Good morning."))
        assert file.read_bytes() == whole
        assert list(tmp_path.glob("*.vtt")) == [file]


def test_what_was_said_is_escaped_and_never_markup(tmp_path):
    """The specification has escapes; whoever shows the file shows what was said."""
    said = "a <v Bob> b <c.red> c <00:00:01.000> d <ruby> e --> f & g &lt; {\\an8} NOTE STYLE"
    write_all(opened("srt", directory=tmp_path, format="vtt"), turn(1, said))
    (file,) = tmp_path.glob("*.vtt")
    text = file.read_text(encoding="utf-8")
    assert text.count("-->") == len([line for line in text.splitlines() if line[:3] == "00:"])
    shown = " ".join(caption.raw_text.replace("\n", " ") for caption in webvtt.read(str(file)))
    assert "<" not in shown
    assert html.unescape(shown) == said
