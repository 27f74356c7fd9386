"""Labels that hold for a meeting: no two sessions' A pass for the same person, and names come and go."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted.messages import Turn, Word
from minuted.transcription import speakers as speakers_module
from minuted.transcription.speakers import (
    MEETINGS_MAX,
    Labels,
    Meeting,
    Speakers,
    checked_names,
    label_of,
    main_speaker,
)


def turn(
    session: str = "s1", *words: str | None, speaker: str | None = None, meeting: str = "m1", order: int = 0
) -> Turn:
    """Make a turn as the service told of it: a second for each word."""
    return Turn(
        id=f"{session}:{order}",
        room="boardroom",
        meeting_id=meeting,
        meeting_started_at_ms=1000 * int(meeting[1:]),
        session_id=session,
        turn_order=order,
        final=True,
        start_ms=0,
        end_ms=1000 * max(1, len(words)),
        text="word " * len(words),
        words=tuple(
            Word(text="word", start_ms=1000 * n, end_ms=1000 * n + 1000, speaker=label)
            for n, label in enumerate(words)
        ),
        speaker=speaker,
    )


def shown(turns: list[Turn], speakers: Speakers | None = None) -> tuple[Speakers, list[str | None]]:
    speakers, labels = speakers or Speakers(), []
    for each in turns:
        speakers, after, _ = speakers.hear(each)
        labels.append(after.speaker)
    return speakers, labels


def test_each_later_session_carries_its_number() -> None:
    """A of the second session may be B of the first."""
    turns = [turn(session, "A", "B", speaker="A") for session in ("s1", "s2", "s1", "s3")]
    speakers, labels = shown(turns)

    assert labels == ["A", "A2", "A", "A3"]
    assert [word.speaker for word in speakers.hear(turns[1])[1].words] == ["A2", "B2"]


def test_a_session_without_labels_takes_no_number() -> None:
    """Sessions that only heard a cough would leave holes."""
    turns = [turn("s1", None), turn("s2", "A", speaker="A"), turn("s1", "A", speaker="A")]

    assert shown(turns)[1] == [None, "A", "A2"]


def test_a_new_meeting_begins_again() -> None:
    turns = [
        turn("s1", speaker="A"),
        turn("s2", speaker="A"),
        turn("s2", speaker="A", meeting="m2"),
        turn("s1", speaker="B"),
    ]

    assert shown(turns)[1] == ["A", "A2", "A", "B"]


def test_another_process_goes_on_with_the_same_numbers() -> None:
    speakers, _ = shown([turn("s1", "A", speaker="A"), turn("s2", "A", speaker="A")])
    speakers = speakers.named("m1", {"A2": "Anna"})
    again = Speakers.from_state(json.loads(json.dumps(speakers.to_state())))

    assert again == speakers
    assert shown([turn("s3", "A", speaker="A"), turn("s2", speaker="A")], again)[1] == ["A3", "Anna"]


@given(st.lists(st.tuples(st.sampled_from(["A", "B", "AA", "1", "A2", "speaker 1"]), st.integers(1, 30))))
def test_two_labels_never_become_the_same(said: list[tuple[str, int]]) -> None:
    """Not even where the service's own have numbers in them."""
    assert len({label_of(*each) for each in said}) == len(set(said))


def test_nobody_stays_nobody() -> None:
    assert label_of(None, 2) is None
    assert main_speaker([None, None]) is None


def test_the_main_speaker_says_most_words() -> None:
    assert main_speaker(["A", "B", None, "B"]) == "B"
    assert main_speaker(["B", "A"]) == "B", "the first of several"


def test_a_revision_keeps_the_session_s_number() -> None:
    """It may come when the next session has long begun."""
    speakers, _ = shown([turn("s1", "A", speaker="A"), turn("s2", "A", "A", speaker="A", order=4)])
    before = replace(speakers.hear(turn("s2", "A", "A", speaker="A", order=4))[1], seq=7)
    _, after, labels = speakers.relabel(before, Labels("A2", ("A2", "A2")), Labels("B", ("A", "B")))

    assert labels == Labels("B2", ("A2", "B2"))
    assert (after.speaker, [word.speaker for word in after.words]) == ("B2", ["A2", "B2"])
    assert replace(after, speaker="A2", words=before.words) == before, "nothing else has changed"


def test_a_revision_with_other_words_names_the_turn_alone() -> None:
    speakers, after, labels = Speakers().hear(turn("s1", "A", "A", speaker="A"))
    _, revised, found = speakers.relabel(after, labels, Labels("B", ("B", "B", "B")))

    assert found == Labels("B", ("A", "A"))
    assert (revised.speaker, [word.speaker for word in revised.words]) == ("B", ["A", "A"])


