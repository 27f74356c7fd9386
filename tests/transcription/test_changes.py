"""Which settings are in force: layers, profiles, resets, and what of it a session has to be told."""

import json
from typing import Any

import pytest

from minuted.options import ConfigError
from minuted.session_settings import StreamingSession
from minuted.transcription.changes import (
    Changes,
    changed,
    described,
    difference,
    from_state,
    in_force,
    line,
    named,
    request_of,
    told,
    undone,
)

BASE = StreamingSession(max_turn_silence=1200, keyterms_prompt=("Siobhan",))
PROFILES = {
    "interview": {"keyterms_prompt": ("metformin",), "max_turn_silence": 3000},
    "plenary": {"min_turn_silence": 500},
    "newer": {"vad_threshold": 0.5},
}
MODEL = "u3-rt-pro"


def after(changes: Changes, model: str = MODEL, **question: Any) -> Changes:
    return changed(changes, request_of(question), PROFILES, model)


def effective(changes: Changes, model: str = MODEL) -> StreamingSession:
    return changes.effective(BASE, PROFILES, model)


def silence(changes: Changes) -> int | None:
    return effective(changes).max_turn_silence


def test_without_changes_the_configuration_holds() -> None:
    assert effective(Changes()) == BASE


def test_a_change_holds_in_the_next_run_unless_it_was_for_this_one() -> None:
    """And what it covered for the time being comes back."""
    kept = after(Changes(), set={"max_turn_silence": 2000})
    both = after(kept, set={"max_turn_silence": 3000, "prompt": "x"}, until_restart=True)
    stored = json.loads(json.dumps(both.to_state("first")))

    assert (silence(both), effective(both).prompt) == (3000, "x")
    assert from_state(stored, "first") == both
    again = from_state(stored, "second")
    assert (silence(again), effective(again).prompt) == (2000, None)


def test_the_last_word_counts() -> None:
    """Whoever sets a value now means it now, whatever was to hold until the restart."""
    changes = after(Changes(), set={"max_turn_silence": 3000}, until_restart=True)
    changes = after(changes, set={"max_turn_silence": 2000})
    assert silence(changes) == 2000
    changes = after(changes, profile="interview")
    assert silence(changes) == 3000
    changes = after(changes, set={"max_turn_silence": 4000})
    assert silence(changes) == 4000


def test_another_profile_leaves_nothing_of_the_one_before() -> None:
    changes = after(after(Changes(), profile="interview"), profile="plenary")
    assert (silence(changes), effective(changes).keyterms_prompt) == (1200, ("Siobhan",))
    assert effective(changes).min_turn_silence == 500
    assert effective(after(changes, profile="none")) == BASE


def test_a_profile_for_this_run_hides_the_one_that_is_kept() -> None:
    kept = after(Changes(), profile="interview")
    passing = after(kept, profile="plenary", until_restart=True)
    assert (passing.profile, silence(passing)) == ("plenary", 1200)
    none = after(kept, profile="none", until_restart=True)
    assert (none.profile, effective(none)) == ("", BASE)
    assert from_state(none.to_state("first"), "second").profile == "interview"


def test_what_is_said_after_a_profile_for_this_run_is_heard_and_outlasts_it() -> None:
    """Terms that were cleared by command stayed in force, because the profile has some."""
    passing = after(Changes(), profile="interview", until_restart=True)
    cleared = after(passing, clear=["keyterms_prompt"])

    assert not effective(cleared).keyterms_prompt
    assert silence(cleared) == 3000
    assert cleared.sources(PROFILES, MODEL)["keyterms_prompt"][1] == "until reset"
    next_run = from_state(json.loads(json.dumps(cleared.to_state("first"))), "second")
    assert not effective(next_run).keyterms_prompt
    assert silence(next_run) == 1200
    assert effective(after(cleared, reset=["keyterms_prompt"])).keyterms_prompt == ("metformin",)
    again = after(cleared, profile="interview", until_restart=True)
    assert effective(again).keyterms_prompt == ("metformin",)


def test_a_reset_takes_back_all_or_what_is_named_and_comes_first() -> None:
    changes = after(Changes(), profile="interview", set={"prompt": "x"})
    changes = after(changes, set={"min_turn_silence": 300}, until_restart=True)
    assert after(changes, reset=[]) == Changes()
    assert effective(after(changes, reset=["prompt"])).prompt is None
    assert effective(after(changes, reset=["prompt"])).min_turn_silence == 300
    anew = after(changes, reset=[], set={"max_turn_silence": 900})
    assert effective(anew) == StreamingSession(max_turn_silence=900, keyterms_prompt=("Siobhan",))


def test_null_changes_nothing_and_empty_clears() -> None:
    assert after(Changes(), set={"max_turn_silence": None}) == Changes()
    assert effective(after(Changes(), clear=["keyterms_prompt"])).keyterms_prompt is None
    assert effective(after(Changes(), set={"keyterms_prompt": []})).keyterms_prompt is None


