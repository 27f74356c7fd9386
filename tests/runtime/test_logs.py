import json
import os
import re
import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest

from hostile_texts import HOSTILE, MARKER, controls
from terminals import shown

PREPARE = """
import logging, threading, structlog
from minuted.runtime import logs
logs.set_up("capture", "boardroom")
log = structlog.get_logger("minuted.test")
"""


def run(script: str, **environment: str) -> str:
    """Run a script as a process of its own; give what it said on stderr."""
    done = subprocess.run(
        [sys.executable, "-c", PREPARE + script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "", "logs go to stderr alone"
    return done.stderr


def events(script: str, **environment: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(script, **environment).splitlines()]


def run_in_a_terminal(script: str) -> str:
    return shown([sys.executable, "-c", PREPARE + script])


def test_an_event_is_one_line_of_json() -> None:
    """journald, Loki and jq take them as they are."""
    event, *more = events("log.info('session_started', session_id='abc', seconds=1.5)")

    assert not more
    assert datetime.fromisoformat(event.pop("timestamp")).tzinfo is not None
    assert event == {
        "event": "session_started",
        "level": "info",
        "stage": "capture",
        "room": "boardroom",
        "session_id": "abc",
        "seconds": 1.5,
    }


def test_a_line_stays_one_line_whatever_is_in_it() -> None:
    said = events("log.error('lost', reason='one\\ntwo\\u2028three', path=__import__('pathlib').Path('/x'))")

    assert [event["reason"] for event in said] == ["one\ntwo\u2028three"]
    assert "/x" in str(said[0]["path"])


def test_a_text_from_outside_drives_no_terminal() -> None:
    """A service's reason, a sink's error, a name of an event, what a library says."""
    script = f"""
class Odd:
    def __repr__(self): return hostile
hostile = {HOSTILE!r}
log.warning('service_warning', reason=hostile, values=[hostile], odd=Odd())
log.warning(hostile)
logging.getLogger('some.library').warning(hostile)
try: raise ValueError(hostile)
except ValueError: log.exception('crashed')
"""
    seen = re.sub(r"\x1b\[[0-9;]*m", "", run_in_a_terminal(script))
    assert controls(seen) == []
    lines = seen.splitlines()
    assert sum(MARKER in line for line in lines) == 4
    assert [line for line in lines if line.startswith(("forged", " forged"))] == []
    assert "ValueError: " + MARKER in seen

    said = run(script)
    assert controls(said) == []
    assert [json.loads(line)["level"] for line in said.splitlines()] == ["warning"] * 3 + ["error"]
    assert json.loads(said.splitlines()[0])["reason"] == HOSTILE


def test_a_traceback_is_part_of_its_event() -> None:
    (event,) = events("try: 1 / 0\nexcept Exception: log.exception('crashed')")

    assert event["event"] == "crashed"
    assert event["level"] == "error"
    assert "ZeroDivisionError" in event["exception"]


def test_a_thread_s_events_are_marked_too() -> None:
    (event,) = events("t = threading.Thread(target=lambda: log.info('heard')); t.start(); t.join()")

    assert (event["stage"], event["room"]) == ("capture", "boardroom")


def test_other_libraries_warnings_come_in_the_same_form() -> None:
    said = events("logging.getLogger('some.library').warning('disk %s', 'full'); logging.info('chatter')")

    assert [(event["event"], event["level"], event["stage"]) for event in said] == [
        ("disk full", "warning", "capture")
    ]


@pytest.mark.parametrize(
    "library",
    [
        "assemblyai",
        "assemblyai.streaming.v3.client",
        "httpx",
        "httpcore.http11",
        "websockets.client",
        "websockets.server",
    ],
)
def test_libraries_that_handle_keys_and_words_are_silent(library: str) -> None:
    """The vendor's client logs what it failed to understand: words."""
    script = f"""
library = logging.getLogger({library!r})
library.critical('Authorization: abc')
library.error('Authorization: abc')
try: raise ValueError('the words')
except ValueError: library.exception('words')
"""
    assert run(script, MINUTED_LOG="debug") == ""


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["debug", "info", "error"]),
        ("info", ["info", "error"]),
        ("", ["info", "error"]),
        ("nonsense", ["info", "error"]),
        ("Error", ["error"]),
    ],
)
def test_the_environment_says_how_much_is_logged(level: str, heard: list[str]) -> None:
    said = events("log.debug('a'); log.info('b'); log.error('c')", MINUTED_LOG=level)

    assert [event["level"] for event in said] == heard


def test_a_terminal_gets_lines_for_people() -> None:
    said = run_in_a_terminal("log.info('session_started', session_id='abc')")

    assert "session_started" in said
    assert "abc" in said
    assert "capture" in said
    assert "boardroom" not in said, "who sits at the terminal knows the room"
    assert not said.lstrip().startswith("{")
    assert len(said.splitlines()) == 1


def test_a_traceback_in_a_terminal_shows_no_values() -> None:
    """Among a function's variables are keys and words."""
    script = """
def connect(key):
    words = 'sec' + 'ret words'
    raise OSError('refused')
try: connect('the ' + 'key')
except OSError: log.exception('crashed')
"""
    said = run_in_a_terminal(script)

    assert "OSError" in said
    assert "secret words" not in said
    assert "the key" not in said


def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    """A terminal that was closed, a pipe nobody reads: the minutes go on."""
    code = (
        "import os, sys, structlog\n"
        "from minuted.runtime import logs\n"
        "logs.set_up('capture')\n"
        "sys.stderr.close() if sys.argv[1] == 'closed' else os.dup2(os.open('/dev/full', os.O_WRONLY), 2)\n"
        "structlog.get_logger().info('something')\n"
        "print('went on', flush=True)\n"
        "os._exit(0)\n"
    )
    for how in ("closed", "full"):
        done = subprocess.run([sys.executable, "-c", code, how], capture_output=True, text=True, check=False)
        assert done.stdout == "went on\n"
