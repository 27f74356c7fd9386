"""What a command prints, and where it goes."""

import json
import os
import subprocess
import sys

import pytest

from hostile_texts import HOSTILE, MARKER, TORN, controls
from minuted.commands import printing
from terminals import shown

PREPARE = f"from minuted.commands import printing\nhostile = {HOSTILE!r}\n"


def in_a_terminal(script: str) -> str:
    return shown([sys.executable, "-c", PREPARE + script])


def test_a_line_stays_one_line_and_drives_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    printing.say(HOSTILE)
    printing.say_all([HOSTILE, TORN])
    printing.complain(HOSTILE)
    found = capsys.readouterr()
    assert found.out.count("\n") == 3
    assert found.err.count("\n") == 1
    assert controls(found.out + found.err) == []
    assert "[red]markup[/red]" in found.out
    assert "\ufffd" in found.out


def test_json_is_one_line_that_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    printing.say_json({"room": HOSTILE, "torn": TORN, "plain": "Grüß Gott"})
    (line,) = capsys.readouterr().out.splitlines()
    assert controls(line) == []
    assert "Grüß Gott" in line
    assert "\\u001b]0;" in line
    assert "\\u009b" in line
    assert json.loads(line) == {"room": HOSTILE, "torn": TORN, "plain": "Grüß Gott"}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_letters_that_an_output_has_not_end_nothing(encoding: str) -> None:
    script = 'printing.say("会議 ü"); printing.complain("会議"); printing.say_json({"a": "会議 \\x9b"})'
    done = subprocess.run(
        [sys.executable, "-c", PREPARE + script],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=True,
    )
    line, found = done.stdout.decode(encoding).splitlines()
    assert line == {"ascii": "?? ?", "latin-1": "?? ü", "utf-8": "会議 ü"}[encoding]
    assert json.loads(found) == {"a": "会議 \x9b"}
    assert controls(found) == []


def test_a_document_goes_to_a_pipe_as_it_is_and_to_a_terminal_without_what_it_obeys() -> None:
    script = 'printing.give(f"one\\n{hostile}\\n".encode()); printing.flush()'
    piped = subprocess.run([sys.executable, "-c", PREPARE + script], capture_output=True, check=True).stdout
    assert piped == f"one\n{HOSTILE}\n".encode()
    told = in_a_terminal(script)
    assert told.startswith(f"one\n{MARKER}")
    assert controls(told) == []


def test_bytes_that_are_no_text_drive_no_terminal() -> None:
    """msgpack's, for one."""
    told = in_a_terminal("printing.give(bytes(range(256))); printing.flush()")
    assert controls(told, allowed="\r\n") == []


def test_a_traceback_of_an_error_that_nobody_expected_drives_nothing() -> None:
    script = (
        "import threading\n"
        "printing.show_errors_clean()\n"
        "def fail(): raise ValueError(hostile)\n"
        "thread = threading.Thread(target=fail); thread.start(); thread.join()\n"
        "fail()\n"
    )
    told = in_a_terminal(script)
    assert told.count("ValueError: " + MARKER) == 2
    assert controls(told) == []