@pytest.mark.parametrize(
    ("question", "reasons"),
    [
        ({"set": {"vad_threshold": 0.5}}, ["a session of u3-rt-pro takes no change of it"]),
        ({"set": {"max_turn_silence": 9, "x": 1}}, ["not between 50 and 10000", "'x' is not known"]),
        ({"clear": ["max_turn_silence"]}, ["has no empty value; `--reset max_turn_silence`"]),
        ({"clear": ["prompt"], "set": {"prompt": "a"}}, ["set and cleared at once"]),
        ({"profile": "intervew"}, [r"no \[profiles.intervew\]; there are interview, plenary, newer"]),
        ({"profile": "newer"}, ["profile newer: vad_threshold: a session of u3-rt-pro"]),
        ({"reset": ["promt"]}, ["'promt' is not known"]),
        ({"set": [1]}, ["cannot be read"]),
        ({"clear": [1]}, ["cannot be read"]),
        ({"profile": 3}, ["cannot be read"]),
    ],
)
def test_a_request_with_a_mistake_is_refused_whole_with_every_reason(
    question: dict[str, Any], reasons: list[str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        after(Changes(), **question)
    for reason in reasons:
        refused.match(reason)


def test_what_another_model_does_not_take_has_no_effect_and_is_said() -> None:
    """The configuration names another model since."""
    changes = after(Changes(), "universal-3-6-pro", set={"vad_threshold": 0.5, "max_turn_silence": 2000})
    assert effective(changes).vad_threshold is None
    assert silence(changes) == 2000
    assert described(changes, BASE, PROFILES, MODEL)["without_effect"] == ["vad_threshold"]
    gone = after(Changes(), profile="interview")
    assert gone.effective(BASE, {}, MODEL) == BASE
    assert described(gone, BASE, {}, MODEL)["without_effect"] == ["profile interview"]


def test_stored_values_that_are_no_longer_good_are_left_out() -> None:
    state = {
        "run": "first",
        "kept": {"profile": None, "values": {"max_turn_silence": 2000, "min_turn_silence": -1, "gone": 1}},
        "passing": {"profile": None, "values": {}},
    }
    assert from_state(state, "x").kept.values == {"max_turn_silence": 2000}


def test_a_session_is_told_what_it_lacks_and_no_more() -> None:
    has = told(BASE)
    wanted = told(StreamingSession(max_turn_silence=2000, keyterms_prompt=(), vad_threshold=0.5))
    assert difference(has, wanted, MODEL) == ({"max_turn_silence": 2000, "keyterms_prompt": ()}, [])
    assert difference(wanted, has, "universal-3-6-pro") == (
        {"max_turn_silence": 1200, "keyterms_prompt": ("Siobhan",)},
        ["vad_threshold"],
    )
    assert difference(has, told(BASE), MODEL) == ({}, [])


def test_what_a_service_refuses_by_name_is_taken_back() -> None:
    """A profile as a whole: half of one is none."""
    changes = after(Changes(), set={"max_turn_silence": 2000, "prompt": "x"})
    less, names = undone(changes, named("Invalid 'prompt': no"), PROFILES, MODEL)
    assert (names, effective(less).prompt, silence(less)) == (["prompt"], None, 2000)
    assert undone(changes, named("Invalid 'min_turn_silence'"), PROFILES, MODEL) == (changes, [])
    profiled = after(Changes(), profile="interview")
    assert undone(profiled, named("Invalid 'keyterms_prompt': no"), PROFILES, MODEL)[0] == Changes()


def test_a_line_says_what_is_changed_but_no_text() -> None:
    """It stands in `status`, beside much else."""
    changes = after(
        Changes(),
        profile="interview",
        set={"prompt": "A secret.", "keyterms_prompt": ["a", "b"], "max_turn_silence": 100},
    )
    status = {**described(changes, BASE, PROFILES, MODEL), "problem": ""}
    assert in_force(status) == (
        "profile interview, min_turn_silence 100, max_turn_silence 100 (changed), "
        "keyterms_prompt 2 terms (changed), prompt 9 characters (changed)"
    )
    plain = described(after(Changes(), profile="interview"), BASE, PROFILES, "local")
    assert in_force({**plain, "problem": "line 3"}) == (
        "profile interview, min_turn_silence 100, max_turn_silence 3000 (profile interview), "
        "without effect: keyterms_prompt, key terms as before: line 3"
    )
    assert (
        line(status)
        == "profile interview, keyterms_prompt 2 terms, max_turn_silence 100, prompt 9 characters"
    )
    cleared = described(after(Changes(), clear=["keyterms_prompt"]), BASE, PROFILES, MODEL)
    assert line({**cleared, "problem": "x"}) == "keyterms_prompt cleared, key terms as before: x"
