"""A pause: on from the moment it is asked for, over when it is over, and over no sooner for a restart."""

import json
import math
import threading
import time
from datetime import datetime

import pytest

from minuted.capture.pause import FOR_GOOD, NOTE, End, Pause, carried, describe, handlers, settled
from minuted.runtime import clock
from minuted.runtime.clock import Reading


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
    Pause(tmp_path).begin(60_000)
    assert Pause(tmp_path).is_on
    assert Pause(tmp_path).until_ms == pytest.approx(time.time() * 1000 + 60_000, abs=5000)
    Pause(tmp_path).begin()
    assert (Pause(tmp_path).text, Pause(tmp_path).until_ms) == ("paused", None)
    Pause(tmp_path).end()
    assert not Pause(tmp_path).is_on


def test_one_that_has_run_out_is_over_and_tidied_away(tmp_path):
    Pause(tmp_path).begin(-1)
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


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", '{"until_ms": "never"}', "[]", "null"),
        '{"since_ms": 1, "until_ms": NaN}',
        '{"since_ms": 1, "until_ms": 1e999}',
        f'{{"since_ms": 1, "until_ms": 2, "boot_id": "{clock.boot_id()}"}}',
    ],
)
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
    folder = tmp_path / "state"
    folder.mkdir()
    pause = Pause(folder)
    folder.rmdir()
    assert "nothing was changed" in handlers(pause)["pause"]({})["error"]
    assert not pause.is_on


def test_a_recording_cannot_be_paused(tmp_path):
    answer = handlers(Pause())["pause"]({})
    assert answer["ok"] is False
    assert "only a microphone" in answer["error"]


def test_the_note_tells_since_when(tmp_path):
    Pause(tmp_path).begin()
    assert json.loads((tmp_path / NOTE).read_text()).keys() == {"since_ms", "until_ms"}
    Pause(tmp_path).begin(1000)
    noted = json.loads((tmp_path / NOTE).read_text())
    assert noted["until_ms"] - noted["since_ms"] == 1000
    assert noted.keys() == {"since_ms", "until_ms", "boot_id", "until_boot_ms", "wall_ms"}


def test_one_that_has_run_out_leaves_a_new_one_that_another_process_noted(tmp_path):
    """Several sources share the note, and are asked one after the other."""
    far = Pause(tmp_path)
    far.begin(-1)
    Pause(tmp_path).begin()
    far.tidy()
    assert Pause(tmp_path).is_on


# Its time is the boot clock's.

MIN_MS = 60_000
WALL_MS = 1_790_000_000_000
STEPS_MS = [45 * MIN_MS, -45 * MIN_MS, -120 * 1440 * MIN_MS, 5000 * 1440 * MIN_MS]


class Machine:
    """Its two clocks."""

    def __init__(self) -> None:
        self.boot_id, self.boot_ms, self.wall_ms = "first", 5000, WALL_MS

    def read(self) -> Reading:
        return Reading(boot_id=self.boot_id, boot_ms=self.boot_ms, wall_ms=self.wall_ms)

    def run(self, passed_ms: int) -> None:
        self.boot_ms += passed_ms
        self.wall_ms += passed_ms

    def boot(self, down_ms: int) -> None:
        self.boot_id, self.boot_ms = "second", 2000
        self.wall_ms += down_ms


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(clock, "is_set", lambda: False)
    return Machine()


def know_the_clock(monkeypatch) -> None:
    monkeypatch.setattr(clock, "is_set", lambda: True)


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("by_ms", STEPS_MS)
def test_a_clock_that_is_set_ends_no_pause_and_keeps_none(tmp_path, machine, by_ms, restarts):
    pause = Pause(tmp_path, machine.read)
    pause.begin(30 * MIN_MS)
    machine.run(10_000)
    machine.wall_ms += by_ms
    pause.follow_clock()
    pause = Pause(tmp_path, machine.read) if restarts else pause
    assert (pause.is_on, pause.until_ms) == (True, machine.wall_ms + 30 * MIN_MS - 10_000)
    machine.run(30 * MIN_MS - 10_001)
    assert pause.is_on
    machine.run(1)
    assert (pause.is_on, pause.text) == (False, "")


def test_a_clock_that_was_set_before_a_boot_is_known_in_the_next(tmp_path, machine, monkeypatch):
    """What is noted is the end by the clock as it was set."""
    pause = Pause(tmp_path, machine.read)
    pause.begin(30 * MIN_MS)
    machine.wall_ms += 45 * MIN_MS
    pause.follow_clock()
    know_the_clock(monkeypatch)
    machine.boot(MIN_MS)
    again = Pause(tmp_path, machine.read)
    assert again.until_ms == machine.wall_ms + 29 * MIN_MS


