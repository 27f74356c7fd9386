"""What every command says of itself."""

import argparse
from datetime import datetime

import pytest

from minuted.usage import parser


def commands():
    (found,) = [action for action in parser("1")._actions if isinstance(action, argparse._SubParsersAction)]
    return found.choices


@pytest.mark.parametrize("name", commands())
def test_every_command_says_what_it_does_with_an_example_and_its_exit_statuses(name):
    """Help is read by someone in front of a machine that does not work."""
    text = " ".join(commands()[name].format_help().split())
    assert f"for example: minuted {name}" in text
    assert "exit status: 0 done, 1 failed while running, 2 wrong usage, 78 bad configuration" in text
    assert "--config" in text


def test_the_configuration_may_stand_before_or_after_the_command():
    for argv in (["--config", "x", "status", "--json"], ["status", "--json", "--config", "x"]):
        assert str(parser("1").parse_args(argv).config) == "x"
    assert parser("1").parse_args(["status"]).config is None


def test_options_are_not_guessed():
    """A script's --conf would change its meaning with the next option."""
    with pytest.raises(SystemExit):
        parser("1").parse_args(["status", "--js"])


def export(*options):
    return parser("1").parse_args(["export", *options])


def test_times_are_local_and_of_today_unless_they_say_otherwise():
    """Somebody asks for "from half past nine" with a clock on the wall before them."""
    today = datetime.now().astimezone().date()
    assert export("--from", "09:30").from_time.strftime("%F %T") == f"{today} 09:30:00"
    assert export("--to", "2026-11-22T09:30").to_time.replace(tzinfo=None) == datetime(2026, 11, 22, 9, 30)  # noqa: DTZ001
    assert export("--to", "2026-11-22T09:30+05:45").to_time.timestamp() == 1795319100


@pytest.mark.parametrize("time", ["noon", "25:00", "2026-13-01", ""])
def test_what_is_no_time_is_refused_with_an_example(time, capsys):
    with pytest.raises(SystemExit):
        export("--from", time)
    assert "is no time: give 2026-11-22T09:30, or 09:30 for today" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "x", "9" * 30])
def test_a_record_s_number_is_a_number(number):
    with pytest.raises(SystemExit):
        parser("1").parse_args(["replay", f"--from-seq={number}"])
