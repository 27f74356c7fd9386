from collections.abc import Callable
from typing import Any

import pytest
from assemblyai.streaming.v3 import SpeakerRevisionItem, TurnEvent
from hypothesis import given
from hypothesis import strategies as st

from minuted.messages import FRAME_MS, AudioFrame, Turn, decode, encode, topic_of
from minuted.transcription import turns as turns_module
from minuted.transcription.clock import SessionClock
from minuted.transcription.marks import Heard
from minuted.transcription.meetings import Meeting
from minuted.transcription.speakers import Labels
from minuted.transcription.turns import NO_SPEAKER, Turns, labels_of, speaker_of

SOUND_MS = 1_000_000
MEETING = Meeting(
    id="m1", started_at_ms=1_700_000_000_000, sound_ms=SOUND_MS - 2000, source="microphone", last_word_ms=0
)


def clock_of(*runs: tuple[int, int]) -> SessionClock:
    """Give a session's clock: sound from one time to another was sent, then from the next, and so on."""
    clock = SessionClock()
    for from_ms, to_ms in runs:
        for number in range((SOUND_MS + from_ms) // FRAME_MS, (SOUND_MS + to_ms) // FRAME_MS):
            clock.sent(AudioFrame(number=number, captured_at_ms=0, pcm=b""))
    return clock


def turns_of(
    clock: SessionClock | None = None,
    find: Callable[[int], Meeting] = lambda _: MEETING,
    tail: tuple[Heard, ...] = (),
) -> Turns:
    def find_meeting(start_ms: int) -> Meeting:
        return find(start_ms)

    return Turns("boardroom", "s1", clock or clock_of((0, 60_000)), find_meeting, tail)


def event(text: str, *times: tuple[int, int], final: bool = True, order: int = 0, **more: Any) -> TurnEvent:
    words = text.split() if times else []
    return TurnEvent.model_validate(
        {
            "type": "Turn",
            "turn_order": order,
            "turn_is_formatted": final,
            "end_of_turn": final,
            "transcript": text,
            "end_of_turn_confidence": float(final),
            "words": [
                {"start": start, "end": end, "text": word, "confidence": 0.9, "word_is_final": final}
                for word, (start, end) in zip(words, times, strict=True)
            ],
            **more,
        }
    )


def revision(order: int, turn_speaker: str | None, *speakers: str | None) -> SpeakerRevisionItem:
    words = [
        {"start": 0, "end": 1, "text": "?", "confidence": 0.0, "word_is_final": True, "speaker": speaker}
        for speaker in speakers
    ]
    return SpeakerRevisionItem.model_validate(
        {"turn_order": order, "speaker_label": turn_speaker, "words": words}
    )


def taken(turns: Turns, what: TurnEvent) -> Turn:
    found = turns.take(what)
    assert found is not None
    return found.turn


def test_a_final_turn_has_everything_on_the_meeting_s_clock() -> None:
    turn = taken(
        turns_of(),
        event("Hello there.", (1216, 1627), (1668, 2490), order=3, speaker_label="B", language_code="en"),
    )

    assert (turn.id, turn.session_id, turn.turn_order) == ("s1:3", "s1", 3)
    assert (turn.room, turn.meeting_id) == ("boardroom", "m1")
    assert turn.meeting_started_at_ms == MEETING.started_at_ms
    assert (turn.type, turn.final, turn.seq, turn.revision, turn.backfilled) == ("turn", True, None, 0, False)
    assert turn.text == "Hello there."
    # The session began 2 s into the meeting.
    assert (turn.start_ms, turn.end_ms) == (3216, 4490)
    assert [(word.text, word.start_ms, word.end_ms) for word in turn.words] == [
        ("Hello", 3216, 3627),
        ("there.", 3668, 4490),
    ]
    assert (turn.speaker, turn.language, turn.confidence) == ("B", "en", 0.9)


def test_a_partial_is_the_same_turn_and_may_change() -> None:
    """Every message has the whole turn again."""
    turns = turns_of()
    first = taken(turns, event("My name is—", (0, 100), (110, 200), (210, 300), final=False))
    second = taken(turns, event("My name's Sonny", (0, 90), (100, 200), (210, 400), final=False))
    final = taken(turns, event("My name is Sonny.", (0, 90), (100, 200), (210, 300), (310, 500)))

    assert [turn.final for turn in (first, second, final)] == [False, False, True]
    assert first.id == second.id == final.id
    assert second.text == "My name's Sonny"
    assert [topic_of(turn) for turn in (first, final)] == ["turn.partial", "turn.final"]


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_an_empty_turn_is_none(text: str) -> None:
    """One may come after Terminate."""
    turns = turns_of()
    assert turns.take(event(text)) is None
    assert turns.take(event(text, final=False)) is None
    assert turns.repeated == 0
    assert taken(turns, event("Yes.", (0, 100))).text == "Yes."


def test_a_second_final_replaces_nothing_and_is_counted() -> None:
    """Some models send another one with punctuation; what was published is not taken back."""
    turns = turns_of()
    assert taken(turns, event("hello there", (0, 100), (110, 200))).text == "hello there"
    assert turns.take(event("Hello there.", (0, 100), (110, 200))) is None
    assert turns.repeated == 1
    assert turns.take(event("hello", (0, 100), final=False)) is None
    assert turns.repeated == 1
    assert taken(turns, event("Next.", (300, 400), order=1)).turn_order == 1


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("And then?", [(5000, 5300), (5400, 5900)]),
        ("Hello there.", [(5000, 5300), (5400, 5900)]),
        ("And then?", [(210, 700), (800, 1500)]),
    ],
    ids=["other words, later", "the same words, later", "a padded begin"],
)
def test_a_turn_with_the_number_of_an_earlier_final_is_a_turn_of_its_own(
    text: str, times: list[tuple[int, int]]
) -> None:
    """A final is known again by its words and times: dropped by its number, its words would be lost."""
    turns = turns_of()
    first = taken(turns, event("Hello there.", (0, 100), (110, 200)))
    partial = taken(turns, event(text, *times, final=False))
    second = taken(turns, event(text, *times))

    assert (partial.text, second.text, len(second.words)) == (text, text, 2)
    assert second.turn_order == first.turn_order == 0
    assert (first.id, partial.id, second.id) == ("s1:0", "s1:0-1", "s1:0-1")
    assert turns.repeated == 0
    assert turns.take(event(f"{text}!", *times)) is None
    assert turns.take(event("Hello, there.", (0, 100), (110, 200))) is None
    assert turns.repeated == 2


