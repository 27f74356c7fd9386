"""Speakers, their revisions, and languages."""

from simulator.coded import compose
from simulator_tests.sitting import Sitting


def test_speakers_are_lettered_in_order_and_short_turns_are_not_known():
    said = compose(4, speakers=2, seed=5)
    sitting = Sitting("speaker_labels=true")
    sitting.speak(said)
    assert [turn["speaker_label"] for turn in sitting.finals] == ["A", "B", "A", "B"]
    assert {w["speaker"] for w in sitting.finals[1]["words"]} == {"B"}
    assert all("speaker_label" not in turn for turn in sitting.said("Turn") if not turn["end_of_turn"])
    short = Sitting("speaker_labels=true")
    short.speak(compose(1, words=(1, 1)))
    assert short.finals[0]["speaker_label"] == "UNKNOWN"
    assert "speaker" not in short.finals[0]["words"][0]


def test_labels_are_revised_at_the_end_and_nothing_else_is():
    said = compose(4, speakers=2, seed=5)
    sitting = Sitting("speaker_labels=true", mislabel_every=2)
    sitting.speak(said)
    assert [turn["speaker_label"] for turn in sitting.finals] == ["A", "A", "A", "A"]
    sitting.take('{"type":"Terminate"}')
    (revision,) = sitting.said("SpeakerRevision")
    assert [(r["turn_order"], r["speaker_label"]) for r in revision["revisions"]] == [(1, "B"), (3, "B")]
    for revised in revision["revisions"]:
        original = sitting.finals[revised["turn_order"]]
        for word, was in zip(revised["words"], original["words"], strict=True):
            assert word | {"speaker": "A"} == was
    assert [m["type"] for m in sitting.messages()][-2:] == ["SpeakerRevision", "Termination"]


def test_labels_are_revised_at_the_asked_interval_but_not_sooner_than_two_minutes():
    for asked_ms, minutes in ((60_000, 2), (300_000, 5)):
        sitting = Sitting(
            f"speaker_labels=true&speaker_labels_revision_interval_ms={asked_ms}", mislabel_every=1
        )
        sitting.speak()
        sitting.wait(700)
        assert sitting.at("SpeakerRevision") == [minutes * 60]


def test_a_turn_with_speakers_is_cut_at_ten_seconds():
    monologue = compose(1, words=(60, 60), seed=2)
    sitting = Sitting("speaker_labels=true")
    sitting.speak(monologue)
    lengths_ms = [t["words"][-1]["end"] - t["words"][0]["start"] for t in sitting.finals]
    assert max(lengths_ms) <= 10_000
    assert [w["text"] for t in sitting.finals for w in t["words"]] == [w.text for w in monologue.words]


def test_finals_name_the_language_when_asked():
    sitting = Sitting("language_detection=true")
    sitting.speak()
    assert {turn.get("language_code") for turn in sitting.said("Turn")} == {None, "en"}
    assert {turn["language_code"] for turn in sitting.finals} == {"en"}
