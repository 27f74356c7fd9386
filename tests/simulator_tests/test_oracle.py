import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.coded import Spoken, compose
from simulator.oracle import HEADING, from_file_log, from_srt, from_turns, from_webhook, judge

RECORDING = compose(4, seed=61)
SAID = RECORDING.words
STARTED_MS = 1_790_000_000_000


def turn_map(words: list[Spoken], seq: int, **changes: object) -> dict:
    return {
        "type": "turn",
        "seq": seq,
        "final": True,
        "backfilled": False,
        "meeting_started_at_ms": STARTED_MS,
        "start_ms": words[0].start_ms,
        "end_ms": words[-1].end_ms,
        "text": " ".join(word.text for word in words),
        "words": [{"text": w.text, "start_ms": w.start_ms, "end_ms": w.end_ms} for w in words],
    } | changes


def turn_maps() -> list[dict]:
    return [turn_map([w for w in SAID if w.turn == turn], seq=turn + 1) for turn in range(4)]


def gap_map(start_ms: int, end_ms: int, seq: int) -> dict:
    return {
        "type": "gap",
        "seq": seq,
        "meeting_started_at_ms": STARTED_MS,
        "start_ms": start_ms,
        "end_ms": end_ms,
        "reason": "outage",
    }


def test_what_was_said_and_nothing_else_is_perfect():
    verdict = judge(SAID, from_turns(turn_maps()))
    assert verdict.is_perfect()
    assert (verdict.expected, verdict.delivered) == (len(SAID), len(SAID))


@settings(max_examples=40)
@given(st.data())
def test_any_lost_word_is_named(data):
    lost = data.draw(st.sets(st.sampled_from(SAID), min_size=1))
    maps = turn_maps()
    for item in maps:
        item["words"] = [w for w in item["words"] if w["text"] not in {word.text for word in lost}]
        item["text"] = " ".join(w["text"] for w in item["words"])
    verdict = judge(SAID, from_turns([item for item in maps if item["words"]]))
    assert verdict.lost == tuple(sorted(word.number for word in lost))
    assert not verdict.is_perfect()
    assert (verdict.doubled, verdict.unknown, verdict.time_error_ms) == ((), (), 0)


@settings(max_examples=40)
@given(st.sampled_from(SAID), st.integers(0, 3))
def test_any_doubled_word_is_named(word, place):
    maps = turn_maps()
    maps[place]["words"].append({"text": word.text, "start_ms": word.start_ms, "end_ms": word.end_ms})
    maps[place]["text"] += f" {word.text}"
    verdict = judge(SAID, from_turns(maps))
    assert verdict.doubled == (word.number,)
    assert not verdict.is_perfect()


@settings(max_examples=40)
@given(st.sampled_from(SAID), st.integers(-3000, 3000), st.sampled_from(["start_ms", "end_ms"]))
def test_the_largest_time_error_is_told(word, error_ms, edge):
    maps = turn_maps()
    for item in maps:
        for told in item["words"]:
            if told["text"] == word.text:
                told[edge] += error_ms
    verdict = judge(SAID, from_turns(maps))
    assert verdict.time_error_ms == abs(error_ms)
    assert verdict.is_perfect(time_error_ms_max=abs(error_ms))
    assert verdict.is_perfect() == (error_ms == 0)


def test_turns_in_the_wrong_order_are_disordered_unless_they_were_backfilled():
    """What an outage delayed comes when it comes; what is live comes in order."""
    first, second, *others = turn_maps()
    swapped = judge(SAID, from_turns([second, first, *others]))
    assert swapped.disordered == tuple(w.number for w in SAID if w.turn == 0)
    late = judge(SAID, from_turns([second | {"seq": 1}, first | {"seq": 2, "backfilled": True}, *others]))
    assert late.disordered == ()
    assert late.is_perfect()


@pytest.mark.parametrize(
    "text", ["wrod0001", "word1", "…ord0001", "word0001…", "word0001—", "word9999", "uh"]
)
def test_a_word_nobody_said_is_unknown(text):
    """Half-heard words and words of another recording among them."""
    maps = turn_maps()
    maps[0]["words"].append({"text": text, "start_ms": 0, "end_ms": 1})
    maps[0]["text"] += f" {text}"
    assert judge(SAID, from_turns(maps)).unknown == (text,)


def test_a_text_that_is_not_its_words_is_unknown():
    maps = turn_maps()
    maps[1]["text"] = "word0001"
    assert judge(SAID, from_turns(maps)).unknown == ("text without its words: word0001",)


def test_lost_words_within_a_declared_gap_are_told_apart():
    first, second, third, last = turn_maps()
    gap = gap_map(second["start_ms"] + 10, third["end_ms"], seq=2)
    verdict = judge(SAID, from_turns([first, gap, last | {"seq": 3}]))
    assert verdict.lost == ()
    assert verdict.declared == tuple(w.number for w in SAID if w.turn in (1, 2))
    assert not verdict.is_perfect()
    assert judge(SAID, from_turns([gap, last | {"seq": 3}])).lost == tuple(
        w.number for w in SAID if w.turn == 0
    )
    hidden = judge(SAID, from_turns([first, last | {"seq": 2}]))
    assert hidden.lost == verdict.declared