def test_of_a_final_that_comes_again_longer_the_rest_is_a_turn_of_its_own() -> None:
    turns = turns_of()
    taken(turns, event("Hello there", (0, 100), (110, 200)))
    rest = taken(turns, event("Hello there and welcome", (0, 100), (110, 200), (300, 400), (410, 500)))

    assert (rest.text, rest.id, [word.start_ms for word in rest.words]) == (
        "and welcome",
        "s1:0-1",
        [2300, 2410],
    )


def test_a_second_final_is_known_though_numbers_are_written_otherwise() -> None:
    turns = turns_of()
    taken(turns, event("twenty five", (0, 100), (110, 200)))

    assert turns.take(event("25", (0, 200))) is None
    assert turns.repeated == 1


def test_a_final_without_times_is_known_by_a_word_in_common() -> None:
    turns = turns_of()
    taken(turns, event("hello there"))

    assert turns.take(event("Hello there.")) is None
    assert turns.take(event("Hello there.", (0, 100), (110, 200))) is None
    assert taken(turns, event("Goodbye.")).id == "s1:0-1"


def test_a_revision_of_a_number_used_twice_is_of_the_turn_with_as_many_words() -> None:
    turns = turns_of()
    first = taken(turns, event("Hello there.", (0, 100), (110, 200)))
    second = taken(turns, event("And you?", (5000, 5300), (5400, 5900)))
    third = taken(turns, event("Yes.", (7000, 7300)))

    found = [turns.relabelled(revision(0, "A", *"A" * count)) for count in (1, 2, 3)]
    assert [each and each[0] for each in found] == [third.id, second.id, third.id]
    assert len({first.id, second.id, third.id}) == 3


