"""What every command says of itself."""

import argparse

import pytest

from hostile_texts import HOSTILE, MARKER, controls
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


def test_a_file_s_name_in_a_complaint_drives_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A shell's * puts what somebody called a file into the command line."""
    with pytest.raises(SystemExit):
        parser("1").parse_args(["status", HOSTILE])
    complaint = capsys.readouterr().err
    assert MARKER in complaint
    assert controls(complaint) == []


@pytest.mark.parametrize("name", commands())
def test_what_may_be_left_out_is_not_called_required(name, capsys):
    """Whoever lists dead letters has no numbers yet."""
    with pytest.raises(SystemExit):
        parser("1").parse_args([name, "--no-such-option"])
    needed = capsys.readouterr().err.partition("required: ")[2]
    optional = [
        action.metavar
        for action in commands()[name]._actions
        if not action.option_strings and action.nargs in ("*", "?")
    ]
    assert not {*needed.strip().split(", ")} & {*optional}
