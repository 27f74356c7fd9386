import pytest

from simulator.ear import Heard, Step
from simulator.turns import Rules, Silences, Turn, Turns, WordByWord


def word(number: int, start_ms: int, end_ms: int, ends: str = "") -> Heard:
    return Heard(
        number=number,
        text=f"word{number:04d}{ends}",
        start_ms=start_ms,
        end_ms=end_ms,
        speaker=0,
        whole=True,
        true_start_ms=start_ms,
    )


def steps(*words: Heard, until_ms: int) -> list[Step]:
    """Make the steps in which these words are said."""
    made = []
    for start_ms in range(0, until_ms, 10):
        loud = any(w.start_ms <= start_ms < w.end_ms for w in words)
        done = tuple(w for w in words if start_ms < w.end_ms <= start_ms + 10)
        made.append(Step(start_ms, start_ms + 10, loud, done))
    return made


def shown(turns: Turns, *words: Heard, until_ms: int) -> list[tuple[int, Turn]]:
    return [(step.end_ms, turn) for step in steps(*words, until_ms=until_ms) for turn in turns.hear(step)]


HELLO = (word(1, 500, 800), word(2, 950, 1300, "."))
OPEN = (word(1, 500, 800), word(2, 950, 1300))


def test_a_finished_sentence_ends_the_turn_after_the_minimum_silence():
    finals = [(at, turn) for at, turn in shown(Turns(Rules()), *HELLO, until_ms=3000) if turn.final]
    assert [(at, turn.text) for at, turn in finals] == [(1400, "word0001 word0002.")]


def test_an_unfinished_one_waits_for_the_maximum_silence():
    finals = [at for at, turn in shown(Turns(Rules()), *OPEN, until_ms=4000) if turn.final]
    assert finals == [2300]


@pytest.mark.parametrize(("least", "most", "at"), [(300, 1000, 1600), (100, 200, 1400), (2000, 3000, 3300)])
def test_the_silences_are_the_ones_that_were_asked_for(least, most, at):
    rules = Rules(min_silence_ms=least, max_silence_ms=most)
    assert [t for t, turn in shown(Turns(rules), *HELLO, until_ms=6000) if turn.final] == [at]


def test_speech_before_the_maximum_silence_goes_on_with_the_turn():
    words = (word(1, 500, 800), word(2, 1700, 2000, "."))
    finals = [turn for _, turn in shown(Turns(Rules()), *words, until_ms=4000) if turn.final]
    assert [turn.text for turn in finals] == ["word0001 word0002."]


def test_partials_have_the_whole_turn_and_one_comes_in_each_pause():
    """At most one per silence, and each replaces the last (reference 4.5)."""
    partials = [(at, t) for at, t in shown(Turns(Rules()), *OPEN, until_ms=2000) if not t.final]
    assert [(at, turn.text) for at, turn in partials] == [
        (900, "word0001—"),
        (1400, "word0001 word0002—"),
    ]
    assert all(turn.unfinal_words == len(turn.words) for _, turn in partials)
    assert all((turn.utterance, turn.confidence) == ("", 0.0) for _, turn in partials)


def test_partials_come_about_each_second_while_somebody_speaks():
    words = tuple(word(n, 500 + 400 * n, 900 + 400 * n) for n in range(12))
    times = [at for at, _ in shown(Turns(Rules()), *words, until_ms=5000)]
    assert times == [1260, 2260, 3260, 4260]
    slower = Rules(next_partial_ms=3000)
    assert [at for at, _ in shown(Turns(slower), *words, until_ms=5000)] == [1260, 4260]


def test_without_partials_there_are_only_finals():
    assert [turn.final for _, turn in shown(Turns(Rules(partials=False)), *OPEN, until_ms=4000)] == [True]


def test_each_turn_has_one_final_and_the_next_number():
    words = (*HELLO, word(3, 2500, 2900, "?"))
    finals = [turn for _, turn in shown(Turns(Rules()), *words, until_ms=5000) if turn.final]
    assert [(turn.order, turn.text) for turn in finals] == [(0, "word0001 word0002."), (1, "word0003?")]
    assert all((turn.confidence, turn.utterance) == (1.0, turn.text) for turn in finals)


def test_a_forced_end_takes_the_words_so_far_and_leaves_the_one_being_said():
    turns = Turns(Rules())
    shown(turns, *OPEN, until_ms=1200)
    assert [turn.text for turn in turns.force()] == ["word0001"]
    assert turns.force() == []
    finals = [turn for step in steps(*OPEN, until_ms=4000)[120:] for turn in turns.hear(step) if turn.final]
    assert [(turn.order, turn.text) for turn in finals] == [(1, "word0002")]


