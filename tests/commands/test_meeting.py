"""`minuted meeting`: what is printed of it."""

import time

import pytest

from minuted.commands.meeting import named
from minuted.usage import parser


def test_a_meeting_is_named_by_title_and_beginning() -> None:
    began_ms = int(time.mktime((2026, 11, 22, 9, 30, 0, 0, 0, -1))) * 1000
    assert named({"title": "Budget", "started_at_ms": began_ms}) == "“Budget”, from 09:30"
    assert named({"title": None, "started_at_ms": began_ms}) == "from 09:30"
    assert named(None) == "no meeting"


def test_without_an_action_it_says_which_one_is_going_on() -> None:
    assert parser("1").parse_args(["meeting"]).action == "status"
    assert parser("1").parse_args(["meeting", "start", "--title", "A B"]).title == "A B"
    with pytest.raises(SystemExit):
        parser("1").parse_args(["meeting", "stop"])
