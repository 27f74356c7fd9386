"""A pause: on from the moment it is asked for, over when it is over, and over no sooner for a restart."""

import json
import math
import threading
import time
from datetime import datetime

import pytest

from minuted.capture.pause import NOTE, Pause, describe, handlers


def at_ms(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000


@pytest.mark.parametrize(
    ("until_ms", "said"),
    [
        (0.0, ""),
        (at_ms("2026-03-01T14:00:00"), ""),
        (at_ms("2026-03-01T14:30:00"), "paused until 14:30"),
        (at_ms("2026-03-01T14:29:10"), "paused until 14:30"),
        (at_ms("2026-03-02T09:00:00"), "paused until 09:00 on 02 March"),
        (math.inf, "paused"),
    ],
)
def test_it_says_until_when(until_ms, said):
    assert describe(until_ms, at_ms("2026-03-01T14:00:00")) == said


def test_another_process_goes_on_with_it(tmp_path):
    """The supervisor starts capture again, and the machine the supervisor."""
    until_ms = time.time() * 1000 + 60_000
    Pause(tmp_path).begin(until_ms)
    assert (Pause(tmp_path).is_on, Pause(tmp_path).until_ms) == (True, int(until_ms))
    Pause(tmp_path).begin()
    assert (Pause(tmp_path).text, Pause(tmp_path).until_ms) == ("paused", None)
    Pause(tmp_path).end()
    assert not Pause(tmp_path).is_on


def test_one_that_has_run_out_is_over_and_tidied_away(tmp_path):
    Pause(tmp_path).begin(time.time() * 1000 - 1)
    pause = Pause(tmp_path)
    assert (pause.is_on, pause.text) == (False, "")
    pause.tidy()
    assert not (tmp_path / NOTE).exists()


def test_tidying_leaves_a_pause_that_goes_on(tmp_path):
    """It may have been asked for anew in the very moment the last one ran out."""
    pause = Pause(tmp_path)
    pause.begin()
    pause.tidy()
    assert Pause(tmp_path).is_on


@pytest.mark.parametrize("text", ["", "{}", '{"until_ms": "never"}', "[]"])
def test_a_note_that_cannot_be_read_is_a_pause_without_an_end(tmp_path, text):
    """Somebody wanted not to be heard."""
    (tmp_path / NOTE).write_text(text)
    assert Pause(tmp_path).text == "paused"


def test_who_waits_is_told_at_once(tmp_path):
    pause = Pause(tmp_path)
    woken = threading.Event()
    threading.Thread(target=lambda: (pause.wait(60), woken.set()), daemon=True).start()
    while not woken.wait(0.01):
        pause.begin()


def test_a_request_begins_changes_and_ends_it(tmp_path):
    pause = Pause(tmp_path)
    asked = handlers(pause)
    assert asked["pause"]({"for_s": 1800})["text"].startswith("paused until ")
    assert pause.until_ms == pytest.approx((time.time() + 1800) * 1000, abs=60_000)
    assert asked["pause"]({}) == {"was_paused": True, "text": "paused"}
    assert asked["resume"]({}) == {"was_paused": True, "text": ""}
    assert asked["resume"]({}) == {"was_paused": False, "text": ""}


@pytest.mark.parametrize("for_s", [0, -1, math.inf, math.nan, "30m"])
def test_a_length_that_is_none_is_refused(tmp_path, for_s):
    pause = Pause(tmp_path)
    assert handlers(pause)["pause"]({"for_s": for_s})["ok"] is False
    assert not pause.is_on


def test_a_request_found_too_late_changes_nothing(tmp_path):
    """Whoever asked has been told that nothing was changed."""
    pause = Pause(tmp_path)
    assert handlers(pause)["pause"]({"before_s": time.monotonic() - 0.001})["ok"] is False
    assert not pause.is_on
    assert handlers(pause)["pause"]({"before_s": time.monotonic() + 60})["text"] == "paused"


def test_a_pause_that_cannot_be_noted_is_refused(tmp_path):
    """A restart would end it without a word."""
    (tmp_path / NOTE).with_suffix(".new").mkdir()
    pause = Pause(tmp_path)
    assert "nothing was changed" in handlers(pause)["pause"]({})["error"]
    assert not pause.is_on


def test_a_recording_cannot_be_paused(tmp_path):
    answer = handlers(Pause())["pause"]({})
    assert answer["ok"] is False
    assert "only a microphone" in answer["error"]


def test_the_note_tells_since_when(tmp_path):
    Pause(tmp_path).begin()
    assert json.loads((tmp_path / NOTE).read_text()).keys() == {"since_ms", "until_ms"}


def test_one_that_has_run_out_leaves_a_new_one_that_another_process_noted(tmp_path):
    """Several sources share the note, and are asked one after the other."""
    far = Pause(tmp_path)
    far.begin(time.time() * 1000 - 1)
    Pause(tmp_path).begin()
    far.tidy()
    assert Pause(tmp_path).is_on


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"until_ms": "x"}', '{"until_ms": NaN}', '{"until_ms": 1' + "0" * 400 + "}", "\udcff"],
)
def test_a_note_that_cannot_be_read_is_a_pause_until_somebody_ends_it(tmp_path, text):
    """Somebody wanted not to be heard."""
    (tmp_path / NOTE).write_bytes(text.encode(errors="surrogateescape"))
    assert (Pause(tmp_path).is_on, Pause(tmp_path).until_ms) == (True, None)
    Pause(tmp_path).end()
    assert not Pause(tmp_path).is_on