def test_text_is_stripped_of_space_around_it() -> None:
    assert taken(turns_of(), event(" Yes. ")).text == "Yes."


def test_a_turn_without_words_lies_at_the_end_of_what_was_sent() -> None:
    """Better a late time than none."""
    turn = taken(turns_of(clock_of((0, 5000))), event("Yes."))

    assert turn.words == ()
    assert (turn.start_ms, turn.end_ms) == (7000, 7000)
    assert turn.confidence is None


def test_words_on_both_sides_of_a_jump_have_their_true_times() -> None:
    """Capture was away from 1 s to 31 s; the session's time ran on."""
    turns = turns_of(clock_of((0, 1000), (31_000, 40_000)))
    turn = taken(turns, event("before jump after", (500, 900), (950, 1000), (1000, 1400)))

    assert [(word.start_ms, word.end_ms) for word in turn.words] == [
        (2500, 2900),
        (2950, 3000),
        (33_000, 33_400),
    ]


def test_a_padded_word_does_not_end_before_it_begins() -> None:
    turns = turns_of(clock_of((0, 1000), (31_000, 40_000)))
    turn = taken(turns, event("odd", (1000, 1000)))

    assert turn.words[0].start_ms == turn.words[0].end_ms == 33_000


def test_a_time_before_the_meeting_is_its_beginning() -> None:
    """A first word is padded by up to a second."""
    meeting = Meeting(id="m", started_at_ms=0, sound_ms=SOUND_MS + 500, source="a.wav", last_word_ms=0)
    turn = taken(turns_of(find=lambda _: meeting), event("Good morning", (0, 400), (450, 900)))

    assert (turn.start_ms, turn.end_ms) == (0, 400)
    assert [(word.start_ms, word.end_ms) for word in turn.words] == [(0, 0), (0, 400)]


def test_the_meeting_is_asked_for_by_the_turn_s_beginning() -> None:
    asked: list[int] = []

    def find(start_ms: int) -> Meeting:
        asked.append(start_ms)
        return MEETING

    taken(turns_of(find=find), event("Yes indeed.", (700, 900), (950, 1200)))

    assert asked == [SOUND_MS + 700]


@pytest.mark.parametrize("label", [*NO_SPEAKER, None, ""])
def test_a_speaker_the_service_cannot_tell_is_none(label: str | None) -> None:
    assert speaker_of(label) is None
    assert taken(turns_of(), event("Yes.", (0, 100), speaker_label=label)).speaker is None


# Words in sound time, and words that were committed before.

TAIL = (Heard("ask", SOUND_MS - 400, SOUND_MS + 300), Heard("Mark.", SOUND_MS + 400, SOUND_MS + 700))
"""What the session before heard last, in this one's sound."""


def test_a_turn_comes_with_its_words_in_sound_time() -> None:
    """The mark counts in it, whatever meeting they are in."""
    found = turns_of().take(event("Hello there.", (1216, 1627), (1668, 2490)))

    assert found is not None
    assert found.words == (
        Heard("Hello", SOUND_MS + 1216, SOUND_MS + 1627, first=True),
        Heard("there.", SOUND_MS + 1668, SOUND_MS + 2490),
    )
    assert found.end_ms == SOUND_MS + 2490


