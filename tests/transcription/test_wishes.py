"""What is asked of the loop: done once, in order, in time or not at all."""

import time

import pytest

from minuted.transcription.wishes import ANSWERS_MAX, LATE, WAITING_MAX, Wishes
from waiting import until

SOON_S = 60.0


def asked(wishes: Wishes, name: str = "a", in_s: float = SOON_S) -> None:
    wishes.ask({"op": "configure", "wish": name, "before_s": time.monotonic() + in_s})


def test_wishes_are_granted_in_their_order_and_answered_by_their_names() -> None:
    wishes = Wishes()
    asked(wishes, "a")
    asked(wishes, "b")
    assert wishes.answer({"wish": "b"}) == {"state": "busy"}
    for name in "ab":
        question = wishes.first()
        assert question is not None
        assert question["wish"] == name
        wishes.settle({"text": name})
    assert wishes.first() is None
    assert wishes.answer({"wish": "b"}) == {"state": "done", "text": "b"}
    assert wishes.answer({"wish": "c"}) == {"state": "unknown"}


def test_what_comes_too_late_is_not_done() -> None:
    """Whoever asked has been told that nothing was changed."""
    wishes = Wishes()
    with pytest.raises(ValueError, match=LATE):
        asked(wishes, in_s=-1)
    asked(wishes, in_s=0.02)
    asked(wishes, "b")

    def is_told() -> bool:
        wishes.first()
        return bool(wishes.answer({"wish": "a"})["state"] != "busy")

    until(is_told)
    assert wishes.answer({"wish": "a"})["error"] == LATE
    assert wishes.answer({"wish": "b"})["state"] == "busy"


def test_there_is_an_end_to_what_waits_and_to_what_is_remembered() -> None:
    wishes = Wishes()
    for number in range(WAITING_MAX):
        asked(wishes, str(number))
    with pytest.raises(ValueError, match="too much is asked for at once"):
        asked(wishes)
    for number in range(ANSWERS_MAX + 1):
        wishes.settle({})
        asked(wishes, f"more {number}")
    assert wishes.answer({"wish": "0"}) == {"state": "unknown"}


@pytest.mark.parametrize("question", [{}, {"wish": 1, "before_s": 1.0}, {"wish": "a"}])
def test_a_wish_without_a_name_or_a_time_is_refused(question: dict) -> None:
    with pytest.raises(ValueError, match="a name and a time"):
        Wishes().ask(question)