def test_partials_and_revisions_count_for_nothing():
    maps = turn_maps()
    partial = maps[0] | {"final": False, "seq": None, "text": "word0001—"}
    revised = maps[0] | {"type": "revision", "seq": 5}
    assert judge(SAID, from_turns([partial, *maps, revised])).is_perfect()


@pytest.mark.parametrize(
    ("seqs", "errors"), [((1, 2, 3, 4), 0), ((1, 2, 4, 5), 1), ((1, 2, 2, 3), 1), ((2, 1, 3, 4), 2)]
)
def test_holes_in_the_sequence_are_counted(seqs, errors):
    maps = [item | {"seq": seq} for item, seq in zip(turn_maps(), seqs, strict=True)]
    assert judge(SAID, from_turns(maps)).seq_errors == errors


def test_times_can_be_counted_from_an_epoch():
    """A recording that began 5 s after the meeting, and one cut into two meetings."""
    maps = turn_maps()
    assert judge(SAID, from_turns(maps, origin_ms=STARTED_MS)).is_perfect()
    assert judge(SAID, from_turns(maps, origin_ms=STARTED_MS - 5000), offset_ms=5000).is_perfect()
    second_meeting = [
        item
        | {
            "meeting_started_at_ms": STARTED_MS + 3000,
            "words": [
                w | {"start_ms": w["start_ms"] - 3000, "end_ms": w["end_ms"] - 3000} for w in item["words"]
            ],
        }
        for item in maps[2:]
    ]
    assert judge(SAID, from_turns(maps[:2] + second_meeting, origin_ms=STARTED_MS)).is_perfect()
    assert judge(SAID, from_turns(maps), offset_ms=250).time_error_ms == 250


def test_turns_without_words_are_judged_by_their_own_times():
    maps = [{name: value for name, value in item.items() if name != "words"} for item in turn_maps()]
    assert judge(SAID, from_turns(maps)).is_perfect()
    maps[1]["start_ms"] -= 700
    assert judge(SAID, from_turns(maps)).time_error_ms == 700
    maps[1]["start_ms"] += 700
    maps[1]["end_ms"] -= 300
    assert judge(SAID, from_turns(maps)).time_error_ms == 300


def test_a_file_log_and_webhook_bodies_are_turn_maps():
    lines = "\n".join(json.dumps(item) for item in turn_maps())
    assert judge(SAID, from_file_log(lines)).is_perfect()
    bodies = [
        json.dumps({"type": "turn.final", "timestamp": "x", "data": item}).encode() for item in turn_maps()
    ]
    assert judge(SAID, from_webhook(bodies)).is_perfect()


def clock(ms: int) -> str:
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"


def srt(moved_ms: int = 0, lines: int = 2) -> str:
    cues = []
    for number, item in enumerate(turn_maps(), start=1):
        words = item["text"].split()
        half = len(words) // lines
        text = "\n".join(filter(None, ["A: " + " ".join(words[:half]), " ".join(words[half:])]))
        cues.append(
            f"{number}\n{clock(item['start_ms'] + moved_ms)} --> {clock(item['end_ms'] + moved_ms)}\n{text}\n"
        )
    return "\n".join(cues)


def test_subtitles_are_judged_too():
    assert judge(SAID, from_srt(srt())).is_perfect()
    assert judge(SAID, from_srt(srt().replace("\n", "\r\n"))).is_perfect()
    assert judge(SAID, from_srt(srt(moved_ms=900))).time_error_ms == 900
    assert judge(SAID, from_srt(srt(moved_ms=900), shift_ms=-900)).is_perfect()
    assert judge(SAID, from_srt("\n".join(srt().split("\n\n")[1:]))).lost


def test_subtitles_may_stay_longer_than_the_words():
    """A cue too short to read is kept on the screen."""
    longer = srt().replace(clock(turn_maps()[0]["end_ms"]), clock(turn_maps()[0]["end_ms"] + 500))
    assert judge(SAID, from_srt(longer)).is_perfect()


def test_nothing_delivered_is_everything_lost():
    verdict = judge(SAID, from_turns([]))
    assert verdict.lost == tuple(word.number for word in SAID)
    assert judge([], from_turns([])).is_perfect()


def test_a_verdict_is_a_row_of_a_table():
    verdict = replace(judge(SAID, from_turns(turn_maps()[1:])), time_error_ms=40)
    row = verdict.row("first turn lost").split("  ")
    assert row[0] == "first turn lost"
    assert len(verdict.row("first turn lost")) == len(HEADING)
    assert verdict.row().split() == [
        str(len(SAID)),
        str(verdict.delivered),
        str(len(verdict.lost)),
        "0",
        "0",
        "0",
        "0",
        "0",
        "40",
    ]