def test_words_committed_before_are_left_out() -> None:
    turns = turns_of(tail=TAIL)
    found = turns.take(
        event("ask Mark. And then?", (0, 300), (400, 700), (1100, 1300), (1350, 2500), language_code="en")
    )

    assert found is not None
    assert [word.text for word in found.words] == ["And", "then?"]
    assert not found.words[0].first, "its start is exact"
    assert found.turn.text == "And then?"
    assert [word.text for word in found.turn.words] == ["And", "then?"]
    assert (found.turn.start_ms, found.turn.end_ms) == (3100, 4500)
    assert turns.known == 2


@pytest.mark.parametrize(
    ("text", "words", "left"),
    [
        (
            "聞く、マーク。次に、優先順位です。",
            ["聞く", "マーク", "次に", "優先", "順位", "です"],
            "次に、優先順位です。",
        ),
        ("问马克。然后，“预算”呢？", ["问", "马克", "然后", "预算", "呢"], "然后，“预算”呢？"),
        ("ถามมาร์คแล้วงบประมาณ", ["ถาม", "มาร์ค", "แล้ว", "งบ", "ประมาณ"], "แล้วงบประมาณ"),
        ("اسأل مارك. ثم ماذا؟", ["اسأل", "مارك", "ثم", "ماذا"], "ثم ماذا؟"),
        ('ask Mark: "Then what?"', ["ask", "Mark", "then", "what"], '"Then what?"'),
    ],
)
def test_the_text_after_words_committed_before_is_cut_as_it_is_written(
    text: str, words: list[str], left: str
) -> None:
    """Words put together by blanks are no Japanese, and have no punctuation where the service tells none."""
    times = [(0, 300), (400, 700), *((1100 + 300 * n, 1350 + 300 * n) for n in range(len(words) - 2))]
    said = event(" ".join(words), *times).model_copy(update={"transcript": text})

    assert taken(turns_of(tail=TAIL), said).text == left


def test_partials_leave_them_out_as_well_and_count_nothing() -> None:
    """Captions must not say it twice either."""
    turns = turns_of(tail=TAIL)

    assert turns.take(event("ask Mark—", (0, 300), (400, 700), final=False)) is None
    partial = taken(turns, event("ask Mark. And—", (0, 300), (400, 700), (1100, 1300), final=False))
    assert (partial.text, partial.final) == ("And—", False)
    assert turns.known == 0


def test_a_turn_whose_words_are_all_known_is_none() -> None:
    """And a second final for it is counted as for any other."""
    turns = turns_of(tail=TAIL)

    assert turns.take(event("ask Mark.", (0, 300), (400, 1800))) is None
    assert (turns.known, turns.repeated) == (2, 0)
    assert turns.take(event("Ask Mark.", (0, 300), (400, 1800))) is None
    assert (turns.known, turns.repeated) == (2, 1)


def test_a_turn_without_words_is_not_known() -> None:
    assert taken(turns_of(tail=TAIL), event("Mark.")).text == "Mark."


def test_a_session_may_be_told_later_after_which_words_it_begins() -> None:
    """It was opened ahead, and takes over where the mark is by then."""
    turns = turns_of()
    turns.remember(TAIL)

    assert turns.take(event("ask Mark.", (0, 300), (400, 1800))) is None
    assert turns.known == 2


# Who speaks.


def test_a_word_and_its_turn_have_the_service_s_labels_or_none() -> None:
    turns = turns_of()
    said = event("Yes, ship it.", (0, 100), (110, 200), (210, 300), speaker_label="A")
    for word, label in zip(said.words, ("A", "PENDING", None), strict=True):
        word.speaker = label
    turn = taken(turns, said)

    assert turn.speaker == "A"
    assert [word.speaker for word in turn.words] == ["A", None, None]


def test_a_turn_that_nobody_is_named_for_is_said_by_who_says_most_of_it() -> None:
    """A revision may leave its turn's label out; turn and words would not agree."""
    assert labels_of(None, revision(0, None, "A", "B", "B").words).turn == "B"
    assert labels_of("UNKNOWN", revision(0, None, "A", "B", "B").words).turn is None
    assert labels_of(None, revision(0, None, None, None).words).turn is None