def test_a_turn_that_is_too_long_is_cut_between_words():
    words = tuple(word(n, 500 + 400 * n, 900 + 400 * n) for n in range(60))
    finals = [
        turn for _, turn in shown(Turns(Rules(turn_ms_max=10_000)), *words, until_ms=26_000) if turn.final
    ]
    assert [len(turn.words) for turn in finals] == [25, 25, 10]
    assert [w.number for turn in finals for w in turn.words] == list(range(60))


def test_padding_widens_a_turn_into_the_silence_around_it():
    """What was measured: up to a second early, 240 ms to 1.3 s late (reference 4.4)."""
    words = (*HELLO, word(3, 2500, 2900, "?"))
    finals = [t for _, t in shown(Turns(Rules(edge_padding=True)), *words, until_ms=5000) if t.final]
    assert [(turn.words[0].start_ms, turn.words[-1].end_ms) for turn in finals] == [(0, 1540), (1510, 3140)]
    late = [t for _, t in shown(Turns(Rules(edge_padding=True)), *OPEN, until_ms=5000) if t.final]
    assert late[0].words[-1].end_ms == 2300
    assert late[0].words[0].end_ms == 800


def test_padding_begins_no_earlier_than_the_turn_before_was_over():
    words = (*HELLO, word(3, 1900, 2300, "?"))
    finals = [t for _, t in shown(Turns(Rules(edge_padding=True)), *words, until_ms=5000) if t.final]
    assert finals[1].words[0].start_ms == 1400


def test_padding_never_reaches_into_a_word_said_next():
    turns = Turns(Rules(edge_padding=True))
    shown(turns, *OPEN, until_ms=900)
    assert turns.force()[0].words[-1].end_ms == 800


def test_universal_streaming_says_word_by_word_and_never_takes_one_back():
    """A word that is final stays as it is; the last one is not, and not in the text (reference 4.6)."""
    turns = [
        t for _, t in shown(WordByWord(Rules(min_silence_ms=400, max_silence_ms=1280)), *HELLO, until_ms=4000)
    ]
    assert [(turn.text, len(turn.words), turn.unfinal_words) for turn in turns] == [
        ("", 1, 1),
        ("word0001", 2, 1),
        ("word0001 word0002.", 2, 0),
    ]
    assert [turn.final for turn in turns] == [False, False, True]
    assert turns[1].words[1].start_ms == turns[1].words[1].end_ms
    assert turns[1].words[0] == turns[2].words[0]


def test_universal_streaming_ends_by_confidence_or_by_silence():
    def ends_at(words: tuple[Heard, ...], threshold: float) -> list[int]:
        rules = Rules(min_silence_ms=400, max_silence_ms=1280, confidence_threshold=threshold)
        return [at for at, turn in shown(WordByWord(rules), *words, until_ms=4000) if turn.final]

    assert ends_at(HELLO, 0.4) == [1700]
    assert ends_at(OPEN, 0.4) == [2580]
    assert ends_at(OPEN, 0.0) == [1700]
    assert ends_at(HELLO, 1.0) == [2580]


def test_universal_streaming_closes_an_utterance_in_a_pause():
    turns = [
        t for _, t in shown(WordByWord(Rules(min_silence_ms=400, max_silence_ms=1280)), *OPEN, until_ms=2500)
    ]
    assert turns[-1].utterance == turns[-1].text == "word0001 word0002"
    assert not turns[-1].final


def test_a_second_final_is_the_first_one_formatted():
    rules = Rules(min_silence_ms=400, second_formatted_final=True)
    finals = [t for _, t in shown(WordByWord(rules), *HELLO, until_ms=4000) if t.final]
    assert [(t.order, t.text, t.formatted) for t in finals] == [
        (0, "word0001 word0002", False),
        (0, "word0001 word0002.", True),
    ]


def confirmed(
    silences: Silences, *words: Heard, until_ms: int, open_until_ms: int = 0
) -> list[tuple[int, int]]:
    made = []
    for step in steps(*words, until_ms=until_ms):
        is_open = step.end_ms <= open_until_ms
        if stretch := silences.hear(step, turn_is_open=is_open, said=bool(step.words)):
            made.append(stretch)
    return made


def test_silence_is_confirmed_about_once_a_second():
    assert confirmed(Silences(), until_ms=3200) == [(0, 1030), (1030, 2060), (2060, 3090)]


def test_silence_is_not_confirmed_where_something_is_said():
    """Else a client would drop sound whose words it does not have yet."""
    said = confirmed(Silences(), word(1, 900, 1300), until_ms=5000, open_until_ms=2300)
    assert said == [(2300, 3330), (3330, 4360)]
    sooner = confirmed(Silences(in_open_turn=True), word(1, 900, 1300), until_ms=3000, open_until_ms=2300)
    assert sooner == [(1300, 2330)]


def test_overlapping_silence_reaches_back():
    silences = Silences(overlap_ms=500)
    assert confirmed(silences, until_ms=2100) == [(0, 1030), (530, 2060)]
