"""What several channels tell, as one line and as many."""

from typing import Any, get_args

import pytest

from minuted.transcription.lanes import State
from minuted.transcription.overview import overview


def status(state: str = "live", **changes: Any) -> dict[str, Any]:
    zeros = dict.fromkeys(
        (
            *("session_s", "sessions", "reconnects", "handovers", "backlog_s", "behind_s", "held_s"),
            *("taken_s", "dropped_s", "finals", "gaps", "words_known", "heard_again"),
            *("saved_today_s", "wakes", "wakes_in_vain"),
        ),
        0,
    )
    return {**zeros, "state": state, "session_id": "", "model": "", "reason": "", **changes}


def test_the_only_channel_is_told_of_as_ever() -> None:
    assert overview({"": status(finals=3)}) == status(finals=3)


def test_what_is_counted_is_added_and_each_is_told_of_by_its_name() -> None:
    table, far = status(finals=3, backlog_s=0.2), status(finals=4, backlog_s=7.0)
    told = overview({"table": table, "far": far})
    assert (told["finals"], told["backlog_s"]) == (7, 7.0)
    assert told["channels"] == {"table": table, "far": far}


def test_the_worst_state_is_the_one_to_be_seen_with_its_reason() -> None:
    """A room whose far end is not transcribed is not well."""
    well, ill = status(session_id="s1", model="m"), status("retrying", reason="no route")
    told = overview({"table": well, "far": ill})
    assert (told["state"], told["reason"]) == ("retrying", "no route")
    assert (told["session_id"], told["model"]) == ("s1", "m")


@pytest.mark.parametrize("state", [*get_args(State), "of a later version"])
def test_every_state_that_sessions_can_have_is_told(state: str) -> None:
    """One that is not would leave a supervisor without an answer, and it kills what does not answer."""
    told = overview({"table": status("paused"), "far": status(state)})
    assert told["state"] == state


def test_it_is_paused_when_all_of_it_is() -> None:
    assert overview({"table": status("paused"), "far": status("idle")})["state"] == "idle"
    assert overview({"table": status("paused"), "far": status("paused")})["state"] == "paused"