def test_a_turn_cut_at_its_begin_is_said_by_who_says_the_rest() -> None:
    """What the service calls the whole may be who said the words that were known before."""
    said = event("Ask Mark. And then?", (0, 300), (400, 700), (1100, 1300), (1350, 1500), speaker_label="A")
    for word, label in zip(said.words, "AABB", strict=True):
        word.speaker = label
    turn = taken(turns_of(tail=TAIL), said)

    assert turn.text == "And then?"
    assert turn.speaker == "B"
    assert [word.speaker for word in turn.words] == ["B", "B"]


def test_a_revision_gives_the_turn_and_its_new_labels() -> None:
    turns = turns_of()
    final = taken(turns, event("Yes, ship it.", (0, 100), (110, 200), (210, 300), speaker_label="B"))

    assert turns.relabelled(revision(0, "A", "A", "A", "UNKNOWN")) == (
        final.id,
        Labels("A", ("A", "A", None)),
    )


def test_a_revision_of_a_turn_that_was_cut_leaves_out_the_same_words() -> None:
    """Else its words would not be found again, and keep their old labels."""
    turns = turns_of(tail=TAIL)
    final = taken(turns, event("ask Mark. And then?", (0, 300), (400, 700), (1100, 1300), (1350, 1500)))

    found = turns.relabelled(revision(0, "A", "A", "A", "B", "B"))

    assert found == (final.id, Labels("B", ("B", "B")))


def test_only_what_was_final_here_is_revised() -> None:
    turns = turns_of()
    taken(turns, event("Yes", (0, 100), final=False))

    assert turns.relabelled(revision(0, "A", "A")) is None
    assert turns.relabelled(revision(99, "A", "A")) is None


def test_what_is_known_of_finals_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "FINALS_MAX", 3)
    turns = turns_of()
    for order in range(5):
        taken(turns, event("Yes.", (0, 100), order=order))

    assert [turns.relabelled(revision(order, "A", "A")) is not None for order in range(5)] == [
        *(False, False),
        *(True, True, True),
    ]


WORDS = st.lists(
    st.tuples(st.text(max_size=5), st.integers(-1500, 12_000), st.integers(-200, 3000)), max_size=5
)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.text(max_size=10), WORDS), max_size=12),
    st.lists(st.tuples(st.integers(0, 100), st.integers(1, 60)), min_size=1, max_size=4),
)
def test_whatever_the_service_says_a_turn_is_well_formed(
    said: list[tuple[int, bool, str, list[tuple[str, int, int]]]], runs: list[tuple[int, int]]
) -> None:
    clock, number = SessionClock(), SOUND_MS // FRAME_MS
    for missing, count in runs:
        number += missing
        for _ in range(count):
            clock.sent(AudioFrame(number=number, captured_at_ms=0, pcm=b""))
            number += 1
    turns, finals, orders = turns_of(clock), set(), set()
    for order, final, text, words in said:
        what = event("x", final=final, order=order).model_copy(
            update={
                "transcript": text,
                "words": event(
                    " ".join("w" * len(words)), *[(start, start + length) for _, start, length in words]
                ).words,
            }
        )
        found = turns.take(what)
        if found is None:
            assert not text.strip() or order in orders
            continue
        turn = found.turn
        assert len(found.words) == len(words) or order in orders
        assert all(word.start_ms <= word.end_ms for word in found.words)
        assert turn.text == text.strip() != "" or order in orders
        assert turn.start_ms >= 0
        assert all(0 <= word.start_ms <= word.end_ms for word in turn.words)
        assert len(turn.words) == len(found.words)
        assert decode(encode(turn)) == turn
        if final:
            assert turn.id not in finals
            finals.add(turn.id)
            orders.add(order)