def test_a_revision_of_a_meeting_long_ago_changes_nothing() -> None:
    """Its numbers are no longer known, and a wrong one would be another person."""
    before = turn("s1", "A", speaker="A2", meeting="m9")
    was = Labels("A2", ("A2",))

    assert Speakers().relabel(before, was, Labels("B", ("B",))) == (Speakers(), before, was)


def test_names_are_shown_in_place_of_labels_and_can_be_taken_away() -> None:
    speakers, _ = shown([turn("s1", "A", "B", speaker="A")])
    said = turn("s1", "A", "B", speaker="B")
    named = speakers.named("m1", {"A": "chair", "B": "Anna"})
    after = named.hear(said)[1]
    bare = named.named("m1", {"A": ""}).hear(said)[1]

    assert (after.speaker, [word.speaker for word in after.words]) == ("Anna", ["chair", "Anna"])
    assert [word.speaker for word in bare.words] == ["A", "Anna"]


def test_two_labels_may_have_the_same_name() -> None:
    """After a reconnect one person has two."""
    speakers, _ = shown([turn("s1", speaker="A"), turn("s2", speaker="A")])
    speakers = speakers.named("m1", {"A": "Anna", "A2": "Anna"})

    assert shown([turn("s1", speaker="A"), turn("s2", speaker="A")], speakers)[1] == ["Anna", "Anna"]
    again = speakers.named("m1", {"A2": ""})
    assert shown([turn("s1", speaker="A"), turn("s2", speaker="A")], again)[1] == ["Anna", "A2"]


def test_turns_and_time_are_counted_by_label() -> None:
    speakers, _ = shown([turn("s1", "A", "B", "B", speaker="B"), turn("s1", speaker="A", order=1)])

    assert speakers.find("m1").tally == {"B": (1, 2000), "A": (1, 2000)}


def test_a_revision_moves_what_was_counted() -> None:
    speakers, after, labels = Speakers().hear(turn("s1", "A", "A", speaker="A"))
    speakers, _, _ = speakers.relabel(after, labels, Labels("B", ("B", "B")))

    assert speakers.find("m1").tally == {"A": (0, 0), "B": (1, 2000)}


def test_a_glance_remembers_nothing() -> None:
    speakers, _ = shown([turn("s1", speaker="A")])

    assert speakers.glance(turn("s2", "A", speaker="A")).speaker == "A2"
    assert shown([turn("s3", speaker="A")], speakers)[1] == ["A2"]


def test_the_latest_meeting_is_the_one_that_runs() -> None:
    """Backfilled turns of an earlier one do not change that."""
    speakers, _ = shown([turn("s1", meeting="m2"), turn("s1", meeting="m1")])

    assert speakers.find("").id == "m2"
    assert speakers.find("m1").id == "m1"
    with pytest.raises(ValueError, match="no meeting is known any more as m7; there are: m1, m2"):
        speakers.find("m7")
    with pytest.raises(ValueError, match="several meetings begin with m; there are: m1, m2"):
        speakers.find("m")
    with pytest.raises(ValueError, match="no meeting yet"):
        Speakers().find("")


def test_what_is_kept_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state goes into every commit."""
    monkeypatch.setattr(speakers_module, "SESSIONS_MAX", 3)
    monkeypatch.setattr(speakers_module, "LABELS_MAX", 5)
    sessions = [turn(f"s{n}", speaker="A") for n in range(10)]
    speakers, labels = shown(sessions)
    meetings, _ = shown([turn("s1", meeting=f"m{n}") for n in range(MEETINGS_MAX + 5)])

    assert labels == ["A", *(f"A{n}" for n in range(2, 11))], "the numbers go on"
    assert shown([turn("s9", speaker="A")], speakers)[1] == ["A10"]
    assert len(speakers.find("").sessions) == 3
    assert len(speakers.find("").tally) == 5
    assert len(meetings.meetings) == MEETINGS_MAX


MEETING = Meeting("m1", 0, names={"C": "Carl"}, tally={"A": (1, 1), "B": (0, 10)})


@pytest.mark.parametrize(
    ("names", "wrong"),
    [
        ({"D": "Dora"}, "no speaker D has been heard in this meeting, but A, B"),
        ({"A": 7}, "A: a name is a text"),
        ({"A": "x" * 61}, "up to 60"),
        ({"A": "a\x07b"}, "printable"),
        ({"A": "B"}, "could be taken for a speaker's label"),
        ({"A": "A2"}, "could be taken for a speaker's label"),
        ({"A": "UNKNOWN"}, "could be taken for a speaker's label"),
    ],
)
def test_a_name_that_would_mislead_is_refused(names: dict[str, str], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        checked_names(MEETING, names)


def test_names_are_taken_as_people_write_them() -> None:
    names = {"A": "  Dr.  Anna Maier ", "B": "", "C": ""}

    assert checked_names(MEETING, names) == {"A": "Dr. Anna Maier", "B": "", "C": ""}
