"""A meeting in each format, read back by readers that are not ours."""

import json
from dataclasses import replace

import pysubs2
import pytest
import srt
import webvtt

from minuted.commands.formats import render
from minuted.commands.meetings import Minutes, meetings_of
from minuted.messages import from_map
from minuted.usage.records import FORMATS
from sinks.samples import NINE_THIRTY_MS, gap, turn

RECORDS = [
    turn(1, "Good morning, everybody.", speaker="A"),
    turn(2, "Where were we?", speaker="B"),
    gap(3, start_ms=40_000, end_ms=100_000, reason="paused"),
    turn(4, "A late word.", start_ms=15_000, backfilled=True),
]
(MEETING,) = meetings_of(RECORDS)
SHOWN = ["A: Good morning, everybody.", "A late word.", "B: Where were we?", "[paused 1 min]"]


def test_srt_is_what_two_readers_read() -> None:
    text = render(MEETING, "srt").decode()
    assert [" ".join(cue.content.split()) for cue in srt.parse(text)] == SHOWN
    assert [event.plaintext.replace("\n", " ") for event in pysubs2.SSAFile.from_string(text)] == SHOWN


def test_vtt_is_what_a_strict_reader_reads() -> None:
    captions = webvtt.from_string(render(MEETING, "vtt").decode())
    assert [" ".join(caption.text.split()) for caption in captions] == SHOWN


def test_json_has_every_record_whole() -> None:
    """What the other formats leave out, times of words and ids, is here."""
    found = json.loads(render(MEETING, "json"))
    assert (found["meeting_id"], found["meeting_started_at_ms"]) == ("meeting-1", NINE_THIRTY_MS)
    assert [from_map(values) for values in found["records"]] == list(MEETING.records)


@pytest.mark.parametrize("form", FORMATS)
def test_a_meeting_without_a_word_is_a_whole_file_too(form) -> None:
    text = render(Minutes("", "boardroom", None, NINE_THIRTY_MS, ()), form).decode()
    if form == "json":
        assert json.loads(text)["records"] == []
    elif form == "vtt":
        assert list(webvtt.from_string(text)) == []
    else:
        assert text == "" if form == "srt" else "boardroom" in text


def test_what_could_not_be_heard_is_said_in_the_end() -> None:
    """Whoever reads the text has not seen the terminal."""
    cut = replace(MEETING, broke_off="breaks off after 1 min of 2 min", is_recording=True)
    for form in ("srt", "vtt", "txt"):
        assert render(cut, form).decode().rstrip().endswith("[the recording breaks off here]")
    assert json.loads(render(cut, "json"))["broke_off"] == "breaks off after 1 min of 2 min"
    assert "broke_off" not in json.loads(render(MEETING, "json"))


def test_a_recording_without_a_word_says_so() -> None:
    quiet = replace(MEETING, records=(), is_recording=True)
    assert "[no words were heard]" in render(quiet, "txt").decode()
    assert render(quiet, "srt") == b""
    assert "no words" not in render(replace(quiet, is_recording=False), "txt").decode()