def test_after_a_boot_the_wall_clock_counts_once_it_is_known_to_be_right(tmp_path, machine, monkeypatch):
    Pause(tmp_path, machine.read).begin(30 * MIN_MS)
    machine.boot(20 * MIN_MS)
    pause = Pause(tmp_path, machine.read)
    assert pause.until_ms == machine.wall_ms + 30 * MIN_MS - 2000, "as far as is known"
    know_the_clock(monkeypatch)
    pause.follow_clock()
    assert pause.until_ms == machine.wall_ms + 10 * MIN_MS
    machine.wall_ms += 45 * MIN_MS
    pause.follow_clock()
    assert Pause(tmp_path, machine.read).until_ms == pause.until_ms == machine.wall_ms + 10 * MIN_MS


def test_after_a_boot_with_a_wrong_clock_it_lasts_its_time_and_no_longer(tmp_path, machine):
    Pause(tmp_path, machine.read).begin(30 * MIN_MS)
    machine.boot(5000 * 1440 * MIN_MS)
    pause = Pause(tmp_path, machine.read)
    assert pause.is_on
    machine.run(30 * MIN_MS - 2001)
    assert Pause(tmp_path, machine.read).is_on
    machine.run(1)
    assert not pause.is_on
    assert not Pause(tmp_path, machine.read).is_on


@pytest.mark.parametrize(("is_set", "left_min"), [(True, 10), (False, 30)])
def test_a_note_of_an_older_version_is_heeded(tmp_path, machine, monkeypatch, is_set, left_min):
    """It may be of this boot or not: without a clock that is right it lasts its whole time from now."""
    machine.run(9 * 1440 * MIN_MS)
    since_ms = machine.wall_ms - 20 * MIN_MS
    (tmp_path / NOTE).write_text(json.dumps({"since_ms": since_ms, "until_ms": since_ms + 30 * MIN_MS}))
    monkeypatch.setattr(clock, "is_set", lambda: is_set)
    assert Pause(tmp_path, machine.read).until_ms == machine.wall_ms + left_min * MIN_MS
    machine.run(MIN_MS)
    assert Pause(tmp_path, machine.read).until_ms == machine.wall_ms + (left_min - 1) * MIN_MS


def test_a_pause_of_an_older_version_without_an_end_goes_on(tmp_path, machine):
    (tmp_path / NOTE).write_text('{"since_ms": 5, "until_ms": null}')
    assert Pause(tmp_path, machine.read).text == "paused"


def test_following_the_clock_leaves_what_another_process_noted(tmp_path, machine):
    """It was ended, or begun anew, while a clock was set."""
    pause = Pause(tmp_path, machine.read)
    pause.begin(30 * MIN_MS)
    Pause(tmp_path, machine.read).begin(60 * MIN_MS)
    machine.wall_ms += 45 * MIN_MS
    pause.follow_clock()
    assert Pause(tmp_path, machine.read).until_ms == machine.wall_ms + 60 * MIN_MS
    Pause(tmp_path, machine.read).end()
    machine.wall_ms += 45 * MIN_MS
    pause.follow_clock()
    assert not (tmp_path / NOTE).exists()


NOW = Reading(boot_id="b", boot_ms=10_000, wall_ms=WALL_MS)


@pytest.mark.parametrize(
    ("noted", "end"),
    [
        ({"since_ms": 0, "until_ms": None}, FOR_GOOD),
        (
            {"since_ms": 0, "until_ms": 9, "boot_id": "b", "until_boot_ms": 70_000, "wall_ms": None},
            End(boot_id="b", boot_ms=70_000),
        ),
        (
            {"since_ms": 0, "until_ms": 60_000, "boot_id": "a", "until_boot_ms": 70_000, "wall_ms": None},
            End(boot_id="b", boot_ms=60_000, wall_ms=60_000),
        ),
        (
            {"since_ms": 0, "until_ms": 4000, "boot_id": "a", "until_boot_ms": 70_000, "wall_ms": None},
            End(boot_id="b", boot_ms=10_000, wall_ms=4000),
        ),
        ({"since_ms": 0, "until_ms": 60_000}, End(boot_id="b", boot_ms=70_000, wall_ms=60_000)),
        (
            {"since_ms": 0, "until_ms": 60_000, "boot_id": "unknown-1", "until_boot_ms": 1, "wall_ms": None},
            End(boot_id="b", boot_ms=70_000, wall_ms=60_000),
        ),
    ],
)
def test_what_was_noted_is_carried_into_this_boot(noted, end):
    assert carried(noted, NOW) == end


@pytest.mark.parametrize(
    ("wall_ms", "is_set", "boot_ms"),
    [
        (None, True, 70_000),
        (WALL_MS + 5000, False, 70_000),
        (WALL_MS + 5000, True, 15_000),
        (WALL_MS + 90_000, True, 70_000),
    ],
)
def test_the_earlier_of_both_readings_counts_where_the_clock_is_right(wall_ms, is_set, boot_ms):
    assert settled(End(boot_id="b", boot_ms=70_000, wall_ms=wall_ms), NOW, is_set=is_set).boot_ms == boot_ms


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
