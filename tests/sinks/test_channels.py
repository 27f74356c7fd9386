"""Subtitles of a call: who speaks where."""

from sinks.samples import gap, opened, turn


def test_a_channel_labels_its_cues_before_the_speaker_and_where_there_is_none(tmp_path):
    """Of two sides that both have a speaker A, the label must tell which."""
    sink = opened("srt", directory=tmp_path)
    sink.write(turn(1, "Good morning.", channel="table"))
    sink.write(turn(2, "Hello there.", channel="far", speaker="A"))
    sink.gap(gap(3, start_ms=40_000, end_ms=44_200, channel="far"))
    sink.write(turn(5, "Goodbye.", channel="far", speaker="A"))
    sink.close()
    (file,) = tmp_path.glob("*.srt")
    lines = file.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if "orn" in line or "here" in line or "bye" in line] == [
        "table: Good morning.",
        "far A: Hello there.",
        "Goodbye.",
    ]
    assert "[far: no audio 4.2 s]" in lines


def test_a_late_turn_of_the_other_side_takes_its_place_by_time(tmp_path):
    """What an outage held back on one side stands between what was said on the other."""
    sink = opened("srt", directory=tmp_path)
    for seq, start_ms, text, channel in (
        (1, 0, "Can you hear me?", "table"),
        (2, 9000, "We go on.", "table"),
        (3, 4000, "Yes we can.", "far"),
    ):
        sink.write(turn(seq, text, start_ms=start_ms, channel=channel))
    sink.close()
    (file,) = tmp_path.glob("*.srt")
    text = file.read_text(encoding="utf-8")
    assert text.index("Can you") < text.index("far: Yes we can.") < text.index("table: We go on.")
